//! Denials, recognised in what real programs say: written down here, and said anew by those that are installed.

use std::path::{Path, PathBuf};

use super::{Weaken, finish, nothing, program, reduced, run, sh, spawn_weakened, with, within};
use crate::{Denial, Exit, Level, Network, PathReason, Policy, Read, Refused, Rules};

/// What is recognised, in a few words: `outside /path`, `network`, or nothing.
fn words(denial: Option<&Denial>) -> String {
    match denial.map(|denial| &denial.what) {
        None => String::new(),
        Some(Refused::Network) => "network".to_owned(),
        Some(Refused::SystemCall) => "call".to_owned(),
        Some(Refused::Unknown) => "unknown".to_owned(),
        Some(Refused::Path { path, reason }) => {
            let reason = match reason {
                PathReason::NothingWritable => "nothing",
                PathReason::OutsideRoots => "outside",
                PathReason::Protected => "protected",
                PathReason::DenyRead => "denied",
                PathReason::NotListed => "unlisted",
            };
            format!("{reason} {}", path.display())
        }
    }
}

/// A workspace with a folder beside it: both names end alike on every machine.
struct Scene {
    _base: tempfile::TempDir,
    root: PathBuf,
    policy: Policy,
}

fn scene(change: impl FnOnce(&mut Rules, &Path)) -> Scene {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().canonicalize().unwrap().join("ws");
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(base.path().join("out")).unwrap();
    std::fs::write(base.path().join("out/file"), "kept").unwrap();
    let mut rules = Rules { writable_roots: vec![root.clone()], ..Rules::default() };
    change(&mut rules, &root);
    Scene { _base: base, root, policy: Policy::Sandboxed(rules) }
}

impl Scene {
    /// With `OUT` and `WS` for the two folders, in what is said and in what is recognised.
    fn check(&self, level: Level, code: i32, said: &str, expected: &str) {
        let (ws, out) =
            (self.root.display().to_string(), self.root.with_file_name("out").display().to_string());
        let said = said.replace("WS", &ws).replace("OUT", &out);
        let denial = Denial::recognise_at(level, &self.policy, &self.root, Exit::Code(code), &said);
        let found = words(denial.as_ref()).replace(&ws, "WS").replace(&out, "OUT");
        assert_eq!(found, expected, "{level} {said}");
    }
}

