//! `codex mcp-server` by raw lines: what every client may rely on, and what no client should send.

use std::time::Duration;

use inspector_tests::fixture::House;
use inspector_tests::wire::{Wire, modern};
use providers::testing::Reply;
use serde_json::{Value, json};

use crate::CODEX;
use crate::fake_model::Model;

const LEGACY: &str = "2025-06-18";
/// The client's patience at the end of input, with room for a busy machine.
const PROMPTLY: Duration = Duration::from_secs(2);

fn open(house: &House) -> Wire {
    let mut wire = house.serve([]);
    wire.initialize(LEGACY, json!({}));
    wire
}

fn ping(wire: &mut Wire) {
    assert_eq!(wire.request("ping", json!({}))["result"], json!({}));
}

#[test]
fn every_legacy_revision_is_spoken() {
    let house = House::new(CODEX);
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut wire = house.serve([]);
        let result = wire.initialize(version, json!({}))["result"].clone();
        assert_eq!(result["protocolVersion"], version, "{result}");
        assert_eq!(result["serverInfo"]["name"], "codex-mcp-server");
        ping(&mut wire);
        assert_eq!(wire.close().code, Some(0));
    }
}

/// No handshake: each request says what it needs to.
#[test]
fn the_modern_era_needs_no_handshake() {
    let house = House::new(CODEX);
    let mut wire = house.serve([]);
    let meta = modern(&json!({}));
    let discovered = wire.request("server/discover", json!({"_meta": meta}));
    let versions = discovered["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
    let listed = wire.request("tools/list", json!({"_meta": meta}));
    assert_eq!(listed["result"]["resultType"], "complete", "{listed}");
    assert!(listed["result"]["ttlMs"].is_u64() && listed["result"]["cacheScope"].is_string(), "{listed}");
    let call = json!({"_meta": meta, "name": "shell", "arguments": {"command": "echo $((6*7))"}});
    assert_eq!(wire.request("tools/call", call)["result"]["structuredContent"]["exit_code"], 0);
    assert_eq!(wire.close().code, Some(0));
}

#[test]
fn what_is_no_json_rpc_is_answered_with_its_error_and_the_connection_lives_on() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    let rows = [
        ("{\"jsonrpc\": \"2.0\", \"id\": 7, ", -32700),
        ("not json at all", -32700),
        ("[]", -32600),
        ("\"text\"", -32600),
        ("{\"jsonrpc\": \"2.0\"}", -32600),
    ];
    for (line, code) in rows {
        wire.send_line(line);
        let answer = wire.receive(|message| message.get("error").is_some());
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert!(answer["id"].is_null(), "{line}: {answer}");
        ping(&mut wire);
    }
    let ended = wire.close();
    assert_eq!((ended.code, ended.rest), (Some(0), vec![]));
}

#[test]
fn a_wrong_request_gets_the_error_of_its_kind() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    let rows = [
        ("no/such/method", json!({}), -32601),
        ("tools/call", json!({"name": "no_such_tool", "arguments": {}}), -32602),
    ];
    for (method, params, code) in rows {
        let answer = wire.request(method, params);
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
        ping(&mut wire);
    }
    // Wrong arguments are the model's to mend: a result, not an error.
    let result = wire.call("shell", json!({"comand": "ls"}));
    assert_eq!(result["isError"], true, "{result}");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("command"), "{result}");
}

#[test]
fn an_unknown_tool_is_answered_with_the_nearest_name() {
    let house = House::new(CODEX);
    let answer = open(&house).request("tools/call", json!({"name": "shel", "arguments": {}}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("shell"), "{answer}");
}

#[test]
fn ids_come_back_as_they_were_sent() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    for id in [json!("text"), json!(0), json!(9_007_199_254_740_991_i64), json!("7")] {
        wire.send(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
        assert_eq!(wire.response(&id)["result"], json!({}), "{id}");
    }
}

#[test]
fn calls_run_beside_each_other_and_each_gets_one_response() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    house.pipe("between");
    // The first waits for what the second writes.
    let waits = json!({"name": "shell", "arguments": {"command": "cat between"}});
    let first = wire.send_request("tools/call", waits);
    let second = wire.call("shell", json!({"command": "echo across > between"}));
    assert_eq!(second["structuredContent"]["exit_code"], 0, "{second}");
    let first = wire.response(&first);
    assert!(first["result"]["structuredContent"]["output"].as_str().unwrap().contains("across"), "{first}");
    assert_eq!(wire.close().rest, Vec::<Value>::new());
}

