//! The command's own process, from its first instruction to the program's: raw system calls on prepared memory.
//!
//! Other threads of this process may have held any lock at the moment of the fork, the allocator's included,
//! and in the child nobody will ever release it. So below [`Image::start`] nothing allocates, locks, or can
//! panic; each step is one or a few system calls, and a step that fails leaves its name and its `errno` to
//! the [supervisor](crate::supervisor), whose memory it borrows until it becomes the program.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "exec and the calls before it have no safe form")]

use std::{
    convert::Infallible,
    ffi::{CString, c_void},
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        raw::c_char,
    },
    ptr,
    sync::atomic::{AtomicI32, Ordering},
};

use libc::{c_int, c_long};

use crate::{
    error::Stage,
    namespaces::MOST_PROCESSES,
    plan::{Confinement, Plan},
    seccomp::Filter,
    syscall::{KERNEL_SIGSET, address, call, errno, set_errno, step},
    without::{Layer, Without},
};

/// Where the ruleset lies until it is entered, next to 0, 1 and 2.
const RULESET_FD: c_long = 3;
/// What is handed to the child lies at this number or above, out of the way of the places it is put into,
/// its own and those of its supervisor.
pub(crate) const FIRST_FREE_FD: RawFd = 8;

/// What the command's own process has for a stack until it becomes the program.
const STACK: usize = 64 << 10;

/// The descriptor, moved to a number that the child does not put anything into.
pub(crate) fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_FREE_FD {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_FREE_FD)?)
}

/// A plan in the form that the kernel takes: null-terminated arrays and plain numbers.
pub(crate) struct Image {
    candidates: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: *const c_char,
    /// -1 where nothing is to be moved.
    stdio: [RawFd; 3],
    /// -1 if there is none.
    ruleset: RawFd,
    filter: Option<libc::sock_fprog>,
    privileges: bool,
    without: Without,
    /// Whether its standard input is to be the terminal of its session.
    terminal: bool,
    /// Reserved, not filled: only what is used of it costs memory.
    stack: Vec<u8>,
}

/// What the command's own process shares with its supervisor.
struct Start<'a> {
    image: &'a Image,
    supervisor: c_long,
    /// The step that failed, -1 as long as none has, and its `errno`.
    failure: [AtomicI32; 2],
}

impl Image {
    pub(crate) fn new(plan: &Plan) -> Self {
        let Confinement { privileges, ruleset, filter, without, .. } = &plan.confinement;
        let raw = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        Self {
            candidates: null_terminated(&plan.candidates),
            argv: null_terminated(&plan.argv),
            env: null_terminated(&plan.env),
            cwd: plan.cwd.as_ptr(),
            stdio: plan.stdio.each_ref().map(raw),
            ruleset: raw(ruleset),
            filter: filter.map(Filter::program),
            privileges: *privileges,
            without: *without,
            terminal: plan.terminal,
            stack: Vec::with_capacity(STACK),
        }
    }

    /// Has a new process become the program. Returns its id and a pidfd when it has; else the step that
    /// failed, with `errno` set.
    ///
    /// # Safety
    /// Only in the supervisor, which has one thread, with the plan alive that this was made from.
    pub(crate) unsafe fn start(&self) -> Result<(c_int, c_int), (Stage, c_int)> {
        /// As for `vfork`: memory is shared, and the caller sleeps until that is over.
        const FLAGS: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the new process runs `enter` on a stack of its own, in memory that nobody else touches
        // while the caller sleeps, and what it is given lives until the caller wakes up.
        unsafe {
            let supervisor = call(libc::SYS_getpid, [0; 5]);
            let failure = [AtomicI32::new(-1), AtomicI32::new(0)];
            let start = Start { image: self, supervisor, failure };
            let top = self.stack.as_ptr().add(self.stack.capacity());
            let top = top.map_addr(|top| top & !0xf).cast_mut().cast::<c_void>();
            let mut pidfd: c_int = -1;
            let argument = (&raw const start).cast_mut().cast::<c_void>();
            let pid = libc::clone(enter, top, FLAGS, argument, &raw mut pidfd);
            if pid < 0 {
                return Err((Stage::Fork, errno()));
            }
            let [stage, errno] = start.failure.each_ref().map(|word| word.load(Ordering::Relaxed));
            match Stage::ALL.into_iter().find(|known| *known as i32 == stage) {
                Some(stage) => Err((stage, errno)),
                None => Ok((pid, pidfd)),
            }
        }
    }

