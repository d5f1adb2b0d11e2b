//! A running command, as its owner holds it.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "the runtime wants a promise about the descriptor that it watches")]

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    net::unix::pipe,
};

use crate::{
    appeared::Watch,
    command::{Exit, Signal},
    error::Stage,
    process::{Owner, Process},
    terminal::Terminal,
};

/// A running command. It leads its own session and process group.
///
/// Its tree is everything that it has started, directly or not, and also what has left its group to become a
/// daemon. The tree does not outlive its owner: dropping this ends what is left of it, at once, with `SIGKILL`
/// and without leaving a zombie, and so does the end of this process, if it is killed too. To let a command go
/// more gently, call [`terminate`](Self::terminate) first.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, if [`Input::Pipe`](crate::Input::Pipe).
    pub stdin: Option<pipe::Sender>,
    /// Its standard output, if that is a pipe; merged with its standard error if
    /// [`Output::Merged`](crate::Output::Merged).
    pub stdout: Option<pipe::Receiver>,
    /// Its standard error, if [`Output::Separate`](crate::Output::Separate).
    pub stderr: Option<pipe::Receiver>,
    /// Its terminal, if [`Output::Terminal`](crate::Output::Terminal).
    pub terminal: Option<Terminal>,
    pub(crate) watch: Watch,
    // Before the owner: the runtime lets go of the pipe before the process does.
    status: AsyncFd<Arc<Process>>,
    owner: Owner,
}

impl Child {
    /// Needs a tokio runtime, whose reactor watches the status pipe.
    pub(crate) fn new(owner: Owner) -> io::Result<Self> {
        let process = Arc::clone(owner.process());
        // SAFETY: a process owns its pipe, never replaces it, and lives as long as this reference to it.
        let status = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?;
        Ok(Self {
            stdin: None,
            stdout: None,
            stderr: None,
            terminal: None,
            watch: Watch::default(),
            status,
            owner,
        })
    }

    /// Waits until it is known whether it runs; if not, with the step that failed.
    pub(crate) async fn started(&mut self) -> io::Result<Result<(), (Stage, io::Error)>> {
        loop {
            if let Some(started) = self.owner.process().started()? {
                return Ok(started);
            }
            self.status.readable().await?.clear_ready();
        }
    }

    /// Its process id, and that of its group.
    pub fn id(&self) -> u32 {
        self.owner.process().id()
    }

    /// The [protected](crate::Rules::writable_roots) names that did not exist when it was started, and do now.
    /// Ask when it has ended, and obey nothing that they hold without asking the user: the
    /// [reduced level](crate::Level::Reduced) does not keep them from being made, and no level keeps a
    /// command from making a repository where there is none.
    pub fn appeared(&self) -> Vec<PathBuf> {
        self.watch.appeared()
    }

    /// Waits until it has ended; processes that it started may still run. Can be cancelled and called again,
    /// and gives the same answer each time.
    ///
    /// # Errors
    /// If the system does not tell.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.owner.process().exit()? {
                return Ok(exit);
            }
            self.status.readable().await?.clear_ready();
        }
    }

    /// Sends a signal to its whole process group, and [`Signal::Kill`] to its whole tree. To one that has ended,
    /// nothing happens.
    pub fn signal(&self, signal: Signal) {
        self.owner.process().signal(signal);
    }

    /// Asks the whole group to leave, now, and kills what is left of the tree after `grace`. Returns at once; the
    /// rest happens in the background, also if the child is dropped. [`wait`](Self::wait) goes on to work.
    pub fn terminate(&mut self, grace: Duration) {
        self.signal(Signal::Terminate);
        let now = Instant::now();
        self.owner.release(now.checked_add(grace).unwrap_or(now));
    }
}
