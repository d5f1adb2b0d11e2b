//! How a supervisor comes into the world: forked into the namespaces that its command is to live in.

use std::{
    convert::Infallible,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use libc::{c_int, c_long};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::Pid,
};

use super::{block_all, exit, prepare, run, tell};
use crate::{
    error::Stage,
    exec::{self, Image},
    namespaces::{Namespaces, StandIns},
    plan::Plan,
    status::{self, Message},
    syscall::{address, call, errno},
    without::Without,
};

/// A supervisor, as the one who made it holds it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// Whether it gives out process ids of its own.
    pub(crate) numbers: bool,
}

/// Forks a supervisor that carries out `plan` and tells on `status` what comes of it. Both lie
/// [out of the way](crate::exec::out_of_the_way), and all signals are [blocked](block_signals).
pub(crate) fn fork(plan: &Plan, status: &OwnedFd) -> Result<Handle, (Stage, io::Error)> {
    let image = Image::new(plan);
    let namespaces = plan.confinement.namespaces.as_ref();
    let ruleset = plan.confinement.ruleset.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let without = plan.confinement.without;
    let birth = Birth { namespaces, ruleset, status: status.as_raw_fd(), parent: parent(), without };
    // SAFETY: the child has one thread, and `plan`, which `image` points into, is alive.
    unsafe { birth.give(libc::SIGCHLD, || run(&birth, &image)) }
}

/// Makes namespaces and the view in them, for nobody, to see whether this system permits that.
pub(crate) fn rehearse(namespaces: &Namespaces) -> Result<(), (Stage, io::Error)> {
    let pipes = |errno: Errno| (Stage::Pipes, errno.into());
    let (reading, status) = pipe_with(PipeFlags::CLOEXEC).map_err(pipes)?;
    let status = exec::out_of_the_way(status).map_err(|error| (Stage::Pipes, error))?;
    let namespaces = Some(namespaces);
    let (status_fd, without) = (status.as_raw_fd(), Without::default());
    let birth = Birth { namespaces, ruleset: -1, status: status_fd, parent: parent(), without };
    // SAFETY: the child has one thread. It ends without a signal to this process, and blocks those that are
    // meant for it.
    let child = unsafe {
        let before = block_all();
        let child = birth.give(0, || {
            match prepare(&birth, &mut StandIns::new()) {
                Ok(()) => tell(birth.status.into(), status::started(0)),
                Err(stage) => tell(birth.status.into(), status::failed(stage, errno())),
            }
            exit()
        });
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        child?
    };
    drop(status);
    let mut message = [0; status::MESSAGE];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(&reading, &mut message)).map_err(pipes)?;
    reap_silent(&child.pidfd);
    match status::read(message).filter(|_| read == message.len()) {
        Some(Message::Started(_)) => Ok(()),
        Some(Message::Failed(stage, source)) => Err((stage, source)),
        _ => Err((Stage::Namespaces, io::Error::other("the process that tried it was killed"))),
    }
}

/// Waits for a child that ends without a signal.
fn reap_silent(pidfd: &OwnedFd) {
    let (by_pidfd, fd) = (libc::P_PIDFD as c_long, c_long::from(pidfd.as_raw_fd()));
    let options = c_long::from(libc::WEXITED | libc::__WALL);
    // SAFETY: plain numbers; nothing is written to null pointers.
    while unsafe { call(libc::SYS_waitid, [by_pidfd, fd, 0, options, 0]) } < 0 && errno() == libc::EINTR {}
}

fn parent() -> c_long {
    c_long::from(rustix::process::getpid().as_raw_pid())
}

/// What a supervisor is born with.
pub(super) struct Birth<'a> {
    pub(super) namespaces: Option<&'a Namespaces>,
    /// -1 if there is none.
    pub(super) ruleset: RawFd,
    pub(super) status: RawFd,
    pub(super) parent: c_long,
    pub(super) without: Without,
}

impl Birth<'_> {
    /// # Safety
    /// `life` is run in a forked child: see the top of this file.
    unsafe fn give(
        &self,
        exit_signal: c_int,
        life: impl FnOnce() -> Infallible,
    ) -> Result<Handle, (Stage, io::Error)> {
        let namespaces = self.namespaces.map_or(0, Namespaces::flags);
        let mut pidfd: c_int = -1;
        let flags = c_long::from(libc::CLONE_PIDFD | exit_signal | namespaces);
        // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the memory and goes on here, on a
        // copy of this stack. The pidfd is stored through the third argument (the same on x86-64, AArch64 and
        // RISC-V). `clone`, not `clone3`, which filters (ours too) answer with ENOSYS.
        let pid = unsafe { call(libc::SYS_clone, [flags, 0, address(&raw mut pidfd), 0, 0]) };
        if pid == 0 {
            life();
        }
        let stage = if namespaces == 0 { Stage::Fork } else { Stage::Namespaces };
        let pid = c_int::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| (stage, io::Error::last_os_error()))?;
        // SAFETY: the kernel has just opened it for us, close-on-exec.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Handle { pid, pidfd, numbers: self.namespaces.is_some() })
    }
}