#[test]
fn what_is_written_outside_is_named() {
    let scene = scene(|_, _| {});
    for (said, path) in [
        ("bash: line 1: OUT/x: Read-only file system", "OUT/x"),
        ("dash: 1: cannot create OUT/x: Read-only file system", "OUT/x"),
        ("mkdir: cannot create directory ‘OUT/a’: Read-only file system", "OUT/a"),
        ("cp: cannot create regular file 'OUT/x': Read-only file system", "OUT/x"),
        (
            "mv: inter-device move failed: 'a' to 'OUT/a'; unable to remove target: Read-only file system",
            "OUT/a",
        ),
        ("rm: cannot remove 'OUT/file': Read-only file system", "OUT/file"),
        ("ln: failed to create symbolic link 'OUT/l': Read-only file system", "OUT/l"),
        ("chmod: changing permissions of 'OUT/file': Read-only file system", "OUT/file"),
        ("chown: changing ownership of 'OUT/file': Read-only file system", "OUT/file"),
        ("touch: cannot touch '../out/x': Read-only file system", "WS/../out/x"),
        ("sed: couldn't open temporary file OUT/sedRxqc4E: Read-only file system", "OUT/sedRxqc4E"),
        ("dd: failed to open 'OUT/x': Read-only file system", "OUT/x"),
        ("tee: OUT/x: Read-only file system", "OUT/x"),
        (
            "tar: OUT/x.tar: Cannot open: Read-only file system\ntar: Error is not recoverable: exiting now",
            "OUT/x.tar",
        ),
        (
            "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nOSError: [Errno 30] Read-only file system: 'OUT/x'",
            "OUT/x",
        ),
        (
            "Error: EROFS: read-only file system, open 'OUT/x'\n    at Object.writeFileSync (node:fs:2380:20)",
            "OUT/x",
        ),
        (
            "npm error code EROFS\nnpm error syscall open\nnpm error path OUT/_cacache/x\nnpm error errno -30\nnpm error rofs EROFS: read-only file system, open 'OUT/_cacache/x'",
            "OUT/_cacache/x",
        ),
        ("error: could not lock config file OUT/.gitconfig: Read-only file system", "OUT/.gitconfig"),
        (
            "fatal: Unable to create 'OUT/.git/worktrees/w/index.lock': Read-only file system",
            "OUT/.git/worktrees/w/index.lock",
        ),
        (
            "error: couldn't create a temp dir: Read-only file system (os error 30) at path \"OUT/rmetalR8EFk\"",
            "OUT/rmetalR8EFk",
        ),
        (
            "error: failed to create directory `OUT/target`\n\nCaused by:\n  Read-only file system (os error 30)",
            "OUT/target",
        ),
        (
            "/usr/bin/ld: cannot open output file OUT/m: Read-only file system\ncollect2: error: ld returned 1 exit status",
            "OUT/m",
        ),
        ("gpg: Fatal: can't create directory 'OUT/.gnupg': Read-only file system", "OUT/.gnupg"),
        ("open OUT/x: read-only file system", "OUT/x"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system: 'OUT/lib'",
            "OUT/lib",
        ),
        (
            "curl: (23) client returned ERROR on write\nWarning: Failed to open the file OUT/x: Read-only file system",
            "OUT/x",
        ),
    ] {
        scene.check(Level::Full, 1, said, &format!("outside {path}"));
        let said =
            said.replace("Read-only file system", "Permission denied").replace("os error 30", "os error 13");
        let said = said
            .replace("EROFS: read-only file system", "EACCES: permission denied")
            .replace("Errno 30", "Errno 13");
        let said = said.replace("read-only file system", "permission denied").replace("EROFS", "EACCES");
        scene.check(Level::Reduced, 1, &said, &format!("outside {path}"));
    }
    scene.check(Level::Full, 30, "no: Read-only file system at -e line 1.", "unknown");
    scene.check(Level::Full, 1, "bash: line 1: x: Read-only file system", "unknown");
}

#[test]
fn what_the_network_is_needed_for_is_named() {
    let off = scene(|_, _| {});
    let local = scene(|rules, _| rules.network = Network::Localhost);
    let on = scene(|rules, _| rules.network = Network::On);
    for said in [
        "Cloning into 'b'...\nfatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com",
        "ssh: Could not resolve hostname github.com: Temporary failure in name resolution\nfatal: Could not read from remote repository.",
        "  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0curl: (6) Could not resolve host: example.org",
        "curl: (7) Failed to connect to 1.2.3.4 port 80 after 0 ms: Couldn't connect to server",
        "wget: unable to resolve host address ‘example.org’",
        "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
        "  [cause]: Error: getaddrinfo EAI_AGAIN example.org\n      at GetAddrInfoReqWrap.onlookupall",
        "npm error request to https://registry.npmjs.org/left-pad failed, reason: getaddrinfo EAI_AGAIN registry.npmjs.org",
        "warning: spurious network error (3 tries remaining): [6] Could not resolve hostname (Could not resolve host: index.crates.io)",
        "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError: [Errno -2] Name or service not known'",
        "ping: connect: Network is unreachable",
    ] {
        off.check(Level::Full, 1, said, "network");
        local.check(Level::Full, 1, said, "network");
        on.check(Level::Full, 1, said, "");
    }
    for said in [
        "  File \"/usr/lib/python3.11/socket.py\", line 232, in __init__\n    _socket.socket.__init__(self, family, type, proto, fileno)\nPermissionError: [Errno 1] Operation not permitted",
        "Error: listen EPERM: operation not permitted 0.0.0.0:8000\n    at Server.setupListenHandle",
        "bash: socket: Operation not permitted\nbash: line 1: /dev/tcp/1.1.1.1/80: Operation not permitted",
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: operation not permitted",
    ] {
        off.check(Level::Full, 1, said, "network");
        on.check(Level::Full, 1, said, "network");
    }
}

