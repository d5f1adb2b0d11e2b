//! What may not be read is not read, by whatever name and at either level.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{
    Weaken, finish, nothing, program, reduced, reduced_refusal, refusal, sh, spawn_weakened, within,
};
use crate::{Command, Policy, Read, Rules};

/// A home with secrets and a workspace in it.
struct Home {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

const SECRET: &str = "planted-secret";

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        for dir in ["keys/deep", "ws/sub/deep", "other"] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        for file in ["keys/deep/key", "keys/key", "token", "ws/.env", "ws/sub/deep/key"] {
            fs::write(path.join(file), SECRET).unwrap();
        }
        for file in ["ws/mine", "other/plain", "plain", "ws/sub/plain"] {
            fs::write(path.join(file), "plain\n").unwrap();
        }
        symlink("keys", path.join("link-to-keys")).unwrap();
        symlink("../../token", path.join("ws/sub/link-to-token")).unwrap();
        Self { _dir: dir, path }
    }

    fn rules(&self, writable: &[&str], deny_read: &[&str]) -> Policy {
        let paths = |names: &[&str]| names.iter().map(|name| self.path.join(name)).collect();
        Policy::Sandboxed(Rules {
            writable_roots: paths(writable),
            deny_read: paths(deny_read),
            ..Rules::default()
        })
    }

    fn within(&self, dir: &str, command: Command) -> Command {
        within(&self.path.join(dir), command)
    }
}

async fn run(policy: &Policy, command: Command, weaken: Weaken) -> String {
    finish(spawn_weakened(policy, command, weaken).await.unwrap()).await.1
}

const LEVELS: [Weaken; 2] = [nothing, reduced];

#[tokio::test]
async fn secrets_are_not_read_by_any_name() {
    let home = Home::new();
    for weaken in LEVELS {
        let policy = home.rules(&["ws"], &["keys", "token"]);
        for secret in [
            "../keys/key",
            "../keys/deep/key",
            "../token",
            "../link-to-keys/key",
            "sub/link-to-token",
            "/proc/self/root/$HOME/keys/key",
            "/proc/self/cwd/../token",
            "/proc/1/root/$HOME/token",
            "../other/../keys/./key",
        ] {
            let script = format!("HOME={}; cat {secret} {secret}; echo done", home.path.display());
            let text = run(&policy, home.within("ws", sh(&script)), weaken).await;
            assert!(text.contains("Permission denied") && text.ends_with("done\n"), "{secret}: {text}");
            assert!(!text.contains(SECRET), "{secret}: {text}");
        }
        // The rest is there.
        let script = "cat mine ../plain ../other/plain sub/plain; echo x > new; ls ../keys";
        let text = run(&policy, home.within("ws", sh(script)), weaken).await;
        assert!(text.starts_with("plain\nplain\nplain\nplain\n"), "{text}");
        assert!(text.contains("cannot open directory '../keys'"), "{text}");
        fs::remove_file(home.path.join("ws/new")).unwrap();
    }
}

/// All that a process can do to a path: whatever comes of it, the secret does not come out.
const TRIES: &str = r"
import os, shutil, sys, ctypes
secret, ws = sys.argv[1:]
def attempt(what):
    try: print(what())
    except Exception as e: print(type(e).__name__)
read = lambda path: open(path).read()
def through(how):
    target = os.path.join(ws, 'stolen')
    how(secret, target)
    return read(target)
attempt(lambda: read(secret))
attempt(lambda: through(os.link))
attempt(lambda: through(os.rename))
attempt(lambda: through(shutil.copy))
attempt(lambda: through(os.symlink))
attempt(lambda: (os.chmod(secret, 0o644), read(secret)))
attempt(lambda: (os.chmod(os.path.dirname(secret), 0o755), read(secret)))
attempt(lambda: (os.rename(os.path.dirname(secret), ws + '/moved'), read(ws + '/moved/key')))
attempt(lambda: os.listdir(os.path.dirname(secret)))
attempt(lambda: read('/proc/self/fd/%d' % os.open(secret, os.O_PATH)))
attempt(lambda: os.sendfile(1, os.open(secret, os.O_RDONLY), 0, 99))
attempt(lambda: os.read(os.open(secret, os.O_RDWR), 99))
attempt(lambda: os.execv(secret, ['x']))
libc = ctypes.CDLL(None, use_errno=True)
attempt(lambda: libc.umount2(os.path.dirname(secret).encode(), 2) and ctypes.get_errno())
attempt(lambda: libc.umount2(secret.encode(), 2) and ctypes.get_errno())
attempt(lambda: read(secret))
";

