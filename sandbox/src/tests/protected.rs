//! Protected names, attacked: each attack first where nothing keeps it, then inside. Whether it came through is
//! seen from outside, in what the names hold afterwards.

mod attacks;

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use self::attacks::{ATTACKS, REPOSITORY};
use super::{Weaken, finish, nothing, program, reduced, run, sh, spawn_weakened, with, within, writable};
use crate::{Child, Command, Exit, Input, Network, Policy, Rules, spawn};

/// For scripts: the one way to rename that shells do not know.
fn exchange_in(path: &Path) -> String {
    let exchange = path.join("exchange");
    let text = "#!/usr/bin/python3\nimport ctypes, sys\na, b = [x.encode() for x in sys.argv[1:]]\n\
                ctypes.CDLL(None).renameat2(-100, a, -100, b, 2)\n";
    fs::write(&exchange, text).unwrap();
    fs::set_permissions(&exchange, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

struct Scene {
    dir: TempDir,
    bin: TempDir,
}

impl Scene {
    fn new(setup: &str) -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap(), bin: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.ws()).unwrap();
        fs::create_dir(scene.other()).unwrap();
        scene.free(setup);
        scene
    }

    fn ws(&self) -> PathBuf {
        self.dir.path().join("ws")
    }

    fn other(&self) -> PathBuf {
        self.dir.path().join("other")
    }

    fn policy(&self) -> Policy {
        Policy::workspace_write([self.ws(), self.other()], Network::Off)
    }

    fn command(&self, script: &str) -> Command {
        let mut command = within(&self.ws(), sh(script));
        command.env = Vec::new();
        with("PATH", format!("/usr/bin:/bin:{}", exchange_in(self.bin.path())), command)
    }

    /// Runs a script where nothing keeps it.
    fn free(&self, script: &str) {
        let command = self.command(script);
        let mut free = std::process::Command::new(command.program);
        free.args(command.args).env_clear().envs(command.env).current_dir(command.cwd).output().unwrap();
    }

    async fn inside(&self, policy: &Policy, script: &str, weaken: Weaken) -> String {
        finish(spawn_weakened(policy, self.command(script), weaken).await.unwrap()).await.1
    }

    /// What codex and git would find.
    fn found(&self) -> String {
        let (ws, other) = (self.ws(), self.other());
        let git = [".git", ".git/modules/a", ".git/modules/b/c", ".git/modules/7"].map(|git| ws.join(git));
        let linked = [other.join(".git"), other.join(".git/worktrees/ws"), other.join("later")];
        let of_git = ["config", "hooks", "commondir", "config.worktree"];
        let of_git = git.iter().chain(&linked).flat_map(|git| of_git.map(|name| git.join(name)));
        let paths = [".codex", ".agents"].map(|name| ws.join(name)).into_iter().chain(of_git);
        let pointer = fs::read_to_string(ws.join(".git")).unwrap_or_default();
        paths.map(|path| held(&path)).chain([pointer]).collect()
    }

    /// Everything that is there, by name.
    fn names(&self) -> Vec<PathBuf> {
        let mut names = vec![self.dir.path().to_owned()];
        let mut at = 0;
        while let Some(dir) = names.get(at) {
            let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
            let mut entries: Vec<_> = entries.collect();
            entries.sort();
            names.extend(entries);
            at += 1;
        }
        names
    }
}

/// What a path holds, links followed.
fn held(path: &Path) -> String {
    let Ok(metadata) = path.metadata() else { return format!("{}: none\n", path.display()) };
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut entries: Vec<_> =
        fs::read_dir(path).into_iter().flatten().map(|entry| held(&entry.unwrap().path())).collect();
    entries.sort();
    format!("{}: {:o} {text}\n{}", path.display(), metadata.mode(), entries.concat())
}

/// Until there is nothing left to be cleared away.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn each_attack_succeeds_where_nothing_keeps_it() {
    for (setup, attack) in ATTACKS {
        let scene = Scene::new(setup);
        let before = scene.found();
        scene.free(attack);
        assert_ne!(scene.found(), before, "{setup}: {attack}");
    }
}