#[test]
fn what_takes_privileges_is_named() {
    let scene = scene(|_, _| {});
    for said in [
        "unshare: unshare failed: Operation not permitted",
        "mount: /mnt: permission denied.\n       dmesg(1) may have more information after failed mount system call.",
        "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted",
        "E: setgroups 65534 failed - setgroups (1: Operation not permitted)",
        "date: cannot set date: Operation not permitted",
        "mknod: x: Operation not permitted",
        "dmesg: read kernel buffer failed: Operation not permitted",
    ] {
        scene.check(Level::Full, 1, said, "call");
    }
    scene.check(Level::Full, 159, "Bad system call (core dumped)", "call");
    let killed = Denial::recognise(&scene.policy, &scene.root, Exit::Signal(libc::SIGSYS), "");
    assert_eq!(words(killed.as_ref()), "call");
}

#[test]
fn what_the_sandbox_does_not_refuse_is_no_denial() {
    let scene = scene(|_, _| {});
    std::fs::write(scene.root.join("script"), "").unwrap();
    for (code, said) in [
        (0, "touch: cannot touch 'OUT/x': Read-only file system"),
        (1, ""),
        (1, "assertion `left == right` failed"),
        (1, "error: could not compile `x` (lib) due to 1 previous error"),
        // In the workspace everything may be done.
        (1, "cat: WS/private: Permission denied"),
        (1, "PermissionError: [Errno 13] Permission denied: 'WS/x'"),
        (126, "bash: line 1: ./script: Permission denied"),
        // As it would be without a sandbox.
        (1, "touch: cannot touch '/no/such/file': Permission denied"),
        (1, "Permission denied (publickey)."),
        (1, "curl: (22) The requested URL returned error: 404"),
        (1, "connect ECONNREFUSED 127.0.0.1:5432"),
        (1, "mkdir: cannot create directory ‘WS/script’: File exists"),
        (1, "rm: cannot remove '/proc/1': Device or resource busy"),
    ] {
        scene.check(Level::Full, code, said, "");
    }
    let free = Denial::recognise(&Policy::FullAccess, &scene.root, Exit::Code(1), "x: Read-only file system");
    assert_eq!(free, None);
}

#[test]
fn what_is_protected_or_denied_is_named() {
    let scene = scene(|rules, root| {
        rules.deny_read = vec![root.with_file_name("out")];
        std::fs::create_dir_all(root.join(".git/hooks")).unwrap();
        std::fs::write(root.join(".git/HEAD"), "").unwrap();
    });
    for (said, expected) in [
        ("bash: line 1: .git/config: Read-only file system", "protected WS/.git/config"),
        (
            "error: could not lock config file .git/hooks/x: Read-only file system",
            "protected WS/.git/hooks/x",
        ),
        ("mv: cannot move '.git' to 'x': Device or resource busy", "protected WS/.git"),
        ("mkdir: cannot create directory ‘.codex’: File exists", "protected WS/.codex"),
        ("touch: cannot touch '.agents/x': Permission denied", "protected WS/.agents/x"),
        ("cat: OUT/file: Permission denied", "denied OUT/file"),
        ("ls: cannot open directory '../out': Permission denied", "denied WS/../out"),
        ("PermissionError: [Errno 13] Permission denied: 'OUT/file'", "denied OUT/file"),
    ] {
        scene.check(Level::Full, 1, said, expected);
    }
    let little = self::scene(|rules, _| rules.read = Read::Only(vec![]));
    little.check(Level::Full, 1, "cat: OUT/file: Permission denied", "unlisted OUT/file");
    let nothing = self::scene(|rules, _| rules.writable_roots.clear());
    nothing.check(Level::Full, 1, "touch: cannot touch 'x': Read-only file system", "nothing WS/x");
}

