//! Reading files and directories from our own process.
//!
//! Something is found first, without opening it; what was found is judged, and then that is opened, whatever its
//! name may lead to by then. A hard link is another name of a file, which nobody can tell from the first: one
//! that exists outside a denied directory reads the file.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::OpenOptionsExt,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    check_name, follow_links,
    location::{Location, identity},
    readable::{OF_PROCESSES, Readable, is_of_processes},
};
use crate::{
    entry::{Entry, EntryKind},
    error::AccessError,
    policy::{Policy, kind_of},
};

/// A directory that may be read, held by descriptor: no later rename or link leads elsewhere. What may not be
/// read is not in it.
///
/// All names are single names in this directory; one with a slash, `.` and `..` are refused.
#[derive(Debug)]
pub struct ReadDir {
    fd: OwnedFd,
    path: PathBuf,
    rules: Arc<Reading>,
    /// If there is something to be judged by it.
    place: Option<Location>,
}

impl Policy {
    /// Opens a regular file for reading; links are followed. Never waits for a writer, as a FIFO would.
    ///
    /// # Errors
    /// [`AccessError::Denied`] if the policy does not let it be read, [`AccessError::NotRegular`] for directories,
    /// FIFOs, sockets and devices, [`AccessError::Relative`], [`AccessError::Io`].
    pub fn open_read(&self, path: &Path) -> Result<File, AccessError> {
        let rules = Reading::of(self)?;
        let found = rules.find(path, OFlags::empty())?;
        rules.judge(&found, path)?;
        let io = |source| AccessError::Io { path: path.to_owned(), source };
        let found = File::from(found);
        let kind = found.metadata().map_err(io)?.file_type();
        if !kind.is_file() {
            return Err(AccessError::NotRegular { path: path.to_owned(), kind: kind_of(kind) });
        }
        // O_NONBLOCK stays set: it means nothing to a file on disk, and /proc/kmsg answers at once with it.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
        File::options().read(true).custom_flags(flags).open(itself).map_err(io)
    }

    /// Opens a directory for reading; links are followed.
    ///
    /// # Errors
    /// [`AccessError::Denied`] if the policy does not let it be read, [`AccessError::Relative`],
    /// [`AccessError::Io`].
    pub fn open_dir_for_read(&self, dir: &Path) -> Result<ReadDir, AccessError> {
        let rules = Reading::of(self)?;
        let found = rules.find(dir, OFlags::DIRECTORY)?;
        let place = rules.judge(&found, dir)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&found, ".", flags, Mode::empty())
            .map_err(|errno| AccessError::Io { path: dir.to_owned(), source: errno.into() })?;
        Ok(ReadDir { fd, path: dir.to_owned(), rules: Arc::new(rules), place })
    }
}

/// The rules about reading.
#[derive(Debug)]
pub(super) struct Reading {
    readable: Readable,
    sandboxed: bool,
}

impl Reading {
    pub(super) fn of(policy: &Policy) -> Result<Self, AccessError> {
        let readable = policy.rules().map_or_else(|| Ok(Readable::everything()), Readable::new)?;
        Ok(Self { readable, sandboxed: policy.rules().is_some() })
    }

    /// Finds what a path leads to, and does not open it.
    fn find(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, AccessError> {
        if !path.is_absolute() {
            return Err(AccessError::Relative { path: path.to_owned() });
        }
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()).map_err(|errno| {
            // In a denied place nothing is told, not even that something is missing.
            match self.readable.refuses(&Location::named(follow_links(path))) {
                Some(rule) => denied(path, rule),
                None => AccessError::Io { path: path.to_owned(), source: errno.into() },
            }
        })
    }

    /// Whether what was found may be read; where it lies, if that was asked.
    fn judge(&self, found: &OwnedFd, path: &Path) -> Result<Option<Location>, AccessError> {
        let locate = || {
            let is_dir = FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode) == FileType::Directory;
            if is_dir { Location::of_dir(found) } else { Location::of_file(found) }
        };
        let io = |source| AccessError::Io { path: path.to_owned(), source };
        if self.sandboxed && is_of_processes(found).map_err(io)? {
            return Err(denied(path, OF_PROCESSES));
        }
        if self.readable.is_everything() {
            return Ok(None);
        }
        let place = locate().map_err(io)?;
        match self.readable.refuses(&place) {
            Some(rule) => Err(denied(path, rule)),
            None => Ok(Some(place)),
        }
    }

    /// Whether something in a directory may be read, of which this is known.
    pub(super) fn judge_child(
        &self,
        dir: &Location,
        name: &OsStr,
        itself: (u64, u64),
        path: &Path,
    ) -> Result<(), AccessError> {
        if !self.readable.may_refuse(&dir.path.join(name), itself.1) {
            return Ok(());
        }
        self.readable.refuses(&dir.child(name, itself)).map_or(Ok(()), |rule| Err(denied(path, rule)))
    }

    /// The same for the directory itself.
    pub(super) fn judge_dir(&self, place: &Location, path: &Path) -> Result<(), AccessError> {
        self.readable.refuses(place).map_or(Ok(()), |rule| Err(denied(path, rule)))
    }
}