#[tokio::test]
async fn no_attack_succeeds() {
    for (setup, attack) in ATTACKS {
        let scene = Scene::new(setup);
        let before = scene.found();
        let text = scene.inside(&scene.policy(), attack, nothing).await;
        until(|| scene.names().iter().all(|name| !is_stand_in(name))).await;
        assert_eq!(scene.found(), before, "{setup}: {attack}: {text}");
        // Twice: the first must not have prepared the way for the second.
        scene.inside(&scene.policy(), attack, nothing).await;
        until(|| scene.names().iter().all(|name| !is_stand_in(name))).await;
        assert_eq!(scene.found(), before, "the second time, {setup}: {attack}: {text}");
    }
}

fn is_stand_in(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| crate::protected::is_stand_in(it.mode(), it.len()))
}

#[tokio::test]
async fn at_the_reduced_level_every_attack_succeeds() {
    for (setup, attack) in ATTACKS {
        let scene = Scene::new(setup);
        let before = scene.found();
        scene.inside(&scene.policy(), attack, reduced).await;
        assert_ne!(scene.found(), before, "{setup}: {attack}");
    }
}

/// The same again as a user who needs a namespace to mount anything.
#[test]
fn no_attack_of_an_ordinary_user_succeeds() {
    if !rustix::process::geteuid().is_root() {
        return; // then all of the above has just been that
    }
    const NOBODY: u32 = 65534;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut again = std::process::Command::new(copy);
    again.args(["tests::protected::", "--skip", "ordinary", "--test-threads", "2"]).current_dir("/");
    again.uid(NOBODY).gid(NOBODY);
    let output = loop {
        match again.output() {
            // Another test has forked while the copy was being written.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.unwrap(),
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains(" 0 passed"), "{text}");
}

#[tokio::test]
async fn what_is_named_is_protected_too() {
    let scene = Scene::new("mkdir -p a/b; echo x > a/b/kept; echo x > open");
    let ws = scene.ws();
    let protected = vec![ws.join("a/b/kept"), ws.join("missing/too"), scene.dir.path().join("elsewhere")];
    let rules = Rules { writable_roots: vec![ws.clone()], protected, ..Rules::default() };
    let script =
        "echo evil > a/b/kept; mv a c; mv a/b a/d; mkdir missing; echo fine > open; echo fine > a/b/beside";
    scene.inside(&Policy::Sandboxed(rules.clone()), script, nothing).await;
    until(|| !ws.join("missing").exists()).await;
    assert_eq!(held(&ws.join("a/b/kept")), format!("{}: 100644 x\n\n", ws.join("a/b/kept").display()));
    assert_eq!(fs::read_to_string(ws.join("open")).unwrap(), "fine\n");
    assert_eq!(fs::read_to_string(ws.join("a/b/beside")).unwrap(), "fine\n");
    // Even a root.
    let all = Policy::Sandboxed(Rules { protected: vec![scene.dir.path().to_owned()], ..rules });
    scene.inside(&all, "echo evil > open", nothing).await;
    assert_eq!(fs::read_to_string(ws.join("open")).unwrap(), "fine\n");
}

#[tokio::test]
async fn a_root_in_another_root_stays_where_it_is() {
    let scene = Scene::new("mkdir -p a/inner");
    let inner = scene.ws().join("a/inner");
    let policy = Policy::workspace_write([scene.ws(), inner.clone()], Network::Off);
    let script = "mv a b; mkdir -p a/inner/.codex; mv a/inner a/aside; touch a/fine a/inner/fine";
    scene.inside(&policy, script, nothing).await;
    until(|| !inner.join(".codex").exists()).await;
    assert!(
        inner.join("fine").exists() && scene.ws().join("a/fine").exists() && !scene.ws().join("b").exists()
    );
}

/// A command that tries it when it is told to.
async fn waiting(scene: &Scene, script: &str) -> Child {
    let script = format!("echo ready; read line; {script}");
    let mut child =
        spawn(&scene.policy(), Command { input: Input::Pipe, ..scene.command(&script) }).await.unwrap();
    read_line(&mut child).await;
    child
}

async fn read_line(child: &mut Child) {
    while tokio::io::AsyncReadExt::read_u8(child.stdout.as_mut().unwrap()).await.unwrap() != b'\n' {}
}

#[tokio::test]
async fn nothing_is_left_of_what_stood_in() {
    let scene = Scene::new(REPOSITORY);
    let before = scene.names();
    let (exit, text) = finish(spawn(&scene.policy(), scene.command("ls -A . .git")).await.unwrap()).await;
    assert!(exit.success() && text.contains(".codex"), "{text}");
    assert_eq!(scene.names(), before, "right when its end is known");
    assert!(spawn(&scene.policy(), program("/no/such/program", &[])).await.is_err());
    until(|| scene.names() == before).await;
    let child = waiting(&scene, "true").await;
    assert_ne!(scene.names(), before);
    drop(child);
    until(|| scene.names() == before).await;
}

#[tokio::test]
async fn commands_share_what_stands_in() {
    let scene = Scene::new("");
    let mut children = Vec::new();
    for _ in 0..8 {
        children.push(waiting(&scene, "mkdir .codex && echo evil > .codex/evil").await);
    }
    for mut child in children {
        assert!(scene.ws().join(".codex").exists());
        drop(child.stdin.take());
        assert_eq!(finish(child).await.0, Exit::Code(1));
    }
    until(|| scene.names().len() == 3).await;
}

#[tokio::test]
async fn many_at_once_clear_up_after_each_other() {
    let scene = Scene::new(REPOSITORY);
    let before = scene.names();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (policy, command) =
            (scene.policy(), scene.command("mkdir .codex .git/commondir 2> /dev/null; echo $?"));
        running.spawn(async move { run(&policy, command).await });
    }
    while let Some(done) = running.join_next().await {
        assert_eq!(done.unwrap().1, "1\n");
    }
    until(|| scene.names() == before).await;
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_taken_over() {
    let scene = Scene::new("touch .codex; chmod 1444 .codex; echo kept > .agents; chmod 1444 .agents");
    scene.inside(&scene.policy(), "true", nothing).await;
    until(|| !scene.ws().join(".codex").exists()).await;
    // What says something is nobody's leaving.
    assert_eq!(fs::read_to_string(scene.ws().join(".agents")).unwrap(), "kept\n");
}

#[tokio::test]
async fn what_someone_outside_puts_there_stays() {
    let scene = Scene::new("");
    let mut child = waiting(&scene, "cat .codex; echo evil > .codex; rm .codex").await;
    let own = scene.ws().join(".codex");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&own, "fine\n").unwrap();
    drop(child.stdin.take());
    assert!(finish(child).await.1.starts_with("fine\n"));
    assert_eq!(held(&own), format!("{}: 100644 fine\n\n", own.display()));
}

