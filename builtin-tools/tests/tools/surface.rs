//! The tools as any MCP client sees them.

use crate::dialect::{Tools, effects, refused, structured};
use rmcp::ServiceError;
use serde_json::json;

#[tokio::test]
async fn all_tools_are_listed_with_their_schemas() {
    let tools = Tools::new().await;
    let listed = tools.client.list_all_tools().await.unwrap();
    let names: Vec<_> = listed.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, builtin_tools::names());
    for tool in listed {
        assert_eq!(tool.input_schema["type"], "object");
        let structured = ["shell", "apply_patch", "file_search", "update_plan"].contains(&tool.name.as_ref());
        assert_eq!(tool.output_schema.is_some(), structured, "{}", tool.name);
    }
}

#[tokio::test]
async fn a_tool_that_does_not_exist_is_a_protocol_error() {
    let tools = Tools::new().await;
    let ServiceError::McpError(error) = refused(&tools, "shel").await else { panic!("a protocol error") };
    assert_eq!(error.code.0, -32602);
    assert!(error.message.starts_with("unknown tool \"shel\"; the tools are shell, "), "{}", error.message);
    // The connection lives on.
    assert_eq!(tools.text("list_dir", json!({})).await, "./\n  [empty]");
}

#[tokio::test]
async fn bad_arguments_are_results_that_say_what_is_right() {
    let tools = Tools::new().await;
    for (tool, arguments, expected) in [
        (
            "shell",
            json!({}),
            "shell: \"command\" is missing: a string or a list of strings; arguments: command, ",
        ),
        ("shell", json!({"cmd": "ls"}), "shell: unknown argument \"cmd\""),
        ("shell", json!({"command": 7}), "shell: \"command\" must be a string or a list of strings, not 7"),
        (
            "shell",
            json!({"command": "x", "timeoutMs": 1}),
            "shell: unknown argument \"timeoutMs\", did you mean \"timeout_ms\"?",
        ),
        ("shell", json!({"command": []}), "shell: the command is empty"),
        (
            "shell",
            json!({"command": "x", "env": {"A=B": ""}}),
            "shell: \"env\": \"A=B\" can not be the name of a variable",
        ),
        (
            "shell",
            json!({"command": "x", "timeout_ms": 0}),
            "shell: \"timeout_ms\" must be an integer from 1, not 0",
        ),
        (
            "shell",
            json!({"command": "x", "timeout_ms": 9_999_999}),
            "shell: \"timeout_ms\" can be at most 3600000",
        ),
        (
            "shell",
            json!({"command": "x", "workdir": "gone"}),
            "shell: the working directory ROOT/gone can not be entered",
        ),
        ("shell", json!({"command": ["gone-program"]}), "shell: gone-program was not found"),
        ("apply_patch", json!({"input": 1}), "apply_patch: \"input\" must be a string, not 1"),
        ("apply_patch", json!({"input": ""}), "apply_patch: nothing was changed: the patch is empty"),
        ("read_file", json!({}), "read_file: \"path\" is missing: a string"),
        ("read_file", json!({"path": "gone"}), "read_file: ROOT/gone: No such file"),
        (
            "read_file",
            json!({"path": "."}),
            "read_file: ROOT/. is a directory, not a regular file; list_dir shows",
        ),
        ("read_file", json!({"path": "~/x"}), "read_file: ~/x: \"~\" is not expanded"),
        (
            "read_file",
            json!({"path": "x", "offset": 0}),
            "read_file: \"offset\" must be an integer from 1, not 0",
        ),
        ("list_dir", json!({"depth": 6}), "list_dir: \"depth\" must be an integer from 1 to 5, not 6"),
        ("list_dir", json!({"path": "gone"}), "list_dir: gone: No such file"),
        ("file_search", json!({"query": "x", "path": "gone"}), "file_search: gone: No such file"),
        ("file_search", json!({"pattern": "x"}), "file_search: unknown argument \"pattern\""),
        (
            "update_plan",
            json!({"plan": "x"}),
            "update_plan: \"plan\" must be a list, each item an object with step, status",
        ),
        (
            "update_plan",
            json!({"plan": [{"step": "x", "status": "done"}]}),
            "update_plan: \"plan[0].status\" must be one of pending, in_progress, completed",
        ),
    ] {
        let told = tools.text(tool, arguments.clone()).await;
        assert!(told.starts_with(&format!("ERROR {expected}")), "{tool} {arguments}: {told}");
    }
}