#[tokio::test]
async fn nothing_done_to_it_brings_a_secret_out() {
    let home = Home::new();
    let at = |name: &str| home.path.join(name).display().to_string();
    for (secret, denied, weaken) in [
        ("keys/key", "keys", nothing as Weaken),
        ("keys/key", "keys/key", nothing),
        ("ws/sub/deep/key", "ws/sub/deep", nothing),
        ("ws/sub/deep/key", "ws/sub/deep/key", nothing),
        ("keys/key", "keys", reduced),
        ("keys/key", "keys/key", reduced),
    ] {
        let tries = program("python3", &["-c", TRIES, &at(secret), &at("ws")]);
        let text = run(&home.rules(&["ws"], &[denied]), home.within("ws", tries), weaken).await;
        assert!(!text.contains(SECRET), "{denied}: {text}");
        assert_eq!(text.lines().count(), 16, "{text}");
        assert!(home.path.join(secret).exists());
    }
}

#[tokio::test]
async fn a_denied_link_denies_what_it_leads_to() {
    let home = Home::new();
    for weaken in LEVELS {
        let policy = home.rules(&[], &["link-to-keys"]);
        let text =
            run(&policy, home.within("", sh("cat link-to-keys/key keys/key; cat plain")), weaken).await;
        assert!(!text.contains(SECRET) && text.ends_with("plain\n"), "{text}");
    }
}

#[tokio::test]
async fn in_a_workspace_what_leads_to_a_secret_stays() {
    let home = Home::new();
    let policy = home.rules(&["ws"], &["ws/sub/deep/key", "ws/sub/link-to-token"]);
    let script = "rm -rf sub; mv sub gone; mv sub/deep gone; rm sub/link-to-token; \
        ln -sf ../mine sub/link-to-token; mv sub/link-to-token gone; cat sub/link-to-token; \
        python3 -c 'import ctypes; print(ctypes.CDLL(None).renameat2(-100, b\"sub\", -100, b\"mine\", 2))'; \
        cat gone mine";
    let text = run(&policy, home.within("ws", sh(script)), nothing).await;
    assert!(!text.contains(SECRET) && text.contains("-1\n") && text.ends_with("plain\n"), "{text}");
    // So the next command does not find them by another way either.
    assert_eq!(fs::read_to_string(home.path.join("ws/sub/deep/key")).unwrap(), SECRET);
    assert_eq!(fs::read_link(home.path.join("ws/sub/link-to-token")).unwrap(), Path::new("../../token"));
    // What lies beside it is as writable as ever.
    let script = "echo x > sub/new && mv sub/new sub/deep/new && rm sub/deep/new && echo done";
    assert_eq!(run(&policy, home.within("ws", sh(script)), nothing).await, "done\n");
}

#[tokio::test]
async fn a_workspace_is_seen_in_what_is_denied() {
    let home = Home::new();
    fs::create_dir(home.path.join("ws/sub/inner")).unwrap();
    let script = "cat mine; pwd -P; echo x > new && rm new; ls ..; cat ../token ../plain ../keys/key";
    for weaken in LEVELS {
        let policy = home.rules(&["ws"], &[""]);
        let text = run(&policy, home.within("ws", sh(script)), weaken).await;
        let start = format!("plain\n{}/ws\n", home.path.display());
        assert!(text.starts_with(&start) && !text.contains(SECRET), "{text}");
        assert_eq!(text.matches("plain\n").count(), 1, "{text}");
        assert!(text.contains("cannot open directory '..'"), "{text}");
    }
    // One in another, again and again.
    let policy =
        home.rules(&["", "ws/sub", "ws/sub/inner"], &["keys", "ws", "ws/sub/deep/key", "ws/sub/deep"]);
    let script =
        "cat plain ws/sub/plain; touch ws/sub/inner/new other/new; ls ws; cat ws/mine ws/sub/deep/key";
    let text = run(&policy, home.within("", sh(script)), nothing).await;
    assert!(text.starts_with("plain\nplain\n") && !text.contains(SECRET), "{text}");
    assert_eq!(text.matches("plain\n").count(), 2, "{text}");
    assert!(home.path.join("ws/sub/inner/new").exists() && home.path.join("other/new").exists());
}

