//! What is run and how it ends: plain data, the same on every system.

use std::{ffi::OsString, fmt, path::PathBuf};

/// One program to run, complete: nothing is taken from this process but what is written here.
#[derive(Clone)]
pub struct Command {
    /// A name that is looked up in the `PATH` of [`env`](Self::env), or a path if it contains a slash.
    /// Relative and empty entries of `PATH` are not searched: a workspace must not be able to put its own
    /// `git` in the way.
    pub program: OsString,
    /// The arguments after the program's own name.
    pub args: Vec<OsString>,
    /// The directory to start in. It need not be writable under the policy.
    pub cwd: PathBuf,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where its standard input comes from.
    pub input: Input,
    /// Where its standard output and standard error go.
    pub output: Output,
}

/// Values of the environment and arguments may be secrets, so only their number is shown.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("cwd", &self.cwd)
            .field("env", &self.env.len())
            .field("input", &self.input)
            .field("output", &self.output)
            .finish()
    }
}

/// Where a command's standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// `/dev/null`: a read is at the end at once.
    Null,
    /// A pipe, whose other end is [`Child::stdin`](crate::Child::stdin).
    Pipe,
    /// The standard input of this process.
    Inherit,
}

/// Where a command's standard output and standard error go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A pipe each: [`Child::stdout`](crate::Child::stdout) and [`Child::stderr`](crate::Child::stderr).
    Separate,
    /// Both on the pipe [`Child::stdout`](crate::Child::stdout), in the order in which they were written.
    Merged,
    /// A terminal of the command's own, which is its standard input too ([`Command::input`] does not count) and
    /// the one that `/dev/tty` means: [`Child::terminal`](crate::Child::terminal) is its other end.
    Terminal(Size),
    /// The standard output and standard error of this process.
    Inherit,
}

/// How much a terminal shows, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

impl Default for Size {
    /// What programs take for granted where nothing is said: 24 lines of 80.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// A signal for a command's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// `SIGHUP`.
    Hangup,
    /// `SIGINT`, as Ctrl-C sends it.
    Interrupt,
    /// `SIGTERM`: a request to leave.
    Terminate,
    /// `SIGKILL`: the end, for those too that have left the group.
    Kill,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The exit code, or 128 + the signal's number, as shells report it.
    pub fn code_or_128(&self) -> i32 {
        match *self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}
