//! A device that a command finds in its own `/dev`.

use std::{
    ffi::CString,
    io,
    path::Path,
    sync::atomic::{AtomicI32, Ordering},
};

use libc::c_int;

use super::{
    c_string,
    mount::{attach, close, copy, make_dir, make_file},
};
use crate::error::Stage;

/// What every command finds, besides its own terminals and shared memory: devices that hold nothing.
pub(super) const HARMLESS: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

#[derive(Debug)]
pub(super) struct Device {
    path: CString,
    /// The directory that it lies in, if that is not `/dev`.
    dir: Option<CString>,
    /// A copy of its mount; -1 as long as there is none.
    copy: AtomicI32,
}

impl Device {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let dir = path.parent().filter(|dir| *dir != Path::new("/dev"));
        let dir = dir.map(c_string).transpose()?;
        Ok(Self { path: c_string(path)?, dir, copy: AtomicI32::new(-1) })
    }

    /// Takes a copy of it, before `/dev` is covered.
    ///
    /// # Safety
    /// Only in the forked process that makes a command's view; so for all that follow.
    pub(super) unsafe fn take(&self) {
        // SAFETY: as the caller promises.
        let copy: Result<c_int, Stage> =
            unsafe { copy(libc::AT_FDCWD, &self.path, libc::AT_SYMLINK_NOFOLLOW) };
        // What this machine does not have is not there inside either.
        self.copy.store(copy.unwrap_or(-1), Ordering::Relaxed);
    }

    /// Puts it into the new `/dev`.
    pub(super) unsafe fn lay(&self) -> Result<(), Stage> {
        let copy = self.copy.load(Ordering::Relaxed);
        if copy < 0 {
            return Ok(());
        }
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(dir) = &self.dir {
                make_dir(dir, 0o755)?;
            }
            make_file(&self.path, 0o644)?;
            attach(copy, libc::AT_FDCWD, &self.path)?;
            close(copy);
            Ok(())
        }
    }
}
