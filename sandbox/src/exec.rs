//! The forked child, from its first instruction to the program's: raw system calls on prepared memory.
//!
//! Other threads of this process may have held any lock at the moment of the fork, the allocator's included,
//! and in the child nobody will ever release it. So below [`Image::run`] nothing allocates, locks, or can
//! panic; each step is one or a few system calls, and a step that fails sends its name and its `errno` up the
//! report pipe and ends there.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "fork, exec and the calls between them have no safe form")]

use std::{
    convert::Infallible,
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        raw::c_char,
    },
    ptr,
};

use libc::{c_int, c_long};
use rustix::{io::Errno, process::Pid};

use crate::{
    error::Stage,
    plan::{Confinement, Plan},
    process::Process,
    seccomp::Filter,
};

/// Every step of the child that can fail. A report names it by its discriminant.
const STAGES: [Stage; 13] = [
    Stage::Session,
    Stage::ParentDeath,
    Stage::Signals,
    Stage::Stdio,
    Stage::Descriptors,
    Stage::Cwd,
    Stage::Limits,
    Stage::Keyring,
    Stage::NoNewPrivileges,
    Stage::Capabilities,
    Stage::Landlock,
    Stage::Seccomp,
    Stage::Exec,
];

/// Length of a report: the step and the `errno`, four bytes each.
pub(crate) const REPORT: usize = 8;

/// The descriptors of the child while it prepares: 0, 1, 2, these two, and none else.
const REPORT_FD: c_long = 3;
const RULESET_FD: c_long = 4;
/// What is handed to the child lies at this number or above, out of the way of the places it is put into.
const FIRST_FREE_FD: RawFd = 8;

/// The size of the kernel's own signal set.
const KERNEL_SIGSET: c_long = 8;

/// The descriptor, moved to a number that the child does not put anything into.
pub(crate) fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_FREE_FD {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_FREE_FD)?)
}

/// Blocks all signals in the calling thread, which is to do nothing but fork. Also undoes an ignored SIGCHLD
/// that this process may have been started with: the kernel would throw every exit status away.
pub(crate) fn block_signals() {
    // SAFETY: the calls get pointers to initialised values on this stack. No other thread can be between
    // reading and writing the disposition of SIGCHLD: nothing else in this process sets it to "ignore".
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
        {
            action.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut());
        }
    }
}

/// Sends a signal (0: only asks) to the group that the process leads or led. `EINVAL` before Linux 6.9.
pub(crate) fn pidfd_signal_group(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    const PIDFD_SIGNAL_PROCESS_GROUP: c_long = 1 << 2;
    let (fd, info) = (c_long::from(pidfd.as_raw_fd()), ptr::null::<libc::siginfo_t>());
    // SAFETY: the descriptor is open, and no siginfo is passed.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, c_long::from(signal), info, PIDFD_SIGNAL_PROCESS_GROUP)
    };
    if sent == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Forks a child that carries out `plan` and reports a failure on `report`. Both lie
