//! The tools that people work with. Each must be there: what is not tested says nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{both_levels, works};
use crate::{
    Command, Exit, Network,
    tests::{Weaken, finish, nothing, program, reduced, sh, spawn_weakened, with, within, writable},
};

/// A command that finds the tools that this test's own process would, and says if one is missing.
fn tool(name: &str, command: Command) -> Command {
    let path = env::var_os("PATH").unwrap();
    let found = env::split_paths(&path).any(|dir| dir.join(name).is_file());
    assert!(found, "this test needs {name} in PATH");
    Command { env: vec![("PATH".into(), path)], ..command }
}

/// A shell script that uses this tool.
fn script(name: &str, script: &str) -> Command {
    tool(name, sh(&format!("set -e\n{script}")))
}

const IDENTITY: &str =
    "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=a@b\n";

#[tokio::test]
async fn git_from_nothing() {
    let text = "git init -q -b main .; git config user.email a@b; git config user.name n
echo 1 > f; git add f; git commit -qm one
git checkout -qb side; echo 2 > g; git add g; git commit -qm two
git checkout -q main; echo 3 > h; git add h; git commit -qm three
git rebase -q main side; git gc -q; git worktree add -q wt main
git log --format=%s side";
    assert_eq!(works(Network::Off, script("git", text)).await, "two\nthree\none\n");
}

/// Its configuration and its hooks can not be written, everything else can.
#[tokio::test]
async fn git_in_a_repository_that_was_there() {
    let before = format!(
        "{IDENTITY} git init -q -b main .; echo 1 > f; git add f; git commit -qm one
git branch other; printf '#!/bin/sh\\necho hook\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
    );
    let inside = format!(
        "{IDENTITY} echo 2 >> f; git commit -qam two; git checkout -q other; echo 3 > g; git add g; git commit -qm three
git rebase -q main; git stash list; git tag t; echo 4 > h; git add h; git stash -q; git stash pop -q
git reset -q --hard; git worktree add -q wt main; git worktree remove wt; git gc -q; git merge -q t
git log --format=%s; git status --short; git clean -fdxq; git add -A; git status --short"
    );
    for weaken in both_levels() {
        let dir = tempfile::tempdir().unwrap();
        let prepare = within(dir.path(), script("git", &before));
        let mut free = std::process::Command::new(&prepare.program);
        let free = free.args(&prepare.args).envs(prepare.env).current_dir(dir.path()).output().unwrap();
        assert!(free.status.success(), "{free:?}");
        let command = with("HOME", dir.path(), within(dir.path(), script("git", &inside)));
        let (exit, text) =
            finish(spawn_weakened(&writable(dir.path()), command, weaken).await.unwrap()).await;
        assert_eq!((exit, text.as_str()), (Exit::Code(0), "hook\nhook\nthree\ntwo\none\n"));
    }
}

