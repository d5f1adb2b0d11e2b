//! What a supervisor learns from `/proc` about itself: which children it has, and which memory.

use libc::c_long;

use crate::syscall::{address, call};

/// The bytes of a file, one by one, through a buffer on the stack.
struct Bytes {
    fd: c_long,
    buffer: [u8; 1024],
    at: usize,
    end: usize,
}

impl Bytes {
    unsafe fn open(path: &std::ffi::CStr) -> Option<Self> {
        let how = c_long::from(libc::O_RDONLY | libc::O_CLOEXEC);
        // SAFETY: the path is a string.
        let fd =
            unsafe { call(libc::SYS_openat, [libc::AT_FDCWD.into(), address(path.as_ptr()), how, 0, 0]) };
        (fd >= 0).then_some(Self { fd, buffer: [0; 1024], at: 0, end: 0 })
    }

    unsafe fn next(&mut self) -> Option<u8> {
        if self.at == self.end {
            let size = self.buffer.len() as c_long;
            // SAFETY: the kernel writes into the buffer no more than it holds.
            let read =
                unsafe { call(libc::SYS_read, [self.fd, address(self.buffer.as_mut_ptr()), size, 0, 0]) };
            self.end = usize::try_from(read).unwrap_or(0).min(self.buffer.len());
            self.at = 0;
        }
        let byte = self.buffer.get(..self.end)?.get(self.at)?;
        self.at += 1;
        Some(*byte)
    }

    /// A number of this base, and the byte that ends it.
    unsafe fn number(&mut self, base: u32) -> Option<(u64, u8)> {
        let mut number = 0u64;
        loop {
            // SAFETY: as the caller of `open` promised.
            let byte = unsafe { self.next() }?;
            match char::from(byte).to_digit(base) {
                Some(digit) => number = number.wrapping_mul(base.into()).wrapping_add(digit.into()),
                None => return Some((number, byte)),
            }
        }
    }

    unsafe fn close(self) {
        // SAFETY: it was opened by `open`.
        unsafe { call(libc::SYS_close, [self.fd, 0, 0, 0, 0]) };
    }
}

/// Kills every child of this process. Returns whether the system lists them.
///
/// Nobody but this process reaps its children, so each number that it reads still means the one it meant.
pub(super) unsafe fn kill_children() -> bool {
    // SAFETY: plain numbers.
    unsafe {
        let Some(mut children) = Bytes::open(c"/proc/thread-self/children") else { return false };
        while let Some((child, _)) = children.number(10) {
            if child > 1 {
                call(libc::SYS_kill, [child as c_long, libc::SIGKILL.into(), 0, 0, 0]);
            }
        }
        children.close();
        true
    }
}

/// Kills everyone whom this process can name, if it is the first process of its namespace.
pub(super) unsafe fn kill_everyone() {
    // SAFETY: plain numbers.
    unsafe {
        if call(libc::SYS_getpid, [0; 5]) == 1 {
            call(libc::SYS_kill, [-1, libc::SIGKILL.into(), 0, 0, 0]);
        }
    }
}

/// Forgets what the memory of the process held that this one was forked from, its secrets among it, so that
/// the two do not share pages which the other one would have to copy before it writes to them.
///
/// Kept is the mapping that holds this stack, the one with the C library's `errno` (mostly the same), and
/// what belongs to a file: code, the tables through which it finds other code, and its variables, some of
/// which lie in a nameless mapping that begins where that of the file ends (`memcpy` reads such ones).
pub(super) unsafe fn forget_memory() {
    // SAFETY: private pages lose what was written to them. None is used below but those of the stack.
    unsafe {
        let Some(mut maps) = Bytes::open(c"/proc/self/maps") else { return };
        let here = [address(&raw const maps), address(libc::__errno_location())].map(c_long::cast_unsigned);
        let mut file_end = 0;
        // A line is "from-to rw-p offset major:minor inode …", with inode 0 for what belongs to no file.
        while let (Some((from, b'-')), Some((to, b' '))) = (maps.number(16), maps.number(16)) {
            let (_, writable, _, private) = (maps.next(), maps.next(), maps.next(), maps.next());
            let _offset = (maps.next(), maps.number(16), maps.number(16), maps.number(16));
            let inode = maps.number(10);
            let nameless = matches!(inode, Some((0, _)));
            if !nameless {
                file_end = to;
            }
            let kept = from == file_end || here.iter().any(|here| (from..to).contains(here));
            if (writable, private) == (Some(b'w'), Some(b'p')) && nameless && !kept {
                let (from, size) = (from.cast_signed(), to.wrapping_sub(from).cast_signed());
                call(libc::SYS_madvise, [from, size, libc::MADV_DONTNEED.into(), 0, 0]);
            }
            if matches!(inode, Some((_, b'\n'))) {
                continue;
            }
            while maps.next().is_some_and(|byte| byte != b'\n') {}
        }
        maps.close();
    }
}
