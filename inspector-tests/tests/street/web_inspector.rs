//! The web Inspector in headless Chromium: what a person with a browser sees and can do.

use inspector_tests::clients::Clients;
use inspector_tests::fixture::House;
use inspector_tests::inspector::{Era, Target, browse};
use serde_json::json;

use crate::CODEX;

#[test]
fn the_page_lists_and_calls_the_tools_legacy() {
    lists_and_calls(Era::Legacy);
}

#[test]
fn the_page_lists_and_calls_the_tools_modern() {
    lists_and_calls(Era::Modern);
}

fn lists_and_calls(era: Era) {
    let mut house = House::new(CODEX);
    house.with_every();
    house.file("poem.txt", "violets are red\n");
    let patch = "*** Begin Patch\n*** Update File: poem.txt\n@@\n-violets are red\n+violets are blue\n*** End Patch\n";
    let calls = [
        ("shell", json!({"command": "echo $((6*7))"})),
        ("apply_patch", json!({"input": patch})),
        ("read_file", json!({"path": "poem.txt"})),
        ("every__echo", json!({"message": "from a browser"})),
    ];
    let page = browse(&house.target(), era, &calls);

    let tools = [
        "codex",
        "codex-reply",
        "shell",
        "apply_patch",
        "file_search",
        "read_file",
        "list_dir",
        "update_plan",
        "every__echo",
        "every__get-sum",
    ];
    for tool in tools {
        assert!(page.tools.iter().any(|listed| listed == tool), "{tool} is not among {:?}", page.tools);
    }
    for (result, expected) in
        page.results.iter().zip(["42", "+violets are blue", "violets are blue", "Echo: from a browser"])
    {
        assert!(result.contains(expected), "{expected:?} is not in {result:?}");
    }
    assert_eq!(page.results.len(), calls.len());
    assert_eq!(house.read("poem.txt"), "violets are blue\n");
}

/// The driver reads the page rightly: here the server is one that we know.
#[test]
fn the_page_shows_the_everything_server() {
    let house = House::untouched(CODEX);
    let target = Target { command: Clients::get().everything().to_vec(), ..house.target() };
    let calls =
        [("echo", json!({"message": "{\"quoted\": \"text\"}"})), ("get-sum", json!({"a": 40, "b": 2}))];
    let page = browse(&target, Era::Legacy, &calls);
    assert!(page.tools.iter().any(|tool| tool == "get-tiny-image"), "{:?}", page.tools);
    assert!(page.results[0].contains("Echo: {\"quoted\": \"text\"}"), "{:?}", page.results);
    assert!(page.results[1].contains("The sum of 40 and 2 is 42."), "{:?}", page.results);
}
