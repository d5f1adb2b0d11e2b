//! Ways out of the sandbox, each tried first without one: a probe that can not get out there proves nothing. Whether it
//! got out is seen from outside, in a file, at a listener, on a victim; only where a call has no effect that could be
//! seen, the probe itself says that the kernel let it through.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
            net::{SocketAddr, UnixDatagram, UnixListener},
            process::CommandExt,
        },
    },
    path::PathBuf,
    process::Stdio,
};

use super::{finish, program, run, sh, spawn_weakened, with, within, writable};
use crate::{Command, Network, Policy, plan::Plan};

type Weaken = fn(&mut Plan);

/// The names of the probes that got out.
async fn escapes(policy: impl Fn(&Scene) -> Policy, probes: &[&[Probe]], weaken: Weaken) -> Vec<&'static str> {
    let mut out = Vec::new();
    for (name, script, shows) in probes.iter().copied().flatten() {
        let mut scene = Scene::new(script);
        let child = spawn_weakened(&policy(&scene), scene.probe(script), weaken).await.unwrap();
        let (_, text) = finish(child).await;
        if shows(&mut scene, &text) {
            out.push(*name);
        }
    }
    out
}

/// Those that stay in although nothing keeps them.
fn duds(probes: &[&[Probe]]) -> Vec<String> {
    let mut duds = Vec::new();
    for (name, script, shows) in probes.iter().copied().flatten() {
        let mut scene = Scene::new(script);
        let probe = scene.probe(script);
        let mut free = std::process::Command::new(probe.program);
        let output = free.args(probe.args).env_clear().envs(probe.env).current_dir(probe.cwd).output().unwrap();
        if !shows(&mut scene, &String::from_utf8_lossy(&output.stdout)) {
            duds.push(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    duds
}

fn every() -> Vec<&'static [Probe]> {
    let mut probes = vec![FILES, NETWORK, UNIX, PROCESSES, CALLS];
    if is_root() {
        probes.push(ROOT);
    }
    probes
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn workspace(network: Network) -> impl Fn(&Scene) -> Policy {
    move |scene| Policy::WorkspaceWrite { writable_roots: vec![scene.inside()], network }
}

fn nothing(_: &mut Plan) {}

const NONE: [&str; 0] = [];

#[test]
fn each_probe_gets_out_where_nothing_keeps_it() {
    assert_eq!(duds(&every()), NONE);
}

#[tokio::test]
async fn none_gets_out_of_read_only() {
    assert_eq!(escapes(|_| Policy::ReadOnly, &every(), nothing).await, NONE);
}

#[tokio::test]
async fn none_gets_out_of_workspace_write() {
    assert_eq!(escapes(workspace(Network::Off), &every(), nothing).await, NONE);
}

#[tokio::test]
async fn with_the_network_on_only_the_network_is_reached() {
    let probes: Vec<_> = every().into_iter().filter(|&probes| probes != NETWORK).collect();
    assert_eq!(escapes(workspace(Network::On), &probes, nothing).await, NONE);
    let network: Vec<_> = NETWORK.iter().map(|(name, ..)| *name).collect();
    assert_eq!(escapes(workspace(Network::On), &[NETWORK], nothing).await, network);
}

#[tokio::test]
async fn without_landlock_files_and_processes_are_reached() {
    let out = escapes(workspace(Network::Off), &[FILES, PROCESSES], |plan| plan.confinement.ruleset = None).await;
    for name in ["write", "truncate by path", "rename out", "link in and write", "signal", "kill by out-of-memory score"] {
        assert!(out.contains(&name), "{name} stays in without landlock: {out:?}");
    }
}

#[tokio::test]
async fn without_seccomp_the_network_and_the_kernel_are_reached() {
    let out = escapes(workspace(Network::Off), &[NETWORK, UNIX, CALLS], |plan| plan.confinement.filters = &[]).await;
    for name in ["udp", "unix stream", "unix datagram sendmsg from a pair", "io_uring", "user namespace", "keyctl"] {
        assert!(out.contains(&name), "{name} stays in without seccomp: {out:?}");
    }
}

#[tokio::test]
async fn with_privileges_files_of_others_are_read() {
    let out = escapes(|_| Policy::ReadOnly, &[ROOT], |plan| plan.confinement.privileges = false);
    assert!(!is_root() || out.await.contains(&"a file of another user"));
}

/// The same again as a user without any capability, for whom other system calls do the keeping.
#[test]
fn an_ordinary_user_does_not_get_out_either() {
    if !is_root() {
        return; // then all of the above has just been that
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = std::process::Command::new(copy)
        .args(["tests::escape::", "--skip", "ordinary", "--test-threads", "1"])
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains(" 0 passed"), "{text}");
}

#[tokio::test]
async fn the_kernel_says_the_same_of_the_command() {
    let status = sh("grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters|Cap...):' /proc/self/status; ls /proc/self/fd | wc -l");
    let (_, text) = run(&Policy::ReadOnly, status).await;
    let bounding = if is_root() { "0000000000000000" } else { text.split("CapBnd:\t").nth(1).unwrap().get(..16).unwrap() };
    let none = "0000000000000000";
    let wanted = format!(
        "CapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{bounding}\nCapAmb:\t{none}\n\
         NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n4\n"
    );
    assert_eq!(text, wanted);
}

/// What the kernel can not keep at this level. When it can, this list goes, and so does the line in `probe`.
#[tokio::test]
async fn metadata_outside_is_known_to_be_open() {
    let scene = Scene::new("");
    run(&writable(scene.inside()), scene.probe("os.chmod(FILE, 0o600); os.utime(FILE, (1, 1))")).await;
    let metadata = fs::metadata(scene.out("file")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o600, 1));
}

/// What a probe can see of the outside, and what can be seen of its success.
struct Scene {
    base: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    stream: UnixListener,
    datagram: UnixDatagram,
    abstract_stream: UnixListener,
    abstract_datagram: UnixDatagram,
    victim: Option<std::process::Child>,
    leaked: OwnedFd,
}

const NOBODY: u32 = 65534;
const KEPT: &str = "kept as it was";
const SECRET: &str = "planted-secret";

impl Scene {
    /// With a victim only if the probe speaks of one: starting it takes longer than all the rest.
    fn new(script: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let (inside, outside) = (base.path().join("in"), base.path().join("out"));
        fs::create_dir_all(outside.join("empty")).unwrap();
        fs::create_dir(&inside).unwrap();
        fs::write(outside.join("file"), KEPT).unwrap();
        fs::write(inside.join("mine"), "mine").unwrap();
        fs::write(outside.join("private"), SECRET).unwrap();
        if is_root() {
            fs::set_permissions(outside.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(outside.join("private"), Some(NOBODY), None).unwrap();
        }
        symlink(outside.join("file"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("dirlink")).unwrap();
        let hidden = |kind: &str| SocketAddr::from_abstract_name(format!("{}-{kind}", base.path().display())).unwrap();
        // Inherited by everyone who does not take care: open for writing, without close-on-exec.
        let leaked: OwnedFd = fs::File::options().append(true).open(outside.join("file")).unwrap().into();
        rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
        let scene = Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            stream: UnixListener::bind(outside.join("stream")).unwrap(),
            datagram: UnixDatagram::bind(outside.join("datagram")).unwrap(),
            abstract_stream: UnixListener::bind_addr(&hidden("stream")).unwrap(),
            abstract_datagram: UnixDatagram::bind_addr(&hidden("datagram")).unwrap(),
            victim: script.contains("VICTIM").then(victim),
            leaked,
            base,
        };
        scene.tcp.set_nonblocking(true).unwrap();
        scene.udp.set_nonblocking(true).unwrap();
        scene.stream.set_nonblocking(true).unwrap();
        scene.datagram.set_nonblocking(true).unwrap();
        scene.abstract_stream.set_nonblocking(true).unwrap();
        scene.abstract_datagram.set_nonblocking(true).unwrap();
        scene
    }

    fn inside(&self) -> PathBuf {
        self.base.path().join("in")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.base.path().join("out").join(name)
    }

    fn changed(&self) -> bool {
        fs::read_to_string(self.out("file")).ok().as_deref() != Some(KEPT)
    }

    fn victim(&self) -> u32 {
        self.victim.as_ref().map_or(0, std::process::Child::id)
    }

    fn victim_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.victim())).unwrap()
    }

    /// The probe as a command. It finds its surroundings in variables.
    fn probe(&self, script: &str) -> Command {
        let script = format!("{PRELUDE}{}{script}", numbers());
        let mut command = within(&self.inside(), program("python3", &["-ISEBc", &script]));
        for (name, value) in [
            ("OUT", self.base.path().join("out").display().to_string()),
            ("IN", self.inside().display().to_string()),
            ("BASE", self.base.path().display().to_string()),
            ("TCP", self.tcp.local_addr().unwrap().port().to_string()),
            ("UDP", self.udp.local_addr().unwrap().port().to_string()),
            ("VICTIM", self.victim().to_string()),
            ("LEAKED", self.leaked.as_raw_fd().to_string()),
        ] {
            command = with(name, value, command);
        }
        command
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(victim) = &mut self.victim {
            let _ = victim.kill();
            let _ = victim.wait();
        }
    }
}

