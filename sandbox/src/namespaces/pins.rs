//! Mounts over the [protected](crate::protected) places of a command's view. Nobody can rename or remove what
//! something is mounted on, in the view where it is mounted, and so that needs no rule of its own.
//! What is missing is given a [place to be](super::stand_ins) first.

use std::{
    ffi::CString,
    io,
    path::{Path, PathBuf},
};

use libc::c_int;

use super::{
    c_string,
    mount::{NO_SUID_DEV, READ_ONLY, attach, attributes, copy},
    place::find,
    stand_ins::{StandIns, close, is_same, is_stand_in, make, stat},
};
use crate::{
    error::{SpawnError, Stage},
    protected::{Guard, Guards, Kind, StandIn},
    syscall::{address, call, errno, set_errno, step},
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
                    Guard::Cover(stand_in) => pin.cover(stand_in, stand_ins),
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

    /// Mounts what stands in for something missing onto itself.
    unsafe fn cover(&self, stand_in: StandIn, stand_ins: &mut StandIns) -> Result<(), Stage> {
        // SAFETY: see above.
        unsafe {
            let parent = find(&self.parent, None)?;
            for _ in 0..TRIES {
                let made = make(parent, &self.name, stand_in);
                if made < 0 && matches!(errno(), libc::EACCES | libc::EPERM | libc::EROFS) {
                    // Where this process can not make it, none with fewer privileges can.
                    close(parent);
                    return Ok(());
                }
                if made < 0 && errno() != libc::EEXIST {
                    return Err(Stage::Protection);
                }
                let how =
                    libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
                let fd =
                    call(libc::SYS_openat, [parent.into(), address(self.name.as_ptr()), how.into(), 0, 0]);
                if fd < 0 && errno() == libc::ENOENT {
                    continue;
                }
                step(fd, Stage::Protection)?;
                let fd = fd as c_int;
                let it = stat(fd, c"")?;
                if !is_stand_in(&it) {
                    // Someone outside has just made the real one.
                    close(parent);
                    onto_itself(fd, true)?;
                    close(fd);
                    return Ok(());
                }
                let locked =
                    call(libc::SYS_flock, [fd.into(), (libc::LOCK_SH | libc::LOCK_NB).into(), 0, 0, 0]);
                let busy = locked < 0 && errno() == libc::EWOULDBLOCK;
                if !busy && stat(parent, &self.name).is_ok_and(|there| is_same(&there, &it)) {
                    stand_ins.hold(parent, fd, &self.name, made >= 0)?;
                    let laid = onto_itself(fd, true);
                    close(fd);
                    return laid;
                }
                close(fd);
                call(libc::SYS_sched_yield, [0; 5]);
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
