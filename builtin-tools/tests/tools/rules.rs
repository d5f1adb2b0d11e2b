//! Rules narrower than the workspace: what may not be read, and what stays as it is, by each tool.

use crate::dialect::{Tools, structured, text, tree};
use sandbox::{Network, Policy, Rules};
use serde_json::json;

/// A workspace with secrets in it, and one outside that a link leads to.
async fn with_secrets() -> Tools {
    let tools = Tools::with(|context| {
        let root = context.cwd.clone();
        let deny_read = ["secret", "key.txt", "../outside"].map(|name| root.join(name)).to_vec();
        std::fs::create_dir_all(root.parent().unwrap().join("outside")).unwrap();
        std::fs::write(root.parent().unwrap().join("outside/key.txt"), "SECRET").unwrap();
        let rules = Rules { writable_roots: vec![root], deny_read, ..Rules::default() };
        context.policy = Policy::Sandboxed(rules);
    })
    .await;
    tools.write("secret/key.txt", "SECRET").write("secret/deep/key.txt", "SECRET").write("key.txt", "SECRET");
    tools.write("sub/key.md", "plain");
    std::os::unix::fs::symlink("../outside", tools.root.join("far")).unwrap();
    tools
}

#[tokio::test]
async fn what_is_denied_is_not_read() {
    let tools = with_secrets().await;
    for path in ["secret/key.txt", "key.txt", "sub/../key.txt", "far/key.txt", "secret/missing"] {
        let told = tools.text("read_file", json!({"path": path})).await;
        assert_eq!(
            told,
            format!("ERROR read_file: ROOT/{path} may not be read: [sandbox] deny_read covers it")
        );
    }
    assert_eq!(tools.text("read_file", json!({"path": "sub/key.md"})).await, "L1: plain");
    for path in ["/proc/self/environ", "/proc/self/cmdline"] {
        let told = tools.text("read_file", json!({"path": path})).await;
        assert!(told.contains("may not be read: what /proc knows of processes"), "{told}");
    }
}

#[tokio::test]
async fn what_is_denied_is_neither_listed_nor_found_nor_counted() {
    let tools = with_secrets().await;
    assert_eq!(
        tools.text("list_dir", json!({"depth": 3})).await,
        "./\n  far@ -> ../outside\n  sub/\n    key.md (5 bytes)"
    );
    for path in ["secret", "far", "secret/deep"] {
        let told = tools.text("list_dir", json!({"path": path})).await;
        assert_eq!(
            told,
            format!("ERROR list_dir: ROOT/{path} may not be read: [sandbox] deny_read covers it")
        );
        let told = tools.text("file_search", json!({"query": "key", "path": path})).await;
        let expected =
            format!("ERROR file_search: ROOT/{path} may not be read: [sandbox] deny_read covers it");
        assert_eq!(told, expected);
    }
    let found = tools.call("file_search", json!({"query": "key"})).await;
    assert_eq!(structured(&found)["total"], 1);
    assert_eq!(structured(&found)["matches"][0]["path"], "sub/key.md");
}

#[tokio::test]
async fn a_patch_changes_nothing_that_is_protected_or_denied() {
    let tools = with_secrets().await;
    tools.write(".git/config", "old\n").write(".git/hooks/x", "").write(".codex/config.toml", "old\n");
    tools.write("file", "old\n");
    let before = tree(&tools.root);
    for (path, why) in [
        (".git/config", "is protected: git runs"),
        (".git/hooks/pre-commit", "is protected: git runs"),
        (".codex/config.toml", "is protected: what is in .codex"),
        (".agents/skills/x.md", "is protected: what is in .codex"),
        ("secret/new.txt", "may not be read: [sandbox] deny_read covers it"),
        ("key.txt", "may not be read: [sandbox] deny_read covers it"),
    ] {
        for patch in [
            format!("*** Add File: {path}\n+new"),
            format!("*** Update File: {path}\n@@\n-old\n+new"),
            format!("*** Delete File: {path}"),
            format!("*** Update File: file\n*** Move to: {path}\n@@\n-old\n+new"),
        ] {
            let input = format!("*** Begin Patch\n{patch}\n*** End Patch");
            let told = tools.text("apply_patch", json!({"input": input})).await;
            let missing = told.contains("does not exist") && !tools.root.join(path).exists();
            assert!(told.starts_with("ERROR ") && (told.contains(why) || missing), "{patch}: {told}");
        }
    }
    assert_eq!(tree(&tools.root), before);
}

#[tokio::test]
async fn the_rest_of_a_repository_is_patched_as_ever() {
    let tools = Tools::with(|context| {
        context.policy = Policy::workspace_write(vec![context.cwd.clone()], Network::Off);
    })
    .await;
    tools.write(".git/config", "").write(".git/HEAD", "");
    let input =
        "*** Begin Patch\n*** Add File: .git/info/exclude\n+x\n*** Add File: .gitignore\n+y\n*** End Patch";
    let told = tools.text("apply_patch", json!({"input": input})).await;
    assert_eq!(told, "Success. Updated the following files:\nA .git/info/exclude\nA .gitignore");
}

/// No level keeps a command from making a repository; what git would run from it is told.
#[tokio::test]
async fn what_programs_outside_would_obey_is_told_when_it_appears() {
    let tools = Tools::new().await;
    let quiet = tools.call("shell", json!({"command": "echo x > file"})).await;
    assert!(structured(&quiet).get("appeared").is_none());
    let command = "mkdir -p .git/hooks && touch .git/config && echo 'echo hi' > .git/hooks/pre-commit";
    let result = tools.call("shell", json!({"command": command})).await;
    let appeared = structured(&result)["appeared"].to_string();
    assert!(appeared.contains(".git/hooks") && appeared.contains(".git/config"), "{appeared}");
    let told = text(&result);
    assert!(told.contains("\n[new, and obeyed by programs outside the sandbox: .git/"), "{told}");
}
