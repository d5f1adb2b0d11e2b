//! Commands: what they print, how they end, and what is left of them.

use std::time::{Duration, Instant};

use crate::dialect::{Lifeline, PATIENCE, Tools, effects, finished, structured, text};
use sandbox::Policy;
use serde_json::{Value, json};

/// The output without the line that tells the exit code and the time.
async fn output(tools: &Tools, arguments: Value) -> String {
    let told = tools.text("shell", arguments).await;
    let (header, output) = told.split_once('\n').unwrap_or((&told, ""));
    let code = header.split(" (").next().unwrap().trim_start_matches("exit code ");
    format!("{code}|{output}")
}

#[tokio::test]
async fn scripts_and_lists_run() {
    let tools = Tools::new().await;
    tools.write("sub/x", "");
    let check = async |arguments, expected: &str| assert_eq!(output(&tools, arguments).await, expected);
    check(json!({"command": "echo $((1 + 2)); exit 3"}), "3|3").await;
    check(json!({"command": ["printf", "%s|", "a b", "$HOME"]}), "0|a b|$HOME|").await;
    check(json!({"command": "ls", "workdir": "sub"}), "0|x").await;
    check(json!({"command": "echo $A-$B", "env": {"A": "1", "B": "x y"}}), "0|1-x y").await;
    check(json!({"command": "cat; echo end"}), "0|end").await;
    check(json!({"command": "kill -9 $$"}), "ended by signal 9|").await;
    let silent = tools.text("shell", json!({"command": "true"})).await;
    assert!(silent.starts_with("exit code 0 (") && silent.ends_with(" s), no output"), "{silent}");
}

#[tokio::test]
async fn both_streams_come_in_the_order_written() {
    let tools = Tools::new().await;
    let command = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let expected = "0|out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3";
    assert_eq!(output(&tools, json!({"command": command})).await, expected);
}

#[tokio::test]
async fn a_program_reads_the_result() {
    let tools = Tools::new().await;
    let result = tools.call("shell", json!({"command": "printf '\\033[31mred\\033[0m\\n'; exit 7"})).await;
    assert_eq!(result.is_error, Some(false));
    let report = structured(&result);
    assert_eq!(report["exit_code"], 7);
    assert_eq!(report["signal"], Value::Null);
    assert_eq!(report["timed_out"], false);
    assert_eq!(report["truncated"], false);
    assert_eq!(report["output"], "red\n");
    assert!(report["duration_ms"].is_u64());
    let expected =
        json!({"type": "command", "command": "printf '\\033[31mred\\033[0m\\n'; exit 7", "exit_code": 7});
    assert_eq!(effects(&result), expected);
}

#[tokio::test]
async fn nothing_but_the_given_environment_is_there() {
    let tools = Tools::with(|context| context.env.push(("ONLY".into(), "this".into()))).await;
    let told = tools.text("shell", json!({"command": ["env"]})).await;
    let names: Vec<_> = told.lines().skip(1).filter_map(|line| line.split('=').next()).collect();
    assert!(names.contains(&"ONLY"));
    assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "{told}");
}

#[tokio::test]
async fn writes_outside_are_refused_and_the_rule_is_told() {
    let tools = Tools::new().await;
    let outside = tools.root.parent().unwrap().join("outside");
    let command = format!("echo x > {}", outside.display());
    let result = tools.call("shell", json!({"command": command})).await;
    assert!(!outside.exists());
    let rule = format!(
        "{} may not be written: it is outside the writable roots (sandbox_mode = workspace-write; writable: {})",
        outside.display(),
        tools.root.display()
    );
    let setting = format!(
        "`[sandbox_workspace_write] writable_roots = [{:?}]` would allow it",
        outside.parent().unwrap()
    );
    assert!(text(&result).contains(&format!("\nsandbox: {rule}; {setting}")), "{}", text(&result));
    let denial = &structured(&result)["denial"];
    let expected = json!({
        "kind": "path", "path": outside, "reason": "outside_roots", "rule": rule, "setting": setting,
        "level": sandbox::probe().level().to_string(), "mode": "workspace-write", "writable_roots": [tools.root], "network": false,
    });
    assert_eq!(denial, &expected);
    // The same command without rules, to show that it was the sandbox that refused.
    let free = Tools::with(|context| context.policy = Policy::FullAccess).await;
    let result = free.call("shell", json!({"command": command})).await;
    assert!(outside.exists());
    assert_eq!(structured(&result)["exit_code"], 0);
}

#[tokio::test]
async fn output_that_is_too_long_is_cut_and_kept_in_a_file() {
    let tools = Tools::with(|context| context.limits.output_tokens = 50).await;
    let result = tools.call("shell", json!({"command": "seq 1000"})).await;
    let shown = text(&result);
    assert!(shown.lines().nth(1) == Some("1") && shown.ends_with("\n1000"), "{shown}");
    assert!(shown.len() < 400, "{shown}");
    assert_eq!(structured(&result)["truncated"], true);
    let file = structured(&result)["output_file"].as_str().unwrap();
    assert!(shown.contains(&format!("left out; the full output is in {file} …]")), "{shown}");
    let page = tools.text("read_file", json!({"path": file, "offset": 500, "limit": 1})).await;
    assert!(page.starts_with("L500: 500\n"), "{page}");
}

