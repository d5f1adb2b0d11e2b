//! Mounts over the [protected](crate::protected) places of a command's view. Nobody can rename or remove what
//! something is mounted on, in the view where it is mounted, and so that needs no rule of its own.
//! What is missing is given a [place to be](super::stand_ins) first.

use std::{
    ffi::{CStr, CString},
    io,
    path::{Path, PathBuf},
};

use libc::c_int;

use super::{
    c_string,
    mount::{NO_SUID_DEV, READ_ONLY, attach, attributes, copy},
    place::find,
    stand_ins::{StandIns, close, is_same, is_stand_in, lock, make, open, stat},
};
use crate::{
    error::{SpawnError, Stage},
    protected::{Guard, Guards, Kind},
    syscall::{call, errno, set_errno, step},
};

/// How often another command may be in the way that is just removing what stands in.
const TRIES: usize = 1000;

/// What is done at the protected places, as the forked process needs it.
#[derive(Debug)]
pub(super) struct Pins(Vec<Pin>);

#[derive(Debug)]
struct Pin {
    path: CString,
    parent: CString,
    name: CString,
    guard: Guard,
}

impl Pins {
    pub(super) fn new(guards: &Guards) -> Result<Self, SpawnError> {
        let pin = |(path, guard): (&PathBuf, &Guard)| {
            let parent = c_string(path.parent().unwrap_or(path))?;
            let name = c_string(path.file_name().map(Path::new).unwrap_or(path))?;
            Ok(Pin { path: c_string(path)?, parent, name, guard: *guard })
        };
        let pins: io::Result<_> = guards.iter().map(pin).collect();
        pins.map(Self).map_err(|source| SpawnError::Setup { stage: Stage::Protection, source })
    }

    /// Lays them over the view. What had to be made for that is noted in `stand_ins`.
    pub(super) unsafe fn lay(&self, stand_ins: &mut StandIns) -> Result<(), Stage> {
        for pin in &self.0 {
            // SAFETY: the strings are those of the plan.
            let laid = unsafe {
                match pin.guard {
                    Guard::Pin(kind) => pin.fix(kind, false),
                    Guard::Keep(kind) => pin.fix(kind, true),
                    Guard::Cover(text) => pin.cover(text, stand_ins),
                }
            };
            laid.map_err(|_| Stage::Protection)?;
        }
        Ok(())
    }
}

// What follows runs in the forked process, on strings of the plan and descriptors that it opens itself.

impl Pin {
    /// Mounts what is there onto itself.
    unsafe fn fix(&self, kind: Kind, read_only: bool) -> Result<(), Stage> {
        // SAFETY: see above.
        unsafe {
            let found = find(&self.path, None)?;
            if stat(found, c"")?.st_mode & libc::S_IFMT != kind {
                set_errno(libc::ESTALE);
                return Err(Stage::Protection);
            }
            onto_itself(found, read_only)?;
            close(found);
            Ok(())
        }
    }

    /// Has something stand in for what is missing, and mounts it onto itself.
    unsafe fn cover(&self, text: &CStr, stand_ins: &mut StandIns) -> Result<(), Stage> {
        // SAFETY: see above.
        unsafe {
            let parent = find(&self.parent, None)?;
            let covered = self.cover_in(parent, text, stand_ins);
            close(parent);
            covered
        }
    }

    unsafe fn cover_in(&self, parent: c_int, text: &CStr, stand_ins: &mut StandIns) -> Result<(), Stage> {
        // SAFETY: see above.
        unsafe {
            for _ in 0..TRIES {
                let mut fd = make(parent, &self.name, text);
                let made = fd >= 0;
                if !made {
                    match errno() {
                        libc::EEXIST => fd = open(parent, &self.name),
                        libc::ENOENT => {}
                        // Where this process can not make it, none with fewer privileges can.
                        libc::EACCES | libc::EPERM | libc::EROFS => return Ok(()),
                        _ => return Err(Stage::Protection),
                    }
                }
                if fd < 0 && errno() == libc::ENOENT {
                    continue;
                }
                step(fd.into(), Stage::Protection)?;
                let it = stat(fd, c"")?;
                // Not every file system keeps its permissions.
                let is_ours = made || is_stand_in(&it);
                if is_ours && (!lock(fd) || !stat(parent, &self.name).is_ok_and(|there| is_same(&there, &it)))
                {
                    // It is just being removed.
                    close(fd);
                    call(libc::SYS_sched_yield, [0; 5]);
                    continue;
                }
                if is_ours {
                    stand_ins.hold(parent, fd, &self.name, made)?;
                }
                // If not, someone outside has just made the real one.
                onto_itself(fd, true)?;
                close(fd);
                return Ok(());
            }
            set_errno(libc::EBUSY);
            Err(Stage::Protection)
        }
    }
}

unsafe fn onto_itself(found: c_int, read_only: bool) -> Result<(), Stage> {
    // SAFETY: see above.
    unsafe {
        let copy = copy(found, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?;
        if read_only {
            attributes(copy, c"", READ_ONLY | NO_SUID_DEV, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?;
        }
        attach(copy, found, c"")?;
        close(copy);
        Ok(())
    }
}
