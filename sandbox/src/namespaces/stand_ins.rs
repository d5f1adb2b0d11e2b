//! What stands in for [protected](crate::protected) names that do not exist, so that something can be mounted
//! there.
//!
//! It is made in the real directory, and it has to go again when the command has ended: the supervisor made
//! it, outlives the command, and removes it, also when this process is killed. Commands at the same place
//! share it: each holds a lock on it, and the last one to let go removes it. Should a supervisor be killed
//! too, the next command there takes over what was left.

use std::{ffi::CStr, mem::MaybeUninit};

use libc::{c_int, c_long};

use crate::{
    error::Stage,
    exec::FIRST_FREE_FD,
    protected::{MOST_STAND_INS, StandIn, TELLTALE, TELLTALE_MASK},
    syscall::{address, call, errno, set_errno, step},
};

/// The longest name of a file, and its end.
const NAME: usize = 256;

// What follows runs in the forked process, on strings of the plan and descriptors that it opens itself.

/// Makes what stands in. A file is there with all that it says, or not at all.
pub(super) unsafe fn make(parent: c_int, name: &CStr, stand_in: StandIn) -> c_long {
    let mode = c_long::from(TELLTALE | 0o555);
    let (at, name) = (parent.into(), address(name.as_ptr()));
    let StandIn::File(text) = stand_in else {
        // SAFETY: see above.
        return unsafe { call(libc::SYS_mkdirat, [at, name, mode, 0, 0]) };
    };
    let mode = mode & 0o7444;
    let write = |file: c_long| {
        // SAFETY: see above.
        unsafe { call(libc::SYS_write, [file, address(text.as_ptr()), text.count_bytes() as c_long, 0, 0]) }
    };
    // SAFETY: see above.
    unsafe {
        let how = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
        let nameless = c_long::from(libc::O_TMPFILE) | how;
        let file = call(libc::SYS_openat, [at, address(c".".as_ptr()), nameless, mode, 0]);
        if file >= 0 {
            write(file);
            let path = path_of(file as c_int);
            let follow = libc::AT_SYMLINK_FOLLOW.into();
            let linked =
                call(libc::SYS_linkat, [libc::AT_FDCWD.into(), address(path.as_ptr()), at, name, follow]);
            let why = errno();
            close(file as c_int);
            set_errno(why);
            if linked >= 0 || why == libc::EEXIST {
                return linked;
            }
        }
        // Not every file system has nameless files.
        let new = c_long::from(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW) | how;
        let file = call(libc::SYS_openat, [at, name, new, mode, 0]);
        if file >= 0 {
            write(file);
            close(file as c_int);
        }
        file
    }
}

/// What stands in for something missing, as the supervisor holds it. In one piece, on its stack: of its other
/// memory it lets go.
pub(crate) struct StandIns {
    held: [Held; MOST_STAND_INS],
    count: usize,
}

#[derive(Clone, Copy)]
struct Held {
    parent: c_int,
    /// Opened, and locked against being removed.
    itself: c_int,
    name: [u8; NAME],
    /// Whether it was made here, and not found.
    made: bool,
}

impl StandIns {
    pub(crate) const fn new() -> Self {
        let none = Held { parent: -1, itself: -1, name: [0; NAME], made: false };
        Self { held: [none; MOST_STAND_INS], count: 0 }
    }

    /// Whether there is nothing to be removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) unsafe fn hold(
        &mut self,
        parent: c_int,
        itself: c_int,
        name: &CStr,
        made: bool,
    ) -> Result<(), Stage> {
        set_errno(libc::EMFILE);
        let held = self.held.get_mut(self.count).ok_or(Stage::Protection)?;
        for (byte, of_name) in held.name.iter_mut().zip(name.to_bytes_with_nul()) {
            *byte = *of_name;
        }
        // SAFETY: plain numbers. `itself` is still needed by the caller.
        unsafe {
            held.parent = out_of_the_way(parent)?;
            held.itself = out_of_the_way(itself)?;
            close(parent);
        }
        held.made = made;
        self.count += 1;
        Ok(())
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().take(self.count)
    }

    /// Closes every descriptor from this one on but those that are held here.
    pub(crate) unsafe fn close_others(&self, mut from: c_int) {
        loop {
            let kept = self.held().flat_map(|held| [held.parent, held.itself]).filter(|fd| *fd >= from).min();
            let last = kept.map_or(c_long::from(u32::MAX), |kept| c_long::from(kept) - 1);
            if last >= from.into() {
                // SAFETY: plain numbers.
                unsafe { call(libc::SYS_close_range, [from.into(), last, 0, 0, 0]) };
            }
            let Some(kept) = kept else { return };
            from = kept + 1;
        }
    }

    /// Removes them, but for those that other commands rely on, and those that have become more than that.
    pub(crate) unsafe fn remove(&mut self) {
        for held in self.held() {
            // SAFETY: see above.
            unsafe { held.remove() };
        }
        self.count = 0;
    }
}

