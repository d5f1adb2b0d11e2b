//! Reading and writing files from our own process, which the kernel's sandbox does not confine.
//!
//! A path is text, and text is not a place: between a check of it and its use, any directory on the way may
//! become a link to somewhere else. So the place is resolved once, by the kernel, beneath the descriptor of a
//! writable root (`openat2` with `RESOLVE_BENEATH`), and everything after that happens relative to the
//! directory that came of it.
#![cfg(target_os = "linux")]

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    iter::once_with,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{
    error::AccessError,
    policy::{Policy, kind_of},
};

mod kept;
mod location;
mod readable;
mod reading;

pub use self::reading::ReadDir;
pub(crate) use self::{kept::Kept, location::Location, readable::Readable};
use self::{location::identity, reading::Reading};

/// Resolution gives `EAGAIN` when something on the way was renamed meanwhile. A few new tries settle that;
/// someone who renames without end gets the error.
const TRIES: usize = 64;

/// A directory inside a writable root, held by descriptor: no later rename or link leads elsewhere.
///
/// All names are single names in this directory; one with a slash, `.` and `..` are refused.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    /// Where that is, and the rules about it; full access has none.
    rules: Option<(Location, Arc<Writing>)>,
}

/// What is not to be read or changed though it lies in a writable root.
#[derive(Debug)]
struct Writing {
    reading: Reading,
    kept: Kept,
}

impl Policy {
    /// Opens the directory that holds, or is to hold, a file to be written. `create` makes it, and those
    /// above it, if they are missing. Links on the way are followed as long as they stay beneath one root.
    ///
    /// # Errors
    /// [`AccessError::OutsideWritableRoots`] if no writable root contains it, [`AccessError::Protected`] or
    /// [`AccessError::Denied`] if one does and it may not be written all the same, [`AccessError::Relative`],
    /// [`AccessError::Io`] (a missing directory included when `create` is not set).
    pub fn open_dir_for_write(&self, dir: &Path, create: bool) -> Result<Dir, AccessError> {
        if !dir.is_absolute() {
            return Err(AccessError::Relative { path: dir.to_owned() });
        }
        let everywhere = [PathBuf::from("/")];
        let roots = if *self == Self::FullAccess { &everywhere } else { self.writable_roots() };
        let writing = Writing::of(self)?.map(Arc::new);
        // The path as written first, then with its links followed (an absolute link never stays beneath
        // anything). Either way it only says where to look: the kernel decides.
        for place in once_with(|| dir.to_owned()).chain(once_with(|| follow_links(dir))) {
            for root in roots.iter().filter(|root| root.is_absolute()) {
                let Some(beneath) = beneath(root, &place) else { continue };
                let opening = Opening { dir, writing: writing.as_ref(), create };
                match opening.open(root, &beneath) {
                    Ok(opened) => return Ok(opened),
                    Err(Refusal::System(Errno::XDEV)) => {}
                    Err(Refusal::System(errno)) => {
                        return Err(AccessError::Io { path: dir.to_owned(), source: errno.into() });
                    }
                    Err(Refusal::Rule(error)) => return Err(error),
                }
            }
        }
        let (roots, mode) = (self.writable_roots().to_vec(), self.mode());
        Err(AccessError::OutsideWritableRoots { path: dir.to_owned(), roots, mode })
    }
}

impl Writing {
    fn of(policy: &Policy) -> Result<Option<Self>, AccessError> {
        let Some(rules) = policy.rules() else { return Ok(None) };
        Ok(Some(Self { reading: Reading::of(policy)?, kept: Kept::new(rules)? }))
    }
}

/// The part of `place` below `root`, whichever name the root goes by.
fn beneath(root: &Path, place: &Path) -> Option<PathBuf> {
    let rest = match place.strip_prefix(root) {
        Ok(rest) => rest,
        Err(_) => place.strip_prefix(root.canonicalize().ok()?).ok()?,
    };
    Some(if rest.as_os_str().is_empty() { PathBuf::from(".") } else { rest.to_owned() })
}

