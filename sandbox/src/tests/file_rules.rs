//! File access of our own process under rules that are narrower than the roots: what may not be read, and what
//! stays as it is.

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    files::{Tree, tree, verdict, write},
    run, sh,
};
use crate::{AccessError, Policy, Read, Rules};

/// The tree with something secret in it, and a policy that says so.
fn with_secrets() -> (Tree, Policy) {
    let tree = tree();
    for secret in [tree.root.join("secret"), tree.outside.join("secret")] {
        fs::create_dir_all(secret.join("deep")).unwrap();
        fs::write(secret.join("key"), "SECRET").unwrap();
        fs::write(secret.join("deep/key"), "SECRET").unwrap();
    }
    fs::write(tree.root.join("token"), "SECRET").unwrap();
    fs::write(tree.root.join("file"), "plain").unwrap();
    let deny_read = [tree.root.join("secret"), tree.root.join("token"), tree.outside.join("secret")].to_vec();
    let policy = sandboxed(&tree, |rules| rules.deny_read = deny_read);
    (tree, policy)
}

fn sandboxed(tree: &Tree, change: impl FnOnce(&mut Rules)) -> Policy {
    let mut rules = Rules { writable_roots: vec![tree.root.clone()], ..Rules::default() };
    change(&mut rules);
    Policy::Sandboxed(rules)
}

fn content(policy: &Policy, path: &Path) -> Result<String, AccessError> {
    let mut text = String::new();
    policy.open_read(path)?.read_to_string(&mut text).unwrap();
    Ok(text)
}

