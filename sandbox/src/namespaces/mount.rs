//! The mount interface of the kernel and the few file calls beside it, raw, for the forked process that makes
//! a command's view. Each fails with the stage that it belongs to, and with `errno` set.

use std::ffi::CStr;

use libc::{c_int, c_long};

use crate::{
    error::Stage,
    syscall::{address, call, errno, step},
};

// Flags that the C library does not name.
const OPEN_TREE_CLONE: c_long = 1;
const MOVE_MOUNT_FROM_DESCRIPTOR: c_long = 0x04;
const MOVE_MOUNT_TO_DESCRIPTOR: c_long = 0x40;
/// Attributes of mounts.
pub(super) const READ_ONLY: u64 = 1;
pub(super) const NO_SUID_DEV: u64 = 2 | 4;
pub(super) const NO_EXEC: u64 = 8;

/// The kernel's `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

// What follows runs in the forked process, on paths and descriptors that its callers vouch for.

pub(super) unsafe fn write(file: &CStr, bytes: &[u8]) -> Result<(), Stage> {
    let how = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
    // SAFETY: see above.
    unsafe {
        let fd = call(libc::SYS_openat, [libc::AT_FDCWD.into(), address(file.as_ptr()), how, 0, 0]);
        step(fd, Stage::Identity)?;
        let written = call(libc::SYS_write, [fd, address(bytes.as_ptr()), bytes.len() as c_long, 0, 0]);
        step(written, Stage::Identity)?;
        call(libc::SYS_close, [fd, 0, 0, 0, 0]);
        Ok(())
    }
}

pub(super) unsafe fn mount(kind: &CStr, at: &CStr, flags: u64, options: Option<&CStr>) -> Result<(), Stage> {
    let kind = address(kind.as_ptr());
    let options = options.map_or(0, |options| address(options.as_ptr()));
    // SAFETY: see above.
    unsafe {
        step(
            call(libc::SYS_mount, [kind, address(at.as_ptr()), kind, flags.cast_signed(), options]),
            Stage::Mounts,
        )
    }
}

/// A copy of a mount, at no place yet.
pub(super) unsafe fn copy(dir: c_int, path: &CStr, how: c_int) -> Result<c_int, Stage> {
    let flags = OPEN_TREE_CLONE | c_long::from(libc::O_CLOEXEC | how);
    // SAFETY: see above.
    let copy = unsafe { call(libc::SYS_open_tree, [dir.into(), address(path.as_ptr()), flags, 0, 0]) };
    step(copy, Stage::Mounts)?;
    Ok(copy as c_int)
}

/// Puts a copy in its place.
pub(super) unsafe fn attach(copy: c_int, dir: c_int, path: &CStr) -> Result<(), Stage> {
    let to = if path.is_empty() { MOVE_MOUNT_TO_DESCRIPTOR } else { 0 };
    let from = [copy.into(), address(c"".as_ptr()), dir.into(), address(path.as_ptr())];
    let [a, b, c, d] = from;
    // SAFETY: see above.
    unsafe { step(call(libc::SYS_move_mount, [a, b, c, d, MOVE_MOUNT_FROM_DESCRIPTOR | to]), Stage::Mounts) }
}

/// Adds attributes to a mount, and cuts it off from what is mounted elsewhere later.
pub(super) unsafe fn attributes(dir: c_int, path: &CStr, set: u64, how: c_int) -> Result<(), Stage> {
    let attributes = Attributes { set, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    let (path, size) = (address(path.as_ptr()), size_of::<Attributes>() as c_long);
    // SAFETY: see above.
    unsafe {
        let set = [dir.into(), path, how.into(), address(&raw const attributes), size];
        step(call(libc::SYS_mount_setattr, set), Stage::Mounts)
    }
}

pub(super) unsafe fn make_dir(path: &CStr, mode: c_long) -> Result<(), Stage> {
    // SAFETY: see above.
    unsafe {
        let made = call(libc::SYS_mkdirat, [libc::AT_FDCWD.into(), address(path.as_ptr()), mode, 0, 0]);
        if made < 0 && errno() == libc::EEXIST { Ok(()) } else { step(made, Stage::Mounts) }
    }
}

pub(super) unsafe fn make_file(path: &CStr, mode: c_long) -> Result<(), Stage> {
    let mode = c_long::from(libc::S_IFREG) | mode;
    // SAFETY: see above.
    unsafe {
        let make = [libc::AT_FDCWD.into(), address(path.as_ptr()), mode, 0, 0];
        step(call(libc::SYS_mknodat, make), Stage::Mounts)
    }
}

pub(super) unsafe fn make_link(target: &CStr, link: &CStr) -> Result<(), Stage> {
    let make = [address(target.as_ptr()), libc::AT_FDCWD.into(), address(link.as_ptr()), 0, 0];
    // SAFETY: see above.
    unsafe { step(call(libc::SYS_symlinkat, make), Stage::Mounts) }
}

/// Closes what is not needed any more.
pub(super) unsafe fn close(fd: c_int) {
    // SAFETY: see above.
    unsafe { call(libc::SYS_close, [fd.into(), 0, 0, 0, 0]) };
}

/// Adds a rule to a Landlock ruleset for what was not in this place when the ruleset was made.
pub(super) unsafe fn allow(ruleset: c_int, path: &CStr, rights: u64) -> Result<(), Stage> {
    /// The kernel's `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct Rule {
        rights: u64,
        fd: c_int,
    }
    const PATH_BENEATH: c_long = 1;
    let how = c_long::from(libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC);
    // SAFETY: see above.
    unsafe {
        let fd = call(libc::SYS_openat, [libc::AT_FDCWD.into(), address(path.as_ptr()), how, 0, 0]);
        step(fd, Stage::Mounts)?;
        let rule = Rule { rights, fd: fd as c_int };
        let add = [ruleset.into(), PATH_BENEATH, address(&raw const rule), 0, 0];
        step(call(libc::SYS_landlock_add_rule, add), Stage::Ruleset)?;
        call(libc::SYS_close, [fd, 0, 0, 0, 0]);
        Ok(())
    }
}