#[tokio::test]
async fn a_denied_workspace_is_denied() {
    let home = Home::new();
    let policy = home.rules(&["ws"], &["ws"]);
    let text = run(&policy, home.within("", sh("cat ws/mine; echo x > ws/mine; ls ws")), nothing).await;
    assert!(!text.contains("plain") && text.matches("ermission denied").count() == 3, "{text}");
    assert_eq!(fs::read_to_string(home.path.join("ws/mine")).unwrap(), "plain\n");
}

#[tokio::test]
async fn what_is_protected_can_be_denied_too() {
    let home = Home::new();
    fs::create_dir_all(home.path.join("ws/.git/hooks")).unwrap();
    fs::create_dir_all(home.path.join("ws/.codex/inner")).unwrap();
    for file in [".git/HEAD", ".git/config", ".git/hooks/pre-commit", ".codex/auth.json", ".codex/inner/key"]
    {
        fs::write(home.path.join("ws").join(file), SECRET).unwrap();
    }
    for denied in [".git", ".git/config", ".git/hooks", ".codex", ".codex/auth.json", ".codex/inner"] {
        let policy = home.rules(&["ws"], &[&format!("ws/{denied}"), "ws/.agents"]);
        let script =
            format!("cat mine; cat {denied} {denied}/* ; mv {denied} gone; echo x > .git/config; ls .agents");
        let text = run(&policy, home.within("ws", sh(&script)), nothing).await;
        assert!(text.starts_with("plain\n") && !text.contains(SECRET), "{denied}: {text}");
        assert!(!text.contains("cannot open directory '.agents'"), "{denied}: {text}");
        assert_eq!(fs::read_to_string(home.path.join("ws/.git/config")).unwrap(), SECRET);
    }
    assert!(!home.path.join("ws/.agents").exists());
}

#[tokio::test]
async fn what_is_denied_where_a_command_has_its_own_is_no_error() {
    for denied in
        ["/proc/kcore", "/proc/1", "/dev/kmsg", "/dev/shm", "/run", "/run/lock", "/dev/pts", "/proc"]
    {
        let policy = Policy::Sandboxed(Rules { deny_read: vec![denied.into()], ..Rules::default() });
        let text = run(&policy, sh(&format!("cat {denied}; ls {denied}; echo done")), nothing).await;
        assert!(text.ends_with("done\n"), "{denied}: {text}");
    }
}

#[tokio::test]
async fn nothing_but_what_is_listed_is_read() {
    let home = Home::new();
    let only = |listed: &[&str], denied: &[&str]| {
        let paths = |names: &[&str]| names.iter().map(|name| home.path.join(name)).collect::<Vec<_>>();
        let (read, deny_read) = (Read::Only(paths(listed)), paths(denied));
        Policy::Sandboxed(Rules { writable_roots: paths(&["ws"]), read, deny_read, ..Rules::default() })
    };
    for weaken in LEVELS {
        let script = "cat ../other/plain; cat ../plain ../token /proc/1/root/plain; ls ..; \
            cp ../plain . ; ln ../plain stolen && cat stolen; cat mine sub/link-to-token; ls ../other";
        let policy = only(&["other", "missing"], &[]);
        let text = run(&policy, home.within("ws", sh(script)), weaken).await;
        assert!(text.starts_with("plain\n") && text.ends_with("plain\n"), "{text}");
        assert!(text.contains("cannot open directory '..'") && !text.contains(SECRET), "{text}");
        assert_eq!(text.matches("\nplain\n").count(), 2, "{text}");
        // What is denied is denied, though it lies in what is listed.
        let script = "cat ../plain ../keys/key ../token";
        let text = run(&only(&[""], &["keys", "token"]), home.within("ws", sh(script)), weaken).await;
        assert!(text.starts_with("plain\n") && !text.contains(SECRET), "{text}");
    }
    let elsewhere = program(&home.path.join("other/plain").display().to_string(), &[]);
    let message = refusal(&only(&[], &[]), elsewhere).await;
    assert!(
        message.ends_with("other/plain can not be executed: Permission denied (os error 13)"),
        "{message}"
    );
    let read = Read::Only(vec!["relative".into()]);
    let message = refusal(&Policy::Sandboxed(Rules { read, ..Rules::default() }), sh("true")).await;
    assert!(message.contains("relative, which may be read, is not an absolute path"), "{message}");
}