/// `path` with the links of its existing part followed.
pub(crate) fn follow_links(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let Ok(real) = existing.canonicalize() {
            return path.strip_prefix(existing).map_or_else(|_| real.clone(), |rest| real.join(rest));
        }
    }
    path.to_owned()
}

/// On the way to a directory.
#[derive(Clone, Copy)]
struct Opening<'a> {
    /// As it was named.
    dir: &'a Path,
    writing: Option<&'a Arc<Writing>>,
    create: bool,
}

enum Refusal {
    System(Errno),
    Rule(AccessError),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl Opening<'_> {
    fn open(self, root: &Path, beneath: &Path) -> Result<Dir, Refusal> {
        let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let fd = self.resolve(&root, beneath)?;
        let rules = match self.writing {
            Some(writing) => Some((self.admit(&fd, writing)?, Arc::clone(writing))),
            None => None,
        };
        Ok(Dir { fd, path: self.dir.to_owned(), rules })
    }

    /// Where an open directory lies, if it may be written in.
    fn admit(self, fd: &OwnedFd, writing: &Writing) -> Result<Location, Refusal> {
        let io = |source| Refusal::Rule(AccessError::Io { path: self.dir.to_owned(), source });
        let place = Location::of_dir(fd).map_err(io)?;
        writing.reading.judge_dir(&place, self.dir).map_err(Refusal::Rule)?;
        self.unless(writing.kept.refuses_in(&place))?;
        Ok(place)
    }

    fn unless(self, rule: Option<&'static str>) -> Result<(), Refusal> {
        let path = || self.dir.to_owned();
        rule.map_or(Ok(()), |rule| Err(Refusal::Rule(AccessError::Protected { path: path(), rule })))
    }

    fn resolve(self, root: &OwnedFd, beneath: &Path) -> Result<OwnedFd, Refusal> {
        let mut tries = TRIES;
        loop {
            let opened = rustix::fs::openat2(
                root,
                beneath,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
            );
            match opened {
                Err(Errno::AGAIN) if tries > 0 => tries -= 1,
                Err(Errno::NOENT) if self.create => break,
                other => return Ok(other?),
            }
        }
        let (Some(parent), Some(Component::Normal(name))) =
            (beneath.parent(), beneath.components().next_back())
        else {
            return Err(Errno::NOENT.into());
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = self.resolve(root, parent)?;
        if let Some(writing) = self.writing {
            let place = self.admit(&parent, writing)?;
            self.unless(writing.kept.refuses_new(&place, name))?;
        }
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&parent, name, flags, Mode::empty())?)
    }
}

