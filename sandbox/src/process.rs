//! A command's tree of processes as seen from here, from its first moment to its last: through its supervisor.
//!
//! No process of the tree is named by its number here, since numbers are used again. The supervisor is named
//! by a pidfd, and knows the others.
#![cfg(target_os = "linux")]

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rustix::{
    io::Errno,
    process::{WaitId, WaitIdOptions},
};

use crate::{
    command::{Exit, Signal},
    error::Stage,
    spawner,
    status::{self, MESSAGE, Message},
    supervisor::{self, Handle},
};

/// A command and its supervisor.
#[derive(Debug)]
pub(crate) struct Process {
    supervisor: Handle,
    /// Where the supervisor tells what becomes of the command. Reading it does not wait.
    status: OwnedFd,
    fate: Mutex<Fate>,
}

#[derive(Debug, Default)]
struct Fate {
    /// As the supervisor knows it.
    id: u32,
    exit: Option<Exit>,
    reaped: bool,
}

impl Process {
    pub(crate) fn new(supervisor: Handle, status: OwnedFd) -> Self {
        Self { supervisor, status, fate: Mutex::default() }
    }

    /// Of the command's own process; 0 before it has [started](Self::started).
    ///
    /// Where the supervisor gives out process ids of its own, the system is asked which one is meant. If it
    /// does not tell, perhaps because the command has ended, this is the id of the supervisor, which stands
    /// for the command as well.
    pub(crate) fn id(&self) -> u32 {
        let id = self.fate().id;
        if self.supervisor.numbers && id != 0 { self.outside(id) } else { id }
    }

    fn outside(&self, inside: u32) -> u32 {
        let pid = self.supervisor.pid.as_raw_pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let is_it = |child: &&str| {
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            ids.split_whitespace().next_back().and_then(|id| id.parse().ok()) == Some(inside)
        };
        let found = children.split_whitespace().find(is_it).and_then(|child| child.parse().ok());
        found.unwrap_or(pid.unsigned_abs())
    }

    /// Whether the command runs, if that is known by now; with the step that failed, if it does not.
    pub(crate) fn started(&self) -> io::Result<Option<Result<(), (Stage, io::Error)>>> {
        let killed = || io::Error::other("its supervisor was killed");
        Ok(match self.read()? {
            None => None,
            Some(Some(Message::Started(id))) => {
                self.fate().id = id;
                Some(Ok(()))
            }
            Some(Some(Message::Failed(stage, source))) => Some(Err((stage, source))),
            Some(Some(Message::Ended(_)) | None) => Some(Err((Stage::Supervisor, killed()))),
        })
    }

    /// How the command ended, if it has.
    pub(crate) fn exit(&self) -> io::Result<Option<Exit>> {
        let mut fate = self.fate();
        if fate.exit.is_none() {
            fate.exit = self.read()?.map(|message| match message {
                Some(Message::Ended(exit)) => exit,
                // Whoever kills the supervisor kills the command too.
                _ => Exit::Signal(libc::SIGKILL),
            });
        }
        Ok(fate.exit)
    }

    /// The next message, if there is one, or that there will be none.
    fn read(&self) -> io::Result<Option<Option<Message>>> {
        let mut bytes = [0; MESSAGE];
        match rustix::io::read(&self.status, &mut bytes) {
            Ok(MESSAGE) => Ok(Some(status::read(bytes))),
            Ok(_) => Ok(Some(None)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Frees the supervisor's entry in the process table, if it has ended; then nothing is left of the tree.
    /// Returns whether that has been done.
    pub(crate) fn reap(&self) -> bool {
        let mut fate = self.fate();
        if !fate.reaped {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let status = rustix::process::waitid(WaitId::PidFd(self.supervisor.pidfd.as_fd()), options);
            // An error means that there is nothing (left) to reap.
            fate.reaped = !matches!(status, Ok(None));
        }
        fate.reaped
    }

    /// Sends a signal to every process of the command's group, and [`Signal::Kill`] to the whole tree; nothing
    /// happens if there is none.
    pub(crate) fn signal(&self, signal: Signal) {
        supervisor::signal(
            &self.supervisor.pidfd,
            match signal {
                Signal::Hangup => libc::SIGHUP,
                Signal::Interrupt => libc::SIGINT,
                Signal::Terminate => libc::SIGTERM,
                Signal::Kill => supervisor::END,
            },
        );
    }

    /// Whether its supervisor is still to end.
    fn lives(&self) -> bool {
        !self.fate().reaped
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status pipe: readable when the command has started, and when it has ended.
impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.status.as_raw_fd()
    }
}

/// The owner of a process. Dropped before it was [released](Self::release), it kills the tree.
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

    /// Gives the tree time until `deadline` to end by itself; the spawner's thread sees to the rest.
    pub(crate) fn release(&mut self, deadline: Instant) {
        self.released = true;
        spawner::bury(Burial { process: Arc::clone(&self.process), deadline, killed: false });
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.released && !self.process.reap() {
            self.process.signal(Signal::Kill);
            self.release(Instant::now());
        }
    }
}

/// A tree that is to end by itself until a deadline, and then will be ended.
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
            self.process.signal(Signal::Kill);
            self.killed = true;
        }
        self.process.reap()
    }

    /// When to look again at the latest, whatever happens to the supervisor.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.killed).then_some(self.deadline)
    }

    /// Readable once the supervisor has ended, as long as that is still to be waited for.
    pub(crate) fn end(&self) -> Option<&OwnedFd> {
        self.process.lives().then_some(&self.process.supervisor.pidfd)
    }
}
