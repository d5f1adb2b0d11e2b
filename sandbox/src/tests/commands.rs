//! What a command gets, and what is said when it can not be started.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{program, refusal, run, sh, with, within, writable};
use crate::{Command, Exit, Input, Output, Policy, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn only_the_given_environment_is_there() {
    let command = with("GIVEN", "value", program("env", &[]));
    for policy in [Policy::FullAccess, Policy::read_only()] {
        let (exit, text) = run(&policy, command.clone()).await;
        assert!(exit.success());
        assert_eq!(text, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nGIVEN=value\n");
    }
}

#[tokio::test]
async fn null_input_is_at_its_end_at_once() {
    assert_eq!(run(&Policy::read_only(), sh("cat; echo end")).await, (Exit::Code(0), "end\n".into()));
}

#[tokio::test]
async fn piped_input_arrives() {
    let mut child =
        spawn(&Policy::read_only(), Command { input: Input::Pipe, ..program("cat", &[]) }).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"through the pipe").await.unwrap();
    drop(stdin);
    assert_eq!(super::finish(child).await, (Exit::Code(0), "through the pipe".into()));
}

#[tokio::test]
async fn merged_output_keeps_its_order() {
    let script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done";
    let expected: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(run(&Policy::read_only(), sh(script)).await, (Exit::Code(0), expected));
}

#[tokio::test]
async fn separate_outputs_are_separate() {
    let command = Command { output: Output::Separate, ..sh("echo out; echo err >&2") };
    let mut child = spawn(&Policy::read_only(), command).await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let command = program("printf", &["%s|", "two words", "", "$(touch x)", "ü"]);
    assert_eq!(run(&Policy::FullAccess, command).await.1, "two words||$(touch x)|ü|");
}

#[tokio::test]
async fn exit_codes_and_signals_come_through() {
    assert_eq!(run(&Policy::read_only(), sh("exit 7")).await.0, Exit::Code(7));
    let (exit, _) = run(&Policy::read_only(), sh("kill -SEGV $$")).await;
    assert_eq!((exit, exit.code_or_128()), (Exit::Signal(11), 139));
}

#[tokio::test]
async fn signals_and_limits_are_as_for_a_fresh_login() {
    // Rust ignores SIGPIPE, and the spawner blocks everything: the command must see neither. The line of
    // ignored signals is that of the program itself; a shell would already show its own.
    let wanted = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    let (_, text) =
        run(&Policy::FullAccess, program("grep", &["-E", "Sig(Blk|Ign)", "/proc/self/status"])).await;
    assert_eq!(text, wanted);
    assert_eq!(run(&Policy::FullAccess, sh("ulimit -c")).await.1, "0\n");
    // Of its own session: no terminal of ours is its controlling one.
    let (_, text) = run(&Policy::FullAccess, sh("cut -d' ' -f1,5,6,7 /proc/$$/stat")).await;
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(fields, [fields[0], fields[0], fields[0], "0"], "pid, group, session, terminal");
}

#[tokio::test]
async fn a_missing_program_is_named_with_the_path_searched() {
    for policy in [Policy::FullAccess, Policy::read_only()] {
        let text = refusal(&policy, program("no-such-program", &[])).await;
        assert_eq!(
            text,
            "no-such-program was not found (PATH is /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin)"
        );
        let text = refusal(&policy, program("/no/such/program", &[])).await;
        assert_eq!(text, "/no/such/program does not exist");
        let text = refusal(&policy, program("", &[])).await;
        assert_eq!(text, "the name of the program is empty");
    }
}

#[tokio::test]
async fn the_current_directory_is_not_searched() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "planted", "#!/bin/sh\necho planted\n", 0o755);
    for path in [".", "", ".:", "bin/../."] {
        let mut command = within(dir.path(), program("planted", &[]));
        command.env = vec![("PATH".into(), path.into())];
        assert!(
            refusal(&Policy::FullAccess, command).await.starts_with("planted was not found"),
            "PATH={path}"
        );
    }
    let named = within(dir.path(), program("./planted", &[]));
    assert_eq!(run(&Policy::read_only(), named).await.1, "planted\n");
}

#[tokio::test]
async fn a_file_without_permission_or_format_is_not_executable() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "plain", "#!/bin/sh\n", 0o644);
    script(dir.path(), "noise", "neither script nor program", 0o755);
    script(dir.path(), "orphan", "#!/no/such/interpreter\n", 0o755);
    let name = |name: &str| dir.path().join(name).display().to_string();
    for (file, expected) in [
        ("plain", "can not be executed: Permission denied (os error 13)"),
        ("noise", "can not be executed: Exec format error (os error 8)"),
        ("orphan", "can not be executed: the interpreter on its first line is missing"),
    ] {
        let text = refusal(&Policy::read_only(), program(&name(file), &[])).await;
        assert_eq!(text, format!("{} {expected}", name(file)));
    }
    let text = refusal(&Policy::FullAccess, program("/usr/bin", &[])).await;
    assert_eq!(text, "/usr/bin can not be executed: Permission denied (os error 13)");
}

#[tokio::test]
async fn a_missing_working_directory_or_root_is_named() {
    let text = refusal(&Policy::FullAccess, within("/no/such/dir".as_ref(), sh("true"))).await;
    assert_eq!(
        text,
        "the working directory /no/such/dir can not be entered: No such file or directory (os error 2)"
    );
    let text = refusal(&writable("/no/such/root"), sh("true")).await;
    assert!(text.starts_with("the writable root /no/such/root can not be opened: No such file"), "{text}");
    let text = refusal(&Policy::FullAccess, within("tmp".as_ref(), sh("true"))).await;
    assert_eq!(text, "the working directory tmp can not be entered: it is not an absolute path");
    let text = refusal(&writable("tmp"), sh("true")).await;
    assert!(
        text.starts_with("the writable root tmp can not be opened: it is not an absolute path"),
        "{text}"
    );
    let text = refusal(&writable("/etc/passwd"), sh("true")).await;
    assert!(text.starts_with("the writable root /etc/passwd can not be opened: Not a directory"), "{text}");
}

#[tokio::test]
async fn what_can_not_be_passed_is_named_but_not_shown() {
    let text = refusal(&Policy::FullAccess, program("true", &["fine", "sec\0ret"])).await;
    assert_eq!(text, "argument 2 can not be passed to a program: it contains a zero byte");
    let text = refusal(&Policy::FullAccess, with("TOKEN", "sec\0ret", sh("true"))).await;
    assert_eq!(
        text,
        "the environment variable TOKEN can not be passed to a program: it contains a zero byte"
    );
    let text = refusal(&Policy::FullAccess, with("TOKEN=secret", "", sh("true"))).await;
    assert_eq!(
        text,
        "the environment variable TOKEN can not be passed to a program: its name is empty or contains '='"
    );
}

#[test]
fn secrets_are_not_debugged() {
    let command = with("TOKEN", "hunter2", program("curl", &["hunter2"]));
    assert!(!format!("{command:?}").contains("hunter2"));
}

fn script(dir: &std::path::Path, name: &str, text: &str, mode: u32) {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}