impl Held {
    unsafe fn remove(&self) {
        let name = address(self.name.as_ptr());
        // SAFETY: see above.
        unsafe {
            let only_ours = [self.itself.into(), (libc::LOCK_EX | libc::LOCK_NB).into(), 0, 0, 0];
            if call(libc::SYS_flock, only_ours) < 0 && (errno() == libc::EWOULDBLOCK || !self.made) {
                return;
            }
            // Opened by name, it is what is mounted there. With that, the name can not be removed.
            let how = c_long::from(libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC);
            let mounted = call(libc::SYS_openat, [self.parent.into(), name, how, 0, 0]);
            if mounted >= 0 {
                let path = path_of(mounted as c_int);
                call(libc::SYS_umount2, [address(path.as_ptr()), libc::MNT_DETACH.into(), 0, 0, 0]);
                close(mounted as c_int);
            }
            let Ok(name) = CStr::from_bytes_until_nul(&self.name) else { return };
            let (Ok(it), Ok(there)) = (stat(self.itself, c""), stat(self.parent, name)) else { return };
            if !is_same(&it, &there) || !is_stand_in(&it) {
                return;
            }
            let is_dir = it.st_mode & libc::S_IFMT == libc::S_IFDIR;
            let how = if is_dir { libc::AT_REMOVEDIR } else { 0 };
            let remove = [self.parent.into(), address(name.as_ptr()), how.into(), 0, 0];
            if call(libc::SYS_unlinkat, remove) < 0 && errno() == libc::ENOTEMPTY && self.made {
                // Someone outside uses it. Then it is to look like any other.
                call(libc::SYS_fchmod, [self.itself.into(), 0o755, 0, 0, 0]);
            }
        }
    }
}

/// Whether it has the looks of what stands in for something.
pub(super) fn is_stand_in(stat: &libc::stat) -> bool {
    let is_small = stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_size <= 1;
    let is_dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    stat.st_mode & TELLTALE_MASK == TELLTALE && (is_small || is_dir)
}

pub(super) fn is_same(one: &libc::stat, other: &libc::stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

pub(super) unsafe fn stat(dir: c_int, name: &CStr) -> Result<libc::stat, Stage> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    let how = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: see above; the kernel fills in a whole structure.
    unsafe {
        let ask = [dir.into(), address(name.as_ptr()), address(stat.as_mut_ptr()), how.into(), 0];
        step(call(libc::SYS_newfstatat, ask), Stage::Protection)?;
        Ok(stat.assume_init())
    }
}

unsafe fn out_of_the_way(fd: c_int) -> Result<c_int, Stage> {
    let duplicate = [fd.into(), libc::F_DUPFD_CLOEXEC.into(), FIRST_FREE_FD.into(), 0, 0];
    // SAFETY: plain numbers.
    let duplicate = unsafe { call(libc::SYS_fcntl, duplicate) };
    step(duplicate, Stage::Protection)?;
    Ok(duplicate as c_int)
}

pub(super) unsafe fn close(fd: c_int) {
    // SAFETY: plain numbers; it was opened here.
    unsafe { call(libc::SYS_close, [fd.into(), 0, 0, 0, 0]) };
}

/// The name under which `/proc` knows a descriptor.
fn path_of(fd: c_int) -> [u8; 32] {
    let mut path = [0; 32];
    let (mut digits, mut rest) = ([0; 10], fd.unsigned_abs());
    let mut count = 0;
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        (rest, count) = (rest / 10, count + 1);
        if rest == 0 {
            break;
        }
    }
    let text = b"/proc/self/fd/".iter().chain(digits.iter().take(count).rev());
    for (byte, of_text) in path.iter_mut().zip(text) {
        *byte = *of_text;
    }
    path
}
