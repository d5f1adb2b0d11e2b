//! What needs a process to itself: the test starts its own program again, and that runs the case alone.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

mod apart;

use sandbox::{Command, Exit, Input, Level, Network, Output, Policy, probe, spawn};

use self::apart::{again, alone, is_alone, touch};

#[test]
fn a_sandbox_inside_a_sandbox() {
    const TEST: &str = "a_sandbox_inside_a_sandbox";
    let dir = tempfile::tempdir().unwrap();
    let inside = env::var_os("ROOT").is_some();
    let root = env::var_os("ROOT").map_or_else(|| dir.path().to_owned(), Into::into);
    let policy = Policy::workspace_write(vec![root.clone()], Network::Off);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if inside {
        // The outer one answers clone3 with ENOSYS and keyctl with EPERM; the inner one must do with that.
        let done = async { spawn(&policy, touch(&root.join("inner"))).await.unwrap().wait().await };
        assert_eq!(runtime.block_on(done).unwrap(), Exit::Code(0));
        return;
    }
    let again = Command {
        program: env::current_exe().unwrap().into(),
        args: ["--exact", TEST].map(Into::into).into(),
        env: vec![("ROOT".into(), root.clone().into()), ("TMPDIR".into(), root.clone().into())],
        ..touch(Path::new(""))
    };
    let done = async { spawn(&policy, again).await.unwrap().wait().await };
    assert_eq!(runtime.block_on(done).unwrap(), Exit::Code(0));
    assert!(root.join("inner").exists());
}

#[test]
fn an_ignored_sigchld_does_not_lose_the_exit_code() {
    const TEST: &str = "an_ignored_sigchld_does_not_lose_the_exit_code";
    if !is_alone() {
        // What a process ignores, the ones that it starts ignore too.
        let again = format!("trap '' CHLD; ALONE=1 exec \"$0\" --exact {TEST} --test-threads=1");
        let status =
            std::process::Command::new("bash").args(["-c", &again]).arg(env::current_exe().unwrap()).status();
        assert!(status.expect("bash").success());
        return;
    }
    alone(TEST, async {
        let missing =
            Command { args: vec!["/no/such/file".into()], program: "cat".into(), ..touch(Path::new("")) };
        assert_eq!(spawn(&Policy::read_only(), missing).await.unwrap().wait().await.unwrap(), Exit::Code(1));
    });
}

#[test]
fn inherited_streams_are_those_of_this_process() {
    const TEST: &str = "inherited_streams_are_those_of_this_process";
    if !is_alone() {
        let mut again = again(TEST).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        again.stdin.take().unwrap().write_all(b"what was typed\n").unwrap();
        let output = again.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("what was typed\n"));
        return;
    }
    alone(TEST, async {
        let cat = Command { args: Vec::new(), program: "cat".into(), ..touch(Path::new("")) };
        let cat = Command { input: Input::Inherit, output: Output::Inherit, ..cat };
        assert!(spawn(&Policy::read_only(), cat).await.unwrap().wait().await.unwrap().success());
    });
}

#[test]
fn nothing_outlives_a_process_that_is_killed() {
    const TEST: &str = "nothing_outlives_a_process_that_is_killed";
    /// The process, and a daemon that has left its group, session and parent.
    const SURVIVORS: &str = "
import os, time
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0: os._exit(0)
    os.write(w, b'x')
else: os.read(r, 1); print('ready', flush=True)
time.sleep(20); print('survived', flush=True)";
    if !is_alone() {
        for policy in ["read-only", "danger-full-access"] {
            let mut again = again(TEST);
            let again = again.env("POLICY", policy).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut again = again.spawn().unwrap();
            let mut output = BufReader::new(again.stdout.take().unwrap());
            let mut line = String::new();
            while !line.ends_with("ready\n") {
                assert_ne!(output.read_line(&mut line).unwrap(), 0, "{line}");
            }
            drop(again.stdin.take()); // and now it kills itself
            assert_eq!(again.wait().unwrap().signal(), Some(libc::SIGKILL));
            // Its output ends when all who could write to it have ended: the command and its daemon too.
            output.read_to_string(&mut line).unwrap();
            assert!(!line.contains("survived"), "{policy}");
        }
        return;
    }
    alone(TEST, async {
        let policy = if env::var_os("POLICY").unwrap() == "read-only" {
            Policy::read_only()
        } else {
            Policy::FullAccess
        };
        let args = ["-c", SURVIVORS].map(Into::into).into();
        let command =
            Command { args, program: "python3".into(), output: Output::Inherit, ..touch(Path::new("")) };
        let _child = spawn(&policy, command).await.unwrap();
        std::io::stdin().read_to_string(&mut String::new()).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    });
}

/// Not even of one that is cut off while it starts a command, or ends one.
#[test]
fn nothing_stands_in_for_a_name_once_a_process_is_killed() {
    const TEST: &str = "nothing_stands_in_for_a_name_once_a_process_is_killed";
    if !is_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let names = || {
            let within = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
            within(dir.path()).chain(within(&dir.path().join(".git"))).collect::<Vec<_>>()
        };
        let before = names();
        let mut seen = false;
        for round in 0..50 {
            let mut again = again(TEST).env("ROOT", dir.path()).stdout(Stdio::piped()).spawn().unwrap();
            let mut output = BufReader::new(again.stdout.take().unwrap());
            while !output.by_ref().lines().next().unwrap().unwrap().ends_with("ready") {}
            // Each time at another moment of its loop.
            for _ in 0..round * 100 {
                seen |= names() != before;
            }
            again.kill().unwrap();
            again.wait().unwrap();
            let killed = Instant::now();
            while names() != before {
                assert!(killed.elapsed() < Duration::from_secs(30), "left: {:?}", names());
                std::thread::yield_now();
            }
        }
        assert!(seen, "it was never caught at it");
        return;
    }
    alone(TEST, async {
        let root = Path::new(&env::var_os("ROOT").unwrap()).to_owned();
        let policy = Policy::workspace_write([root], Network::On);
        let command = || Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        spawn(&policy, command()).await.unwrap().wait().await.unwrap();
        println!("ready");
        loop {
            spawn(&policy, command()).await.unwrap().wait().await.unwrap();
        }
    });
}

#[test]
fn a_process_that_may_not_be_dumped_makes_namespaces() {
    const TEST: &str = "a_process_that_may_not_be_dumped_makes_namespaces";
    const NOBODY: u32 = 65534;
    if !is_alone() && rustix::process::geteuid().is_root() {
        // Only someone else needs to be mapped into one.
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = dir.path().join("tests");
        std::fs::copy(env::current_exe().unwrap(), &copy).unwrap();
        let mut again = std::process::Command::new(copy);
        again.args(["--exact", TEST]).env("ALONE", "1").current_dir("/").uid(NOBODY).gid(NOBODY);
        let output = loop {
            match again.output() {
                // Another test has forked while the copy was being written.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                output => break output.unwrap(),
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    alone(TEST, async {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).unwrap();
        let command = Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        assert!(spawn(&Policy::read_only(), command).await.unwrap().wait().await.unwrap().success());
        assert_eq!(probe().level(), Level::Full, "{}", probe());
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    });
}
