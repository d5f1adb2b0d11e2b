//! The patch corpus: each directory of `tests/patch` is a case.
//!
//! `input/` is the workspace before, `patch.txt` the patch, and then there is either `expected/`, the workspace after it,
//! or `error.txt`, what the model is told; the workspace is as before then. `{ROOT}` stands for the workspace's path and
//! `{OUTSIDE}` for that of the directory it is in.
//! With `BLESS` set in the environment, error texts are written instead of compared.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::dialect::{Tools, effects, structured, text, tree};
use serde_json::{Value, json};

#[tokio::test]
async fn corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/patch");
    let mut cases: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(what) = check(&case).await {
            wrong.push(format!("{}: {what}", case.file_name().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn check(case: &Path) -> Result<(), String> {
    let tools = Tools::new().await;
    copy(&case.join("input"), &tools.root);
    let before = tree(&tools.root);
    let around = tree(tools.root.parent().unwrap()).len();
    let root = tools.root.to_str().unwrap();
    let patch = std::fs::read_to_string(case.join("patch.txt")).unwrap().replace("{ROOT}", root);

    let result = tools.call("apply_patch", json!({"input": patch})).await;

    let outside = tools.root.parent().unwrap();
    let told = text(&result).replace(root, "{ROOT}").replace(outside.to_str().unwrap(), "{OUTSIDE}");
    let after = tree(&tools.root);
    let expected = case.join("expected");
    if expected.exists() {
        if result.is_error == Some(true) {
            return Err(told);
        }
        return same(&tree(&expected), &after);
    }
    if result.is_error != Some(true) {
        return Err(format!("it should have failed, but: {told}"));
    }
    if tree(outside).len() != around {
        return Err("something was made outside of the workspace".to_owned());
    }
    same(&before, &after)?;
    let file = case.join("error.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{told}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected.trim_end() == told { Ok(()) } else { Err(format!("expected: {expected}told: {told}")) }
}

fn same(expected: &[(String, Vec<u8>)], actual: &[(String, Vec<u8>)]) -> Result<(), String> {
    let show = |tree: &[(String, Vec<u8>)]| {
        let entries =
            tree.iter().map(|(name, bytes)| format!("  {name}: {:?}", String::from_utf8_lossy(bytes)));
        entries.collect::<Vec<_>>().join("\n")
    };
    if expected == actual {
        Ok(())
    } else {
        Err(format!("expected\n{}\nbut there is\n{}", show(expected), show(actual)))
    }
}

fn copy(from: &Path, to: &Path) {
    let Ok(entries) = std::fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn apply(tools: &Tools, sections: &str) -> rmcp::model::CallToolResult {
    tools.call("apply_patch", json!({"input": format!("*** Begin Patch\n{sections}\n*** End Patch")})).await
}

#[tokio::test]
async fn the_result_tells_model_user_program_and_host() {
    let tools = Tools::new().await;
    tools.write("a.txt", "one\ntwo\n").write("b.txt", "b\n").write("c.txt", "c\n");
    let sections = "*** Delete File: b.txt\n*** Update File: c.txt\n*** Move to: d/c.txt\n\
                    *** Update File: a.txt\n@@\n-one\n+1\n+1b\n*** Add File: new.txt\n+new";
    let result = apply(&tools, sections).await;

    let summary = "Success. Updated the following files:\nA new.txt\nM a.txt\nM c.txt -> d/c.txt\nD b.txt";
    assert_eq!(text(&result), summary);
    let files = json!([
        {"path": "new.txt", "kind": "add", "added": 1, "removed": 0},
        {"path": "a.txt", "kind": "update", "added": 2, "removed": 1},
        {"path": "c.txt", "kind": "move", "moved_to": "d/c.txt", "added": 0, "removed": 0},
        {"path": "b.txt", "kind": "delete", "added": 0, "removed": 1},
    ]);
    assert_eq!(structured(&result), &json!({"files": files}));

    let resource = serde_json::to_value(&result.content[1]).unwrap();
    let diff = "--- a/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n\
                diff --git a/c.txt b/d/c.txt\nrename from c.txt\nrename to d/c.txt\n\
                --- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@\n-one\n+1\n+1b\n two\n\
                --- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+new\n";
    assert_eq!(resource["resource"]["text"], diff);
    assert_eq!(resource["resource"]["mimeType"], "text/x-diff");
    assert!(resource["resource"]["uri"].as_str().unwrap().starts_with("codex://diff/"));
    assert_eq!(resource["annotations"]["audience"], json!(["user"]));
    assert_eq!(effects(&result), json!({"type": "patch", "files": files, "diff": diff}));
}

/// What becomes of files that a patch names more than once is told as it is in the end.
#[tokio::test]
async fn the_result_tells_what_it_comes_to() {
    let check = async |sections: &str, expected: &str| {
        let tools = Tools::new().await;
        tools.write("a", "a\n").write("b", "b\n");
        let result = apply(&tools, sections).await;
        assert_eq!(
            text(&result).replace('\n', "|"),
            format!("Success. Updated the following files:|{expected}")
        );
        effects(&result)["diff"].as_str().unwrap().to_owned()
    };
    check("*** Add File: x\n+1\n*** Update File: x\n*** Move to: y", "A y").await;
    check("*** Update File: a\n*** Move to: y\n*** Delete File: y", "D a").await;
    check("*** Update File: a\n*** Move to: y\n*** Update File: y\n*** Move to: a\n@@\n-a\n+c", "M a").await;
    check("*** Delete File: a\n*** Add File: a\n+c", "M a").await;
    let diff = check("*** Update File: a\n*** Move to: b", "M a -> b").await;
    // The content that is lost is shown.
    assert!(diff.starts_with("--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\ndiff --git a/a b/b\n"), "{diff}");
}

#[tokio::test]
async fn the_argument_has_another_name_too() {
    let tools = Tools::new().await;
    let patch = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch";
    let told = tools.text("apply_patch", json!({"patch": patch})).await;
    assert_eq!(told, "Success. Updated the following files:\nA a");
}

#[tokio::test]
async fn a_read_only_file_stays() {
    let tools = Tools::new().await;
    tools.write("a", "x\n");
    std::fs::set_permissions(tools.root.join("a"), std::fs::Permissions::from_mode(0o444)).unwrap();
    let result = apply(&tools, "*** Update File: a\n@@\n-x\n+y").await;
    assert!(text(&result).contains("a is read-only (mode 444)"), "{}", text(&result));
    assert_eq!(std::fs::read(tools.root.join("a")).unwrap(), b"x\n");
}

#[tokio::test]
async fn nothing_is_writable_under_read_only() {
    let tools = Tools::with(|context| context.policy = sandbox::Policy::read_only()).await;
    let result = apply(&tools, "*** Add File: a\n+x").await;
    assert_eq!(result.is_error, Some(true));
    assert!(text(&result).contains("sandbox_mode is read-only"), "{}", text(&result));
    assert!(!tools.root.join("a").exists());
}

#[tokio::test]
async fn a_large_file_is_patched() {
    let tools = Tools::new().await;
    let lines = |changed: &[usize]| -> String {
        (0..50_000)
            .map(|n| format!("{} {n}\n", if changed.contains(&n) { "changed" } else { "line" }))
            .collect()
    };
    tools.write("big.txt", lines(&[]));
    let chunk = |n: usize| format!("@@\n line {}\n-line {n}\n+changed {n}\n line {}\n", n - 1, n + 1);
    let chunks: String = [7, 25_000, 49_990].map(chunk).concat();
    let result = apply(&tools, &format!("*** Update File: big.txt\n{}", chunks.trim_end())).await;
    assert_eq!(text(&result), "Success. Updated the following files:\nM big.txt");
    assert_eq!(std::fs::read_to_string(tools.root.join("big.txt")).unwrap(), lines(&[7, 25_000, 49_990]));
}

#[tokio::test]
async fn a_long_diff_is_cut() {
    let tools = Tools::new().await;
    let lines: String = (0..40_000).map(|n| format!("+line {n}\n")).collect();
    let result = apply(&tools, &format!("*** Add File: long.txt\n{}", lines.trim_end())).await;
    let diff = effects(&result)["diff"].as_str().unwrap().to_owned();
    assert!(diff.len() < 300_000 && diff.ends_with("\n(the rest of the diff is left out)\n"));
    assert_eq!(structured(&result)["files"][0]["added"], 40_000);
}

/// Two patches at once: each is whole, in whatever order.
#[tokio::test]
async fn patches_wait_for_each_other() {
    let tools = Tools::new().await;
    tools.write("a", "0\n");
    let add = |n: usize| format!("*** Begin Patch\n*** Update File: a\n@@\n+{n}\n*** End Patch");
    let calls: Vec<_> = (1..=20).map(|n| tools.call("apply_patch", json!({"input": add(n)}))).collect();
    for result in futures::future::join_all(calls).await {
        assert_eq!(result.is_error, Some(false), "{}", text(&result));
    }
    let mut lines: Vec<Value> = Vec::new();
    for line in std::fs::read_to_string(tools.root.join("a")).unwrap().lines() {
        lines.push(line.parse::<u32>().unwrap().into());
    }
    lines.sort_by_key(|line| line.as_u64());
    assert_eq!(lines, (0..=20).map(Value::from).collect::<Vec<_>>());
}