fn denied(path: &Path, rule: &'static str) -> AccessError {
    AccessError::Denied { path: path.to_owned(), rule }
}

impl ReadDir {
    /// Where it was found, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it, in no order; what may not be read is left out.
    ///
    /// # Errors
    /// [`AccessError::Io`], here or for an entry.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<Entry, AccessError>>, AccessError> {
        let failed = |errno: Errno| AccessError::Io { path: self.path.clone(), source: errno.into() };
        let device = rustix::fs::fstat(&self.fd).map_err(failed)?.st_dev;
        let entries = rustix::fs::Dir::read_from(&self.fd).map_err(failed)?;
        Ok(entries.filter_map(move |entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return Some(Err(failed(errno))),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." || self.hides_child(name, (device, entry.ino())) {
                return None;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind(name),
                known => known,
            };
            let kind = match kind {
                FileType::Directory => EntryKind::Directory,
                FileType::RegularFile => EntryKind::File,
                FileType::Symlink => EntryKind::Link,
                _ => EntryKind::Other,
            };
            Some(Ok(Entry { name: name.to_owned(), kind }))
        }))
    }

    fn hides_child(&self, name: &OsStr, itself: (u64, u64)) -> bool {
        let judge = |place| self.rules.judge_child(place, name, itself, Path::new(name));
        self.place.as_ref().is_some_and(|place| judge(place).is_err())
    }

    fn kind(&self, name: &OsStr) -> FileType {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// Opens a directory in this one. Links are not followed.
    ///
    /// # Errors
    /// [`AccessError::Denied`], [`AccessError::Io`].
    pub fn open_dir(&self, name: &OsStr) -> Result<Self, AccessError> {
        check_name(&self.path, name)?;
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| AccessError::Io { path: path.clone(), source: errno.into() })?;
        let place = self.rules.judge(&fd, &path)?;
        Ok(Self { fd, path, rules: Arc::clone(&self.rules), place })
    }

    /// What is there under this name; a link is described, not followed.
    ///
    /// # Errors
    /// [`AccessError::Denied`], [`AccessError::Io`].
    pub fn metadata(&self, name: &OsStr) -> Result<Metadata, AccessError> {
        check_name(&self.path, name)?;
        let path = self.path.join(name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let io = |source| AccessError::Io { path: path.clone(), source };
        let found = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(|e| io(e.into()))?;
        if let Some(place) = &self.place {
            let stat = rustix::fs::fstat(&found).map_err(|errno| io(errno.into()))?;
            self.rules.judge_child(place, name, identity(&stat), &path)?;
        }
        File::from(found).metadata().map_err(io)
    }

    /// What a link says.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn read_link(&self, name: &OsStr) -> Result<PathBuf, AccessError> {
        check_name(&self.path, name)?;
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map_err(|errno| AccessError::Io { path: self.path.join(name), source: errno.into() })?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Whether there is such a path beneath this directory, on a way without links, that may be read: for those
    /// who walk the tree by its names.
    pub fn contains(&self, beneath: &Path) -> bool {
        if self.place.is_none() {
            return true;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let found = rustix::fs::openat2(&self.fd, beneath, flags, Mode::empty(), how);
        found.is_ok_and(|found| self.rules.judge(&found, beneath).is_ok())
    }

    /// Whether a path beneath this directory is one of those that may not be read; what lies beneath such a path
    /// is not recognised. `inode` is its number, as a directory lists it: with it, the answer costs nothing for
    /// most paths.
    pub fn hides(&self, beneath: &Path, inode: u64) -> bool {
        let may_hide = |place: &Location| self.rules.readable.may_refuse(&place.path.join(beneath), inode);
        self.place.as_ref().is_some_and(may_hide) && !self.contains(beneath)
    }
}
