//! From the first moment of a process group to its last.

use std::{os::fd::OwnedFd, path::Path, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::io::AsyncReadExt;

use super::{Weaken, finish, nothing, program, reduced, run, sh, spawn_weakened};
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
    start_command(&Policy::read_only(), nothing, sh(script)).await
}

/// The same in Python, for what a shell can not do without a race.
async fn start_python(script: &str) -> (Child, Vec<i32>) {
    start_python_under(&Policy::read_only(), nothing, script).await
}

async fn start_python_under(policy: &Policy, weaken: Weaken, script: &str) -> (Child, Vec<i32>) {
    let names = "SIG_BLOCK, SIG_DFL, SIG_IGN, SIGTERM, pause, pthread_sigmask, sigwait";
    let script = format!("import os, signal\nfrom signal import {names}\n{script}");
    start_command(policy, weaken, program("python3", &["-c", &script])).await
}

/// The ids are those that the processes have out here.
async fn start_command(policy: &Policy, weaken: Weaken, command: Command) -> (Child, Vec<i32>) {
    let mut child = spawn_weakened(policy, command, weaken).await.unwrap();
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !line.ends_with(b"\n") {
        line.push(stdout.read_u8().await.expect("a line"));
    }
    let line = String::from_utf8(line).unwrap();
    let pids = line.split_whitespace().map(|pid| outside(&child, pid)).collect();
    (child, pids)
}

/// The id out here of the process that has this id for the command.
fn outside(child: &Child, pid: &str) -> i32 {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    let theirs = namespace(&child.id().to_string());
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{name}/status")).unwrap_or_default();
        let ids = status.split("NSpid:").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if ids.split_whitespace().next_back() == Some(pid) && namespace(&name) == theirs {
            return name.parse().unwrap();
        }
    }
    panic!("no process {pid}")
}

fn is_zombie_or_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

#[tokio::test]
async fn wait_is_repeatable_and_cancel_safe() {
    let mut child = spawn(&Policy::read_only(), sh("read line; exit 3")).await.unwrap();
    let mut piped =
        spawn(&Policy::read_only(), Command { input: Input::Pipe, ..sh("read line; exit 3") }).await.unwrap();
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
    let deaf_child = "
signal.signal(signal.SIGINT, SIG_IGN)
pid = os.fork()
while pid == 0: pause()
signal.signal(signal.SIGINT, SIG_DFL)
print(pid, flush=True)
while True: pause()";
    let (mut child, pids) = start_python(deaf_child).await;
    let left = Watched::new(pids[0]);
    child.signal(Signal::Interrupt);
    assert_eq!(child.wait().await.unwrap(), Exit::Signal(2));
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

/// What leaves the group, the session and its parent: only the tree still knows it.
const DAEMON: &str = "
signal.signal(signal.SIGINT, SIG_DFL)
pid = os.getpid()
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.write(w, b'%d' % os.getpid())
    else: os._exit(0)
    while True: pause()
print(pid, os.read(r, 99).decode(), flush=True)";

const LEVELS: [(Policy, Weaken); 3] =
    [(Policy::read_only(), nothing), (Policy::read_only(), reduced), (Policy::FullAccess, nothing)];

#[tokio::test]
async fn dropping_ends_daemons() {
    for (policy, weaken) in LEVELS {
        let (child, pids) =
            start_python_under(&policy, weaken, &format!("{DAEMON}\nwhile True: pause()")).await;
        let daemon = Watched::new(pids[1]);
        drop(child);
        daemon.gone().await;
    }
}

#[tokio::test]
async fn a_daemon_may_work_on_until_its_tree_is_ended() {
    for (policy, weaken) in LEVELS {
        let (mut child, pids) = start_python_under(&policy, weaken, &format!("{DAEMON}\npause()")).await;
        let daemon = Watched::new(pids[1]);
        child.signal(Signal::Interrupt);
        assert_eq!(child.wait().await.unwrap(), Exit::Signal(2));
        assert!(!is_zombie_or_gone(pids[1]));
        child.terminate(Duration::from_millis(50));
        assert_eq!(child.wait().await.unwrap(), Exit::Signal(2));
        daemon.gone().await;
    }
}

#[tokio::test]
async fn killing_ends_the_tree_and_says_so() {
    for (policy, weaken) in LEVELS {
        let (mut child, pids) =
            start_python_under(&policy, weaken, &format!("{DAEMON}\nwhile True: pause()")).await;
        let daemon = Watched::new(pids[1]);
        child.signal(Signal::Kill);
        assert_eq!(child.wait().await.unwrap(), Exit::Signal(9));
        daemon.gone().await;
    }
}

#[tokio::test]
async fn orphans_are_reaped_while_the_command_runs() {
    let orphans = "
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
print(os.getpid(), flush=True)
while True: pause()";
    for (policy, weaken) in LEVELS {
        let (child, pids) = start_python_under(&policy, weaken, orphans).await;
        let supervisor = parent_of(pids[0]);
        let children = format!("/proc/{supervisor}/task/{supervisor}/children");
        until(|| std::fs::read_to_string(&children).unwrap() == format!("{} ", pids[0])).await;
        drop(child);
    }
}

fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.split("PPid:\t").nth(1).unwrap().lines().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_exit_and_each_signal_comes_through() {
    for (policy, weaken) in LEVELS {
        let run = |script: String| {
            let policy = policy.clone();
            async move { finish(spawn_weakened(&policy, sh(&script), weaken).await.unwrap()).await.0 }
        };
        for code in [0, 1, 2, 126, 127, 128, 137, 255] {
            assert_eq!(run(format!("exit {code}")).await, Exit::Code(code));
        }
        for signal in [1, 2, 3, 6, 9, 11, 13, 15, 31, 64] {
            assert_eq!(run(format!("kill -{signal} $$")).await, Exit::Signal(signal));
        }
    }
}

#[tokio::test]
async fn a_supervisor_keeps_nothing_of_this_process() {
    let ballast = std::hint::black_box(vec![1u8; 64 << 20]);
    let (child, pids) = start("echo $$; exec sleep 1000").await;
    let parent = parent_of(pids[0]);
    let resident = || {
        let statm = std::fs::read_to_string(format!("/proc/{parent}/statm")).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    until(|| resident() < ballast.len() / 4).await;
    drop(child);
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
        running
            .spawn(async move { (i, run(&Policy::read_only(), sh(&format!("echo {i}; exit {i}"))).await) });
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
