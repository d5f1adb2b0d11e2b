//! A part of the file system that is to be seen in a command's view as it is here, at its old place.

use std::{
    ffi::{CStr, CString, OsStr},
    fs, io,
    mem::MaybeUninit,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::atomic::{AtomicI32, Ordering},
};

use libc::{c_int, c_long};

use super::{
    RUN, SHARED_MEMORY, c_string,
    mount::{NO_SUID_DEV, READ_ONLY, attach, attributes, copy},
};
use crate::{
    error::Stage,
    syscall::{address, call, set_errno, step},
};

// A flag that the C library does not name.
const RESOLVE_NO_LINKS: u64 = 0x02 | 0x04;

/// A part of the file system that is to be seen, as it is here, at its old place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: CString,
    /// Device and inode.
    identity: (u64, u64),
    pub(super) writable: bool,
    pub(super) is_dir: bool,
    /// The place as found, and a copy of its mount; -1 before they are opened.
    found: AtomicI32,
    copy: AtomicI32,
    /// What has to be made first, if it lies below something that is covered.
    pub(super) make: Option<Make>,
}

#[derive(Debug)]
pub(super) struct Make {
    pub(super) below: Below,
    pub(super) parents: Vec<CString>,
}

/// What covers the old place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Run,
    SharedMemory,
    /// A path that must not be read, whose cover has the place ready.
    Denied,
}

impl Place {
    /// A writable root. `None` if a command has a private one of these anyway.
    pub(super) fn root(path: &Path) -> io::Result<Option<Self>> {
        if path == Path::new(SHARED_MEMORY) {
            return Ok(None);
        }
        Self::new(path, true).map(Some)
    }

    pub(super) fn new(path: &Path, writable: bool) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let covers = [(RUN, Below::Run), (SHARED_MEMORY, Below::SharedMemory)];
        let make = covers.into_iter().find_map(|(cover, covered)| {
            let inner = path.parent()?.strip_prefix(cover).ok()?;
            let parents = inner.ancestors().filter(|it| !it.as_os_str().is_empty());
            let mut parents: Vec<_> = parents.map(|it| c_string(&Path::new(cover).join(it))).collect();
            parents.reverse();
            let parents: io::Result<_> = parents.into_iter().collect();
            Some(parents.map(|parents| Make { below: covered, parents }))
        });
        Ok(Self {
            path: c_string(path)?,
            identity: (metadata.dev(), metadata.ino()),
            writable,
            is_dir: metadata.is_dir(),
            found: AtomicI32::new(-1),
            copy: AtomicI32::new(-1),
            make: make.transpose()?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// Finds the place again, and takes a copy of it before it changes.
    pub(super) unsafe fn take(&self) -> Result<(), Stage> {
        // SAFETY: as for `find`.
        unsafe {
            let found = find(&self.path, Some(self.identity))?;
            self.found.store(found, Ordering::Relaxed);
            self.copy.store(copy(found, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?, Ordering::Relaxed);
            Ok(())
        }
    }

    /// Puts the copy in another place, as it is: a device stays one.
    pub(super) unsafe fn attach(&self, path: &CStr) -> Result<(), Stage> {
        // SAFETY: it was opened by `take`.
        unsafe { attach(self.copy.load(Ordering::Relaxed), libc::AT_FDCWD, path) }
    }

    /// Lays the copy over the place.
    pub(super) unsafe fn lay(&self) -> Result<(), Stage> {
        let (found, copy) = (self.found.load(Ordering::Relaxed), self.copy.load(Ordering::Relaxed));
        let read_only = if self.writable { 0 } else { READ_ONLY };
        // SAFETY: both were opened by `take`.
        unsafe {
            attributes(copy, c"", read_only | NO_SUID_DEV, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?;
            match self.make {
                Some(_) => attach(copy, libc::AT_FDCWD, &self.path),
                None => attach(copy, found, c""),
            }
        }
    }
}

/// Opens what lies at a path that has no links, be it a link itself, if it is what it was when it was looked
/// at; of that, without an identity, nothing is known.
///
/// # Safety
/// Only in the forked process that makes a command's view.
pub(super) unsafe fn find(path: &CStr, identity: Option<(u64, u64)>) -> Result<c_int, Stage> {
    /// The kernel's `struct open_how`.
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let flags = (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
    let how = How { flags, mode: 0, resolve: RESOLVE_NO_LINKS };
    let [path, how, size] = [address(path.as_ptr()), address(&raw const how), size_of::<How>() as c_long];
    // SAFETY: path, structures and their sizes are what the calls expect.
    unsafe {
        let found = call(libc::SYS_openat2, [libc::AT_FDCWD.into(), path, how, size, 0]);
        step(found, Stage::Mounts)?;
        let Some(identity) = identity else { return Ok(found as c_int) };
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        step(call(libc::SYS_fstat, [found, address(stat.as_mut_ptr()), 0, 0, 0]), Stage::Mounts)?;
        let stat = stat.assume_init();
        if (stat.st_dev, stat.st_ino) != identity {
            set_errno(libc::ESTALE);
            return Err(Stage::Mounts);
        }
        Ok(found as c_int)
    }
}
