//! A thread outlives the process that began it, however that ended: clients restart servers.

use std::fs;

use inspector_tests::fixture::{House, files_below};
use inspector_tests::wire::Wire;
use providers::testing::Reply;
use serde_json::{Value, json};

use crate::CODEX;
use crate::fake_model::Model;

fn serve(house: &House) -> Wire {
    let mut wire = house.serve([]);
    wire.initialize("2025-06-18", json!({}));
    wire
}

/// How often `text` stands in a value.
fn mentions(value: &Value, text: &str) -> usize {
    value.to_string().matches(text).count()
}

/// The one record under `sessions/`: its lines, and the thread's id from its name.
fn record(house: &House) -> (Vec<Value>, String) {
    let files = files_below(&house.codex_home().join("sessions"));
    let [file] = files.as_slice() else { panic!("there is one record, not {files:?}") };
    let text = fs::read_to_string(file).unwrap();
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let name = file.file_stem().unwrap().to_string_lossy();
    (text.lines().map(parsed).collect(), name[name.len() - 36..].to_owned())
}

#[test]
fn a_thread_goes_on_after_its_server_was_killed_in_mid_turn() {
    let mut house = House::new(CODEX);
    let replies = vec![
        Reply::calls([("shell", json!({"command": "echo once >> count; echo > started; sleep 1000"}))]),
        Reply::text("Where were we?"),
    ];
    let model = Model::of(&mut house, replies);
    let started = house.pipe("started");
    let mut wire = serve(&house);
    wire.send_request("tools/call", json!({"name": "codex", "arguments": {"prompt": "Count."}}));
    started.wait();
    wire.kill();

    let (lines, id) = record(&house);
    assert!(mentions(&json!(lines), "Count.") > 0, "{lines:#?}");
    assert!(mentions(&json!(lines), "function_call") > 0, "{lines:#?}");

    let mut wire = serve(&house);
    let result = wire.call("codex-reply", json!({"threadId": id, "prompt": "Go on."}));
    assert_eq!(result["structuredContent"]["content"], "Where were we?", "{result}");
    // The call that was cut off has an output, and was not made again.
    let last = model.requests().pop().unwrap();
    let of_kind =
        |kind: &str| last["input"].as_array().unwrap().iter().filter(|item| item["type"] == kind).count();
    assert_eq!((of_kind("function_call"), of_kind("function_call_output")), (1, 1), "{last:#}");
    assert_eq!(house.read("count"), "once\n");
}

#[test]
fn one_server_holds_several_threads_apart() {
    let mut house = House::new(CODEX);
    let model = Model::of(&mut house, ["one", "two", "one again", "two again"].map(Reply::text).to_vec());
    let mut wire = serve(&house);
    let [first, second] = ["Be one.", "Be two."].map(|prompt| wire.call("codex", json!({"prompt": prompt})));
    let id = |result: &Value| result["structuredContent"]["threadId"].clone();
    assert_ne!(id(&first), id(&second));

    for (thread, expected) in [(&first, "one again"), (&second, "two again")] {
        let result = wire.call("codex-reply", json!({"threadId": id(thread), "prompt": "Again."}));
        assert_eq!(result["structuredContent"]["content"], expected, "{result}");
        assert_eq!(id(&result), id(thread));
    }
    let requests = model.requests();
    assert!(
        mentions(&requests[2]["input"], "Be one.") == 1 && mentions(&requests[2]["input"], "Be two.") == 0
    );
    assert!(
        mentions(&requests[3]["input"], "Be two.") == 1 && mentions(&requests[3]["input"], "Be one.") == 0
    );
}

/// For clients that show the text alone and cannot hand the id back.
#[test]
fn a_reply_without_an_id_goes_to_the_connection_s_last_thread() {
    let mut house = House::new(CODEX);
    let _model = Model::of(&mut house, ["Hello.", "Hello again."].map(Reply::text).to_vec());
    let mut wire = serve(&house);
    let first = wire.call("codex", json!({"prompt": "Greet me."}));
    let second = wire.call("codex-reply", json!({"prompt": "Once more."}));
    assert_eq!(second["structuredContent"]["threadId"], first["structuredContent"]["threadId"], "{second}");
    assert_eq!(second["structuredContent"]["content"], "Hello again.");
}
