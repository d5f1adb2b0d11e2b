//! What a probe can see of the outside, and what can be seen there of its success.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{is_root, probes::numbers};
use crate::{
    Command,
    tests::{program, with, within},
};

/// How it shows that a probe got out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// The file outside is not what it was.
    Changed,
    /// Something new is outside, under this name.
    Exists(&'static str),
    /// Something that was outside is not.
    Gone(&'static str),
    WorkspaceGone,
    /// The inode of the file outside has changed, be it only its mode.
    Touched,
    /// A file named after the scene is in the machine's shared memory.
    SharedMemory,
    /// A device node in the workspace.
    Device(&'static str),
    // Something arrived at a listener.
    Tcp,
    Udp,
    Stream,
    Datagram,
    AbstractStream,
    AbstractDatagram,
    /// SIGUSR1 waits in this set of the victim.
    Pending(&'static str),
    VictimLimit(&'static str, &'static str),
    /// A field of the victim's `stat`, counted after its name.
    VictimStat(usize, &'static str),
    VictimScore(&'static str),
    /// The probe shows what it should not know.
    Secret,
    /// The probe says that the kernel let it.
    Said,
}

/// What a probe can see of the outside, and what can be seen of its success.
pub(super) struct Scene {
    base: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    stream: UnixListener,
    datagram: UnixDatagram,
    abstract_stream: UnixListener,
    abstract_datagram: UnixDatagram,
    victim: Option<std::process::Child>,
    leaked: OwnedFd,
    inode_change: (i64, i64),
}

pub(super) const NOBODY: u32 = 65534;
const KEPT: &str = "kept as it was";
const SECRET: &str = "planted-secret";

impl Scene {
    /// With a victim only if the probe speaks of one: starting it takes longer than all the rest.
    pub(super) fn new(script: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let (inside, outside) = (base.path().join("in"), base.path().join("out"));
        fs::create_dir_all(outside.join("empty")).unwrap();
        fs::create_dir(&inside).unwrap();
        fs::write(outside.join("file"), KEPT).unwrap();
        fs::write(inside.join("mine"), "mine").unwrap();
        fs::write(outside.join("private"), SECRET).unwrap();
        if is_root() {
            fs::set_permissions(outside.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
            chown(outside.join("private"), Some(NOBODY), None).unwrap();
        }
        symlink(outside.join("file"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("dirlink")).unwrap();
        let hidden =
            |kind: &str| SocketAddr::from_abstract_name(format!("{}-{kind}", base.path().display())).unwrap();
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
            inode_change: inode_change(&outside.join("file")),
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

    pub(super) fn inside(&self) -> PathBuf {
        self.base.path().join("in")
    }

    pub(super) fn out(&self, name: &str) -> PathBuf {
        self.base.path().join("out").join(name)
    }

    /// Whether the sign can be seen, given what the probe printed.
    pub(super) fn shows(&self, sign: Sign, text: &str) -> bool {
        match sign {
            Sign::Changed => fs::read_to_string(self.out("file")).ok().as_deref() != Some(KEPT),
            Sign::Exists(name) => self.out(name).symlink_metadata().is_ok(),
            Sign::Gone(name) => !self.out(name).exists(),
            Sign::Touched => inode_change(&self.out("file")) != self.inode_change,
            Sign::SharedMemory => {
                let name = self.base.path().display().to_string().replace('/', "-");
                fs::remove_file(PathBuf::from("/dev/shm").join(name)).is_ok()
            }
            Sign::WorkspaceGone => !self.inside().exists(),
            Sign::Device(name) => {
                fs::metadata(self.inside().join(name)).is_ok_and(|node| node.file_type().is_char_device())
            }
            Sign::Tcp => self.tcp.accept().is_ok(),
            Sign::Udp => self.udp.recv(&mut [0]).is_ok(),
            Sign::Stream => self.stream.accept().is_ok(),
            Sign::Datagram => self.datagram.recv(&mut [0]).is_ok(),
            Sign::AbstractStream => self.abstract_stream.accept().is_ok(),
            Sign::AbstractDatagram => self.abstract_datagram.recv(&mut [0]).is_ok(),
            Sign::Pending(set) => {
                let signals = u64::from_str_radix(&self.victim_line("status", set)[0], 16).unwrap();
                signals & (1 << (libc::SIGUSR1 - 1)) != 0
            }
            Sign::VictimLimit(name, value) => self.victim_line("limits", name)[0] == value,
            Sign::VictimStat(field, value) => {
                self.victim_file("stat").rsplit(") ").next().unwrap().split(' ').nth(field) == Some(value)
            }
            Sign::VictimScore(score) => self.victim_file("oom_score_adj").trim() == score,
            Sign::Secret => text.contains(SECRET),
            Sign::Said => text.contains("GOT THROUGH"),
        }
    }

    fn victim(&self) -> u32 {
        self.victim.as_ref().map_or(0, std::process::Child::id)
    }

    fn victim_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.victim())).unwrap()
    }

    /// The words after `start` on the line of a file of the victim that starts so.
    fn victim_line(&self, file: &str, start: &str) -> Vec<String> {
        let text = self.victim_file(file);
        let rest = text.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        rest.trim_start_matches(':').split_whitespace().map(str::to_owned).collect()
    }

    /// The probe as a command. It finds its surroundings in variables.
    pub(super) fn probe(&self, script: &str) -> Command {
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

fn inode_change(file: &Path) -> (i64, i64) {
    fs::metadata(file).map_or((0, 0), |file| (file.ctime(), file.ctime_nsec()))
}

/// A process outside, with a secret in its environment. It blocks SIGUSR1, so that one stays pending.
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