/// What a directory is seen to hold, in order.
fn listed(policy: &Policy, dir: &Path) -> Result<Vec<String>, AccessError> {
    let entries = policy.open_dir_for_read(dir)?;
    let names = entries.entries()?.map(|entry| entry.map(|entry| entry.name.into_string().unwrap()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

#[test]
fn what_is_denied_is_read_by_no_name() {
    let (tree, policy) = with_secrets();
    symlink("secret", tree.root.join("link")).unwrap();
    symlink(tree.outside.join("secret/key"), tree.root.join("far")).unwrap();
    symlink("nowhere", tree.root.join("secret/dangling")).unwrap();
    let through_proc = Path::new("/proc/self/root").join(tree.root.strip_prefix("/").unwrap()).join("token");
    for (path, expected) in [
        ("root/file", "ok"),
        ("root/sub/../file", "ok"),
        ("root-evil/file", "ok"),
        ("root/missing", "missing"),
        ("root/secret/key", "denied"),
        ("root/secret/deep/key", "denied"),
        ("root/secret", "denied"),
        ("root/token", "denied"),
        ("root/sub/../token", "denied"),
        ("root/link/key", "denied"),
        ("root/link/deep/../key", "denied"),
        ("root/far", "denied"),
        ("root-evil/secret/deep/key", "denied"),
        // Not even that there is nothing.
        ("root/secret/missing", "denied"),
        ("root/link/missing/too", "denied"),
        ("root/secret/dangling", "denied"),
    ] {
        let path = tree.root.parent().unwrap().join(path);
        assert_eq!(verdict(&policy.open_read(&path)), expected, "{path:?}");
    }
    assert_eq!(verdict(&policy.open_read(&through_proc)), "denied");
    assert_eq!(content(&Policy::FullAccess, &tree.root.join("token")).unwrap(), "SECRET");
    let refusal = policy.open_read(&tree.root.join("far")).unwrap_err().to_string();
    assert_eq!(
        refusal,
        format!("{} may not be read: [sandbox] deny_read covers it", tree.root.join("far").display())
    );
}

/// The other name of a denied file is recognised where the file itself is named; one of a file that lies in a denied
/// directory is not, which is documented.
#[test]
fn a_hard_link_to_a_denied_file_is_denied() {
    let (tree, policy) = with_secrets();
    fs::hard_link(tree.root.join("token"), tree.root.join("hard")).unwrap();
    fs::hard_link(tree.root.join("secret/key"), tree.root.join("other")).unwrap();
    assert_eq!(verdict(&policy.open_read(&tree.root.join("hard"))), "denied");
    assert_eq!(verdict(&policy.open_read(&tree.root.join("other"))), "ok");
}

#[test]
fn what_is_denied_is_not_listed() {
    let (tree, policy) = with_secrets();
    symlink("secret", tree.root.join("link")).unwrap();
    assert_eq!(listed(&policy, &tree.root).unwrap(), ["file", "link", "sub"]);
    assert_eq!(listed(&policy, &tree.outside).unwrap(), ["file", "sub"]);
    for path in ["secret", "secret/deep", "link", "link/deep", "sub/../secret"] {
        assert_eq!(verdict(&policy.open_dir_for_read(&tree.root.join(path))), "denied", "{path}");
    }
    let root = policy.open_dir_for_read(&tree.root).unwrap();
    assert_eq!(verdict(&root.open_dir(OsStr::new("sub"))), "ok");
    assert_eq!(verdict(&root.open_dir(OsStr::new("secret"))), "denied");
    assert_eq!(verdict(&root.open_dir(OsStr::new("link"))), "not a directory");
    assert_eq!(verdict(&root.metadata(OsStr::new("token"))), "denied");
    assert_eq!(root.read_link(OsStr::new("link")).unwrap(), Path::new("secret"));
    for name in ["..", ".", "", "sub/x", "/"] {
        assert_eq!(verdict(&root.open_dir(OsStr::new(name))), "invalid");
        assert_eq!(verdict(&root.metadata(OsStr::new(name))), "invalid");
    }
    for (beneath, there) in
        [("file", true), ("sub", true), ("link", true), ("token", false), ("secret/key", false)]
    {
        assert_eq!(root.contains(Path::new(beneath)), there, "{beneath}");
        let inode = fs::symlink_metadata(tree.root.join(beneath)).unwrap().ino();
        assert_eq!(root.hides(Path::new(beneath), inode), ["token"].contains(&beneath), "{beneath}");
    }
    assert!(!root.contains(Path::new("link/key")) && !root.contains(Path::new("../root-evil/file")));
}

#[test]
fn a_root_in_a_denied_place_is_seen_and_the_rest_is_not() {
    let (tree, _) = with_secrets();
    let home = tree.root.parent().unwrap().to_owned();
    let policy = sandboxed(&tree, |rules| {
        rules.deny_read = vec![home.clone(), tree.root.join("secret")];
    });
    assert_eq!(content(&policy, &tree.root.join("file")).unwrap(), "plain");
    assert_eq!(verdict(&policy.open_read(&tree.outside.join("file"))), "denied");
    assert_eq!(verdict(&policy.open_read(&tree.root.join("secret/key"))), "denied");
    assert_eq!(verdict(&policy.open_dir_for_read(&home)), "denied");
}

#[test]
fn where_little_may_be_read_nothing_else_is() {
    let tree = tree();
    fs::write(tree.root.join("file"), "plain").unwrap();
    let policy = sandboxed(&tree, |rules| rules.read = Read::Only(vec![tree.outside.join("sub")]));
    fs::write(tree.outside.join("sub/file"), "listed").unwrap();
    symlink(tree.outside.join("file"), tree.root.join("link")).unwrap();
    for (path, expected) in [
        (tree.root.join("file"), "ok"),
        (tree.outside.join("sub/file"), "ok"),
        (PathBuf::from("/etc/passwd"), "ok"),
        (PathBuf::from("/proc/version"), "ok"),
        (tree.outside.join("file"), "denied"),
        (tree.root.join("link"), "denied"),
        (tree.outside.join("missing"), "denied"),
    ] {
        assert_eq!(verdict(&policy.open_read(&path)), expected, "{path:?}");
    }
    assert_eq!(verdict(&policy.open_dir_for_read(&tree.outside)), "denied");
    assert_eq!(verdict(&policy.open_dir_for_read(Path::new("/"))), "denied");
}

/// A command has an environment and processes of its own; those of this process are not to be had by its tools.
#[test]
fn what_proc_knows_of_processes_is_not_read() {
    let policy = Policy::read_only();
    for path in ["/proc/self/environ", "/proc/thread-self/cmdline", "/proc/1/status", "/proc/kmsg"] {
        assert_eq!(verdict(&policy.open_read(Path::new(path))), "denied", "{path}");
    }
    assert_eq!(verdict(&policy.open_dir_for_read(Path::new("/proc/self/fd"))), "denied");
    assert_eq!(verdict(&policy.open_read(Path::new("/proc/meminfo"))), "ok");
    assert_eq!(verdict(&Policy::FullAccess.open_read(Path::new("/proc/self/environ"))), "ok");
}

#[test]
fn a_link_swapped_again_and_again_never_leads_to_what_is_denied() {
    let (tree, policy) = with_secrets();
    let (dir, link) = (tree.root.join("dir"), tree.root.join("link"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("key"), "plain").unwrap();
    symlink("secret", &link).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let (mut read, mut refused) = (0, 0);
        while !done.load(Ordering::Relaxed) || read == 0 || refused == 0 {
            match content(&policy, &dir.join("key")) {
                Ok(text) => {
                    assert_eq!(text, "plain");
                    read += 1;
                }
                Err(_) => refused += 1,
            }
            if let Ok(names) = listed(&policy, &dir) {
                assert_eq!(names, ["key"]);
            }
            if done.load(Ordering::Relaxed) {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        }
    });
}

/// A repository with a submodule at the root, and the folders of agents, one of them missing.
fn repository() -> (Tree, Policy) {
    let tree = tree();
    for dir in [".git/hooks", ".git/info", ".git/modules/sub/hooks", ".codex", "kept"] {
        fs::create_dir_all(tree.root.join(dir)).unwrap();
    }
    for file in [".git/config", ".git/HEAD", ".git/modules/sub/HEAD", ".codex/config.toml", "file"] {
        fs::write(tree.root.join(file), "old").unwrap();
    }
    let policy = sandboxed(&tree, |rules| rules.protected = vec![tree.root.join("kept/notes")]);
    (tree, policy)
}

/// What comes of writing a file as the patch tool does: its directory is made if it is missing.
fn put(policy: &Policy, path: &Path) -> &'static str {
    let name = path.file_name().unwrap();
    let written = policy.open_dir_for_write(path.parent().unwrap(), true).and_then(|dir| {
        let (temp, mut file) = dir.create_temp(0o644)?;
        file.write_all(b"new").unwrap();
        let renamed = dir.rename(&temp, &dir, name);
        if renamed.is_err() {
            dir.remove_file(&temp)?;
        }
        renamed
    });
    verdict(&written)
}

/// And of taking one away.
fn take(policy: &Policy, path: &Path) -> &'static str {
    let dir = policy.open_dir_for_write(path.parent().unwrap(), false);
    verdict(&dir.and_then(|dir| dir.remove_file(path.file_name().unwrap())))
}

#[test]
fn what_is_protected_is_neither_written_nor_made_nor_taken_away() {
    let (tree, policy) = repository();
    symlink(".git", tree.root.join("link")).unwrap();
    symlink(".codex/config.toml", tree.root.join("alias")).unwrap();
    let before = snapshot(&tree.root);
    for path in [
        ".git/hooks/pre-commit",
        ".git/config",
        ".git",
        ".git/commondir",
        ".git/modules/sub/hooks/post-checkout",
        ".git/modules/sub/config",
        ".codex/config.toml",
        ".codex/new/file",
        ".codex",
        ".agents/skills/x",
        ".agents",
        "kept/notes",
        "kept/notes/x",
        "link/config",
        "link/hooks/x",
        "sub/../.codex/config.toml",
        "./.git/./hooks/x",
        ".GIT/hooks/x",
        ".Codex/config.toml",
        ".CODEX",
        ".agent\u{200d}s/x",
        ".git/Config",
    ] {
        let path = tree.root.join(path);
        assert_eq!(put(&policy, &path), "protected", "{path:?}");
        assert_ne!(take(&policy, &path), "ok", "{path:?}");
    }
    let after = snapshot(&tree.root);
    // Directories that were made on the way to a name that was refused are the patch tool's to undo.
    assert_eq!(
        after.iter().filter(|path| **path != ".GIT").collect::<Vec<_>>(),
        before.iter().collect::<Vec<_>>()
    );
    for path in ["file", ".git/info/exclude", "sub/.codex/x", "sub/.git/hooks/x", ".gitignore", "kept/other"]
    {
        assert_eq!(put(&policy, &tree.root.join(path)), "ok", "{path:?}");
    }
    // A link is replaced, not what it leads to.
    assert_eq!(put(&policy, &tree.root.join("alias")), "ok");
    assert_eq!(fs::read_to_string(tree.root.join(".codex/config.toml")).unwrap(), "old");
    assert_eq!(put(&Policy::FullAccess, &tree.root.join(".codex/config.toml")), "ok");
}

fn snapshot(root: &Path) -> Vec<String> {
    fn visit(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().display().to_string());
            if path.symlink_metadata().unwrap().is_dir() {
                visit(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    visit(root, root, &mut found);
    found.sort();
    found
}

#[test]
fn a_refusal_names_the_rule() {
    let (tree, policy) = repository();
    let refusal = |path: &str| {
        let path = tree.root.join(path);
        let dir = policy.open_dir_for_write(path.parent().unwrap(), false);
        let refused = dir.and_then(|dir| dir.may_change(path.file_name().unwrap())).unwrap_err();
        refused.to_string().replace(tree.root.to_str().unwrap(), "ROOT")
    };
    assert_eq!(
        refusal(".codex/config.toml"),
        "ROOT/.codex is protected: what is in .codex and .agents steers agents, and stays as it is"
    );
    assert_eq!(
        refusal(".git/config"),
        "ROOT/.git/config is protected: git runs what a repository's hooks and config say, so those stay as they \
         are, and .git stays where it is"
    );
    assert_eq!(refusal("kept/notes"), "ROOT/kept/notes is protected: the settings keep it read-only");
}

#[test]
fn without_a_repository_none_is_prepared() {
    let tree = tree();
    let policy = super::writable(&tree.root);
    for path in [".git", ".git/hooks/pre-commit", ".git/config"] {
        assert_eq!(put(&policy, &tree.root.join(path)), "protected", "{path}");
    }
    assert_eq!(put(&policy, &tree.root.join("file")), "ok");
}

#[test]
fn a_linked_worktree_protects_what_it_points_to() {
    let (tree, _) = repository();
    let worktree = tree.root.join("tree");
    let git = tree.root.join(".git/worktrees/tree");
    fs::create_dir_all(&worktree).unwrap();
    fs::create_dir_all(&git).unwrap();
    fs::write(worktree.join(".git"), format!("gitdir: {}\n", git.display())).unwrap();
    fs::write(git.join("commondir"), "../..\n").unwrap();
    fs::write(git.join("HEAD"), "").unwrap();
    let policy = Policy::workspace_write([worktree.clone(), tree.root.join(".git")], crate::Network::Off);
    for path in [worktree.join(".git"), git.join("commondir"), tree.root.join(".git/config")] {
        assert_eq!(put(&policy, &path), "protected", "{path:?}");
    }
    assert_eq!(put(&policy, &tree.root.join(".git/hooks/x")), "protected");
    assert_eq!(put(&policy, &git.join("index")), "ok");
}

#[test]
fn what_is_denied_is_not_written_either() {
    let (tree, policy) = with_secrets();
    for path in ["secret/key", "secret/new", "secret/a/b", "token"] {
        assert_eq!(put(&policy, &tree.root.join(path)), "denied", "{path}");
        assert_eq!(
            take(&policy, &tree.root.join(path)),
            if path == "secret/a/b" { "missing" } else { "denied" }
        );
    }
    let dir = policy.open_dir_for_write(&tree.root, false).unwrap();
    assert_eq!(verdict(&dir.open_file(OsStr::new("token"))), "denied");
    write(&dir, "file", "new");
}

/// The same places by the other door: what a file tool is refused, a command can not have either.
#[tokio::test]
async fn a_command_is_refused_the_same() {
    let (tree, policy) = repository();
    for path in [".git/hooks/x", ".git/config", ".codex/config.toml", ".codex/x", ".agents/x", "kept/notes"] {
        let path = tree.root.join(path);
        let script =
            format!("mkdir -p '{}'; echo new > '{}'", path.parent().unwrap().display(), path.display());
        assert!(!run(&policy, sh(&script)).await.0.success(), "{path:?}");
        assert_eq!(put(&policy, &path), "protected");
    }
    let (tree, policy) = with_secrets();
    for path in ["secret/key", "token"] {
        let path = tree.root.join(path);
        let (exit, text) = run(&policy, sh(&format!("cat '{}'", path.display()))).await;
        assert!(!exit.success() && !text.contains("SECRET"), "{path:?}");
        assert_eq!(verdict(&policy.open_read(&path)), "denied");
    }
}