/// What programs need of the system, and of what is not in the file system at all.
const NEEDS: &str = r"
import ctypes, os, pty, socket, sqlite3, ssl, subprocess, tempfile, threading
a, b = socket.socketpair(); a.send(b'x'); b.recv(1)
fd = os.memfd_create('m'); os.write(fd, b'#!/bin/sh\necho memfd'); open(f'/proc/self/fd/{fd}').read()
r, w = os.pipe(); open(f'/proc/self/fd/{w}', 'w').write('x'); os.read(r, 1)
open('/dev/null', 'r+b'); open('/dev/urandom', 'rb').read(1)
for file in '/proc/self/status', '/proc/cpuinfo', '/proc/sys/kernel/osrelease', '/etc/passwd': open(file).read()
os.listdir('/sys/kernel'); os.listdir('/proc'); os.listdir('/dev'); os.listdir('.')
tempfile.TemporaryFile(dir='.').write(b'x'); sqlite3.connect('db').execute('create table t(x)')
pid, fd = pty.fork()
if pid == 0: os.execvp('true', ['true'])
assert os.waitpid(pid, 0)[1] == 0
open('script', 'w').write('#!/bin/sh\necho script'); os.chmod('script', 0o755)
print(subprocess.check_output(['./script'], text=True), end='')
";

#[tokio::test]
async fn the_system_is_there_when_reading_is_limited() {
    for weaken in LEVELS {
        let home = Home::new();
        let (read, roots) = (Read::Only(Vec::new()), vec![home.path.join("ws")]);
        let policy = Policy::Sandboxed(Rules { writable_roots: roots, read, ..Rules::default() });
        let text = run(&policy, home.within("ws", program("python3", &["-c", NEEDS])), weaken).await;
        assert_eq!(text, "script\n");
        let private = "echo memory > /dev/shm/x && cat /dev/shm/x";
        let text = run(&policy, home.within("ws", sh(private)), nothing).await;
        assert_eq!(text, "memory\n");
    }
}

#[test]
fn what_landlock_can_not_except_is_refused() {
    let home = Home::new();
    let message = reduced_refusal(&home.rules(&["ws"], &["ws/.env"]));
    let (env, ws) = (home.path.join("ws/.env"), home.path.join("ws"));
    let expected = format!(
        "the sandbox can not be enforced here: {}, which deny_read names, lies in the writable root {}, of which \
         landlock can except nothing, and this system refuses to make namespaces (Operation not permitted \
         (os error 1)); move it, or take it out of [sandbox] deny_read",
        env.display(),
        ws.display()
    );
    assert_eq!(message, expected);
    for i in 0..4096 {
        fs::write(home.path.join(format!("other/{i}")), "").unwrap();
    }
    let message = reduced_refusal(&home.rules(&[], &["other/7"]));
    assert!(
        message.contains("other/7, which deny_read names, lies among more than 4096 others; "),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_no_place_is_refused() {
    for path in ["relative", "/"] {
        let policy = Policy::Sandboxed(Rules { deny_read: vec![path.into()], ..Rules::default() });
        let message = refusal(&policy, sh("true")).await;
        assert!(message.contains(&format!("{path}, which deny_read names, is ")), "{message}");
    }
}
