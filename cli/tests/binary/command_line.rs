//! What is typed, and what is said about it when it is wrong.

use crate::house::House;

#[test]
fn a_lone_unknown_word_is_an_error_and_never_a_prompt() {
    let house = House::new("");
    let said = house.run(&["mcp-servr"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.is_empty() && said.stderr.contains("unknown command \"mcp-servr\""), "{said:?}");
    let said = house.run(&["app-server"]);
    assert!(said.code == 2 && said.stderr.contains("not in this version"), "{said:?}");
}

#[test]
fn a_prompt_for_the_screen_says_that_there_is_none_yet() {
    let house = House::new("");
    for words in [&["fix the test"][..], &["--", "fix"], &[]] {
        let said = house.run(words);
        assert!(said.code == 2 && said.stderr.contains("interactive screen"), "{words:?} {said:?}");
    }
}

#[test]
fn version_and_help_are_no_errors() {
    let house = House::new("");
    let said = house.run(&["--version"]);
    assert!(said.code == 0 && said.stdout.starts_with("codex "), "{said:?}");
    for words in [&["--help"][..], &["mcp-server", "--help"], &["exec", "--help"], &["mcp", "add", "--help"]]
    {
        assert_eq!(house.run(words).code, 0, "{words:?}");
    }
}

#[test]
fn a_broken_configuration_names_file_line_key_and_what_is_allowed() {
    let cases = [
        ("model = \n", "config.toml:1: not valid TOML"),
        (
            "\nsandbox_mode = \"yolo\"\n",
            "config.toml:2: `sandbox_mode`: unknown value \"yolo\"; allowed: read-only, workspace-write, danger-full-access",
        ),
        ("approval_policy = 3\n", "config.toml:1: `approval_policy`: a number is not a string"),
        (
            "model_provider = \"nobody\"\n",
            "config.toml:1: `model_provider`: unknown provider \"nobody\"; known: openai",
        ),
        ("[mcp_servers.x]\nargs = []\n", "config.toml:1: `mcp_servers.x`: has no `command`"),
    ];
    for (config, expected) in cases {
        for words in [&["mcp-server"][..], &["exec", "hello"], &["tool", "list"]] {
            let said = House::new(config).run(words);
            assert_eq!(said.code, 2, "{words:?} {said:?}");
            assert!(
                said.stdout.is_empty() && said.stderr.contains(expected),
                "{config}{words:?}\n{}",
                said.stderr
            );
        }
    }
}

#[test]
fn a_missing_key_names_the_variable_and_three_ways_on() {
    let said = House::new("").run(&["exec", "hello"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["OPENAI_API_KEY", "--oss", "codex demo"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
}

#[test]
fn mcp_add_list_get_remove_leaves_the_file_as_it_was() {
    let config = "# mine\nmodel = \"o3\"   # the good one\n\n[mcp_servers.a]\ncommand = 'x'\n# end\n";
    let house = House::new(config);
    let added = house.run(&["mcp", "add", "every", "--env", "TOKEN=hush", "--", "npx", "-y", "some-server"]);
    assert_eq!(added.code, 0, "{added:?}");
    let listed = house.run(&["mcp", "list"]);
    assert!(listed.stdout.contains("every  enabled   npx -y some-server"), "{}", listed.stdout);
    for words in
        [&["mcp", "get", "every"][..], &["mcp", "get", "every", "--json"], &["mcp", "list", "--json"]]
    {
        let shown = house.run(words);
        assert!(
            shown.code == 0 && shown.stdout.contains("TOKEN") && !shown.stdout.contains("hush"),
            "{shown:?}"
        );
    }
    assert_eq!(house.run(&["mcp", "remove", "every"]).code, 0);
    assert_eq!(std::fs::read_to_string(house.config()).unwrap(), config);
    let gone = house.run(&["mcp", "remove", "every"]);
    assert!(gone.code == 2 && gone.stderr.contains("configured: a"), "{gone:?}");
    assert_eq!(house.run(&["mcp", "add", "no spaces", "--", "x"]).code, 2);
}

#[test]
fn tools_are_listed_and_called_without_any_model() {
    let house = House::new("");
    let listed = house.run(&["tool", "list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    for name in [
        "codex",
        "codex-reply",
        "shell",
        "apply_patch",
        "file_search",
        "read_file",
        "list_dir",
        "update_plan",
    ] {
        assert!(
            listed.stdout.lines().any(|line| line.split_whitespace().next() == Some(name)),
            "{name}\n{}",
            listed.stdout
        );
    }
    let called = house.run(&["tool", "call", "shell", "command=echo $((6*7))"]);
    assert!(called.code == 0 && called.stdout.contains("42"), "{called:?}");
    let unknown = house.run(&["tool", "call", "shel", "command=true"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("did you mean \"shell\""), "{unknown:?}");
    let text = house.run(&["tool", "call", "shell", "command=true"]);
    assert_eq!(text.code, 0, "`true` is a command here: {text:?}");
    let broken = house.run(&["tool", "call", "shell", "{broken"]);
    assert_eq!(broken.code, 2, "{broken:?}");
}

#[test]
fn the_sandbox_follows_the_mode_on_the_command_line() {
    let house = House::new("");
    let write = ["tool", "call", "shell", "command=echo x > file"];
    house.run(&write);
    assert!(!house.workspace().join("file").exists(), "nothing is set and nothing trusted: read-only");
    house.run(&[&write[..], &["-s", "workspace-write"]].concat());
    assert!(house.workspace().join("file").exists());
}

#[test]
fn a_server_that_does_not_start_is_named_and_the_rest_is_listed() {
    let house =
        House::new("[mcp_servers.broken]\ncommand = \"sh\"\nargs = [\"-c\", \"echo oh no >&2; exit 3\"]\n");
    let listed = house.run(&["tool", "list"]);
    assert!(listed.code == 0 && listed.stdout.contains("shell"), "{listed:?}");
    for part in ["\"broken\"", "exited with code 3", "oh no"] {
        assert!(listed.stderr.contains(part), "{part}: {}", listed.stderr);
    }
}

/// An MCP server with one tool, which it marks destructive.
const DESTRUCTIVE: &str = r#"
import json, sys
tool = {"name": "wipe", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": True}}
for line in sys.stdin:
    message = json.loads(line)
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "wiper", "version": "1"}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": "wiped"}]},
    }
    if "id" in message:
        result = results[message["method"]]
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"#;

#[test]
fn what_policy_denies_has_an_exit_code_of_its_own_and_names_the_setting() {
    let house = House::new("");
    let script = house.workspace().join("wiper.py");
    std::fs::write(&script, DESTRUCTIVE).unwrap();
    let server = format!("[mcp_servers.wiper]\ncommand = \"python3\"\nargs = [\"{}\"]\n", script.display());
    std::fs::write(house.config(), &server).unwrap();
    let denied = house.run(&["tool", "call", "wiper__wipe"]);
    assert_eq!(denied.code, 3, "{denied:?}");
    assert!(
        denied.stderr.contains("[mcp_servers.wiper]") && denied.stderr.contains("approval"),
        "{denied:?}"
    );
    std::fs::write(house.config(), format!("{server}approval = \"auto\"\n")).unwrap();
    let allowed = house.run(&["tool", "call", "wiper__wipe"]);
    assert_eq!((allowed.code, allowed.stdout.as_str()), (0, "wiped\n"), "{allowed:?}");
}
