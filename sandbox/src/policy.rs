//! What is allowed. A policy is resolved by whoever made it: its paths are absolute, and nothing here reads a
//! setting, the environment or the current directory.

use std::{os::unix::fs::FileTypeExt, path::PathBuf};

/// What a command, or a file tool, may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// What the rules allow, and nothing else.
    Sandboxed(Rules),
    /// No limits: everything that this process may do.
    FullAccess,
}

/// The limits of a sandboxed policy. The default allows to read and execute anything, to write nothing and to
/// reach no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Absolute directories beneath which files may be written; each must exist when a command starts. With
    /// none, nothing may be written. In them stay read-only: `.codex` and `.agents`, whether they exist or not,
    /// and of every git repository at a root its `hooks` and `config`.
    pub writable_roots: Vec<PathBuf>,
    /// Absolute paths that stay read-only in the writable roots, besides those that always do.
    pub protected: Vec<PathBuf>,
    /// What may be read and executed.
    pub read: Read,
    /// Absolute paths that may not be read, whatever else allows it. Those that do not exist when a command
    /// starts are left out.
    pub deny_read: Vec<PathBuf>,
    /// Whether the network may be used.
    pub network: Network,
    /// Kinds of devices that may be used, besides those that hold nothing (`/dev/null` …) and terminals.
    pub devices: Vec<Device>,
    /// The least of enforcement with which a command is run at all.
    pub require: Require,
}

/// What may be read and executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Read {
    /// Anything.
    #[default]
    Everything,
    /// The system's own files (programs, libraries, `/etc`, `/proc`, `/sys`, `/dev`), the writable roots, and
    /// what lies at or beneath these absolute paths.
    Only(Vec<PathBuf>),
}

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// No address can be reached or listened on, this machine's own included. Socket pairs work.
    #[default]
    Off,
    /// A loopback of the command's own: it can serve and reach itself, and nobody else. Needs the
    /// [full level](crate::Level::Full).
    Localhost,
    /// The Internet protocols may be used. Unix sockets of this machine (docker, D-Bus) stay out of reach.
    On,
}

/// A kind of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// NVIDIA's: `/dev/nvidia*`, and `/dev/dxg` of WSL 2.
    Nvidia,
    /// Graphics cards: `/dev/dri` and `/dev/kfd`.
    Dri,
}

/// The least of enforcement with which a command is run at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Only at the [full level](crate::Level::Full).
    Full,
    /// Also at the [reduced level](crate::Level::Reduced).
    #[default]
    Reduced,
    /// On any system, with whatever it can enforce.
    Nothing,
}

impl Policy {
    /// Read and execute anything; write nothing; reach no network.
    pub const fn read_only() -> Self {
        Self::Sandboxed(Rules {
            writable_roots: Vec::new(),
            protected: Vec::new(),
            read: Read::Everything,
            deny_read: Vec::new(),
            network: Network::Off,
            devices: Vec::new(),
            require: Require::Reduced,
        })
    }

    /// Read and execute anything; write beneath these absolute directories.
    pub fn workspace_write<Root: Into<PathBuf>>(
        roots: impl IntoIterator<Item = Root>,
        network: Network,
    ) -> Self {
        let writable_roots = roots.into_iter().map(Into::into).collect();
        Self::Sandboxed(Rules { writable_roots, network, ..Rules::default() })
    }

    /// The limits, if there are any.
    pub fn rules(&self) -> Option<&Rules> {
        match self {
            Self::Sandboxed(rules) => Some(rules),
            Self::FullAccess => None,
        }
    }

    /// The name that settings use for this kind of policy: `read-only` if nothing is writable,
    /// `workspace-write`, or `danger-full-access`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Sandboxed(rules) if rules.writable_roots.is_empty() => "read-only",
            Self::Sandboxed(_) => "workspace-write",
            Self::FullAccess => "danger-full-access",
        }
    }

    /// Whether the network may be used.
    pub fn network(&self) -> Network {
        self.rules().map_or(Network::On, |rules| rules.network)
    }

    /// The directories beneath which files may be written. Empty for read-only, and for full access, which
    /// needs none.
    pub fn writable_roots(&self) -> &[PathBuf] {
        self.rules().map_or(&[], |rules| &rules.writable_roots)
    }
}

/// What a file that is not a regular one is, with its article.
pub(crate) fn kind_of(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
    }
}
