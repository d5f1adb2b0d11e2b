//! Where the tools work and what they may spend: everything they know about their surroundings.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where and under which policy tools work. One instance serves one thread or one connection.
#[derive(Clone)]
pub struct Context {
    /// The directory that relative paths start from and commands run in. Absolute.
    pub cwd: PathBuf,
    /// What commands and file tools may do.
    pub policy: sandbox::Policy,
    /// The whole environment of commands; nothing else is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// The directory that takes outputs too long for the model, in full; made on first use. `None`: they are not kept.
    pub scratch: Option<PathBuf>,
    /// What a call may spend.
    pub limits: Limits,
}

/// Values of the environment may be secrets, so only their number is shown.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("cwd", &self.cwd)
            .field("policy", &self.policy)
            .field("env", &self.env.len())
            .field("scratch", &self.scratch)
            .field("limits", &self.limits)
            .finish()
    }
}

/// What a call may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a command may run when its call names no time-out.
    pub shell_timeout: Duration,
    /// The longest time-out that a call may name.
    pub max_timeout: Duration,
    /// How much of an output the model gets, in tokens of four bytes.
    pub output_tokens: usize,
    /// How much of one output is kept in [`Context::scratch`], in bytes.
    pub scratch_bytes: u64,
    /// How long a command gets between `SIGTERM` and `SIGKILL`.
    pub kill_grace: Duration,
    /// How long to wait, after a command has ended, for output of what it left running.
    pub pipe_grace: Duration,
    /// The shortest time between two progress notifications of one call.
    pub progress_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shell_timeout: Duration::from_secs(120),
            max_timeout: Duration::from_secs(3600),
            output_tokens: 10_000,
            scratch_bytes: 64 << 20,
            kill_grace: Duration::from_secs(2),
            pipe_grace: Duration::from_millis(100),
            progress_interval: Duration::from_millis(500),
        }
    }
}
