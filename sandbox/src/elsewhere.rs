//! Systems without a sandbox of ours: the same names, and every one of them refuses.
//!
//! No weaker sandbox stands in for the missing one, and none of these values can be made, so callers compile
//! unchanged and get an error at the door.
#![cfg(not(target_os = "linux"))]

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt,
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::unix::pipe;

use crate::{
    command::{Command, Exit, Signal, Size},
    error::{AccessError, SpawnError},
    level::Level,
    policy::Policy,
};

/// Refuses: commands are only run on Linux.
///
/// # Errors
/// [`SpawnError::Unenforceable`].
pub async fn spawn(_: &Policy, _: Command) -> Result<Child, SpawnError> {
    Err(SpawnError::Unenforceable {
        what: format!("commands are only run on Linux, and this is {}", std::env::consts::OS),
        hint: "run codex in a virtual machine or a container with Linux",
    })
}

/// What this system can enforce: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement(());

/// What this system can enforce.
pub fn probe() -> &'static Enforcement {
    &Enforcement(())
}

impl Enforcement {
    /// There is no Landlock.
    pub fn landlock_abi(&self) -> Option<u32> {
        None
    }

    /// There is no seccomp.
    pub fn seccomp(&self) -> bool {
        false
    }

    /// Nothing is enforced.
    pub fn level(&self) -> Level {
        Level::None
    }

    /// Sandboxed commands can not be run.
    pub fn confines(&self) -> bool {
        false
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sandboxed commands: refused (not available on {})", std::env::consts::OS)
    }
}

/// A running command; there are none on this system.
#[derive(Debug)]
pub struct Child {
    /// Its standard input.
    pub stdin: Option<pipe::Sender>,
    /// Its standard output.
    pub stdout: Option<pipe::Receiver>,
    /// Its standard error.
    pub stderr: Option<pipe::Receiver>,
    /// Its terminal.
    pub terminal: Option<Terminal>,
    never: Infallible,
}

impl Child {
    /// Its process id.
    pub fn id(&self) -> u32 {
        match self.never {}
    }

    /// The protected names that appeared.
    pub fn appeared(&self) -> Vec<PathBuf> {
        match self.never {}
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// None.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        match self.never {}
    }

    /// Sends a signal to its group.
    pub fn signal(&self, _: Signal) {
        match self.never {}
    }

    /// Ends its group.
    pub fn terminate(&mut self, _: Duration) {
        match self.never {}
    }
}

/// A command's terminal; there are none on this system.
#[derive(Debug)]
pub struct Terminal {
    never: Infallible,
}

impl Terminal {
    /// Reads what the command has printed.
    ///
    /// # Errors
    /// None.
    pub async fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        match self.never {}
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// None.
    pub fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        match self.never {}
    }

    /// Types some of these bytes.
    ///
    /// # Errors
    /// None.
    pub async fn write(&self, _: &[u8]) -> io::Result<usize> {
        match self.never {}
    }

    /// Types all of these bytes.
    ///
    /// # Errors
    /// None.
    pub async fn write_all(&self, _: &[u8]) -> io::Result<()> {
        match self.never {}
    }

    /// Tells the command that the terminal shows another amount now.
    ///
    /// # Errors
    /// None.
    pub fn resize(&self, _: Size) -> io::Result<()> {
        match self.never {}
    }
}

/// A directory inside a writable root; there are none on this system.
#[derive(Debug)]
pub struct Dir {
    never: Infallible,
}

impl Policy {
    /// Refuses: files are only written on Linux.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn open_dir_for_write(&self, dir: &Path, _: bool) -> Result<Dir, AccessError> {
        let source = io::Error::new(io::ErrorKind::Unsupported, "files can only be written safely on Linux");
        Err(AccessError::Io { path: dir.to_owned(), source })
    }
}

impl Dir {
    /// Where it was found.
    pub fn path(&self) -> &Path {
        match self.never {}
    }

    /// Opens a regular file.
    pub fn open_file(&self, _: &OsStr) -> Result<File, AccessError> {
        match self.never {}
    }

    /// What is there under a name.
    pub fn metadata(&self, _: &OsStr) -> Result<Option<Metadata>, AccessError> {
        match self.never {}
    }

    /// Creates a new file.
    pub fn create_temp(&self, _: u32) -> Result<(OsString, File), AccessError> {
        match self.never {}
    }

    /// Renames a file.
    pub fn rename(&self, _: &OsStr, _: &Self, _: &OsStr) -> Result<(), AccessError> {
        match self.never {}
    }

    /// Removes a file.
    pub fn remove_file(&self, _: &OsStr) -> Result<(), AccessError> {
        match self.never {}
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, _: &OsStr) -> Result<(), AccessError> {
        match self.never {}
    }

    /// Puts the directory on disk.
    pub fn sync(&self) -> Result<(), AccessError> {
        match self.never {}
    }
}