#[tokio::test]
async fn files_are_read_with_line_numbers() {
    let tools = Tools::new().await;
    let long: String = (1..=3000).map(|n| format!("line {n}\n")).collect();
    tools
        .write("a.txt", "one\r\ntwo\n")
        .write("long.txt", long)
        .write("x.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    tools.write("utf16.txt", b"\xff\xfeg\0r\0\xfc\0n\0\n\0");
    let read = |path: &str| tools.text("read_file", json!({"path": path}));
    assert_eq!(read("a.txt").await, "L1: one\nL2: two");
    assert_eq!(read(tools.root.join("a.txt").to_str().unwrap()).await, "L1: one\nL2: two");
    assert_eq!(read("utf16.txt").await, "L1: grün");
    assert_eq!(read("x.png").await, "x.png: PNG image, 16 bytes; not shown, since it is no text");
    let end = "L2000: line 2000\n[lines 1 to 2000 of 3000; go on with offset 2001]";
    assert!(read("long.txt").await.ends_with(end));
    let two = tools.text("read_file", json!({"path": "long.txt", "offset": 2999, "limit": 2})).await;
    assert_eq!(two, "L2999: line 2999\nL3000: line 3000\n[lines 2999 to 3000, the last one]");
}

#[tokio::test]
async fn a_pipe_does_not_hang_the_reader() {
    let tools = Tools::new().await;
    tools.text("shell", json!({"command": "mkfifo pipe"})).await;
    let told = tools.text("read_file", json!({"path": "pipe"})).await;
    assert_eq!(told, "ERROR read_file: ROOT/pipe is a named pipe, not a regular file");
}

#[tokio::test]
async fn directories_are_listed_as_trees() {
    let tools = Tools::new().await;
    tools.write("b.txt", "12345").write("a/deep/x", "").write("a/y\nz", "").write(".hidden", "");
    std::os::unix::fs::symlink("b.txt", tools.root.join("link")).unwrap();
    let list = |arguments| tools.text("list_dir", arguments);
    assert_eq!(list(json!({})).await, "./\n  a/\n  b.txt (5 bytes)\n  link@ -> b.txt\n  [1 hidden]");
    let deep = "./\n  .hidden (0 bytes)\n  a/\n    deep/\n      x (0 bytes)\n    y\\nz (0 bytes)\n  b.txt (5 bytes)\n  link@ -> b.txt";
    assert_eq!(list(json!({"path": ".", "depth": 3, "hidden": true})).await, deep);
    // The upper level comes first where there is little room.
    let cut = "./\n  a/\n    [2 not shown, raise limit to see them]\n  b.txt (5 bytes)\n  link@ -> b.txt\n  [1 hidden]";
    assert_eq!(list(json!({"depth": 3, "limit": 3})).await, cut);
    assert_eq!(list(json!({"path": "a/deep"})).await, "a/deep/\n  x (0 bytes)");
    assert!(list(json!({"path": "b.txt"})).await.ends_with("; read_file shows files"));
}

#[tokio::test]
async fn files_are_found_by_parts_of_their_paths() {
    let tools = Tools::new().await;
    tools
        .write("src/main.rs", "")
        .write("src/lib.rs", "")
        .write("target/main.o", "")
        .write(".gitignore", "target\n");
    let found = tools.call("file_search", json!({"query": "main"})).await;
    assert_eq!(crate::dialect::text(&found), "src/main.rs");
    assert_eq!(structured(&found)["matches"][0]["path"], "src/main.rs");
    assert_eq!(structured(&found)["matches"][0]["positions"], json!([4, 5, 6, 7]));
    assert_eq!(structured(&found)["complete"], true);
    let limited = tools.text("file_search", json!({"query": "rs", "limit": 1})).await;
    assert_eq!(limited, "src/lib.rs\n[1 more match; add words or raise limit]");
    assert_eq!(tools.text("file_search", json!({"query": "zzz"})).await, "no file matches");
}

#[tokio::test]
async fn a_plan_is_kept_for_whoever_shows_it() {
    let tools = Tools::new().await;
    let plan = json!([{"step": "look", "status": "completed"}, {"step": "do", "status": "in_progress"}]);
    let result = tools.call("update_plan", json!({"plan": plan})).await;
    assert_eq!(crate::dialect::text(&result), "Plan updated");
    assert_eq!(structured(&result), &json!({"plan": plan}));
    assert_eq!(effects(&result), json!({"type": "plan", "plan": plan}));
}

#[tokio::test]
async fn tools_survive_their_workspace() {
    let tools = Tools::new().await;
    std::fs::remove_dir_all(&tools.root).unwrap();
    for (tool, arguments) in [
        ("shell", json!({"command": "true"})),
        ("apply_patch", json!({"input": "*** Begin Patch\n*** Add File: a\n*** End Patch"})),
        ("read_file", json!({"path": "a"})),
        ("list_dir", json!({})),
        ("file_search", json!({"query": "a"})),
    ] {
        let told = tools.text(tool, arguments).await;
        assert!(told.starts_with("ERROR ") && told.contains("o such file"), "{tool}: {told}");
    }
}

#[tokio::test]
async fn clients_of_the_stateless_protocol_are_served_too() {
    let tools = Tools::modern().await;
    assert_eq!(tools.client.list_all_tools().await.unwrap().len(), builtin_tools::names().len());
    tools.write("a", "x\n");
    assert_eq!(tools.text("read_file", json!({"path": "a"})).await, "L1: x");
    let told = tools.text("shell", json!({"command": "echo on"})).await;
    assert!(told.ends_with("\non"), "{told}");
}