/// The directory where cargo keeps what it has downloaded; the one that built this test has a warm one.
fn cargo_home() -> PathBuf {
    let home = || Path::new(&env::var_os("HOME").expect("a home")).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// A package with one dependency, in the version that this workspace has.
fn package(dir: &Path) {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let entry = lock.split("\n\n").find(|entry| entry.contains("\nname = \"cfg-if\"\n")).expect("cfg-if");
    let package = "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ncfg-if = \"1\"\n[workspace]\n";
    fs::write(dir.join("Cargo.toml"), package).unwrap();
    let own = "[[package]]\nname = \"p\"\nversion = \"0.1.0\"\ndependencies = [\"cfg-if\"]\n";
    fs::write(dir.join("Cargo.lock"), format!("version = 4\n\n{entry}\n\n{own}")).unwrap();
    fs::create_dir(dir.join("src")).unwrap();
    let main = "cfg_if::cfg_if! { if #[cfg(unix)] { fn main() { println!(\"built\") } } }";
    fs::write(dir.join("src/main.rs"), main).unwrap();
}

#[tokio::test]
async fn cargo_with_a_warm_cache() {
    let cargo = PathBuf::from(env!("CARGO"));
    let tools = cargo.parent().unwrap().display().to_string();
    for weaken in both_levels() {
        let dir = tempfile::tempdir().unwrap();
        package(dir.path());
        let text = format!(
            "PATH={tools}:$PATH; cargo build -q --offline 2>&1; cargo run -q --offline; cargo test -q --offline > /dev/null"
        );
        let command = with("CARGO_HOME", cargo_home(), within(dir.path(), script("cc", &text)));
        let command = with("TMPDIR", dir.path(), command);
        let (exit, text) =
            finish(spawn_weakened(&writable(dir.path()), command, weaken).await.unwrap()).await;
        assert_eq!((exit, text.as_str()), (Exit::Code(0), "built\n"));
    }
}

#[tokio::test]
async fn npm_and_node() {
    let text = "mkdir p; cd p; npm init -y > /dev/null; npm pkg set scripts.say='node say.js'
cat > say.js <<'EOF'
const { Worker } = require('worker_threads'), { execFileSync, spawn } = require('child_process'), fs = require('fs');
fs.writeFileSync('f', 'x'); fs.renameSync('f', 'g'); fs.chmodSync('g', 0o600);
console.log(execFileSync('echo', ['child']).toString().trim());
spawn('cat', [], { stdio: ['pipe', 'inherit', 'inherit'] }).on('exit', () => {
  new Worker('require(\"worker_threads\").parentPort.postMessage(\"worker\")', { eval: true }).on('message', console.log);
}).stdin.end('piped\\n');
EOF
npm run -s say";
    assert_eq!(works(Network::Off, script("npm", text)).await, "child\npiped\nworker\n");
}

#[tokio::test]
async fn python_in_an_environment_of_its_own() {
    let text = "python3 -m venv --without-pip v; . v/bin/activate; python -c 'import sys; print(sys.prefix != sys.base_prefix)'";
    assert_eq!(works(Network::Off, script("python3", text)).await, "True\n");
}

#[tokio::test]
async fn make_with_many_jobs() {
    let text = "printf 'all: a b c d e f\\n\\t@cat a b c d e f | wc -l\\n%%:\\n\\t@$(MAKE) -s --no-print-directory -f sub out=$@\\n' > Makefile
printf 'all: $(out)1 $(out)2\\n\\t@cat $^ > $(out)\\n%%:\\n\\t@echo x > $@\\n' > sub
make -s -j4 all | tr -d ' '";
    assert_eq!(works(Network::Off, script("make", text)).await, "12\n");
}

#[tokio::test]
async fn a_session_on_a_terminal() {
    let text = "script -qec 'test -t 0 && test -t 1 && echo one > /dev/tty && echo two' /dev/null < /dev/null | tr -d '\\r'";
    assert_eq!(works(Network::Off, script("script", text)).await, "one\ntwo\n");
}

#[tokio::test]
async fn temporary_files_and_many_processes() {
    let text = "export TMPDIR=$PWD; f=$(mktemp); d=$(mktemp -d); test -f $f -a -d $d
seq 1 50000 | sort -R -S 64k | sort -n -S 64k | tail -n 1
mkdir tree; for i in 1 2 3 4 5 6 7 8; do echo $i > tree/$i; done
find tree -type f -exec cat {} + | sort | tr -d '\\n'; echo
ls tree | xargs -P 4 -I {} sh -c 'cat tree/{}' | sort | tr -d '\\n'; echo
tar c tree | (mkdir copy; cd copy; tar x); diff -r tree copy/tree; cp -a tree again; rm -r tree copy";
    assert_eq!(works(Network::Off, script("xargs", text)).await, "50000\n12345678\n12345678\n");
}

/// A program that asks on the terminal gets an error, it does not wait.
#[tokio::test]
async fn no_terminal_to_ask_on() {
    let text = "(cat < /dev/tty) 2>/dev/null || echo no; (echo x > /dev/tty) 2>/dev/null || echo no; tty || true; cat";
    assert_eq!(works(Network::Off, script("tty", text)).await, "no\nno\nnot a tty\n");
}

#[tokio::test]
async fn a_compiler() {
    let text = "printf '#include <stdio.h>\\nint main(void) { puts(\"compiled\"); }' > m.c; TMPDIR=. cc -o m m.c; ./m";
    assert_eq!(works(Network::Off, script("cc", text)).await, "compiled\n");
}

/// Where namespaces give a command a `/dev/shm` of its own: at the reduced level, locks between processes can
/// not be had.
#[tokio::test]
async fn locks_between_processes() {
    let text = "
# Newer ones have another way by default, which needs sockets with names.
import multiprocessing; mp = multiprocessing.get_context('fork')
def double(x): return 2 * x
if __name__ == '__main__':
    with mp.Pool(3) as pool: print(pool.map(double, range(5)))
    q = mp.Queue(); p = mp.Process(target=q.put, args=('queue',)); p.start(); print(q.get()); p.join()
    from multiprocessing import shared_memory
    m = shared_memory.SharedMemory(create=True, size=10); m.buf[0] = 7; print(m.buf[0]); m.close(); m.unlink()
";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.py"), text).unwrap();
    let command = || within(dir.path(), tool("python3", program("python3", &["m.py"])));
    let run = async |weaken: Weaken| {
        finish(spawn_weakened(&writable(dir.path()), command(), weaken).await.unwrap()).await
    };
    assert_eq!(run(nothing).await, (Exit::Code(0), "[0, 2, 4, 6, 8]\nqueue\n7\n".to_owned()));
    let (exit, text) = run(reduced).await;
    assert!(exit == Exit::Code(1) && text.contains("Permission denied"), "{text}");
}