impl Dir {
    /// Where it was found, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file of this directory for reading.
    ///
    /// # Errors
    /// [`AccessError::Denied`], [`AccessError::Symlink`] for a link, [`AccessError::NotRegular`],
    /// [`AccessError::Io`].
    pub fn open_file(&self, name: &OsStr) -> Result<File, AccessError> {
        self.check(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::LOOP) => return Err(AccessError::Symlink { path: self.path.join(name) }),
            Err(Errno::NXIO) => {
                return Err(AccessError::NotRegular {
                    path: self.path.join(name),
                    kind: "a socket or a device",
                });
            }
            Err(errno) => return Err(self.io(name, errno)),
        };
        let metadata = file.metadata().map_err(|e| self.io(name, e))?;
        if let Some((place, writing)) = &self.rules {
            let itself = (metadata.dev(), metadata.ino());
            writing.reading.judge_child(place, name, itself, &self.path.join(name))?;
        }
        let kind = metadata.file_type();
        if !kind.is_file() {
            return Err(AccessError::NotRegular { path: self.path.join(name), kind: kind_of(kind) });
        }
        Ok(file)
    }

    /// What is there under this name; a link is described, not followed. `None` if nothing is.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn metadata(&self, name: &OsStr) -> Result<Option<Metadata>, AccessError> {
        self.check(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd).metadata().map(Some).map_err(|e| self.io(name, e)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.io(name, errno)),
        }
    }

    /// What a link says.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn read_link(&self, name: &OsStr) -> Result<PathBuf, AccessError> {
        self.check(name)?;
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).map_err(|e| self.io(name, e))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Whether the file that is to have this name may have it, and what has it now may lose it.
    ///
    /// # Errors
    /// [`AccessError::Protected`], [`AccessError::Denied`].
    pub fn may_change(&self, name: &OsStr) -> Result<(), AccessError> {
        self.check(name)?;
        let Some((place, writing)) = &self.rules else { return Ok(()) };
        let path = self.path.join(name);
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let itself = stat.as_ref().map(identity);
        if let Some(rule) = writing.kept.refuses(place, name, itself) {
            return Err(AccessError::Protected { path, rule });
        }
        itself.map_or(Ok(()), |itself| writing.reading.judge_child(place, name, itself, &path))
    }

    /// Creates a new file under a name that nothing has, open for writing. `mode` is the file's permission
    /// bits, exactly (the umask does not apply). The caller renames or removes it.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn create_temp(&self, mode: u32) -> Result<(OsString, File), AccessError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let mut last = Errno::EXIST;
        for _ in 0..TRIES {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".codex-{}-{count}.tmp", std::process::id()));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => {
                    if let Err(errno) = rustix::fs::fchmod(&fd, mode) {
                        self.remove_file(&name)?;
                        return Err(self.io(&name, errno));
                    }
                    return Ok((name, File::from(fd)));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => last = errno,
            }
            if last != Errno::EXIST {
                break;
            }
        }
        Err(AccessError::Io { path: self.path.clone(), source: last.into() })
    }

    /// Gives `from` of this directory the name `to` in `to_dir`, replacing what is there, in one step.
    ///
    /// # Errors
    /// [`AccessError::Protected`], [`AccessError::Denied`], [`AccessError::Io`]; across file systems too.
    pub fn rename(&self, from: &OsStr, to_dir: &Self, to: &OsStr) -> Result<(), AccessError> {
        self.may_change(from)?;
        to_dir.may_change(to)?;
        rustix::fs::renameat(&self.fd, from, &to_dir.fd, to).map_err(|e| to_dir.io(to, e))
    }

    /// Removes a file, or a link itself.
    ///
    /// # Errors
    /// [`AccessError::Protected`], [`AccessError::Denied`], [`AccessError::Io`].
    pub fn remove_file(&self, name: &OsStr) -> Result<(), AccessError> {
        self.may_change(name)?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).map_err(|e| self.io(name, e))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`AccessError::Protected`], [`AccessError::Denied`], [`AccessError::Io`].
    pub fn remove_dir(&self, name: &OsStr) -> Result<(), AccessError> {
        self.may_change(name)?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(|e| self.io(name, e))
    }

    /// Puts the directory's entries on disk, so that a rename outlives a power cut.
    ///
    /// # Errors
    /// [`AccessError::Io`].
    pub fn sync(&self) -> Result<(), AccessError> {
        rustix::fs::fsync(&self.fd).map_err(|e| AccessError::Io { path: self.path.clone(), source: e.into() })
    }

    fn check(&self, name: &OsStr) -> Result<(), AccessError> {
        check_name(&self.path, name)
    }

    fn io(&self, name: &OsStr, source: impl Into<io::Error>) -> AccessError {
        AccessError::Io { path: self.path.join(name), source: source.into() }
    }
}

/// A name is one name: the kernel would walk a longer one through links.
fn check_name(dir: &Path, name: &OsStr) -> Result<(), AccessError> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == name => Ok(()),
        _ => {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file");
            Err(AccessError::Io { path: dir.join(name), source })
        }
    }
}
