//! A process that we started and its group, from its first moment to its last.
//!
//! The group is named by a number, and numbers are used again. That is harmless while its leader exists, dead
//! or alive: so [`Process::exit`] looks at a dead leader without reaping it, and the one who reaps is the one
//! who is done with the group. After that only the pidfd names it, and newer kernels take it for a whole group.
#![cfg(target_os = "linux")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, WaitIdStatus},
};

use crate::{
    command::{Exit, Signal},
    exec, spawner,
};

/// A process that leads its own group, by descriptor and by number.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    fate: Mutex<Fate>,
}

#[derive(Debug, Default)]
struct Fate {
    exit: Option<Exit>,
    reaped: bool,
}

impl Process {
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, fate: Mutex::default() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> io::Result<Option<Exit>> {
        self.look(&mut self.fate(), WaitIdOptions::NOWAIT)
    }

    /// Frees its entry in the process table, if it has ended. Returns whether that has been done.
    pub(crate) fn reap(&self) -> bool {
        let mut fate = self.fate();
        if !fate.reaped {
            // An error means that there is nothing (left) to reap.
            fate.reaped = !matches!(self.look(&mut fate, WaitIdOptions::empty()), Ok(None));
        }
        fate.reaped
    }

    fn look(&self, fate: &mut Fate, how: WaitIdOptions) -> io::Result<Option<Exit>> {
        let reaping = !how.contains(WaitIdOptions::NOWAIT);
        if fate.reaped || (fate.exit.is_some() && !reaping) {
            return Ok(fate.exit);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | how;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        fate.exit = status.as_ref().and_then(ending).or(fate.exit);
        Ok(status.and(fate.exit))
    }

    /// Sends a signal to every process of the group; nothing happens if there is none.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let raw = number(signal);
        let fate = self.fate();
        if fate.reaped {
            // EINVAL: a kernel before 6.9. `Burial` does not reap early there.
            let _ = exec::pidfd_signal_group(self.pidfd.as_fd(), raw.as_raw());
        } else {
            let _ = rustix::process::kill_process_group(self.pid, raw);
        }
    }

    /// Ends the group, and the process itself even if it has not come so far as to lead a group.
    pub(crate) fn kill(&self) {
        self.signal_group(Signal::Kill);
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    /// Whether the group can be named after its leader is reaped, and is empty by now.
    fn group_by_pidfd(&self) -> ByPidfd {
        match exec::pidfd_signal_group(self.pidfd.as_fd(), 0) {
            Ok(()) | Err(Errno::PERM) => ByPidfd::Members,
            Err(Errno::SRCH) => ByPidfd::Empty,
            Err(_) => ByPidfd::Unknown,
        }
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(PartialEq, Eq)]
enum ByPidfd {
    Members,
    Empty,
    Unknown,
}

/// The pidfd: readable once the process has ended, and from then on.
impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn ending(status: &WaitIdStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}

fn number(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Hangup => rustix::process::Signal::HUP,
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    }
}

/// The owner of a process. Dropped before it was [released](Self::release), it kills the group.
#[derive(Debug)]
pub(crate) struct Owner {
    process: Arc<Process>,
    released: bool,
}

impl Owner {
    pub(crate) fn new(process: Process) -> Self {
        Self { process: Arc::new(process), released: false }
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Gives the group time until `deadline` to end by itself; the spawner's thread sees to the rest.
    pub(crate) fn release(&mut self, deadline: Instant) {
        self.released = true;
        spawner::bury(Burial { process: Arc::clone(&self.process), deadline, killed: false });
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.released {
            self.process.kill();
            if !self.process.reap() {
                self.release(Instant::now());
            }
        }
    }
}

/// A group that is to end by itself until a deadline, and then will be ended.
#[derive(Debug)]
pub(crate) struct Burial {
    pub(crate) process: Arc<Process>,
    deadline: Instant,
    killed: bool,
}

impl Burial {
    /// Does what is due. Returns whether nothing is left to do.
    pub(crate) fn tend(&mut self, now: Instant) -> bool {
        if !self.killed && now >= self.deadline {
            self.process.kill();
            self.killed = true;
        }
        if matches!(self.process.exit(), Ok(None)) {
            return false;
        }
        let group = self.process.group_by_pidfd();
        if !self.killed && group == ByPidfd::Unknown {
            // Once its leader is reaped, this kernel has no safe name for the group: its time is over now.
            self.process.kill();
            self.killed = true;
        }
        self.process.reap() && (self.killed || self.process.group_by_pidfd() == ByPidfd::Empty)
    }

    /// When to look again at the latest, whatever happens to the leader.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.killed).then_some(self.deadline)
    }

    /// Whether the end of the leader is still to come.
    pub(crate) fn leader_lives(&self) -> bool {
        !self.process.fate().reaped
    }
}
