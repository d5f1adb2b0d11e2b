//! The forked process that starts a command and sees its whole tree to the end.
//!
//! A process group is not a tree: `setsid` leaves it, and a double fork leaves the parent too. So the command
//! is started by a process of our own that is told of every orphan below it (it is their "subreaper"), and
//! that lives until the last of them is gone. It forwards signals to the command's group, tells over the
//! [status pipe](crate::status) how the command ended, reaps, and kills what is left of the tree when it is
//! told to, or when the process that made it ends, however that comes about.
//!
//! It is a fork, never an `execve`, and has one thread: below [`fork`] nothing allocates, locks, or can panic.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a forked process that only makes raw system calls has no safe form")]

use std::{
    mem,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

use libc::{c_int, c_long};

use crate::{
    error::Stage,
    exec::{self, FIRST_FREE_FD, Image},
    namespaces::StandIns,
    status::{self},
    syscall::{KERNEL_SIGSET, address, call, errno, step},
    without::Layer,
};

mod birth;
mod tree;

use self::birth::Birth;
pub(crate) use self::birth::{Handle, fork, rehearse};

/// Sent to a supervisor, ends the tree: the last of the real-time signals, which nobody sends by accident.
pub(crate) const END: c_int = 64;

/// What a supervisor passes on to the command's group.
const FORWARDED: [c_int; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGWINCH,
];

/// The descriptors of a supervisor once its command runs, and it has none else.
const STATUS_FD: c_int = 3;
const SIGNALS_FD: c_int = 4;
const LEADER_FD: c_int = 5;

const CLOEXEC: c_long = libc::O_CLOEXEC as c_long;

/// Blocks all signals in the calling thread, which is to do nothing but fork. Also undoes an ignored SIGCHLD
/// that this process may have been started with: the kernel would throw every exit status away.
pub(crate) fn block_signals() {
    // SAFETY: the calls get pointers to initialised values on this stack. No other thread can be between
    // reading and writing the disposition of SIGCHLD: nothing else in this process sets it to "ignore".
    unsafe {
        block_all();
        let mut action: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
        {
            action.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut());
        }
    }
}

/// Blocks all signals in the calling thread. Returns those that were blocked before.
///
/// # Safety
/// Other code of this thread does without signals from now on.
unsafe fn block_all() -> libc::sigset_t {
    // SAFETY: pointers to values on this stack.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        before
    }
}

/// Sends a signal to a supervisor. To one that has ended, nothing happens.
pub(crate) fn signal(supervisor: &OwnedFd, signal: c_int) {
    let (fd, info) = (c_long::from(supervisor.as_raw_fd()), ptr::null::<libc::siginfo_t>());
    // SAFETY: the descriptor is open, and no siginfo is passed.
    unsafe { call(libc::SYS_pidfd_send_signal, [fd, signal.into(), address(info), 0, 0]) };
}

/// The whole life of a supervisor.
///
/// # Safety
/// Only in a freshly forked child, with the plan alive that the image was made from; so for all that follow.
unsafe fn run(birth: &Birth<'_>, image: &Image) -> ! {
    // SAFETY: as the caller promises. Nothing of the child is left to be unwound.
    unsafe {
        let mut stand_ins = StandIns::new();
        let prepared = prepare(birth, &mut stand_ins).map_err(|stage| (stage, errno()));
        let leader = match prepared.and_then(|()| image.start()) {
            Ok((leader, pidfd)) => {
                tell(STATUS_FD.into(), status::started(leader));
                place(pidfd, LEADER_FD);
                leader
            }
            Err((stage, errno)) => {
                stand_ins.remove();
                tell(birth.status.into(), status::failed(stage, errno));
                exit()
            }
        };
        let alone = birth.namespaces.is_some();
        retire(alone, &stand_ins);
        let stand_ins = &mut stand_ins;
        Supervisor { leader, alone, ending: None, reaped: false, settled: false, stand_ins }.supervise()
    }
}

