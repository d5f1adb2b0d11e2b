//! What stands in for [protected](crate::protected) names that do not exist, so that something can be mounted
//! there.
//!
//! It is made in the real directory, and it has to go again when the command has ended: the supervisor made
//! it, outlives the command, and removes it, also when this process is killed. Commands at the same place
//! share it: each holds a lock on it, and the last one to let go removes it. Should a supervisor be killed
//! too, the next command there takes over what was left.

use std::{ffi::CStr, mem::MaybeUninit};

use libc::{c_int, c_long};

use super::mount::attach;
use crate::{
    error::Stage,
    exec::FIRST_FREE_FD,
    protected::{self, MOST_STAND_INS, TELLTALE},
    syscall::{address, call, errno, set_errno, step},
};

/// Files of a command's own `/dev`, where nobody looks any more when it has ended.
const ASIDE: [&CStr; 6] =
    [c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom", c"/dev/tty"];
/// The longest name of a file, and its end.
const NAME: usize = 256;

// What follows runs in the forked process, on strings of the plan and descriptors that it opens itself.

/// Makes what stands in, and opens it. It is there with all that it says, or not at all.
pub(super) unsafe fn make(parent: c_int, name: &CStr, text: &CStr) -> c_int {
    const MODE: c_long = TELLTALE as c_long;
    const HOW: c_int = libc::O_RDWR | libc::O_CLOEXEC;
    let (at, new_name) = (parent.into(), address(name.as_ptr()));
    // SAFETY: see above.
    unsafe {
        let size = text.count_bytes() as c_long;
        let write = |file| call(libc::SYS_write, [file, address(text.as_ptr()), size, 0, 0]) == size;
        if size > 0 {
            let nameless = c_long::from(libc::O_TMPFILE | HOW);
            let file = call(libc::SYS_openat, [at, address(c".".as_ptr()), nameless, MODE, 0]);
            // Not every file system has nameless files.
            if file >= 0 {
                let path = path_of(file as c_int);
                let follow = libc::AT_SYMLINK_FOLLOW.into();
                let link = [libc::AT_FDCWD.into(), address(path.as_ptr()), at, new_name, follow];
                let linked = if write(file) { call(libc::SYS_linkat, link) } else { -1 };
                let why = errno();
                close(file as c_int);
                set_errno(why);
                // It is the name that is wanted, not what had none.
                return if linked < 0 { -1 } else { open(parent, name) };
            }
        }
        let new = c_long::from(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | HOW);
        let file = call(libc::SYS_openat, [at, new_name, new, MODE, 0]);
        if file >= 0 && size > 0 && !write(file) {
            let why = errno();
            call(libc::SYS_unlinkat, [at, new_name, 0, 0, 0]);
            close(file as c_int);
            set_errno(why);
            return -1;
        }
        file as c_int
    }
}

/// Opens what is there already.
pub(super) unsafe fn open(parent: c_int, name: &CStr) -> c_int {
    let how = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: see above.
    unsafe { call(libc::SYS_openat, [parent.into(), address(name.as_ptr()), how.into(), 0, 0]) as c_int }
}

/// Keeps others from removing it. Returns whether nobody is doing that just now. Where there are no locks, the
/// one that made it removes it.
pub(super) unsafe fn lock(fd: c_int) -> bool {
    // SAFETY: plain numbers.
    let locked =
        unsafe { call(libc::SYS_flock, [fd.into(), (libc::LOCK_SH | libc::LOCK_NB).into(), 0, 0, 0]) };
    locked >= 0 || errno() != libc::EWOULDBLOCK
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
        // SAFETY: plain numbers. The caller still needs, and closes, both.
        unsafe {
            held.parent = out_of_the_way(parent)?;
            held.itself = out_of_the_way(itself)?;
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
        let mut aside = ASIDE.into_iter();
        for held in self.held() {
            // SAFETY: see above.
            unsafe { held.remove(aside.next()) };
        }
        self.count = 0;
    }
}

impl Held {
    unsafe fn remove(&self, aside: Option<&CStr>) {
        let name = address(self.name.as_ptr());
        // SAFETY: see above.
        unsafe {
            let only_ours = [self.itself.into(), (libc::LOCK_EX | libc::LOCK_NB).into(), 0, 0, 0];
            if call(libc::SYS_flock, only_ours) < 0 && (errno() == libc::EWOULDBLOCK || !self.made) {
                return;
            }
            // Opened by name, it is what is mounted there. With that, the name can not be removed.
            let how = c_long::from(libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC);
            let mounted = call(libc::SYS_openat, [self.parent.into(), name, how, 0, 0]) as c_int;
            if mounted >= 0 {
                // To unmount it, the kernel would wait until nobody can be on the way through it: 50 µs and more.
                // Moved to where nobody looks any more, each to another place, it goes with the view.
                if aside.is_none_or(|aside| attach(mounted, libc::AT_FDCWD, aside).is_err()) {
                    let path = path_of(mounted);
                    call(libc::SYS_umount2, [address(path.as_ptr()), libc::MNT_DETACH.into(), 0, 0, 0]);
                }
                close(mounted);
            }
            let Ok(name) = CStr::from_bytes_until_nul(&self.name) else { return };
            let (Ok(it), Ok(there)) = (stat(self.itself, c""), stat(self.parent, name)) else { return };
            if !is_same(&it, &there) {
                return;
            }
            if it.st_size <= 1 {
                call(libc::SYS_unlinkat, [self.parent.into(), address(name.as_ptr()), 0, 0, 0]);
            } else if self.made {
                // Someone outside has written to it. Then it is to look like any other.
                call(libc::SYS_fchmod, [self.itself.into(), 0o644, 0, 0, 0]);
            }
        }
    }
}

pub(super) fn is_stand_in(stat: &libc::stat) -> bool {
    protected::is_stand_in(stat.st_mode, stat.st_size.unsigned_abs())
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
