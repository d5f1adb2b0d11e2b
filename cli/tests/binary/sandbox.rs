//! `codex sandbox`: what a command gets, what comes back, and that nothing is left of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: they fail as a test does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::house::{House, said};

/// A command that has said `ready`, and the rest of its output, which ends when its last process has.
fn ready(house: &House, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = house.command(&["sandbox", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, output)
}

fn kill(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn rest(mut output: impl Read) -> String {
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    rest
}

#[test]
fn every_spelling_runs_the_command_and_passes_its_code_on() {
    let house = House::new("");
    for words in [
        &["sandbox", "sh", "-c", "exit 7"][..],
        &["sandbox", "--", "sh", "-c", "exit 7"],
        &["sandbox", "linux", "sh", "-c", "exit 7"],
        &["sandbox", "landlock", "--full-auto", "--", "sh", "-c", "exit 7"],
        &["sandbox", "--full-auto", "linux", "sh", "-c", "exit 7"],
        &["debug", "landlock", "sh", "-c", "exit 7"],
        &["-s", "workspace-write", "sandbox", "sh", "-c", "exit 7"],
    ] {
        let said = house.run(words);
        assert_eq!((said.code, said.stderr.as_str()), (7, ""), "{words:?} {said:?}");
    }
    for (script, code) in [("kill -9 $$", 137), ("kill -TERM $$", 143), ("exit 0", 0), ("exit 255", 255)] {
        assert_eq!(house.run(&["sandbox", "sh", "-c", script]).code, code, "{script}");
    }
    let named = house.run(&["sandbox", "--", "check"]);
    assert!(named.code == 127 && named.stderr.contains("check was not found"), "{named:?}");
    let words = house.run(&["sandbox", "echo", "linux", "-s", "--", "-c"]);
    assert_eq!(words.stdout, "linux -s -- -c\n", "what follows the command is the command's");
}

#[test]
fn a_command_has_our_streams_and_nothing_to_write_unless_that_was_asked_for() {
    let house = House::new("sandbox_mode = \"danger-full-access\"\n");
    let file = house.workspace().join("file");
    let write = ["sandbox", "sh", "-c", "cat > file; echo out; echo err >&2"];
    let mut child = house
        .command(&write)
        .args(["x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let ended = said(child.wait_with_output().unwrap());
    assert!(ended.stdout == "out\n" && ended.stderr.contains("err"), "{ended:?}");
    assert!(!file.exists(), "read-only whatever the file says: who tries a command wants it confined");

    let asked = ["sandbox", "--full-auto", "sh", "-c", "cat > file; env"];
    let mut child = house.command(&asked).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    let ended = said(child.wait_with_output().unwrap());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "typed");
    assert!(ended.stdout.contains("CODEX_SANDBOX_NETWORK_DISABLED=1"), "{ended:?}");
    assert!(!ended.stdout.contains("FAKE_API_KEY"), "{ended:?}");

    let by_key = ["sandbox", "-c", "sandbox_mode=workspace-write", "rm", "file"];
    assert_eq!(house.run(&by_key).code, 0);
    let elsewhere = house.run(&["sandbox", "-C", "/", "pwd"]);
    assert_eq!(elsewhere.stdout, "/\n");
}

#[test]
fn what_cannot_be_run_has_codes_of_its_own() {
    let house = House::new("");
    for (words, code, part) in [
        (&["sandbox", "macos", "ls"][..], 2, "not available on this system"),
        (&["sandbox", "seatbelt", "--log-denials", "ls"], 2, "not available on this system"),
        (&["sandbox", "windows", "dir"], 2, "not available on this system"),
        (&["debug", "seatbelt", "ls"], 2, "not available on this system"),
        (&["sandbox", "--log-denials", "ls"], 2, "only macOS"),
        (&["sandbox"], 2, "a command is missing"),
        (&["sandbox", "linux"], 2, "a command is missing"),
        (&["debug"], 2, "landlock"),
        (&["sandbox", "-s", "read-only", "--full-auto", "ls"], 2, "give one of the two"),
        (&["sandbox", "-s", "yolo", "ls"], 2, "unknown value \"yolo\""),
        (&["sandbox", "nosuch"], 127, "nosuch was not found"),
        (&["sandbox", "/etc/passwd"], 126, "can not be executed"),
    ] {
        let said = house.run(words);
        assert_eq!(said.code, code, "{words:?} {said:?}");
        assert!(said.stdout.is_empty() && said.stderr.contains(part), "{words:?} {said:?}");
    }
    let mistyped = House::new("[sandbox]\ndeny_raed = [\"/srv\"]\n").run(&["sandbox", "true"]);
    assert!(
        mistyped.code == 2 && mistyped.stderr.contains("config.toml:2: `sandbox.deny_raed`"),
        "{mistyped:?}"
    );
}

#[test]
fn an_interruption_is_the_commands_to_answer() {
    let house = House::new("");
    let script = "trap 'echo heard; exit 5' INT; echo ready; sleep 1000 & wait";
    let (mut child, output) = ready(&house, script);
    kill(&child, "-INT");
    assert_eq!(rest(output), "heard\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn nothing_of_the_tree_outlives_a_request_to_leave_or_a_kill() {
    let house = House::new("");
    for (signal, code) in [("-TERM", Some(143)), ("-HUP", Some(129)), ("-KILL", None)] {
        let (mut child, output) =
            ready(&house, "setsid sleep 1000 & (setsid sh -c 'sleep 1000 & wait' &); echo ready; wait");
        kill(&child, signal);
        assert_eq!(rest(output), "", "{signal}: the last of them has closed it");
        assert_eq!(child.wait().unwrap().code(), code, "{signal}");
    }
}

#[test]
fn check_tells_the_level_and_what_applies_here() {
    let house =
        House::new("[shell_environment_policy]\ninherit = \"none\"\n[sandbox]\nnetwork = \"localhost\"\n");
    let text = house.run(&["sandbox", "check", "-s", "workspace-write"]);
    assert_eq!(text.code, 0, "{text:?}");
    let ws = house.workspace();
    for part in
        ["level: ", "landlock: ", "mode: workspace-write", "network: localhost", &ws.display().to_string()]
    {
        assert!(text.stdout.contains(part), "{part}\n{}", text.stdout);
    }
    let json = house.run(&["sandbox", "check", "--json"]);
    let checked: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(checked["policy"]["type"], "read-only", "nothing trusts this folder: {checked}");
    assert_eq!(checked["policy"]["network"], "localhost");
    assert_eq!(checked["policy"]["level"], checked["level"]);
    assert_eq!(checked["environment"], serde_json::json!([]), "names alone, and there are none");
    assert_eq!(checked["folder"], ws.to_str().unwrap());
}

#[test]
fn a_weaker_level_is_told() {
    // In a sandbox no other can make namespaces: the reduced level, on any system.
    let house = House::new("");
    let codex = env!("CARGO_BIN_EXE_codex");
    let inner = house.run(&["sandbox", "--", codex, "sandbox", "check", "--json"]);
    let checked: Value = serde_json::from_str(&inner.stdout).unwrap();
    assert_eq!(checked["level"], "reduced", "{inner:?}");
    let why = checked["enforcement"].to_string();
    assert!(why.contains("refuses to make namespaces"), "{why}");
    let required = ["sandbox", "--", codex, "sandbox", "-c", "sandbox.require=full", "true"];
    let refused = house.run(&required);
    assert!(refused.code == 125 && refused.stderr.contains("full level is required"), "{refused:?}");
    let localhost = ["sandbox", "--", codex, "sandbox", "-c", "sandbox.network=localhost", "true"];
    let refused = house.run(&localhost);
    assert!(refused.code == 125 && refused.stderr.contains("localhost"), "{refused:?}");
}

#[test]
fn a_folder_to_come_is_named() {
    let house = House::new("");
    let root = house.workspace().parent().unwrap().to_owned();
    let codex = root.join("ws/later");
    let run = || {
        house.run_with(
            &["sandbox", "--full-auto", "touch", "made"],
            &[("CODEX_HOME", codex.to_str().unwrap())],
        )
    };
    let said = run();
    assert!(said.code != 0 && said.stderr.contains("does not exist yet: make it"), "{said:?}");
    std::fs::create_dir(&codex).unwrap();
    let full = house.run(&["sandbox", "check"]).stdout.contains("level: full");
    let said = run();
    assert_eq!(said.code == 0, full, "{said:?}");
    assert!(full || said.stderr.contains("only the full level protects"), "{said:?}");
}

#[test]
fn localhost_is_the_commands_own() {
    let script = "import socket\ns = socket.create_server(('127.0.0.1', 0))\n\
                  socket.create_connection(s.getsockname())\nprint('reached')";
    let house = House::new("");
    let run = |network: &str| {
        house.run(&["sandbox", "-c", &format!("sandbox.network={network}"), "python3", "-c", script])
    };
    assert!(run("off").stdout.is_empty());
    let full = house.run(&["sandbox", "check"]).stdout.contains("level: full");
    assert_eq!(run("localhost").stdout == "reached\n", full);
}

#[test]
fn keys_and_logins_are_not_read_by_commands_and_tools() {
    let house = House::new("");
    let root = house.workspace().parent().unwrap().to_owned();
    std::fs::create_dir_all(root.join("home/.ssh")).unwrap();
    for secret in ["home/.ssh/id", "codex/auth.json", "home/plain"] {
        std::fs::write(root.join(secret), format!("content of {secret}\n")).unwrap();
    }
    for secret in ["home/.ssh/id", "codex/auth.json"] {
        let path = root.join(secret);
        let read = house.run(&["sandbox", "cat", path.to_str().unwrap()]);
        assert!(read.code != 0 && read.stdout.is_empty(), "{secret}: {read:?}");
        let called = house.run(&["tool", "call", "shell", &format!("command=cat {}", path.display())]);
        assert!(!called.stdout.contains("content of"), "{secret}: {called:?}");
    }
    let plain = root.join("home/plain");
    assert_eq!(house.run(&["sandbox", "cat", plain.to_str().unwrap()]).stdout, "content of home/plain\n");
    let listed = ["sandbox", "-c", "sandbox.deny_read=[\"~/plain\"]", "cat"];
    assert!(house.run(&[&listed[..], &[plain.to_str().unwrap()]].concat()).stdout.is_empty());
    let ours = root.join("codex/auth.json");
    let never = ["sandbox", "-c", "sandbox.deny_read=[]", "cat", ours.to_str().unwrap()];
    assert!(house.run(&never).stdout.is_empty(), "no list opens our own");
}

#[test]
fn a_folder_that_holds_our_settings_can_be_worked_in_and_they_stay_what_they_are() {
    let house = House::new("model = \"mine\"\n");
    let root = house.workspace().parent().unwrap().to_owned();
    let script =
        "echo made > made; echo theirs > codex/config.toml; mv codex aside; rm -rf codex; echo > codex/new";
    let folder = root.to_str().unwrap();
    let tried = house.run(&["sandbox", "--full-auto", "-C", folder, "sh", "-c", script]);
    let full = house.run(&["sandbox", "check"]).stdout.contains("level: full");
    assert_eq!(root.join("made").exists(), full, "without the full level it stays read-only: {tried:?}");
    assert_eq!(std::fs::read_to_string(house.config()).unwrap(), "model = \"mine\"\n");
    assert!(!root.join("aside").exists() && !root.join("codex/new").exists(), "{tried:?}");
}

#[test]
fn a_list_of_older_versions_leaves_the_rest_unread() {
    let house = House::new("");
    let root = house.workspace().parent().unwrap().to_owned();
    std::fs::write(root.join("home/outside"), "outside\n").unwrap();
    std::fs::write(house.workspace().join("inside"), "inside\n").unwrap();
    let list = "sandbox_permissions=[\"disk-write-cwd\"]";
    let script = "cat inside ../home/outside; echo > made";
    let said = house.run(&["sandbox", "-c", list, "sh", "-c", script]);
    assert_eq!(said.stdout, "inside\n", "{said:?}");
    assert!(house.workspace().join("made").exists(), "{said:?}");
}
