//! What is allowed. A policy is resolved by whoever made it: its roots are absolute directories, and nothing
//! here reads a setting, the environment or the current directory.

use std::{
    fs::File,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::error::AccessError;

/// What a command, or a file tool, may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Read and execute anything; write nothing; reach no network.
    ReadOnly,
    /// Read and execute anything; write beneath the given roots.
    WorkspaceWrite {
        /// Absolute directories. Each must exist when a command starts.
        writable_roots: Vec<PathBuf>,
        /// Whether the network may be used.
        network: Network,
    },
    /// No limits: everything that this process may do.
    FullAccess,
}

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// No address can be reached or listened on, this machine's own included. Socket pairs work.
    Off,
    /// The Internet protocols may be used. Unix sockets of this machine (docker, D-Bus) stay out of reach.
    On,
}

impl Policy {
    /// The name that settings use for this kind of policy: `read-only`, `workspace-write` or
    /// `danger-full-access`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite { .. } => "workspace-write",
            Self::FullAccess => "danger-full-access",
        }
    }

    /// Whether the network may be used.
    pub fn network(&self) -> Network {
        match self {
            Self::ReadOnly => Network::Off,
            Self::WorkspaceWrite { network, .. } => *network,
            Self::FullAccess => Network::On,
        }
    }

    /// The directories beneath which files may be written. Empty for read-only, and for full access, which
    /// needs none.
    pub fn writable_roots(&self) -> &[PathBuf] {
        match self {
            Self::WorkspaceWrite { writable_roots, .. } => writable_roots,
            Self::ReadOnly | Self::FullAccess => &[],
        }
    }

    /// Opens a regular file for reading; links are followed. Never waits for a writer, as a FIFO would.
    ///
    /// # Errors
    /// [`AccessError::NotRegular`] for directories, FIFOs, sockets and devices, [`AccessError::Relative`],
    /// [`AccessError::Io`].
    pub fn open_read(&self, path: &Path) -> Result<File, AccessError> {
        if !path.is_absolute() {
            return Err(AccessError::Relative { path: path.to_owned() });
        }
        let io = |source| AccessError::Io { path: path.to_owned(), source };
        // O_NONBLOCK stays set: it means nothing to a file on disk, and /proc/kmsg answers at once with it.
        let file =
            File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map_err(
                |source| match source.raw_os_error() {
                    Some(libc::ENXIO) => {
                        AccessError::NotRegular { path: path.to_owned(), kind: "a socket or a device" }
                    }
                    _ => io(source),
                },
            )?;
        let kind = file.metadata().map_err(io)?.file_type();
        if !kind.is_file() {
            return Err(AccessError::NotRegular { path: path.to_owned(), kind: kind_of(kind) });
        }
        Ok(file)
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