#[test]
fn a_denial_reads_so() {
    let text = |level, policy: &Policy, said: &str| {
        Denial::recognise_at(level, policy, Path::new("/"), Exit::Code(1), said).unwrap().to_string()
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let shown = root.display();
    let unresolved = "curl: (6) Could not resolve host: example.org";
    let refused = "touch: cannot touch '/etc/x': Read-only file system";
    assert_eq!(
        text(Level::Full, &Policy::read_only(), unresolved),
        "network is off (sandbox_mode = read-only); `[sandbox] network = \"on\"` would allow it"
    );
    assert_eq!(
        text(Level::Reduced, &Policy::read_only(), unresolved),
        "network is off (sandbox_mode = read-only); `[sandbox] network = \"on\"` would allow it (enforced at the \
         reduced level: this system refuses namespaces)"
    );
    assert_eq!(
        text(Level::Full, &Policy::read_only(), refused),
        "/etc/x may not be written: nothing is writable (sandbox_mode = read-only); \
         `sandbox_mode = \"workspace-write\"` would make the workspace writable"
    );
    let policy = Policy::workspace_write([&root], Network::Off);
    assert_eq!(
        text(Level::Full, &policy, refused),
        format!(
            "/etc/x may not be written: it is outside the writable roots (sandbox_mode = workspace-write; writable: \
             {shown}); `[sandbox_workspace_write] writable_roots = [\"/etc\"]` would allow it"
        )
    );
    assert_eq!(
        text(Level::Full, &policy, "kill: (1) - Operation not permitted"),
        format!(
            "the sandbox may be why (sandbox_mode = workspace-write; writable: {shown}; network off); `writable_roots` \
             in `[sandbox_workspace_write]` and `network` in `[sandbox]` would allow more"
        )
    );
}

/// An output is whatever a command likes to print: it costs little, and nothing breaks.
#[test]
fn hostile_outputs_are_bounded() {
    let scene = scene(|_, _| {});
    let lines = "touch: cannot touch '/proc/x': Permission denied\n".repeat(100_000);
    let quotes = format!("{}: Read-only file system", "'`\"‘".repeat(200_000));
    let start = std::time::Instant::now();
    for said in [lines.as_str(), &quotes, &"ü".repeat(1 << 20), "'", "‘: permission denied", ": : : eperm"]
    {
        let _ = Denial::recognise(&scene.policy, &scene.root, Exit::Code(1), said);
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
}

/// What programs say today, at both levels.
#[tokio::test]
async fn real_programs_are_understood() {
    let scene = scene(|_, _| {});
    let out = scene.root.with_file_name("out").display().to_string();
    let levels: [(Level, Weaken); 2] = [(Level::Full, nothing), (Level::Reduced, reduced)];
    for (script, expected) in [
        ("echo x > OUT/x", "outside OUT/x"),
        ("mkdir OUT/d", "outside OUT/d"),
        ("touch OUT/x", "outside OUT/x"),
        ("rm OUT/file", "outside OUT/file"),
        ("cp OUT/file OUT/copy", "outside OUT/copy"),
        ("ln -s x OUT/l", "outside OUT/l"),
        ("sed -i s/a/b/ OUT/file", "outside OUT/sed*"),
        ("tar cf OUT/x.tar .", "outside OUT/x.tar"),
        ("git init -q OUT/repository", "outside OUT/repository*"),
        ("python3 -c 'open(\"OUT/x\", \"w\")'", "outside OUT/x"),
        ("node -e 'require(\"fs\").mkdirSync(\"OUT/x\")'", "outside OUT/x"),
        ("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 9))'", "network"),
        ("python3 -m http.server 8000", "network"),
        ("git clone https://example.org/x", "network"),
        ("curl -sS https://example.org", "network"),
        ("unshare -r true", "call"),
        ("echo fine; false", ""),
    ] {
        let name = script.split(' ').next().unwrap();
        if run(&Policy::FullAccess, sh(&format!("command -v {name}"))).await.0 != Exit::Code(0) {
            continue;
        }
        for (level, weaken) in levels {
            let command = within(&scene.root, program("bash", &["-c", &script.replace("OUT", &out)]));
            let command = with("HOME", "/", with("PATH", std::env::var_os("PATH").unwrap(), command));
            let (exit, said) = finish(spawn_weakened(&scene.policy, command, weaken).await.unwrap()).await;
            let denial = Denial::recognise_at(level, &scene.policy, &scene.root, exit, &said);
            let found = words(denial.as_ref()).replace(&out, "OUT");
            let fits = expected.strip_suffix('*').map_or(found == expected, |start| found.starts_with(start));
            assert!(fits, "{level}: {script}: {found}, not {expected}: {said}");
        }
    }
}