unsafe fn prepare(birth: &Birth<'_>, stand_ins: &mut StandIns) -> Result<(), Stage> {
    let status = birth.status;
    // SAFETY: plain numbers, and a set of the kernel's size.
    unsafe {
        // Out of the terminal's reach: what is typed there is meant for others.
        if birth.without.keeps(Layer::Session) {
            step(call(libc::SYS_setsid, [0; 5]), Stage::Session)?;
        }
        default_signals();
        adopt(birth)?;
        // Room for what the supervisor opens. The plan's descriptors lie above.
        let room = [STATUS_FD.into(), c_long::from(FIRST_FREE_FD) - 1, 0, 0, 0];
        step(call(libc::SYS_close_range, room), Stage::Descriptors)?;
        step(call(libc::SYS_dup3, [status.into(), STATUS_FD.into(), CLOEXEC, 0, 0]), Stage::Descriptors)?;
        let mut set = bit(libc::SIGCHLD) | bit(END);
        for signal in FORWARDED {
            set |= bit(signal);
        }
        let listen = [-1, address(&raw const set), KERNEL_SIGSET, CLOEXEC, 0];
        let fd = call(libc::SYS_signalfd4, listen);
        step(fd, Stage::Supervisor)?;
        place(fd as c_int, SIGNALS_FD);
        match birth.namespaces {
            Some(namespaces) => namespaces.enter(birth.ruleset, stand_ins),
            None => Ok(()),
        }
    }
}

/// Sees to it that this process ends when its parent does, and that no descendant of it gets away. The
/// thread that forked it lives as long as its process. If that has ended by now, no signal comes: then the
/// parent is another one, or the status pipe, which is looked at later, has no reader.
unsafe fn adopt(birth: &Birth<'_>) -> Result<(), Stage> {
    // SAFETY: plain numbers.
    unsafe {
        let die = [libc::PR_SET_PDEATHSIG.into(), END.into(), 0, 0, 0];
        step(call(libc::SYS_prctl, die), Stage::ParentDeath)?;
        if birth.namespaces.is_some() {
            // It is the first of its process ids: when it ends, the kernel kills all others. Its parent has
            // none in here.
            return Ok(());
        }
        if call(libc::SYS_getppid, [0; 5]) != birth.parent {
            return Err(Stage::ParentDeath);
        }
        step(call(libc::SYS_prctl, [libc::PR_SET_CHILD_SUBREAPER.into(), 1, 0, 0, 0]), Stage::Supervisor)
    }
}

/// Handlers of this process mean nothing in its children, and what this process ignores (SIGPIPE, as every
/// Rust program does) the program would go on ignoring. SIGKILL and SIGSTOP refuse, which is right.
unsafe fn default_signals() {
    // The kernel's `struct sigaction`, all zero: default handler, no flags, empty mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is as large as the kernel's on every 64-bit machine.
        unsafe { call(libc::SYS_rt_sigaction, [signal, address(default.as_ptr()), 0, KERNEL_SIGSET, 0]) };
    }
}

/// The command runs: lets go of all that was only needed to start it, its streams above all, which must end
/// when it ends them.
unsafe fn retire(alone: bool, stand_ins: &StandIns) {
    /// To unmount, and to remove a name from a directory whoever owns it.
    const REMOVAL: u32 = 1 << 21 | 1 << 1 | 1 << 3;
    // SAFETY: plain numbers and a string; nothing here owns a descriptor or uses what is let go of.
    unsafe {
        call(libc::SYS_close_range, [0, 2, 0, 0, 0]);
        stand_ins.close_others(LEADER_FD + 1);
        call(libc::SYS_chdir, [address(c"/".as_ptr()), 0, 0, 0, 0]);
        if alone {
            // Its capabilities were for making the namespaces. If they stay, so does what they could be used for.
            let _ = exec::drop_privileges(if stand_ins.is_empty() { 0 } else { REMOVAL });
        }
        call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 0, 0, 0, 0]);
    }
}

/// A supervisor at its work.
struct Supervisor<'a> {
    /// The command's own process, which leads its group.
    leader: c_int,
    /// Whether nobody has process ids here but this process and its tree.
    alone: bool,
    reaped: bool,
    /// How the leader ended, as long as that is not told.
    ending: Option<[u32; 3]>,
    /// Whether the command has been running for a while.
    settled: bool,
    /// What has to be removed in the end.
    stand_ins: &'a mut StandIns,
}

