//! Runs that are recorded and played again: what must be equal, what may differ, what must not be kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use providers::testing::{FakeModel, Reply};
use providers::{
    Item, Kind, ModelEvent, Normaliser, Provider, Recorder, Redactor, Replay, ReplayError, Request, Secret,
    Tool,
};
use serde_json::{Value, json};

use crate::dialect::{ask, events, lines, once, request};

/// A run of two requests in a workspace of its own, as an agent makes them: the model calls, the call is answered.
async fn run(provider: &dyn Provider, workspace: &str, thread: &str) -> Vec<Item> {
    let mut request = Request {
        instructions: format!("work in {workspace}; today is 2026-07-2{}", workspace.len() % 10),
        tools: vec![Tool {
            name: "shell".into(),
            description: "d".into(),
            parameters: json!({"type": "object"}),
        }],
        prompt_cache_key: Some(thread.into()),
        ..request("go")
    };
    loop {
        let mut calls = Vec::new();
        for event in events(provider, request.clone()).await {
            if let ModelEvent::ItemDone(item) = event.unwrap() {
                if let Item::FunctionCall { call_id, arguments, .. } = &item {
                    calls.push(Item::output(call_id, format!("ran {arguments} in 0.{} s", workspace.len())));
                }
                request.input.push(item);
            }
        }
        if calls.is_empty() {
            return request.input;
        }
        request.input.extend(calls);
    }
}

fn normaliser(workspace: &str) -> Normaliser {
    Normaliser::new([(workspace.to_owned(), "{workspace}".to_owned())])
}

