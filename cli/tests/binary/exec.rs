//! `codex exec` against a model on loopback: turns, records, cassettes, the end by force.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::house::{House, said};
use providers::testing::{FakeModel, Reply};
use serde_json::{Value, json};

/// Three tool calls and an answer.
fn script() -> Vec<Reply> {
    vec![
        Reply::calls([("shell", json!({"command": ["sh", "-c", "echo made > made.txt; cat made.txt"]}))]),
        Reply::calls([("read_file", json!({"path": "made.txt"})), ("list_dir", json!({}))]),
        Reply::text("all done"),
    ]
}

#[expect(clippy::unwrap_used, reason = "a helper of tests: it fails as a test does")]
fn lines(path: &std::path::Path) -> Vec<Value> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_with_three_calls_answers_on_stdout_and_is_on_record() {
    let model = FakeModel::steps(script()).await;
    let house = House::with_model(&model);
    let said = tokio::task::block_in_place(|| house.run(&["exec", "make a file"]));
    assert_eq!((said.code, said.stdout.as_str()), (0, "all done\n"), "{said:?}");
    assert!(said.stderr.contains("→ shell") && said.stderr.contains("made"), "{}", said.stderr);
    let header = said.stderr.lines().find(|line| line.starts_with("sandbox workspace-write; writable: "));
    assert!(header.is_some_and(|header| header.contains("; network off")), "{}", said.stderr);
    assert!(house.workspace().join("made.txt").exists());

    let records = house.records();
    assert_eq!(records.len(), 1);
    let day = records[0].strip_prefix(house.sessions()).unwrap().components().count();
    assert_eq!(day, 4, "YYYY/MM/DD/rollout-….jsonl: {records:?}");
    let items: Vec<Value> = lines(&records[0])
        .into_iter()
        .filter(|line| line["type"] == "response_item")
        .map(|mut line| line["payload"].take())
        .collect();
    let sent = model.requests().last().unwrap().body["input"].as_array().unwrap().clone();
    assert_eq!(items[..sent.len()], sent[..], "the record replays the turn");
    let outputs = items.iter().filter(|item| item["type"] == "function_call_output").count();
    assert_eq!(outputs, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_run_plays_back_and_the_first_difference_ends_it() {
    // The key stands in the environment and so in a header; the model finds it and says it, in an argument and, by
    // way of the command, in an output.
    let spill = Reply::calls([("shell", json!({"command": ["echo", "sk-planted-0123456789abcdef"]}))]);
    let model = FakeModel::steps(std::iter::once(spill).chain(script())).await;
    let house = House::with_model(&model);
    let tape = house.workspace().parent().unwrap().join("tape.jsonl");
    let tape = tape.to_str().unwrap();
    let recorded = tokio::task::block_in_place(|| house.run(&["exec", "--record", tape, "make a file"]));
    assert_eq!(recorded.code, 0, "{recorded:?}");
    let asked = &model.requests()[1];
    assert_eq!(asked.header("authorization"), Some("Bearer sk-planted-0123456789abcdef"));
    assert!(asked.body.to_string().matches("sk-planted").count() >= 2, "in an argument and in an output");
    let kept = std::fs::read_to_string(tape).unwrap();
    assert!(!kept.contains("sk-planted"), "the key is on the tape");
    assert!(!kept.contains(house.workspace().to_str().unwrap()), "the workspace's path is on the tape");

    // On another machine, without the model.
    let other = House::with_model(&model);
    let asked = model.requests().len();
    let replayed = tokio::task::block_in_place(|| other.run(&["exec", "--replay", tape, "make a file"]));
    assert_eq!((replayed.code, replayed.stdout.as_str()), (0, "all done\n"), "{replayed:?}");
    assert!(other.workspace().join("made.txt").exists(), "the tools are real");
    assert_eq!(model.requests().len(), asked, "the model was asked");

    let differs = tokio::task::block_in_place(|| other.run(&["exec", "--replay", tape, "make another file"]));
    assert_eq!(differs.code, 1, "{differs:?}");
    assert!(
        differs.stderr.contains("make another file") && differs.stderr.contains("/input/"),
        "{}",
        differs.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_a_turn_leaves_a_readable_record() {
    let hang = Reply::calls([("shell", json!({"command": ["sh", "-c", "echo begun; sleep 1000"]}))]);
    let model = FakeModel::steps([Reply::calls([("list_dir", json!({}))]), hang]).await;
    let house = House::with_model(&model);
    let mut child =
        house.command(&["exec", "begin"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    tokio::task::block_in_place(|| {
        let mut line = String::new();
        while !line.contains("→ shell") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before the call");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let records = house.records();
    let text = std::fs::read_to_string(&records[0]).unwrap();
    let whole: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls = whole.iter().filter(|line| line["payload"]["type"] == "function_call").count();
    let outputs = whole.iter().filter(|line| line["payload"]["type"] == "function_call_output").count();
    assert_eq!((calls, outputs), (2, 1), "the call in flight is on record, its output is not");
    let mut rest = String::new();
    let _ = stderr.read_to_string(&mut rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_model_is_reported_with_its_own_words() {
    let model =
        FakeModel::steps([Reply::status(400, [], r#"{"error":{"message":"no such model: fake-model"}}"#)])
            .await;
    let house = House::with_model(&model);
    let said = tokio::task::block_in_place(|| house.run(&["exec", "hello"]));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.is_empty() && said.stderr.contains("no such model: fake-model"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_turn_limit_has_an_exit_code_of_its_own() {
    let model = FakeModel::steps((0..4).map(|_| Reply::calls([("list_dir", json!({}))]))).await;
    let house = House::with_model(&model);
    let said = tokio::task::block_in_place(|| house.run(&["exec", "-c", "max_tool_calls=2", "hello"]));
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains("more than 2 tool calls"), "{said:?}");
}

#[test]
fn the_demo_needs_nothing_and_checks_itself() {
    let house = House::new("");
    let done = said(house.command(&["demo"]).env_remove("FAKE_API_KEY").output().unwrap());
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("the model's replies are a script"), "{}", done.stdout);
    assert_eq!(done.stdout.matches("  ✓ ").count(), 5, "{}", done.stdout);
    assert!(!house.sessions().exists(), "it leaves nothing behind");
}
