//! Where something lies that was opened: judged is what the kernel found, not what it was called.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

/// Device and inode.
pub(crate) type Identity = (u64, u64);

/// How often a place is looked for that someone moves meanwhile.
const TRIES: usize = 16;

/// The place of a file or directory: by its name without links, and by the directories that it lies in.
///
/// Either would do where nobody means harm. The name alone is not enough where a file system is mounted twice
/// or takes several spellings for one; the directories alone are not where a denied one is no directory.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    /// Of itself, its directory, the one above that, and so on to the root.
    chain: Vec<Identity>,
}

impl Location {
    /// Of an open directory.
    pub(crate) fn of_dir(dir: &OwnedFd) -> io::Result<Self> {
        let path = name(dir)?;
        let mut chain = vec![identity(&rustix::fs::fstat(dir)?)];
        let mut above = open_above(dir)?;
        loop {
            let next = identity(&rustix::fs::fstat(&above)?);
            if chain.last() == Some(&next) {
                return Ok(Self { path, chain });
            }
            chain.push(next);
            above = open_above(&above)?;
        }
    }

    /// Of anything else that is open and has a name.
    pub(crate) fn of_file(file: &OwnedFd) -> io::Result<Self> {
        let itself = identity(&rustix::fs::fstat(file)?);
        for _ in 0..TRIES {
            let path = name(file)?;
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { break };
            let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = rustix::fs::openat2(CWD, parent, how, Mode::empty(), ResolveFlags::NO_SYMLINKS);
            let Ok(dir) = dir else { continue };
            let there = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW);
            if there.is_ok_and(|there| identity(&there) == itself) {
                return Ok(Self::of_dir(&dir)?.child(name, itself));
            }
        }
        // Removed, or it never had a place: what can not be judged is not opened.
        Err(Errno::NOENT.into())
    }

    /// Of what is only known by a name without links.
    pub(crate) fn named(path: PathBuf) -> Self {
        Self { path, chain: Vec::new() }
    }

    /// Of something in this directory.
    pub(crate) fn child(&self, name: &OsStr, itself: Identity) -> Self {
        let chain = [itself].into_iter().chain(self.chain.iter().copied()).collect();
        Self { path: self.path.join(name), chain }
    }

    /// How many levels above this the place lies, if it does or is the same.
    pub(crate) fn below(&self, path: &Path, identity: Option<Identity>) -> Option<usize> {
        let by_name = self.path.strip_prefix(path).ok().map(|rest| rest.components().count());
        let by_identity = identity.and_then(|it| self.chain.iter().position(|found| *found == it));
        by_name.into_iter().chain(by_identity).min()
    }
}

/// The name that the kernel knows it by now.
pub(super) fn name(fd: &OwnedFd) -> io::Result<PathBuf> {
    let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    // "pipe:[1]", or a mount that is out of reach.
    if path.as_os_str().as_bytes().starts_with(b"/") { Ok(path) } else { Err(Errno::NOENT.into()) }
}

fn open_above(dir: impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

pub(crate) fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}
