//! From the first moment of a process group to its last.

use std::{os::fd::OwnedFd, path::Path, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::io::AsyncReadExt;

use super::{program, run, sh};
use crate::{Child, Command, Exit, Input, Policy, Signal, spawn};

const LONG: Duration = Duration::from_secs(3600);

/// A process that is not our child, watched until it is gone.
struct Watched(OwnedFd);

impl Watched {
    fn new(pid: i32) -> Self {
        Self(pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).expect("it lives"))
    }

    async fn gone(self) {
        let wait = move || poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None).unwrap();
        tokio::task::spawn_blocking(wait).await.unwrap();
    }
}

/// Starts a script that begins by printing process ids on one line, and reads that line.
async fn start(script: &str) -> (Child, Vec<i32>) {
    start_command(sh(script)).await
}

/// The same in Python, for what a shell can not do without a race.
async fn start_python(script: &str) -> (Child, Vec<i32>) {
    let names = "SIG_BLOCK, SIG_DFL, SIG_IGN, SIGTERM, pause, pthread_sigmask, sigwait";
    let script = format!("import os, signal\nfrom signal import {names}\n{script}");
    start_command(program("python3", &["-c", &script])).await
}

async fn start_command(command: Command) -> (Child, Vec<i32>) {
    let mut child = spawn(&Policy::ReadOnly, command).await.unwrap();
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !line.ends_with(b"\n") {
        line.push(stdout.read_u8().await.expect("a line"));
    }
    let pids = String::from_utf8(line).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    (child, pids)
}

fn is_zombie_or_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

#[tokio::test]
async fn wait_is_repeatable_and_cancel_safe() {
    let mut child = spawn(&Policy::ReadOnly, sh("read line; exit 3")).await.unwrap();
    let mut piped =
        spawn(&Policy::ReadOnly, Command { input: Input::Pipe, ..sh("read line; exit 3") }).await.unwrap();
    assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
    assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
    let cancelled = tokio::time::timeout(Duration::ZERO, piped.wait()).await;
    assert!(cancelled.is_err(), "it waits for its input");
    drop(piped.stdin.take());
    assert_eq!(piped.wait().await.unwrap(), Exit::Code(3));
}

#[tokio::test]
async fn a_signal_reaches_the_whole_group() {
    let (mut child, pids) = start("sleep 1000 & echo $!; wait").await;
    let grandchild = Watched::new(pids[0]);
    child.signal(Signal::Interrupt);
    assert_eq!(child.wait().await.unwrap(), Exit::Signal(2));
    // A job in the background does not heed the first; the second reaches it although its leader has ended.
    child.signal(Signal::Kill);
    grandchild.gone().await;
}

#[tokio::test]
async fn dropping_ends_the_group_and_reaps() {
    let (child, pids) = start("sleep 1000 & echo $$ $!; wait").await;
    let (leader, grandchild) = (Watched::new(pids[0]), Watched::new(pids[1]));
    assert_eq!(child.id().cast_signed(), pids[0]);
    drop(child);
    leader.gone().await;
    grandchild.gone().await;
    // The leader was our child: it is gone from the process table too, or about to be.
    until(|| !Path::new(&format!("/proc/{}", pids[0])).exists()).await;
}

#[tokio::test]
async fn dropping_after_the_end_sweeps_up_what_the_leader_left() {
    let (mut child, pids) = start("sleep 1000 & echo $!").await;
    let left = Watched::new(pids[0]);
    assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
    assert!(!is_zombie_or_gone(pids[0]), "it may finish its work while its owner still looks");
    drop(child);
    left.gone().await;
}

#[tokio::test]
async fn dropping_a_spawn_that_is_under_way_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for polls in 0..40 {
        let started = dir.path().join(polls.to_string());
        let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", started.display());
        let mut spawning = Box::pin(spawn(&Policy::FullAccess, sh(&script)));
        for _ in 0..polls {
            if tokio::time::timeout(Duration::ZERO, &mut spawning).await.is_ok() {
                break;
            }
        }
        drop(spawning);
        if let Ok(pid) = std::fs::read_to_string(&started) {
            until(|| is_zombie_or_gone(pid.trim().parse().unwrap())).await;
        }
    }
}

#[tokio::test]
async fn terminate_asks_first() {
    let polite = "
pthread_sigmask(SIG_BLOCK, {SIGTERM})
print(os.getpid(), flush=True)
sigwait({SIGTERM})
print('leaving', flush=True)
os._exit(5)";
    let (mut child, _) = start_python(polite).await;
    child.terminate(LONG);
    assert_eq!(child.wait().await.unwrap(), Exit::Code(5));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "leaving\n");
}

#[tokio::test]
async fn terminate_kills_those_who_stay() {
    let deaf = "trap '' TERM; sleep 1000 & echo $$ $!; while :; do wait; done";
    let (mut child, pids) = start(deaf).await;
    let grandchild = Watched::new(pids[1]);
    child.terminate(Duration::from_millis(50));
    assert_eq!(child.wait().await.unwrap(), Exit::Signal(9));
    grandchild.gone().await;
}

#[tokio::test]
async fn terminate_kills_those_who_outstay_their_leader() {
    let deaf_child = "
signal.signal(SIGTERM, SIG_IGN)
pid = os.fork()
while pid == 0: pause()
signal.signal(SIGTERM, SIG_DFL)
print(os.getpid(), pid, flush=True)
while True: pause()";
    let (mut child, pids) = start_python(deaf_child).await;
    let left = Watched::new(pids[1]);
    child.terminate(Duration::from_millis(50));
    assert_eq!(child.wait().await.unwrap(), Exit::Signal(15));
    drop(child);
    left.gone().await;
}

#[tokio::test]
async fn the_command_dies_with_this_process_not_with_a_thread() {
    // A child asks to be killed when the thread that forked it ends. The runtime's threads end here, the
    // child not.
    let spawned = std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async { start("echo $$; exec sleep 1000").await })
    });
    let (child, pids) = spawned.join().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", pids[0])).unwrap();
    assert!(status.contains("State:\tS") || status.contains("State:\tR"), "{status}");
    drop(child);
    until(|| is_zombie_or_gone(pids[0])).await;
}

#[tokio::test]
async fn many_at_once_do_not_mix() {
    let mut running = tokio::task::JoinSet::new();
    for i in 0..64 {
        running.spawn(async move { (i, run(&Policy::ReadOnly, sh(&format!("echo {i}; exit {i}"))).await) });
    }
    while let Some(done) = running.join_next().await {
        let (i, output) = done.unwrap();
        assert_eq!(output, (Exit::Code(i), format!("{i}\n")));
    }
}

/// For what has no event to wait for. The time limit is that of the test runner.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