/// A recording of what the model answers, made by `run`; the file's path and the folder that it is in.
async fn record(
    replies: impl IntoIterator<Item = Reply>,
    redactor: Redactor,
) -> (PathBuf, tempfile::TempDir, Vec<Item>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let model = FakeModel::steps(replies).await;
    let recorder = Recorder::new(once(&model), &file, normaliser("/first/place"), redactor).unwrap();
    let items = run(&recorder, "/first/place", "0193b2c4-5f1e-7a3c-8d2e-000000000001").await;
    (file, folder, items)
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn two_steps() -> [Reply; 2] {
    let calls =
        [("shell", json!({"command": ["cat", "/first/place/a", "2026-07-28"]})), ("shell", json!({}))];
    [Reply::calls(calls), Reply::text("see /first/place/a, {workspace} is not a place").deltas(9)]
}

#[tokio::test]
async fn a_run_is_played_in_another_place() {
    let (file, _folder, recorded) = record(two_steps(), Redactor::default()).await;
    let replay = Replay::open(&file, normaliser("/other")).unwrap();
    assert_eq!((replay.kind(), replay.remaining(), replay.finished()), (Kind::Recording, 2, false));
    let played = run(&replay, "/other", "0193b2c4-5f1e-7a3c-8d2e-000000000002").await;
    assert_eq!((replay.remaining(), replay.finished()), (0, true));
    assert_eq!(played.len(), recorded.len());
    let arguments = |item: &Item| match item {
        Item::FunctionCall { arguments, .. } => arguments.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(arguments(&played[1]), r#"{"command":["cat","/other/a","2026-07-28"]}"#);
    assert_eq!(played.last().unwrap().text().unwrap(), "see /other/a, {workspace} is not a place");
}

#[tokio::test]
async fn a_recording_is_readable_and_belongs_to_its_owner() {
    let (file, _folder, _) = record(two_steps(), Redactor::default()).await;
    let text = read(&file);
    let starts = [
        "{\"codex_cassette\":1,\"kind\":\"recording\"}",
        "{\"request\":{",
        "{\"events\":[",
        "{\"request\":{",
        "{\"events\":[",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), starts.len());
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(
        !text.contains("/first") && !text.contains("0193b2c4") && !text.contains("today is 2026"),
        "{text}"
    );
    assert_eq!(text.matches("text_delta").count(), 1, "deltas are put together: {text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn an_old_recording_is_not_overwritten() {
    let (file, _folder, _) = record([Reply::text("done")], Redactor::default()).await;
    let before = read(&file);
    let model = FakeModel::steps([]).await;
    let error = Recorder::new(once(&model), &file, Normaliser::default(), Redactor::default()).err().unwrap();
    assert!(error.to_string().ends_with("the file exists already; remove it or name another"), "{error}");
    assert_eq!(read(&file), before);
}

#[tokio::test]
async fn the_first_difference_ends_the_run() {
    let (file, _folder, _) = record(two_steps(), Redactor::default()).await;
    let replay = Replay::open(&file, normaliser("/other")).unwrap();
    let shown = lines(&replay, request("something else")).await;
    assert_eq!(
        shown,
        "error request 1 is not that of the cassette (line 2): at /instructions expected \"work in {workspace}; today \
         is {date}\", found \"\"\n"
    );
    assert_eq!(lines(&replay, request("once more")).await, shown, "a run that left its track stays off it");
    assert!(!replay.finished());
}

#[tokio::test]
async fn a_run_that_asks_too_often_is_told_so() {
    let (file, _folder, _) = record([Reply::text("done")], Redactor::default()).await;
    let replay = Replay::open(&file, normaliser("/other")).unwrap();
    run(&replay, "/other", "0193b2c4-5f1e-7a3c-8d2e-000000000002").await;
    assert_eq!(ask(&replay).await, "error the cassette ends after 1 requests, and the run makes one more\n");
}

/// All text deltas of a cassette, one after the other.
fn streamed(cassette: &str) -> String {
    let lines = cassette.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = lines.flat_map(|line| line["events"].as_array().cloned().unwrap_or_default());
    events.filter_map(|event| event["text_delta"]["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn no_secret_reaches_the_file() {
    let value = "pl\"anted\nvalue ß";
    let header = "header-of-a-team";
    let shaped = ["sk-", "planted0planted0planted0"].concat();
    let lists = format!("PATH=/bin\nPLANTED_KEY={value}\nOTHER_TOKEN=unlisted4711");
    let replies = [
        Reply::calls([
            ("shell", json!({"command": ["curl", "-H", format!("x-team: {header}")], "env": lists})),
            ("shell", json!({"nested": json!({"env": value}).to_string()})),
        ]),
        // One piece for each character: a key is never whole in any of them.
        Reply::text(format!("your key is {shaped}, and {header}")).deltas(1000).with_reasoning(value),
    ];
    let redactor = Redactor::new([Secret::new(value), Secret::new(header)]);
    let (file, _folder, items) = record(replies, redactor.clone()).await;
    assert!(serde_json::to_string(&items).unwrap().contains(&shaped), "the run itself had the secrets");
    let text = read(&file);
    for planted in ["anted", "ted\\nvalue", "value ß", "value \\u00df", header, "planted0", "unlisted4711"] {
        assert!(!text.contains(planted), "{planted} is in {text}");
    }
    assert!(!streamed(&text).contains("planted0"), "not in pieces either: {text}");
    assert!(text.contains("PATH=/bin"), "what is not secret stays: {text}");
    // It can be played: where a secret was, anything may stand.
    let replay = Replay::open(&file, normaliser("/other")).unwrap().with_redactor(redactor);
    run(&replay, "/other", "0193b2c4-5f1e-7a3c-8d2e-000000000002").await;
    assert!(replay.finished());
}

#[tokio::test]
async fn a_failed_exchange_fails_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let model =
        FakeModel::steps([Reply::status(400, [], "{\"error\":{\"message\":\"no in /first/place\"}}")]).await;
    let recorder =
        Recorder::new(once(&model), &file, normaliser("/first/place"), Redactor::default()).unwrap();
    assert!(ask(&recorder).await.ends_with("answered 400: no in /first/place\n"));
    let replay = Replay::open(&file, normaliser("/other")).unwrap();
    let shown = ask(&replay).await;
    assert!(
        shown.starts_with("error the model's response failed: http://127.0.0.1:")
            && shown.ends_with("no in /other\n"),
        "{shown}"
    );
    assert!(replay.finished());
}

#[tokio::test]
async fn an_exchange_that_was_left_is_kept_as_far_as_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let model = FakeModel::steps([Reply::stall()]).await;
    let recorder = Recorder::new(once(&model), &file, Normaliser::default(), Redactor::default()).unwrap();
    let mut stream = recorder.stream(request("go"));
    stream.next().await;
    drop(stream);
    let replay = Replay::open(&file, Normaliser::default()).unwrap();
    let shown = ask(&replay).await;
    assert!(
        shown.starts_with("started ")
            && shown.ends_with(
                "error the model's response failed (left): the reader left before the response was complete\n"
            ),
        "{shown}"
    );
}

#[tokio::test]
async fn repetitions_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let model = FakeModel::steps([Reply::text("x").cut(300), Reply::text("done")]).await;
    let retrying: Arc<dyn Provider> = crate::dialect::provider(&model, |_| ());
    let recorder = Recorder::new(retrying, &file, Normaliser::default(), Redactor::default()).unwrap();
    assert!(ask(&recorder).await.contains("retrying"));
    let shown = ask(&Replay::open(&file, Normaliser::default()).unwrap()).await;
    assert!(!shown.contains("retrying") && shown.matches("started").count() == 1, "{shown}");
}

fn script(lines: &[&str]) -> Result<Replay, ReplayError> {
    let text =
        [&["{\"codex_cassette\":1,\"kind\":\"script\",\"note\":\"by hand\"}"], lines].concat().join("\n");
    Replay::from_str(&text, normaliser("/ws"))
}

const HI: &str = r#"{"events":[{"text_delta":{"text":"hi from {workspace}"}}]}"#;

#[tokio::test]
async fn a_script_says_what_it_must_and_no_more() {
    let expect = r#"{"expect":{"/input/-1/content/0/text":"in {workspace}","/store":false,"/tools":[]}}"#;
    let replay = script(&[r#"{"request":null}"#, HI, expect, HI, expect, HI]).unwrap();
    assert_eq!((replay.kind(), replay.note()), (Kind::Script, Some("by hand")));
    assert_eq!(ask(&replay).await, "text \"hi from /ws\"\ncompleted -\n");
    assert_eq!(lines(&replay, request("go on in /ws now")).await, "text \"hi from /ws\"\ncompleted -\n");
    assert_eq!(
        lines(&replay, request("go on")).await,
        "error request 3 is not that of the cassette (line 6): at /input/-1/content/0/text expected a text with \
         \"in {workspace}\", found \"go on\"\n"
    );
}

#[test]
fn a_cassette_that_cannot_be_read_names_the_line() {
    let refused = |text: &str| Replay::from_str(text, Normaliser::default()).err().unwrap().to_string();
    let head = "{\"codex_cassette\":1,\"kind\":\"recording\"}\n";
    assert!(refused("").starts_with("line 1 of the cassette: it is empty; a cassette begins with"));
    assert!(refused("{}").contains("missing field `codex_cassette`"));
    assert!(
        refused("{\"codex_cassette\":2,\"kind\":\"script\"}")
            .contains("version 2 of the format is not known here, only 1")
    );
    assert!(
        refused(&format!("{head}{{\"request\":null}}\n{HI}"))
            .starts_with("line 2 of the cassette: a recording holds whole requests")
    );
    assert!(
        refused(&format!("{head}\n{{\"request\":{{}}}}"))
            .starts_with("line 3 of the cassette: a request without an answer")
    );
    assert!(
        refused(&format!("{head}{{\"request\":{{}}}}\n{HI}"))
            .starts_with("line 3 of the cassette: the last event is not `completed`")
    );
    assert!(
        refused(&format!("{head}{{\"request\":{{}}}}\n{{\"events\":[{{\"shout\":{{}}}}]}}"))
            .starts_with("line 3 of the cassette: event 1: unknown variant `shout`")
    );
    let error = script(&["{\"request\":null,\"expect\":{},\"x\":1}", HI]).err().unwrap().to_string();
    assert!(error.contains("unknown field `x`"), "{error}");
    let missing =
        Replay::open(Path::new("/nowhere/run.jsonl"), Normaliser::default()).err().unwrap().to_string();
    assert!(missing.starts_with("the cassette /nowhere/run.jsonl: No such file"), "{missing}");
}