#[tokio::test]
async fn links_without_end_are_refused() {
    let scene = Scene::new("ln -s .codex .codex");
    let message = super::refusal(&scene.policy(), sh("true")).await;
    assert!(
        message.contains(".codex can not be protected: it leads through too many links; make it"),
        "{message}"
    );
}

#[tokio::test]
async fn a_place_that_can_not_be_written_needs_nothing() {
    let scene = Scene::new("");
    fs::set_permissions(scene.ws(), fs::Permissions::from_mode(0o555)).unwrap();
    assert!(run(&writable(scene.ws()), sh("true")).await.0.success());
    fs::set_permissions(scene.ws(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn git_works_with_what_is_protected() {
    let scene = Scene::new("git init -q -b main . && git config user.email a@b && git config user.name n");
    if !scene.ws().join(".git").exists() {
        return; // there is no git here
    }
    let script = "set -e; exec 2>&1; echo 1 > f; git add f; git commit -qm one
git checkout -qb side; echo 2 > g; git add g; git commit -qm two; git stash list
git checkout -q main; echo 3 > h; git add h; git commit -qm three
git rebase -q main side; git gc -q; git worktree add -q wt main; git worktree list | wc -l
echo 4 > wt/i; git -C wt add i; git -C wt commit -qm four; git worktree remove wt; git fsck
git log --format=%s side; git status --short; git rev-parse --show-toplevel > /dev/null
! git config core.pager evil; ! git remote add evil /evil; ! git init -q .git/modules/evil/../../hooks/x";
    let text = scene.inside(&scene.policy(), script, nothing).await;
    assert!(text.starts_with("2\ntwo\nthree\none\n"), "{text}");
    assert!(!fs::read_to_string(scene.ws().join(".git/config")).unwrap().contains("evil"));
    // And a new one can be made.
    let empty = Scene::new("");
    let text = empty
        .inside(&empty.policy(), "git init -q . && git config a.b c && git status --short", nothing)
        .await;
    assert!(empty.ws().join(".git/config").exists(), "{text}");
}
