//! The one thread that starts every command, and sees the dismissed ones to their end.
//!
//! It is one thread because a command asks to be killed when its parent dies, and for the kernel the parent
//! is the *thread* that forked: a worker of an async runtime may end at any time, this thread lives as long
//! as the process. It forks with all signals blocked, so that no handler of this process ever runs in a
//! half-made child.
#![cfg(target_os = "linux")]

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread,
    time::Instant,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec},
    fs::OFlags,
    pipe::{PipeFlags, pipe_with},
};
use tokio::sync::oneshot;

use crate::{
    command::Signal,
    error::{SpawnError, Stage},
    exec,
    plan::Plan,
    process::{Burial, Owner, Process},
    supervisor,
};

struct Start {
    plan: Plan,
    reply: oneshot::Sender<Result<Owner, SpawnError>>,
}

enum Request {
    Start(Box<Start>),
    Bury(Burial),
}

struct Spawner {
    requests: Sender<Request>,
    bell: Arc<OwnedFd>,
}

/// Forks a supervisor that carries out `plan`. It has not come far when this returns: read what it tells.
pub(crate) async fn start(plan: Plan) -> Result<Owner, SpawnError> {
    let gone = || failed(Stage::Spawner)(io::Error::other("it has ended"));
    let (reply, answer) = oneshot::channel();
    let spawner = spawner().map_err(failed(Stage::Spawner))?;
    spawner.send(Request::Start(Box::new(Start { plan, reply }))).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Sees a tree to its end. Returns at once.
pub(crate) fn bury(burial: Burial) {
    let burial = match spawner().map(|spawner| spawner.send(Request::Bury(burial))) {
        Ok(Ok(())) => return,
        Ok(Err(Request::Bury(burial))) => burial,
        // There can be no process without the thread that forked it.
        Ok(Err(Request::Start(_))) | Err(_) => return,
    };
    burial.process.signal(Signal::Kill);
    burial.process.reap();
}

fn failed(stage: Stage) -> impl Fn(io::Error) -> SpawnError {
    move |source| SpawnError::Setup { stage, source }
}

fn spawner() -> io::Result<&'static Spawner> {
    static SPAWNER: OnceLock<Spawner> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    // One at a time, and a failure is not kept: when there are threads to be had again, this works again.
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    match SPAWNER.get() {
        Some(spawner) => Ok(spawner),
        None => Spawner::new().map(|spawner| SPAWNER.get_or_init(|| spawner)),
    }
}

impl Spawner {
    fn new() -> io::Result<Self> {
        let bell = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (requests, inbox) = mpsc::channel();
        let heard = Arc::clone(&bell);
        thread::Builder::new().name("sandbox".to_owned()).spawn(move || run(&inbox, &heard))?;
        Ok(Self { requests, bell })
    }

    fn send(&self, request: Request) -> Result<(), Request> {
        self.requests.send(request).map_err(|returned| returned.0)?;
        // It can only be full of rings that are not heard yet.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        Ok(())
    }
}

fn run(inbox: &Receiver<Request>, bell: &OwnedFd) {
    supervisor::block_signals();
    let mut burials: Vec<Burial> = Vec::new();
    loop {
        // The bell is silenced before the inbox is emptied, so that no ring is lost in between.
        let _ = rustix::io::read(bell, &mut [0; 8]);
        loop {
            match inbox.try_recv() {
                // If the reply is not wanted any more, it is dropped here, and the child killed.
                Ok(Request::Start(start)) => drop(start.reply.send(fork(&start.plan))),
                Ok(Request::Bury(burial)) => burials.push(burial),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let now = Instant::now();
        burials.retain_mut(|burial| !burial.tend(now));
        sleep(bell, &burials);
    }
}

/// Until the bell rings, a supervisor ends, or a deadline is reached.
fn sleep(bell: &OwnedFd, burials: &[Burial]) {
    let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
    fds.extend(burials.iter().filter_map(Burial::end).map(|end| PollFd::new(end, PollFlags::IN)));
    let rest =
        burials.iter().filter_map(Burial::due).min().map(|due| due.saturating_duration_since(Instant::now()));
    let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
    // An error is a signal, or memory that is short: the loop looks at everything again anyway.
    let _ = rustix::event::poll(&mut fds, rest.as_ref());
}

fn fork(plan: &Plan) -> Result<Owner, SpawnError> {
    let (reading, writing) = status_pipe().map_err(failed(Stage::Pipes))?;
    let supervisor =
        supervisor::fork(plan, &writing).map_err(|(stage, source)| SpawnError::Setup { stage, source })?;
    Ok(Owner::new(Process::new(supervisor, reading)))
}

fn status_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reading, OFlags::NONBLOCK)?;
    Ok((reading, exec::out_of_the_way(writing)?))
}