#[test]
fn a_cancelled_call_ends_unanswered_and_its_processes_with_it() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    let started = house.pipe("started");
    let command = json!({"command": "echo > started; sleep 1000"});
    let id = wire.send_request("tools/call", json!({"name": "shell", "arguments": command}));
    started.wait();
    let cancelled = json!({"requestId": id, "reason": "no longer wanted"});
    wire.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}));
    ping(&mut wire);
    let ended = wire.close();
    assert!(ended.rest.iter().all(|message| message["id"] != id), "{:?}", ended.rest);
    // The house fails the test when the command is still there.
}

#[test]
fn a_ping_is_answered_while_a_turn_runs() {
    let mut house = House::new(CODEX);
    let model = Model::of(&mut house, vec![Reply::stall()]);
    let mut wire = open(&house);
    let meta = json!({"progressToken": 1});
    let turn = json!({"name": "codex", "arguments": {"prompt": "wait"}, "_meta": meta});
    let id = wire.send_request("tools/call", turn);
    wire.receive(|message| message["method"] == "notifications/progress");
    ping(&mut wire);
    let ended = wire.close();
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < PROMPTLY, "{:?}", ended.took);
    let answers = ended.rest.iter().filter(|message| message["id"] == id).count();
    assert!(answers <= 1, "{:?}", ended.rest);
    drop(model);
}

#[test]
fn the_end_of_input_ends_everything_promptly() {
    let mut house = House::new(CODEX);
    house.with_every();
    let mut wire = open(&house);
    wire.call("every__echo", json!({"message": "up"}));
    let started = house.pipe("started");
    let command = json!({"command": "sleep 1000 & echo > started; sleep 1000"});
    wire.send_request("tools/call", json!({"name": "shell", "arguments": command}));
    started.wait();
    let ended = wire.close();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.took < PROMPTLY, "{:?}", ended.took);
    let left = house.survivors(Duration::from_secs(1));
    assert!(left.is_empty(), "{left:?}");
}

/// Stdout carries nothing else, whatever is logged and whatever an external server writes: the wire itself fails
/// on any line that is not JSON-RPC.
#[test]
fn stdout_stays_pure_in_bad_company() {
    let mut house = House::new(CODEX);
    house.variable("RUST_LOG", "trace");
    house.table(
        "[mcp_servers.noisy]\ncommand = \"sh\"\nargs = [\"-c\", \"echo garbage; echo noise >&2; cat\"]",
    );
    house.table("[mcp_servers.missing]\ncommand = \"no-such-program-anywhere\"");
    house.table("[mcp_servers.dying]\ncommand = \"sh\"\nargs = [\"-c\", \"echo last words >&2; exit 7\"]");
    let mut wire = open(&house);
    let listed = wire.request("tools/list", json!({}));
    let names: Vec<&str> =
        listed["result"]["tools"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
    assert!(names.contains(&"shell") && names.contains(&"codex"), "{names:?}");
    wire.call("shell", json!({"command": "echo to stdout; echo to stderr >&2"}));
    assert_eq!(wire.close().code, Some(0));
}

#[test]
fn a_program_of_the_agent_cannot_read_or_write_the_connection() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    let result =
        wire.call("shell", json!({"command": "cat; echo '{}' > /dev/stdout; ls /proc/self/fd | wc -l"}));
    assert_eq!(result["structuredContent"]["exit_code"], 0, "{result}");
    ping(&mut wire);
    assert_eq!(wire.close().rest, Vec::<Value>::new());
}

#[test]
fn only_the_agent_is_exposed_when_asked_for() {
    let house = House::new(CODEX);
    let mut wire = house.serve(["--expose", "agent"]);
    wire.initialize(LEGACY, json!({}));
    let listed = wire.request("tools/list", json!({}));
    let names: Vec<&Value> =
        listed["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["codex", "codex-reply"]);
    let answer = wire.request("tools/call", json!({"name": "shell", "arguments": {"command": "true"}}));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_connection_lives_on() {
    let house = House::new(CODEX);
    let mut wire = open(&house);
    let long = "x".repeat(17 << 20);
    wire.send(&json!({"jsonrpc": "2.0", "id": 5, "method": "ping", "params": {"long": long}}));
    let answer = wire.receive(|message| message.get("error").is_some());
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    ping(&mut wire);
}