/// A process outside, with a secret in its environment. It blocks SIGUSR1, so that one sent to it stays to be seen.
fn victim() -> std::process::Child {
    let script = "import signal, sys\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\n\
        print('ready', flush=True); sys.stdin.read()";
    let mut victim = std::process::Command::new("python3")
        .args(["-ISEBc", script])
        .env("SECRET", SECRET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the probes need python3");
    let mut line = String::new();
    BufReader::new(victim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    victim
}

const PRELUDE: &str = r"
import ctypes, os, signal, socket, struct, sys
OUT, IN, BASE = (os.environ[k] for k in ('OUT', 'IN', 'BASE'))
TCP, UDP, VICTIM, LEAKED = (int(os.environ[k]) for k in ('TCP', 'UDP', 'VICTIM', 'LEAKED'))
FILE = OUT + '/file'
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def raw(nr, *args):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(nr), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return done, ctypes.get_errno()
# Says whether the kernel's permission check let the call through, whatever came of it then.
def call(nr, *args):
    done, errno = raw(nr, *args)
    print('errno', errno)
    if done >= 0 or errno not in (1, 38): print('GOT THROUGH')
";

/// A way out: its name, what it does, and how it shows.
type Probe = (&'static str, &'static str, fn(&mut Scene, &str) -> bool);

const fn said() -> fn(&mut Scene, &str) -> bool {
    |_, text| text.contains("GOT THROUGH")
}

const FILES: &[Probe] = &[
    ("write", "open(FILE, 'w').write('x')", |s, _| s.changed()),
    ("append", "open(FILE, 'a').write('x')", |s, _| s.changed()),
    ("truncate by path", "os.truncate(FILE, 0)", |s, _| s.changed()),
    ("truncate by open for reading", "os.open(FILE, os.O_RDONLY | os.O_TRUNC)", |s, _| s.changed()),
    ("create", "open(OUT + '/new', 'w')", |s, _| s.out("new").exists()),
    ("write through a link", "open(IN + '/link', 'w').write('x')", |s, _| s.changed()),
    ("write through a linked directory", "open(IN + '/dirlink/file', 'w').write('x')", |s, _| s.changed()),
    ("write through dot dot", "open(IN + '/../out/file', 'w').write('x')", |s, _| s.changed()),
    ("write through proc root", "open('/proc/self/root' + FILE, 'w').write('x')", |s, _| s.changed()),
    ("write through proc cwd", "os.chdir(OUT); open('/proc/self/cwd/file', 'w').write('x')", |s, _| s.changed()),
    ("reopen for writing", "fd = os.open(FILE, os.O_RDONLY); open(f'/proc/self/fd/{fd}', 'w').write('x')", |s, _| s.changed()),
    ("reopen a path descriptor", "fd = os.open(FILE, os.O_PATH); open(f'/proc/self/fd/{fd}', 'w').write('x')", |s, _| s.changed()),
    ("an inherited descriptor", "os.write(LEAKED, b'x')", |s, _| s.changed()),
    ("remove", "os.unlink(FILE)", |s, _| s.changed()),
    ("remove a directory", "os.rmdir(OUT + '/empty')", |s, _| !s.out("empty").exists()),
    ("make a directory", "os.mkdir(OUT + '/new')", |s, _| s.out("new").exists()),
    ("make a link", "os.symlink('x', OUT + '/new')", |s, _| s.out("new").is_symlink()),
    ("make a pipe", "os.mkfifo(OUT + '/new')", |s, _| s.out("new").exists()),
    ("rename outside", "os.rename(FILE, OUT + '/new')", |s, _| s.changed()),
    ("rename out", "os.rename(IN + '/mine', OUT + '/new')", |s, _| s.out("new").exists()),
    ("rename in", "os.rename(FILE, IN + '/stolen')", |s, _| s.changed()),
    ("rename over", "os.rename(IN + '/mine', FILE)", |s, _| s.changed()),
    ("link out", "os.link(IN + '/mine', OUT + '/new')", |s, _| s.out("new").exists()),
    ("link in and write", "os.link(FILE, IN + '/hard'); open(IN + '/hard', 'w').write('x')", |s, _| s.changed()),
    ("rename the workspace", "os.rename(IN, BASE + '/elsewhere')", |s, _| !s.inside().exists()),
    (
        "nameless file linked out",
        "fd = os.open(IN, os.O_TMPFILE | os.O_RDWR); os.link(f'/proc/self/fd/{fd}', OUT + '/new', src_dir_fd=0)",
        |s, _| s.out("new").exists(),
    ),
    ("map for writing", "import mmap; mmap.mmap(os.open(FILE, os.O_RDWR), 0)[0:1] = b'X'", |s, _| s.changed()),
    ("copy range", "d = os.open(FILE, os.O_WRONLY); os.copy_file_range(os.open(IN + '/mine', os.O_RDONLY), d, 4)", |s, _| s.changed()),
    ("allocate", "os.posix_fallocate(os.open(FILE, os.O_WRONLY), 0, 4096)", |s, _| s.changed()),
    ("memory in /dev/shm", "p = '/dev/shm/' + BASE.replace('/', '-'); open(p, 'w'); print('GOT THROUGH'); os.unlink(p)", said()),
];

const NETWORK: &[Probe] = &[
    ("tcp", "socket.create_connection(('127.0.0.1', TCP))", |s, _| s.tcp.accept().is_ok()),
    (
        "tcp fast open",
        "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', TCP))",
        |s, _| s.tcp.accept().is_ok(),
    ),
    (
        "udp",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', UDP))",
        |s, _| s.udp.recv(&mut [0]).is_ok(),
    ),
    (
        "udp sendmsg",
        "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', UDP))",
        |s, _| s.udp.recv(&mut [0]).is_ok(),
    ),
    ("a family with stray high bits", "call(NR_SOCKET, (1 << 32) | 2, 2, 0)", said()),
    ("listening", "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.getsockname(); print('GOT THROUGH')", said()),
];

const UNIX: &[Probe] = &[
    ("unix stream", "socket.socket(socket.AF_UNIX).connect(OUT + '/stream')", |s, _| s.stream.accept().is_ok()),
    (
        "unix datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', OUT + '/datagram')",
        |s, _| s.datagram.recv(&mut [0]).is_ok(),
    ),
    (
        "unix datagram sendmsg from a pair",
        "socket.socketpair(type=socket.SOCK_DGRAM)[0].sendmsg([b'x'], [], 0, OUT + '/datagram')",
        |s, _| s.datagram.recv(&mut [0]).is_ok(),
    ),
    (
        "unix raw is datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_RAW).sendmsg([b'x'], [], 0, OUT + '/datagram')",
        |s, _| s.datagram.recv(&mut [0]).is_ok(),
    ),
    (
        "unix datagram with stray high bits",
        "fd = raw(NR_SOCKET, (1 << 40) | 1, (1 << 40) | 2, 0)[0]\n\
         socket.socket(fileno=fd).sendmsg([b'x'], [], 0, OUT + '/datagram')",
        |s, _| s.datagram.recv(&mut [0]).is_ok(),
    ),
    (
        "abstract stream",
        "socket.socket(socket.AF_UNIX).connect('\\0' + BASE + '-stream')",
        |s, _| s.abstract_stream.accept().is_ok(),
    ),
    (
        "abstract datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0' + BASE + '-datagram')",
        |s, _| s.abstract_datagram.recv(&mut [0]).is_ok(),
    ),
];

const PROCESSES: &[Probe] = &[
    ("signal", "os.kill(VICTIM, signal.SIGUSR1)", |s, _| has_pending(s, "ShdPnd")),
    (
        "signal by pidfd",
        "signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGUSR1)",
        |s, _| has_pending(s, "ShdPnd"),
    ),
    ("signal to a thread", "raw(NR_TKILL, VICTIM, int(signal.SIGUSR1))", |s, _| has_pending(s, "SigPnd")),
    (
        "signal by descriptor owner",
        "import fcntl; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, VICTIM)\n\
         fcntl.fcntl(r, 10, int(signal.SIGUSR1)); fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')",
        |s, _| has_pending(s, "ShdPnd"),
    ),
    ("environment of another process", "print(open(f'/proc/{VICTIM}/environ').read())", |_, t| t.contains(SECRET)),
    ("file of another process", "print('GOT THROUGH', os.readlink(f'/proc/{VICTIM}/fd/0'))", said()),
    (
        "limits of another process",
        "raw(NR_PRLIMIT64, VICTIM, 7, ctypes.byref((ctypes.c_ulong * 2)(33, 33)), 0)",
        |s, _| s.victim_file("limits").lines().any(|l| l.starts_with("Max open files") && l.contains(" 33 ")),
    ),
    ("priority of another process", "os.setpriority(os.PRIO_PROCESS, VICTIM, 9)", |s, _| {
        s.victim_file("stat").rsplit(") ").next().unwrap().split(' ').nth(16) == Some("9")
    }),
    ("scheduler of another process", "os.sched_setscheduler(VICTIM, os.SCHED_BATCH, os.sched_param(0))", |s, _| {
        s.victim_file("stat").rsplit(") ").next().unwrap().split(' ').nth(38) == Some("3")
    }),
    (
        "kill by out-of-memory score",
        "open(f'/proc/{VICTIM}/oom_score_adj', 'w').write('500')",
        |s, _| s.victim_file("oom_score_adj").trim() == "500",
    ),
];

/// Calls that only need to be let through. Arguments are such that nothing happens then.
const CALLS: &[Probe] = &[
    ("process_vm_readv", "call(NR_PROCESS_VM_READV, VICTIM, 0, 0, 0, 0, 0)", said()),
    ("process_vm_writev", "call(NR_PROCESS_VM_WRITEV, VICTIM, 0, 0, 0, 0, 0)", said()),
    ("io_uring", "call(NR_IO_URING_SETUP, 1, ctypes.create_string_buffer(256))", said()),
    ("keyctl", "call(NR_KEYCTL, 0, -3, 0)", said()),
    ("add_key", "call(NR_ADD_KEY, b'user', b'probe', b'x', 1, -2)", said()),
    ("userfaultfd", "call(NR_USERFAULTFD, 1)", said()),
    ("shared memory", "call(NR_SHMGET, 0, 4096, 0o1600)", said()),
    ("message queue", "call(NR_MQ_OPEN, b'no-such-queue', 0, 0, 0)", said()),
    ("user namespace", "call(NR_UNSHARE, 0x10000000)", said()),
    ("namespace by clone", "call(NR_CLONE, 0x10000000 | 0x200, 0, 0, 0, 0)", said()),
    ("namespace by clone, stray high bits", "call(NR_CLONE, (1 << 40) | 0x10000000 | 0x200, 0, 0, 0, 0)", said()),
    ("clone3", "call(NR_CLONE3, 0, 0)", said()),
    ("socket of an unknown family", "call(NR_SOCKET, 12345, 1, 0)", said()),
    ("vsock", "call(NR_SOCKET, 40, 1, 0)", said()),
    ("kcmp", "call(NR_KCMP, os.getpid(), os.getpid(), 99, 0, 0)", said()),
    ("personality", "call(NR_PERSONALITY, 8)", said()),
];

/// What needs root, or on some systems needs root, to succeed without a sandbox.
const ROOT: &[Probe] = &[
    ("mknod", "os.mknod(IN + '/disk', 0o20600, os.makedev(1, 3))", |s, _| {
        fs::metadata(s.inside().join("disk")).is_ok_and(|m| m.file_type().is_char_device() && m.rdev() != 0)
    }),
    ("mount", "call(NR_MOUNT, b'none', b'/no/such/place', b'tmpfs', 0, 0)", said()),
    ("umount", "call(NR_UMOUNT2, b'/no/such/place', 0)", said()),
    ("pivot_root", "call(NR_PIVOT_ROOT, b'/no/such', b'/no/such')", said()),
    ("chroot", "call(NR_CHROOT, b'/no/such/place')", said()),
    ("fsopen", "call(NR_FSOPEN, b'no-such-type', 0)", said()),
    ("open_tree", "call(NR_OPEN_TREE, -100, b'/no/such/place', 1)", said()),
    ("mount_setattr", "call(NR_MOUNT_SETATTR, -100, b'/no/such', 0, ctypes.create_string_buffer(32), 32)", said()),
    ("setns", "call(NR_SETNS, os.open('/proc/self/ns/net', os.O_RDONLY), 0x40000000)", said()),
    ("open_by_handle_at", "call(NR_OPEN_BY_HANDLE_AT, -100, ctypes.create_string_buffer(16), 0)", said()),
    ("bpf", "call(NR_BPF, 0, ctypes.create_string_buffer(128), 128)", said()),
    ("perf_event_open", "call(NR_PERF_EVENT_OPEN, 0, 0, -1, -1, 0)", said()),
    ("fanotify", "call(NR_FANOTIFY_INIT, 0, 0)", said()),
    ("swap", "call(NR_SWAPON, b'/no/such/place', 0)", said()),
    ("reboot", "call(NR_REBOOT, 1, 2, 3, 0)", said()),
    ("clock", "call(NR_CLOCK_SETTIME, 0, ctypes.byref((ctypes.c_long * 2)(0, -1)))", said()),
    ("host name", "call(NR_SETHOSTNAME, 0, 100000)", said()),
    ("kernel log", "call(NR_SYSLOG, 2, 0, -1)", said()),
    ("raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('GOT THROUGH')", said()),
    ("packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('GOT THROUGH')", said()),
    (
        "typing into a terminal",
        "import fcntl; fcntl.ioctl(os.openpty()[1], 0x5412, b'x'); print('GOT THROUGH')",
        said(),
    ),
    (
        "typing into a terminal, stray high bits",
        "call(NR_IOCTL, os.openpty()[1], (1 << 40) | 0x5412, b'x')",
        said(),
    ),
    ("a sysctl", "open('/proc/sys/kernel/core_pattern', 'r+'); print('GOT THROUGH')", said()),
    ("a file of another user", "print(open(OUT + '/private').read())", |_, text| text.contains(SECRET)),
    (
        "memory of another process",
        "m = open(f'/proc/{VICTIM}/maps').read(); a = int(m.split('[stack]')[0].split('\\n')[-1].split('-')[0], 16)\n\
         f = open(f'/proc/{VICTIM}/mem', 'rb'); f.seek(a); f.read(1); print('GOT THROUGH')",
        said(),
    ),
    ("ptrace", "call(NR_PTRACE, 0x4206, VICTIM, 0, 0)", said()),
    ("pidfd_getfd", "call(NR_PIDFD_GETFD, os.pidfd_open(VICTIM), 0, 0)", said()),
];

fn has_pending(scene: &Scene, set: &str) -> bool {
    let status = scene.victim_file("status");
    let line = status.lines().find(|line| line.starts_with(set)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap() & (1 << (10 - 1)) != 0
}

/// Names for the numbers, which differ between processors.
fn numbers() -> String {
    let numbers = [
        ("ADD_KEY", libc::SYS_add_key),
        ("BPF", libc::SYS_bpf),
        ("CHROOT", libc::SYS_chroot),
        ("CLOCK_SETTIME", libc::SYS_clock_settime),
        ("CLONE", libc::SYS_clone),
        ("CLONE3", libc::SYS_clone3),
        ("FANOTIFY_INIT", libc::SYS_fanotify_init),
        ("FSOPEN", libc::SYS_fsopen),
        ("IOCTL", libc::SYS_ioctl),
        ("IO_URING_SETUP", libc::SYS_io_uring_setup),
        ("KCMP", libc::SYS_kcmp),
        ("KEYCTL", libc::SYS_keyctl),
        ("MOUNT", libc::SYS_mount),
        ("MOUNT_SETATTR", libc::SYS_mount_setattr),
        ("MQ_OPEN", libc::SYS_mq_open),
        ("OPEN_BY_HANDLE_AT", libc::SYS_open_by_handle_at),
        ("OPEN_TREE", libc::SYS_open_tree),
        ("PERF_EVENT_OPEN", libc::SYS_perf_event_open),
        ("PERSONALITY", libc::SYS_personality),
        ("PIDFD_GETFD", libc::SYS_pidfd_getfd),
        ("PIVOT_ROOT", libc::SYS_pivot_root),
        ("PRLIMIT64", libc::SYS_prlimit64),
        ("PROCESS_VM_READV", libc::SYS_process_vm_readv),
        ("PROCESS_VM_WRITEV", libc::SYS_process_vm_writev),
        ("PTRACE", libc::SYS_ptrace),
        ("REBOOT", libc::SYS_reboot),
        ("SETHOSTNAME", libc::SYS_sethostname),
        ("SETNS", libc::SYS_setns),
        ("SHMGET", libc::SYS_shmget),
        ("SOCKET", libc::SYS_socket),
        ("SWAPON", libc::SYS_swapon),
        ("SYSLOG", libc::SYS_syslog),
        ("TKILL", libc::SYS_tkill),
        ("UMOUNT2", libc::SYS_umount2),
        ("UNSHARE", libc::SYS_unshare),
        ("USERFAULTFD", libc::SYS_userfaultfd),
    ];
    numbers.iter().map(|(name, number)| format!("NR_{name} = {number}\n")).collect()
}
