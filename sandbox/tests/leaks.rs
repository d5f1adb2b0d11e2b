//! Nothing stays behind. The only test of its process, since it counts what the process has.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::{
    fs,
    time::{Duration, Instant},
};

use sandbox::{Command, Input, Output, Policy, spawn};
use tokio::io::AsyncReadExt;

fn sh(script: &str) -> Command {
    Command {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: "/".into(),
        env: Vec::new(),
        input: Input::Pipe,
        output: Output::Separate,
    }
}

/// Runs one command in the manner of the `i`th.
async fn one(i: usize) {
    match i % 5 {
        0 => drop(spawn(&Policy::read_only(), sh("sleep 1000 & exec sleep 1000")).await.unwrap()),
        1 => {
            let mut child = spawn(&Policy::FullAccess, sh("exit 1")).await.unwrap();
            assert_eq!(child.wait().await.unwrap().code_or_128(), 1);
        }
        2 => {
            let mut child = spawn(&Policy::read_only(), sh("sleep 1000 & wait")).await.unwrap();
            child.terminate(Duration::from_millis(10));
        }
        3 => {
            let missing = Command { program: "/no/such/program".into(), ..sh("") };
            assert!(spawn(&Policy::read_only(), missing).await.is_err());
        }
        _ => {
            let mut child = spawn(&Policy::read_only(), sh("echo text")).await.unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "text\n");
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn children() -> String {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let lists: Vec<_> =
        tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok()).collect();
    assert!(!lists.is_empty(), "this kernel does not list children");
    lists.concat()
}

#[tokio::test]
async fn two_hundred_commands_leave_no_zombie_and_no_descriptor() {
    for i in 0..5 {
        one(i).await; // what is made once stays: the thread, its bell
    }
    let before = settled(usize::MAX).await;
    for i in 0..200 {
        one(i).await;
    }
    settled(before).await;
}

/// The number of descriptors once there are no children, and no more descriptors than `most`. Burials are
/// done by a thread that tells nobody, so this asks again, for a while.
async fn settled(most: usize) -> usize {
    let start = Instant::now();
    loop {
        let (children, descriptors) = (children(), descriptors());
        if children.trim().is_empty() && descriptors <= most {
            return descriptors;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "left: children {children}, {descriptors} descriptors"
        );
        tokio::task::yield_now().await;
    }
}