    /// # Safety
    /// Only in the command's own process; so for all that follow.
    unsafe fn become_program(&self, supervisor: c_long) -> Result<Infallible, Stage> {
        // SAFETY: as the caller promises.
        unsafe {
            // At the least a group, which is what is killed at the end.
            let own = if self.without.keeps(Layer::Session) { libc::SYS_setsid } else { libc::SYS_setpgid };
            step(call(own, [0; 5]), Stage::Session)?;
            die_with(supervisor)?;
            self.place_descriptors()?;
            if self.terminal {
                let take = [0, libc::TIOCSCTTY as c_long, 0, 0, 0];
                step(call(libc::SYS_ioctl, take), Stage::Terminal)?;
            }
            step(call(libc::SYS_chdir, [address(self.cwd), 0, 0, 0, 0]), Stage::Cwd)?;
            limits(self.privileges)?;
            if self.without.keeps(Layer::Keyring) {
                new_session_keyring()?;
            }
            if self.privileges {
                drop_privileges(0)?;
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
            let mut first_unused = RULESET_FD;
            if self.ruleset >= 0 {
                let ruleset = [self.ruleset.into(), RULESET_FD, libc::O_CLOEXEC.into(), 0, 0];
                step(call(libc::SYS_dup3, ruleset), Stage::Descriptors)?;
                first_unused = RULESET_FD + 1;
            }
            if self.without.keeps(Layer::Descriptors) {
                step(call(libc::SYS_close_range, [first_unused, EVERYTHING, 0, 0, 0]), Stage::Descriptors)?;
            }
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
                match errno() {
                    libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV => {}
                    libc::EACCES => why = libc::EACCES,
                    other => {
                        why = other;
                        break;
                    }
                }
            }
        }
        set_errno(why);
        Err(Stage::Exec)
    }
}

fn null_terminated(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

extern "C" fn enter(start: *mut c_void) -> c_int {
    // SAFETY: `Image::start` passes a `Start`, and sleeps while this runs.
    unsafe {
        let Start { image, supervisor, failure } = &*start.cast::<Start<'_>>();
        let Err(stage) = image.become_program(*supervisor);
        let [failed, why] = failure;
        why.store(errno(), Ordering::Relaxed);
        failed.store(stage as i32, Ordering::Relaxed);
        loop {
            call(libc::SYS_exit_group, [127, 0, 0, 0, 0]);
        }
    }
}

/// Should the supervisor be killed, so is the program. If it was by now, no signal would come.
unsafe fn die_with(supervisor: c_long) -> Result<(), Stage> {
    let ask = [libc::PR_SET_PDEATHSIG.into(), libc::SIGKILL.into(), 0, 0, 0];
    // SAFETY: plain numbers.
    unsafe {
        step(call(libc::SYS_prctl, ask), Stage::ParentDeath)?;
        if call(libc::SYS_getppid, [0; 5]) == supervisor { Ok(()) } else { Err(Stage::ParentDeath) }
    }
}

/// No core dumps; and, in a sandbox, an end to forking. Root has no such end but that of its
/// [namespace](MOST_PROCESSES), and where users have none, all of a user's processes count.
unsafe fn limits(sandboxed: bool) -> Result<(), Stage> {
    let limit = |which: c_long, set: *const [u64; 2], get: *mut [u64; 2]| {
        // SAFETY: the kernel reads and writes whole structures, or nothing where there is a null pointer.
        let result = unsafe { call(libc::SYS_prlimit64, [0, which, address(set), address(get), 0]) };
        step(result, Stage::Limits)
    };
    limit(libc::RLIMIT_CORE as c_long, &[0; 2], ptr::null_mut())?;
    if sandboxed {
        let processes = libc::RLIMIT_NPROC as c_long;
        let mut present = [0; 2];
        limit(processes, ptr::null(), &raw mut present)?;
        limit(processes, &present.map(|limit| limit.min(MOST_PROCESSES)), ptr::null_mut())?;
    }
    Ok(())
}

/// The keys of the user's session are out of the command's sight. Where the call is missing or refused, by a
/// container's filter or a quota, our own filter still keeps a sandboxed command from naming any key.
unsafe fn new_session_keyring() -> Result<(), Stage> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for a new keyring.
    unsafe {
        let joined = call(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0]);
        if joined < 0 && matches!(errno(), libc::ENOSYS | libc::EPERM | libc::EDQUOT) {
            return Ok(());
        }
        step(joined, Stage::Keyring)
    }
}

/// No new privileges, of the ones there are at most those `kept` (a set of capabilities), and for root none
/// that an `execve` would give back.
pub(crate) unsafe fn drop_privileges(kept: u32) -> Result<(), Stage> {
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
        let mut sets = [0u32; 6];
        if kept != 0 {
            step(
                call(libc::SYS_capget, [address(HEADER.as_ptr()), address(sets.as_mut_ptr()), 0, 0, 0]),
                Stage::Capabilities,
            )?;
        }
        let [_, permitted, ..] = sets;
        let sets = [permitted & kept, permitted & kept, 0, 0, 0, 0];
        let set = [address(HEADER.as_ptr()), address(sets.as_ptr()), 0, 0, 0];
        step(call(libc::SYS_capset, set), Stage::Capabilities)
    }
}
