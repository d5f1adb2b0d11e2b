//! What needs a process to itself: the test starts its own program again, and that runs the case alone.
//!
//! Most of them take something away from themselves with a system call filter before they first ask for a
//! sandbox: where the kernel does not do its part, nothing runs.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{
    env,
    future::Future,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

mod without;

use sandbox::{Command, Exit, Input, Level, Network, Output, Policy, probe, spawn};

use self::without::take_away;

/// Whether this is the process that runs the case.
fn is_alone() -> bool {
    env::var_os("ALONE").is_some()
}

fn again(test: &str) -> std::process::Command {
    let mut again = std::process::Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ALONE", "1");
    again
}

/// Runs `case` alone in a process.
fn alone(test: &str, case: impl Future<Output = ()>) {
    if is_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(case);
    }
    let output = again(test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn touch(file: &Path) -> Command {
    Command {
        program: "touch".into(),
        args: vec![file.into()],
        cwd: "/".into(),
        env: Vec::new(),
        input: Input::Null,
        output: Output::Merged,
    }
}

/// The message with which a sandboxed command is refused, having done nothing; without a sandbox it runs.
async fn refused() -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let policy = Policy::workspace_write(vec![dir.path().to_owned()], Network::On);
    let message = spawn(&policy, touch(&file)).await.expect_err("refused").to_string();
    assert!(!file.exists());
    assert_eq!(spawn(&Policy::FullAccess, touch(&file)).await.unwrap().wait().await.unwrap(), Exit::Code(0));
    assert!(file.exists());
    message
}

const HINT: &str = "use a kernel from 6.2 on with landlock and seccomp, or run without a sandbox with \
                    sandbox_mode = \"danger-full-access\"";

#[test]
fn without_landlock() {
    alone("without_landlock", async {
        take_away(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
        let expected =
            format!("the sandbox can not be enforced here: landlock is not in this kernel; {HINT}");
        assert_eq!(refused().await, expected);
        assert!(!probe().confines());
    });
}

#[test]
fn with_landlock_off_at_boot() {
    alone("with_landlock_off_at_boot", async {
        take_away(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP);
        assert!(refused().await.contains("landlock was switched off when this kernel was booted"));
    });
}

#[test]
fn when_the_child_can_not_enter_the_domain() {
    alone("when_the_child_can_not_enter_the_domain", async {
        take_away(libc::SYS_landlock_restrict_self, libc::E2BIG);
        assert_eq!(
            refused().await,
            "failed to enter the landlock domain (at most 16 can be nested): Argument list too long (os error 7)"
        );
    });
}

#[test]
fn when_the_child_can_not_drop_its_capabilities() {
    alone("when_the_child_can_not_drop_its_capabilities", async {
        take_away(libc::SYS_capset, libc::EPERM);
        assert_eq!(refused().await, "failed to drop capabilities: Operation not permitted (os error 1)");
    });
}

#[test]
fn without_namespaces_the_level_is_reduced_and_says_so() {
    alone("without_namespaces_the_level_is_reduced_and_says_so", async {
        take_away(libc::SYS_mount_setattr, libc::ENOSYS);
        let command = Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        assert!(spawn(&Policy::read_only(), command).await.unwrap().wait().await.unwrap().success());
        assert_eq!(probe().level(), Level::Reduced);
        let why = "namespaces: this system refuses to make the command's view of the file system \
                   (Function not implemented (os error 38))";
        assert!(probe().to_string().contains(why), "{}", probe());
    });
}

#[test]
fn namespaces_that_fail_once_promised_are_an_error() {
    alone("namespaces_that_fail_once_promised_are_an_error", async {
        assert_eq!(probe().level(), Level::Full);
        take_away(libc::SYS_mount_setattr, libc::ENOMEM);
        let message = refused().await;
        assert!(message.starts_with("failed to make the command's view of the file system: "), "{message}");
    });
}

#[test]
fn when_rules_can_not_be_added() {
    alone("when_rules_can_not_be_added", async {
        take_away(libc::SYS_landlock_add_rule, libc::EINVAL);
        let message = refused().await;
        assert!(message.starts_with("failed to build the landlock ruleset: "), "{message}");
    });
}

#[test]
fn a_keyring_that_can_not_be_had_is_no_reason() {
    alone("a_keyring_that_can_not_be_had_is_no_reason", async {
        take_away(libc::SYS_keyctl, libc::ENOSYS);
        let command = Command { args: Vec::new(), program: "true".into(), ..touch(Path::new("")) };
        assert!(spawn(&Policy::read_only(), command).await.unwrap().wait().await.unwrap().success());
    });
}

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
