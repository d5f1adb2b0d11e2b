//! The Inspector's command line lists and calls every tool, in both eras, as `cases/*.toml` say.

use inspector_tests::case::{Case, Cases, Request};
use inspector_tests::clients::Clients;
use inspector_tests::fixture::House;
use inspector_tests::inspector::{Answer, Era, Target, call, request};
use serde_json::{Value, json};

use crate::CODEX;
use crate::fake_model::Model;

#[test]
fn the_list_of_tools_legacy() {
    play_all("server", Era::Legacy);
}

#[test]
fn the_list_of_tools_modern() {
    play_all("server", Era::Modern);
}

#[test]
fn builtin_tools_legacy() {
    play_all("builtin", Era::Legacy);
}

#[test]
fn builtin_tools_modern() {
    play_all("builtin", Era::Modern);
}

#[test]
fn external_tools_legacy() {
    play_all("external", Era::Legacy);
}

#[test]
fn external_tools_modern() {
    play_all("external", Era::Modern);
}

#[test]
fn the_agent_legacy() {
    play_all("agent", Era::Legacy);
}

#[test]
fn the_agent_modern() {
    play_all("agent", Era::Modern);
}

fn play_all(file: &str, era: Era) {
    let cases = Cases::read(file);
    let failures: Vec<String> =
        cases.case.iter().filter_map(|case| play(case, cases.every, era).err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Each step is a run of the Inspector, with a fresh server.
fn play(case: &Case, every: bool, era: Era) -> Result<(), String> {
    let mut house = case.furnish(CODEX, every);
    let _model = Model::in_house(&mut house, &case.model);
    let target = house.target();
    case.play(&house, |request| send(&target, era, request))
}

fn send(target: &Target, era: Era, wanted: Request<'_>) -> Result<Value, String> {
    let answer = match wanted {
        Request::Call(tool, arguments) => call(target, era, tool, arguments),
        // Its own check of schemas: what is not portable between models' APIs is an error.
        Request::Method("tools/list") => request(target, era, "tools/list", &["--strict"]),
        Request::Method(method) => request(target, era, method, &[]),
    };
    let Answer { code, result, stderr, .. } = answer;
    let result = result.ok_or_else(|| format!("the Inspector exits with {code}: {stderr}"))?;
    let expected = if result["isError"] == true { 5 } else { 0 };
    if code == expected { Ok(result) } else { Err(format!("exit code {code}, not {expected}: {stderr}")) }
}

/// The harness sees what is there, and what is not: here the server is one that we know.
#[test]
fn the_inspector_tells_right_from_wrong_on_the_everything_server() {
    let house = House::untouched(CODEX);
    let target = Target { command: Clients::get().everything().to_vec(), ..house.target() };
    let message = json!({"message": "hi"});

    let good = call(&target, Era::Legacy, "echo", &message);
    assert_eq!((good.code, &good.result.unwrap()["content"][0]["text"]), (0, &json!("Echo: hi")));

    let wrong = call(&target, Era::Legacy, "echo", &json!({}));
    assert_eq!((wrong.code, &wrong.result.unwrap()["isError"]), (5, &json!(true)));

    // It speaks the legacy era alone.
    let modern = call(&target, Era::Modern, "echo", &message);
    assert_eq!((modern.code, modern.result), (1, None), "{}", modern.stderr);
    assert!(modern.error.unwrap()["message"].as_str().unwrap().contains("2026-07-28"));
}