impl Supervisor<'_> {
    unsafe fn supervise(mut self) -> ! {
        // SAFETY: the arrays are those that the calls expect.
        unsafe {
            loop {
                let mut fds = [
                    libc::pollfd { fd: SIGNALS_FD, events: libc::POLLIN, revents: 0 },
                    // No event but the one that is always told: nobody reads this any more.
                    libc::pollfd { fd: STATUS_FD, events: 0, revents: 0 },
                ];
                let a_while = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                let at_most = if self.settled { ptr::null() } else { &raw const a_while };
                let heard = call(libc::SYS_ppoll, [address(fds.as_mut_ptr()), 2, address(at_most), 0, 0]);
                if heard == 0 && !self.settled {
                    // Not worth it for the many that end at once.
                    tree::forget_memory();
                    self.settled = true;
                }
                let [signals, lifeline] = fds;
                if lifeline.revents != 0 {
                    self.end();
                }
                if signals.revents != 0 {
                    self.hear();
                }
            }
        }
    }

    unsafe fn hear(&mut self) {
        // SAFETY: the buffer is a whole structure.
        unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>() as c_long;
            if call(libc::SYS_read, [SIGNALS_FD.into(), address(&raw mut info), size, 0, 0]) != size {
                return;
            }
            match info.ssi_signo.cast_signed() {
                libc::SIGCHLD => {
                    while self.reap(libc::WNOHANG) {}
                    self.announce();
                }
                END => self.end(),
                signal => self.forward(signal),
            }
        }
    }

    /// Reaps one child, whoever it was a child of at first. Without children, there is nothing left to do.
    /// Returns whether there may be more to reap.
    unsafe fn reap(&mut self, how: c_int) -> bool {
        // SAFETY: the kernel fills in the structure, of which it leaves everything zero if nobody has ended.
        unsafe {
            let mut info: libc::siginfo_t = mem::zeroed();
            let options = c_long::from(libc::WEXITED | how);
            let wait = [libc::P_ALL as c_long, 0, address(&raw mut info), options, 0];
            if call(libc::SYS_waitid, wait) < 0 {
                if errno() == libc::ECHILD {
                    self.leave();
                }
                return false;
            }
            if info.si_pid() == self.leader && !self.reaped {
                self.reaped = true;
                self.ending = Some(match info.si_code {
                    libc::CLD_EXITED => status::exited(info.si_status()),
                    _ => status::signalled(info.si_status()),
                });
            }
            info.si_pid() != 0
        }
    }

    /// Tells how the leader ended.
    unsafe fn announce(&mut self) {
        if let Some(ending) = self.ending.take() {
            // SAFETY: plain numbers.
            unsafe { tell(STATUS_FD.into(), ending) };
        }
    }

    /// Nobody is left. Who is told so finds the workspace as it was.
    unsafe fn leave(&mut self) -> ! {
        // SAFETY: the tree has ended, so nothing relies on what is removed.
        unsafe {
            self.stand_ins.remove();
            self.announce();
            exit()
        }
    }

    /// To every process of the command's group.
    unsafe fn forward(&self, signal: c_int) {
        const TO_THE_GROUP: c_long = 1 << 2;
        // SAFETY: plain numbers, and no siginfo is passed.
        unsafe {
            let to_the_group = [LEADER_FD.into(), signal.into(), 0, TO_THE_GROUP, 0];
            let sent = call(libc::SYS_pidfd_send_signal, to_the_group);
            // A kernel before 6.9 knows a group only by its number. While its leader is not reaped, that
            // number is not used again.
            if sent < 0 && errno() == libc::EINVAL && !self.reaped {
                call(libc::SYS_kill, [-c_long::from(self.leader), signal.into(), 0, 0, 0]);
            }
        }
    }

    /// Kills the tree, and sees it to its end.
    unsafe fn end(&mut self) -> ! {
        // SAFETY: as for each of the calls.
        unsafe {
            self.forward(libc::SIGKILL);
            loop {
                // Whoever is killed here leaves us their children, before `reap` is told of their end.
                if self.alone {
                    tree::kill_everyone();
                } else if !tree::kill_children() {
                    exit();
                }
                // All that have ended: while one is reaped at a time, others fork.
                self.reap(0);
                while self.reap(libc::WNOHANG) {}
                self.announce();
            }
        }
    }
}

unsafe fn tell(status: c_long, message: [u32; 3]) {
    // SAFETY: the message lives across the call. If nobody reads it any more, that is noticed elsewhere.
    unsafe { call(libc::SYS_write, [status, address(message.as_ptr()), status::MESSAGE as c_long, 0, 0]) };
}

/// Moves a descriptor, which nothing else knows of, to this number.
unsafe fn place(fd: c_int, number: c_int) {
    if fd != number {
        // SAFETY: plain numbers.
        unsafe {
            call(libc::SYS_dup3, [fd.into(), number.into(), CLOEXEC, 0, 0]);
            call(libc::SYS_close, [fd.into(), 0, 0, 0, 0]);
        }
    }
}

/// The bit of a signal in the kernel's sets.
const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

unsafe fn exit() -> ! {
    // SAFETY: a plain number.
    unsafe {
        loop {
            call(libc::SYS_exit_group, [0; 5]);
        }
    }
}