#[tokio::test]
async fn binary_output_is_described() {
    let tools = Tools::new().await;
    let told = output(&tools, json!({"command": "printf '\\211PNG\\r\\n\\032\\n\\0\\0\\0\\rIHDR'"})).await;
    assert_eq!(told, "0|[PNG image, 16 bytes, not shown]");
}

#[tokio::test]
async fn the_time_is_kept_and_what_came_until_then_is_told() {
    let tools = Tools::new().await;
    let start = Instant::now();
    let result = tools.call("shell", json!({"command": "echo begun; sleep 1000", "timeout_ms": 300})).await;
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(result.is_error, Some(true));
    let expected = "timed out after 0.3 s and was ended; a larger timeout_ms gives it more time (at most 3600000)\nbegun";
    assert_eq!(text(&result), expected);
    assert_eq!(structured(&result)["timed_out"], true);
}

#[tokio::test]
async fn a_command_that_ignores_the_request_to_end_is_killed() {
    let tools = Tools::new().await;
    let command = "trap '' TERM; echo begun; while :; do sleep 1000; done";
    let result = tools.call("shell", json!({"command": command, "timeout_ms": 300})).await;
    assert_eq!(structured(&result)["signal"], 9);
    assert!(text(&result).ends_with("begun"), "{}", text(&result));
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_the_call() {
    let tools = Tools::new().await;
    let grandchild = Lifeline::new(&tools, "life");
    let start = Instant::now();
    let told = output(&tools, json!({"command": "sleep 1000 3>life & echo begun"})).await;
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(told, "0|begun\n[what it left running in the background was ended]");
    grandchild.released().await;
}

#[tokio::test]
async fn a_cancelled_call_ends_its_command() {
    let tools = Tools::new().await;
    let command = Lifeline::new(&tools, "life");
    let call = tools.begin("shell", json!({"command": "exec 3>life; echo begun; sleep 1000"})).await;
    tools.progress(|text| text == "begun").await;
    assert!(command.is_held());
    call.cancel(None).await.unwrap();
    command.released().await;
    // The next call is answered as ever.
    assert_eq!(output(&tools, json!({"command": "echo on"})).await, "0|on");
}

#[tokio::test]
async fn a_cancelled_command_may_clean_up() {
    let tools = Tools::with(|context| context.limits.kill_grace = PATIENCE).await;
    let life = Lifeline::new(&tools, "life");
    let command = "exec 3>life; trap 'echo bye >&3; exit' TERM; echo begun; sleep 1000 3>&- & wait";
    let call = tools.begin("shell", json!({"command": command})).await;
    tools.progress(|text| text == "begun").await;
    call.cancel(None).await.unwrap();
    assert_eq!(life.released().await, "bye\n");
}

#[tokio::test]
async fn progress_shows_the_command_first_and_its_output_then() {
    let tools = Tools::with(|context| context.limits.progress_interval = Duration::from_millis(10)).await;
    let call =
        tools.begin("shell", json!({"command": "echo one; until test -e go; do :; done; echo two"})).await;
    tools.progress(|text| text.starts_with("$ echo one; until")).await;
    tools.progress(|text| text == "one").await;
    tools.write("go", "");
    assert!(text(&finished(call).await).ends_with("one\ntwo"));
}

#[tokio::test]
async fn a_patch_given_as_a_command_is_applied() {
    let tools = Tools::new().await;
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+$HOME\n*** End Patch";
    let script = format!("cd sub && apply_patch <<'EOF'\n{patch}\nEOF\n");
    tools.write("sub/x", "");
    let result = tools.call("shell", json!({"command": script})).await;
    assert_eq!(text(&result), "Success. Updated the following files:\nA sub/new.txt");
    assert_eq!(std::fs::read_to_string(tools.root.join("sub/new.txt")).unwrap(), "$HOME\n");
    assert_eq!(structured(&result)["exit_code"], 0);
    assert_eq!(effects(&result)["type"], "patch");
    let result = tools.call("shell", json!({"command": ["apply_patch", "no patch"]})).await;
    assert_eq!(result.is_error, Some(true));
    assert!(text(&result).contains("nothing was changed: a patch starts with"), "{}", text(&result));
}

#[tokio::test]
async fn a_shell_without_bash_is_the_plain_one() {
    let bin = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.path().join("sh")).unwrap();
    let tools = Tools::with(|context| context.env = vec![("PATH".into(), bin.path().into())]).await;
    assert_eq!(output(&tools, json!({"command": "echo plain"})).await, "0|plain");
}
