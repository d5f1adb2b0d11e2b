//! What can go wrong at the crate's two doors: [`AccessError`] for files, [`SpawnError`] for commands.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Why a file may not, or can not, be opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The policy does not make this place writable.
    #[error("{}", outside(path, roots, mode))]
    OutsideWritableRoots {
        /// What was to be written.
        path: PathBuf,
        /// What may be written; empty under read-only.
        roots: Vec<PathBuf>,
        /// The policy's [`mode`](crate::Policy::mode).
        mode: &'static str,
    },
    /// It lies in a writable root but is kept from being written.
    #[error("{} is protected: {rule}", path.display())]
    Protected {
        /// What was to be written.
        path: PathBuf,
        /// The rule that protects it, in words.
        rule: &'static str,
    },
    /// The policy does not let it be read.
    #[error("{} may not be read: {rule}", path.display())]
    Denied {
        /// What was to be read, as it was named.
        path: PathBuf,
        /// The rule that keeps it, in words.
        rule: &'static str,
    },
    /// The policy has a rule that can not be kept here.
    #[error("{why}")]
    Unenforceable {
        /// Which, and what can be done about it.
        why: String,
    },
    /// Only regular files are read and replaced.
    #[error("{} is {kind}, not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is, with its article: `a directory`.
        kind: &'static str,
    },
    /// A symbolic link stands where a file was expected. Links are not followed for writing.
    #[error("{} is a symbolic link; name the file that it points to", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A relative path: this crate knows no current directory.
    #[error("{} is not an absolute path", path.display())]
    Relative {
        /// The path as given.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn outside(path: &Path, roots: &[PathBuf], mode: &str) -> String {
    let path = path.display();
    if roots.is_empty() {
        return format!(
            "{path} may not be written: nothing is writable (sandbox_mode is {mode}); \
             sandbox_mode = \"workspace-write\" makes the workspace writable"
        );
    }
    let roots = roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "{path} is outside the writable roots (sandbox_mode is {mode}; writable: {roots}); \
         add its directory with --add-dir or [sandbox_workspace_write] writable_roots"
    )
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No such program.
    #[error("{}", not_found(program, path_searched))]
    NotFound {
        /// As given.
        program: OsString,
        /// The directories that were searched; empty if the program was given as a path.
        path_searched: Vec<PathBuf>,
    },
    /// The program is there but can not be executed: no permission, a directory, a foreign format.
    #[error("{} can not be executed: {source}", program.display())]
    NotExecutable {
        /// As given.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The script is there, the interpreter that its first line names is not.
    #[error("{} can not be executed: the interpreter on its first line is missing", program.display())]
    NoInterpreter {
        /// As given.
        program: OsString,
    },
    /// The directory to start in can not be entered.
    #[error("the working directory {} can not be entered: {source}", cwd.display())]
    Cwd {
        /// As given.
        cwd: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A root that the policy makes writable can not be opened. No command runs with less than was promised.
    #[error(
        "the writable root {} can not be opened: {source}; create it, or take it out of the writable roots",
        path.display()
    )]
    WritableRoot {
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program, an argument or a variable can not be passed to a program at all.
    #[error("{what} can not be passed to a program: {why}")]
    Unpassable {
        /// Which one; never its value.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// This system can not enforce the policy, so the command was not run.
    #[error("the sandbox can not be enforced here: {what}; {hint}")]
    Unenforceable {
        /// What is missing.
        what: String,
        /// What can be done about it.
        hint: &'static str,
    },
    /// A step on the way to the program failed. The program was not run.
    #[error("failed to {stage}: {source}")]
    Setup {
        /// The step.
        stage: Stage,
        /// What the system said.
        source: io::Error,
    },
}

fn not_found(program: &OsString, searched: &[PathBuf]) -> String {
    if program.is_empty() {
        return "the name of the program is empty".to_owned();
    }
    if program.as_bytes().contains(&b'/') {
        return format!("{} does not exist", program.display());
    }
    let program = program.display();
    if searched.is_empty() {
        return format!("{program} was not found (PATH names no absolute directory)");
    }
    let searched = searched.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(":");
    format!("{program} was not found (PATH is {searched})")
}

/// A step on the way from a policy and a command to a running program. Its text completes "failed to …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Starting the thread that forks.
    Spawner,
    /// Making the pipes.
    Pipes,
    /// Building the Landlock ruleset.
    Ruleset,
    /// Forking.
    Fork,
    /// Having a supervisor that sees to the command's whole process tree.
    Supervisor,
    /// Making namespaces.
    Namespaces,
    /// Being in the new namespaces who one was outside.
    Identity,
    /// Switching on the loopback of the command's own network.
    Loopback,
    /// Making the command's view of the file system.
    Mounts,
    /// Protecting what in the writable roots is not to be written.
    Protection,
    /// Having the async runtime watch the child.
    Watch,
    /// Leaving the terminal session of this process.
    Session,
    /// Asking to be killed when this process ends.
    ParentDeath,
    /// Putting signals back to their defaults.
    Signals,
    /// Putting standard input, output and error in their places.
    Stdio,
    /// Making a terminal, and having it control the command's session.
    Terminal,
    /// Marking all other descriptors to be closed.
    Descriptors,
    /// Entering the working directory.
    Cwd,
    /// Forbidding core dumps.
    Limits,
    /// Joining an empty session keyring.
    Keyring,
    /// Giving up new privileges.
    NoNewPrivileges,
    /// Dropping capabilities.
    Capabilities,
    /// Entering the Landlock domain.
    Landlock,
    /// Installing the system call filters.
    Seccomp,
    /// Executing the program.
    Exec,
}

impl Stage {
    /// Every one, to find it again by its number.
    pub(crate) const ALL: [Self; 25] = [
        Self::Spawner,
        Self::Pipes,
        Self::Ruleset,
        Self::Fork,
        Self::Supervisor,
        Self::Namespaces,
        Self::Identity,
        Self::Loopback,
        Self::Mounts,
        Self::Protection,
        Self::Watch,
        Self::Session,
        Self::ParentDeath,
        Self::Signals,
        Self::Stdio,
        Self::Terminal,
        Self::Descriptors,
        Self::Cwd,
        Self::Limits,
        Self::Keyring,
        Self::NoNewPrivileges,
        Self::Capabilities,
        Self::Landlock,
        Self::Seccomp,
        Self::Exec,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spawner => "start the thread that starts commands",
            Self::Pipes => "make the command's pipes",
            Self::Ruleset => "build the landlock ruleset",
            Self::Fork => "fork",
            Self::Supervisor => "supervise the command",
            Self::Namespaces => "make namespaces",
            Self::Identity => "map the user into a new namespace",
            Self::Loopback => "switch on the command's own loopback",
            Self::Mounts => "make the command's view of the file system",
            Self::Protection => "protect .git, .codex, .agents and the like in the writable roots",
            Self::Watch => "watch the command",
            Self::Session => "start a new session",
            Self::ParentDeath => "tie the command to this process",
            Self::Signals => "reset the command's signals",
            Self::Stdio => "connect the command's standard streams",
            Self::Terminal => "give the command a terminal",
            Self::Descriptors => "close the command's other descriptors",
            Self::Cwd => "enter the working directory",
            Self::Limits => "forbid core dumps",
            Self::Keyring => "give the command an empty keyring",
            Self::NoNewPrivileges => "give up new privileges",
            Self::Capabilities => "drop capabilities",
            Self::Landlock => "enter the landlock domain (at most 16 can be nested)",
            Self::Seccomp => "install the system call filter",
            Self::Exec => "execute the program",
        })
    }
}
