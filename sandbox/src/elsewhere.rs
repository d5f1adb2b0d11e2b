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
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::unix::pipe;

use crate::{
    command::{Command, Exit, Signal, Size},
    denial::Denial,
    entry::Entry,
    error::{AccessError, SpawnError},
    level::Level,
    policy::{Policy, Read, kind_of},
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

    /// There is no sandbox of ours.
    pub fn shortfall(&self) -> Option<String> {
        Some(format!("there is no sandbox for {}", std::env::consts::OS))
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

impl Denial {
    /// Nothing is refused where nothing is run.
    pub fn recognise(_: &Policy, _: &Path, _: Exit, _: &str) -> Option<Self> {
        None
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

/// A directory that may be read; there are none on this system.
#[derive(Debug)]
pub struct ReadDir {
    never: Infallible,
}

impl ReadDir {
    /// Where it was found.
    pub fn path(&self) -> &Path {
        match self.never {}
    }

    /// What is in it.
    pub fn entries(&self) -> Result<std::iter::Empty<Result<Entry, AccessError>>, AccessError> {
        match self.never {}
    }

    /// Opens a directory in this one.
    pub fn open_dir(&self, _: &OsStr) -> Result<Self, AccessError> {
        match self.never {}
    }

    /// What is there under a name.
    pub fn metadata(&self, _: &OsStr) -> Result<Metadata, AccessError> {
        match self.never {}
    }

    /// What a link says.
    pub fn read_link(&self, _: &OsStr) -> Result<PathBuf, AccessError> {
        match self.never {}
    }

    /// Whether there is such a path beneath.
    pub fn contains(&self, _: &Path) -> bool {
        match self.never {}
    }

    /// Whether a path beneath may not be read.
    pub fn hides(&self, _: &Path, _: u64) -> bool {
        match self.never {}
    }
}

impl Policy {
    /// Opens a regular file for reading, if everything may be read: what a path leads to is not judged here.
    ///
    /// # Errors
    /// [`AccessError::Unenforceable`], [`AccessError::NotRegular`], [`AccessError::Relative`], [`AccessError::Io`].
    pub fn open_read(&self, path: &Path) -> Result<File, AccessError> {
        if self.rules().is_some_and(|rules| rules.read != Read::Everything || !rules.deny_read.is_empty()) {
            let why =
                "only on Linux some files can be kept from being read; take deny_read out of the settings";
            return Err(AccessError::Unenforceable { why: why.to_owned() });
        }
        if !path.is_absolute() {
            return Err(AccessError::Relative { path: path.to_owned() });
        }
        let io = |source| AccessError::Io { path: path.to_owned(), source };
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(io)?;
        let kind = file.metadata().map_err(io)?.file_type();
        if !kind.is_file() {
            return Err(AccessError::NotRegular { path: path.to_owned(), kind: kind_of(kind) });
        }
        Ok(file)
    }

    /// Refuses: directories are only listed on Linux.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn open_dir_for_read(&self, dir: &Path) -> Result<ReadDir, AccessError> {
        let source =
            io::Error::new(io::ErrorKind::Unsupported, "directories can only be read safely on Linux");
        Err(AccessError::Io { path: dir.to_owned(), source })
    }

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

    /// What a link says.
    pub fn read_link(&self, _: &OsStr) -> Result<PathBuf, AccessError> {
        match self.never {}
    }

    /// Whether a name may be changed.
    pub fn may_change(&self, _: &OsStr) -> Result<(), AccessError> {
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
