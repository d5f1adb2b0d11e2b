//! System calls as plain numbers, for code that runs between a fork and an `execve`, or without ever making
//! one: there, nothing may allocate, lock or panic.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a raw system call has no safe form")]

use libc::{c_int, c_long};

use crate::error::Stage;

/// The size of the kernel's own signal set.
pub(crate) const KERNEL_SIGSET: c_long = 8;

/// # Safety
/// That of the system call.
pub(crate) unsafe fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_long {
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

/// A pointer as an argument.
pub(crate) fn address<T>(pointer: *const T) -> c_long {
    pointer.addr() as c_long
}

/// What a call's result means for the step that it is part of.
pub(crate) fn step(result: c_long, stage: Stage) -> Result<(), Stage> {
    if result < 0 { Err(stage) } else { Ok(()) }
}

/// Why the last call failed.
pub(crate) fn errno() -> c_int {
    // SAFETY: the C library's own place for it, which each thread has.
    unsafe { *libc::__errno_location() }
}

/// For a failure that is put together from several calls.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = errno }
}