/// [out of the way](out_of_the_way).
pub(crate) fn fork(plan: &Plan, report: OwnedFd) -> io::Result<Process> {
    let image = Image::new(plan, &report);
    let mut pidfd: c_int = -1;
    let flags = c_long::from(libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the memory and goes on here, on a
    // copy of this stack. The pidfd is stored through the third argument (the same on x86-64, AArch64 and
    // RISC-V). `clone`, not `clone3`, which filters (ours too) answer with ENOSYS.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone, flags, 0 as c_long, &raw mut pidfd, 0 as c_long, 0 as c_long)
    };
    if pid == 0 {
        // SAFETY: this is the child, which has one thread; `plan`, which `image` points into, is alive.
        unsafe { image.run() }
    }
    let pid = c_int::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| pid > 0);
    let Some(pid) = pid else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has just opened it for us, close-on-exec.
    Ok(Process::new(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// What a report says, if it is one.
pub(crate) fn read_report(report: &[u8]) -> Option<(Stage, io::Error)> {
    let (stage, errno) = report.split_first_chunk::<4>()?;
    let (stage, errno) = (u32::from_ne_bytes(*stage), i32::from_ne_bytes(errno.try_into().ok()?));
    let stage = STAGES.into_iter().find(|known| *known as u32 == stage)?;
    Some((stage, io::Error::from_raw_os_error(errno)))
}

/// A plan in the form that the kernel takes: null-terminated arrays and plain numbers.
struct Image {
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: *const c_char,
    /// -1 where nothing is to be moved.
    stdio: [RawFd; 3],
    report: RawFd,
    /// -1 if there is none.
    ruleset: RawFd,
    filter: Option<libc::sock_fprog>,
    privileges: bool,
    parent: c_long,
}

impl Image {
    fn new(plan: &Plan, report: &OwnedFd) -> Self {
        let Confinement { privileges, ruleset, filter } = &plan.confinement;
        let raw = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        Self {
            candidates: null_terminated(&plan.candidates),
            argv: null_terminated(&plan.argv),
            env: null_terminated(&plan.env),
            cwd: plan.cwd.as_ptr(),
            stdio: plan.stdio.each_ref().map(raw),
            report: report.as_raw_fd(),
            ruleset: raw(ruleset),
            filter: filter.map(Filter::program),
            privileges: *privileges,
            parent: c_long::from(rustix::process::getpid().as_raw_pid()),
        }
    }

    /// Becomes the program, or reports why not and exits.
    ///
    /// # Safety
    /// Only in a freshly forked child, with the plan alive that this was made from.
    unsafe fn run(&self) -> ! {
        // SAFETY: as the caller promises.
        unsafe {
            if call(libc::SYS_dup3, [c_long::from(self.report), REPORT_FD, libc::O_CLOEXEC.into(), 0, 0]) < 0
            {
                report(self.report.into(), Stage::Descriptors);
            }
            let Err(stage) = self.become_program();
            report(REPORT_FD, stage)
        }
    }

    /// # Safety
    /// See [`Self::run`]; so for all that follow.
    unsafe fn become_program(&self) -> Result<Infallible, Stage> {
        // SAFETY: as the caller promises.
        unsafe {
            step(call(libc::SYS_setsid, [0; 5]), Stage::Session)?;
            self.die_with_parent()?;
            default_signals();
            self.place_descriptors()?;
            step(call(libc::SYS_chdir, [address(self.cwd), 0, 0, 0, 0]), Stage::Cwd)?;
            let none = [0u64; 2];
            let core = [0, libc::RLIMIT_CORE as c_long, address(none.as_ptr()), 0, 0];
            step(call(libc::SYS_prlimit64, core), Stage::Limits)?;
            new_session_keyring()?;
            if self.privileges {
                drop_privileges()?;
            }
            if self.ruleset >= 0 {
                step(call(libc::SYS_landlock_restrict_self, [RULESET_FD, 0, 0, 0, 0]), Stage::Landlock)?;
            }
            // Last, because the filter would refuse some of the steps above.
            if let Some(filter) = &self.filter {
                const SECCOMP_SET_MODE_FILTER: c_long = 1;
                let install = [SECCOMP_SET_MODE_FILTER, 0, address(filter), 0, 0];
                step(call(libc::SYS_seccomp, install), Stage::Seccomp)?;
            }
            let mask = 0u64;
            let unblock = [libc::SIG_SETMASK.into(), address(&raw const mask), 0, KERNEL_SIGSET, 0];
            step(call(libc::SYS_rt_sigprocmask, unblock), Stage::Signals)?;
            self.execute()
        }
    }

    /// The thread that forked lives as long as its process. If that has ended by now, no signal would come.
    unsafe fn die_with_parent(&self) -> Result<(), Stage> {
        let ask = [libc::PR_SET_PDEATHSIG.into(), libc::SIGKILL.into(), 0, 0, 0];
        // SAFETY: plain numbers.
        unsafe {
            step(call(libc::SYS_prctl, ask), Stage::ParentDeath)?;
            if call(libc::SYS_getppid, [0; 5]) == self.parent { Ok(()) } else { Err(Stage::ParentDeath) }
        }
    }

    /// The standard streams and what the child itself needs; everything else is closed. Closed, not only
    /// marked so: while it is open here, a pipe of another command does not end and a fresh script is "busy".
    unsafe fn place_descriptors(&self) -> Result<(), Stage> {
        const EVERYTHING: c_long = u32::MAX as c_long;
        // SAFETY: plain numbers; nothing in the child owns a descriptor.
        unsafe {
            for (fd, place) in self.stdio.into_iter().zip(0..) {
                if fd >= 0 {
                    step(call(libc::SYS_dup3, [fd.into(), place, 0, 0, 0]), Stage::Stdio)?;
                }
            }
            let mut first_unused = REPORT_FD + 1;
            if self.ruleset >= 0 {
                let ruleset = [self.ruleset.into(), RULESET_FD, libc::O_CLOEXEC.into(), 0, 0];
                step(call(libc::SYS_dup3, ruleset), Stage::Descriptors)?;
                first_unused = RULESET_FD + 1;
            }
            step(call(libc::SYS_close_range, [first_unused, EVERYTHING, 0, 0, 0]), Stage::Descriptors)?;
        }
        Ok(())
    }

    /// As `execvp` does: on to the next place if the program is not at this one, or may not be executed.
    unsafe fn execute(&self) -> Result<Infallible, Stage> {
        let mut why = libc::ENOENT;
        // SAFETY: all three are null-terminated arrays of strings that the plan owns.
        unsafe {
            for candidate in self.candidates.iter().filter(|candidate| !candidate.is_null()) {
                let image =
                    [address(*candidate), address(self.argv.as_ptr()), address(self.env.as_ptr()), 0, 0];
                call(libc::SYS_execve, image);
                match *libc::__errno_location() {
                    libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV => {}
                    libc::EACCES => why = libc::EACCES,
                    other => {
                        why = other;
                        break;
                    }
                }
            }
            *libc::__errno_location() = why;
        }
        Err(Stage::Exec)
    }
}

fn null_terminated(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn address<T>(pointer: *const T) -> c_long {
    pointer.addr() as c_long
}

fn step(result: c_long, stage: Stage) -> Result<(), Stage> {
    if result < 0 { Err(stage) } else { Ok(()) }
}

/// # Safety
/// That of the system call.
unsafe fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_long {
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

/// # Safety
/// Only in the child: it ends the process.
unsafe fn report(fd: c_long, stage: Stage) -> ! {
    // SAFETY: the report lives on this stack, and nothing of the child is left to be unwound.
    unsafe {
        let report = [stage as u32, (*libc::__errno_location()).cast_unsigned()];
        call(libc::SYS_write, [fd, address(report.as_ptr()), REPORT as c_long, 0, 0]);
        loop {
            call(libc::SYS_exit_group, [127, 0, 0, 0, 0]);
        }
    }
}

/// Handlers of this process mean nothing in the child, and what this process ignores (SIGPIPE, as every Rust
/// program does) the program would go on ignoring. SIGKILL and SIGSTOP refuse, which is right.
unsafe fn default_signals() {
    // The kernel's `struct sigaction`, all zero: default handler, no flags, empty mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is as large as the kernel's on every 64-bit machine.
        unsafe { call(libc::SYS_rt_sigaction, [signal, address(default.as_ptr()), 0, KERNEL_SIGSET, 0]) };
    }
}

/// The keys of the user's session are out of the command's sight. Where the call is missing or refused, by a
/// container's filter or a quota, our own filter still keeps a sandboxed command from naming any key.
unsafe fn new_session_keyring() -> Result<(), Stage> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for a new keyring.
    unsafe {
        let joined = call(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0]);
        if joined < 0 && matches!(*libc::__errno_location(), libc::ENOSYS | libc::EPERM | libc::EDQUOT) {
            return Ok(());
        }
        step(joined, Stage::Keyring)
    }
}

/// No new privileges, none of the ones there are, and for root none that an `execve` would give back.
unsafe fn drop_privileges() -> Result<(), Stage> {
    /// `_LINUX_CAPABILITY_VERSION_3`, for the calling thread.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    // SAFETY: plain numbers, and structures of the size that version 3 has.
    unsafe {
        step(call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.into(), 1, 0, 0, 0]), Stage::NoNewPrivileges)?;
        // EINVAL: past the last one. EPERM: an ordinary user, to whom no_new_privs alone closes this way.
        for capability in 0..64 {
            if call(libc::SYS_prctl, [libc::PR_CAPBSET_DROP.into(), capability, 0, 0, 0]) < 0 {
                break;
            }
        }
        let ambient = [libc::PR_CAP_AMBIENT.into(), libc::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0, 0, 0];
        step(call(libc::SYS_prctl, ambient), Stage::Capabilities)?;
        let none = [0u32; 6];
        let set = [address(HEADER.as_ptr()), address(none.as_ptr()), 0, 0, 0];
        step(call(libc::SYS_capset, set), Stage::Capabilities)
    }
}
