//! The loopback of a command's own network, which the kernel makes switched off.

use libc::{c_int, c_long};

use super::mount::close;
use crate::{
    error::Stage,
    syscall::{address, call, step},
};

/// The kernel's `struct ifreq`, for flags.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Switches it on; its addresses come with that.
///
/// # Safety
/// Only in a forked process in a network namespace of its own.
pub(super) unsafe fn switch_on() -> Result<(), Stage> {
    const NAME: [u8; libc::IFNAMSIZ] = *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let request = Request { name: NAME, flags: libc::IFF_UP as libc::c_short, rest: [0; 22] };
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: the structure is as large as the kernel's.
    unsafe {
        let socket = call(libc::SYS_socket, [libc::AF_INET.into(), kind.into(), 0, 0, 0]);
        step(socket, Stage::Loopback)?;
        let set = [socket, libc::SIOCSIFFLAGS as c_long, address(&raw const request), 0, 0];
        step(call(libc::SYS_ioctl, set), Stage::Loopback)?;
        close(socket as c_int);
        Ok(())
    }
}
