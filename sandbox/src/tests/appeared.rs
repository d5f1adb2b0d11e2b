//! What a command brought into being under a protected name is told, and nothing else.

use std::path::Path;

use super::{Weaken, nothing, reduced, sh, spawn_weakened, within};
use crate::{Network, Policy, Rules};

/// Runs a script in a workspace that another one has prepared; gives what appeared, below the workspace.
async fn appeared(weaken: Weaken, before: &str, script: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let ws = dir.path().to_owned();
    let prepare = std::process::Command::new("sh").args(["-ec", before]).current_dir(&ws).status();
    assert!(prepare.unwrap().success());
    let protected = vec![ws.join("named")];
    let rules =
        Rules { writable_roots: vec![ws.clone()], protected, network: Network::Off, ..Rules::default() };
    let policy = Policy::Sandboxed(rules);
    let mut child = spawn_weakened(&policy, within(&ws, sh(script)), weaken).await.unwrap();
    child.wait().await.unwrap();
    child.appeared().iter().map(|path| below(&ws, path)).collect()
}

fn below(ws: &Path, path: &Path) -> String {
    path.strip_prefix(ws).unwrap().display().to_string()
}

const EVERY: &str = "mkdir -p .codex .agents .git/hooks named; echo x > .git/config; echo x > .git/commondir; \
     touch .git/hooks/pre-commit .git/hooks/post-commit.sample";
const NONE: [&str; 0] = [];

#[tokio::test]
async fn whatever_is_made_at_the_reduced_level_is_told() {
    let all = [".codex", ".agents", ".git/config", ".git/commondir", "named", ".git/hooks/pre-commit"];
    assert_eq!(appeared(reduced, "", EVERY).await, all);
    assert_eq!(appeared(reduced, EVERY, "touch .codex/more .git/description; rm .agents -r").await, NONE);
    let hooks = "mkdir -p .git/hooks; touch .git/hooks/old";
    let more = "touch .git/hooks/old .git/hooks/new .git/hooks/x.sample";
    assert_eq!(appeared(reduced, hooks, more).await, [".git/hooks/new"]);
    let pointer = "echo 'gitdir: elsewhere' > .git; ln -s nowhere .codex";
    assert_eq!(appeared(reduced, "", pointer).await, [".codex", ".git"]);
}

#[tokio::test]
async fn what_can_be_made_at_the_full_level_is_a_repository() {
    let git = [".git/config", ".git/commondir", ".git/hooks/pre-commit"];
    assert_eq!(appeared(nothing, "", EVERY).await, git);
    assert_eq!(appeared(nothing, "mkdir .git", EVERY).await, NONE);
    assert_eq!(appeared(nothing, "", "echo 'gitdir: elsewhere' > .git").await, [".git"]);
    assert_eq!(appeared(nothing, "", "true").await, NONE);
}

/// What stands in for a name, for another command that runs, is not the name.
#[tokio::test]
async fn what_stands_in_has_not_appeared() {
    let stands_in = "touch .codex; chmod 1444 .codex";
    assert_eq!(appeared(reduced, "", stands_in).await, NONE);
    // From within, at the reduced level, that looks the same; but there is nothing in it to obey.
    assert_eq!(appeared(reduced, "", "echo more > .codex; chmod 1444 .codex").await, [".codex"]);
}
