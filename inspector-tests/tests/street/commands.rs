//! What a new user does first: looks at the demo, adds a server, lists and calls tools, registers us with a client.

use std::fs;
use std::time::Duration;

use inspector_tests::clients::Clients;
use inspector_tests::fixture::{House, files_below};
use inspector_tests::process::run;

use crate::CODEX;

#[test]
fn a_server_is_added_used_and_removed_without_a_trace() {
    let house = House::new(CODEX);
    let config = house.codex_home().join("config.toml");
    let before =
        format!("# mine\n{}\n[profiles.x] # kept\nmodel = \"m\"\n", fs::read_to_string(&config).unwrap());
    fs::write(&config, &before).unwrap();

    let [node, script, stdio] = Clients::get().everything();
    let _ = house
        .codex(["mcp", "add", "every", "--env", "TOKEN=hush", "--", &node, &script, &stdio])
        .expect_code(0);
    let listed = house.codex(["mcp", "list"]).expect_code(0);
    assert!(listed.stdout.contains("every") && !listed.stdout.contains("hush"), "{}", listed.stdout);

    let tools = house.codex(["tool", "list"]).expect_code(0);
    for tool in ["codex", "codex-reply", "shell", "apply_patch", "every__echo"] {
        let found = tools.stdout.lines().any(|line| line.split_whitespace().next() == Some(tool));
        assert!(found, "{tool} is not in {}", tools.stdout);
    }
    let called = house.codex(["tool", "call", "every__echo", "message=hello there"]).expect_code(0);
    assert_eq!(called.stdout, "Echo: hello there\n");

    let _ = house.codex(["mcp", "remove", "every"]).expect_code(0);
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
}

/// What the user keeps in the environment is not for the servers that tools come from.
#[test]
fn a_server_gets_its_own_variables_and_no_others() {
    let mut house = House::new(CODEX);
    house.variable("STREET_API_KEY", "hush");
    house.with_every();
    house.table("[mcp_servers.every.env]\nOWN = \"given\"");
    let shown = house.codex(["tool", "call", "every__get-env"]).expect_code(0).stdout;
    assert!(shown.contains("given") && shown.contains("PATH") && !shown.contains("hush"), "{shown}");
}

/// These are in the settings of clients.
#[test]
fn the_old_names_of_the_server_and_every_place_of_a_flag_still_work() {
    let params =
        r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    let initialize =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{params}}}\n");
    let forms: [&[&str]; 5] = [
        &["mcp-server"],
        &["mcp"],
        &["mcp", "serve"],
        &["-m", "some-model", "mcp-server"],
        &["mcp-server", "-c", "approval_policy=never", "-c", "model=\"m\"", "-c", "mcp_servers={}"],
    ];
    let house = House::untouched(CODEX);
    for form in forms {
        let output = run(&mut house.command(form), initialize.as_bytes(), Duration::from_secs(60));
        assert!(output.stdout.contains("codex-mcp-server"), "{form:?}: {output:?}");
        assert_eq!((output.code, output.stdout.lines().count()), (Some(0), 1), "{form:?}: {output:?}");
    }
}

#[test]
fn looking_around_leaves_the_workspace_as_it_is() {
    let house = House::untouched(CODEX);
    house.file("a.txt", "a\n");
    let before = files_below(&house.workspace());
    let _ = house.codex(["tool", "list"]).expect_code(0);
    let _ = house.codex(["tool", "call", "shell", "command=ls; echo b > b.txt"]);
    assert_eq!(files_below(&house.workspace()), before);
}

/// No key, no network, no settings; it shows that its model is a script, and clears up behind itself.
#[test]
fn the_demo_works_in_an_empty_house() {
    let house = House::untouched(CODEX);
    let output = house.codex(["demo"]).expect_code(0);
    let shown = output.stdout + &output.stderr;
    assert!(shown.contains("script") && !shown.contains("recording"), "{shown}");
    let left = files_below(&house.path("tmp"));
    assert!(left.is_empty(), "{left:?}");
}
