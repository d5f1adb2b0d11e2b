//! What the probes of one command can reach, and what can be seen there of their success.
//!
//! The probes of a scene run one after the other, each in a process of its own, with a number of its own: what
//! is meant for it, and for it alone, lies in `out/NUMBER` and `in/NUMBER`. Only `in` may be written.
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, XattrFlags},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use super::{
    is_root,
    keeper::Keeper,
    listener::Listener,
    look::{self, Look},
    numbers::numbers,
    probe::{Probe, Sign},
};
use crate::{
    Command,
    tests::{program, within},
};

pub(super) const NOBODY: u32 = 65534;
const KEPT: &str = "kept as it was";
pub(super) const SECRET: &str = "planted-secret";

pub(super) struct Scene {
    base: tempfile::TempDir,
    probes: Vec<Outside>,
    keeper: Option<Keeper>,
    /// The standard input of the probes, and its other end.
    terminal: (OwnedFd, OwnedFd),
    /// Another one, with a secret that somebody has typed.
    other: (OwnedFd, OwnedFd),
}

/// What is there for one probe.
struct Outside {
    probe: Probe,
    /// What its script finds under these names, as Python writes it.
    names: BTreeMap<&'static str, String>,
    listeners: Vec<Listener>,
    victim: Option<u32>,
    /// Open for as long as it may be tried.
    _held: Vec<OwnedFd>,
    /// Made, if at all, by the probe.
    elsewhere: Vec<PathBuf>,
    before: Look,
}

/// What became of a probe.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) name: &'static str,
    pub(super) out: bool,
    /// Whether the kernel does not have what it tried.
    pub(super) missing: bool,
    /// What it printed.
    pub(super) text: String,
}

impl Scene {
    pub(super) fn new(probes: Vec<Probe>) -> Self {
        let base = tempfile::tempdir().unwrap();
        let victims = probes.iter().filter(|probe| probe.speaks_of("VICTIM")).count();
        let outer = ["OUTER_SHM", "OUTER_MSG", "OUTER_SEM", "OUTER_QUEUE"];
        let kept = victims > 0 || probes.iter().any(|probe| outer.iter().any(|name| probe.speaks_of(name)));
        for dir in ["in", "out", "in-beside"] {
            fs::create_dir(base.path().join(dir)).unwrap();
        }
        let keeper = kept.then(|| Keeper::new(base.path(), victims));
        let mut scene = Self { base, probes: Vec::new(), keeper, terminal: terminal(), other: terminal() };
        rustix::io::write(&scene.other.0, SECRET.as_bytes()).unwrap();
        rustix::fs::fcntl_setfl(&scene.other.0, OFlags::NONBLOCK).unwrap();
        let mut victims =
            scene.keeper.iter().flat_map(|it| it.victims.clone()).collect::<Vec<_>>().into_iter();
        let outsides = probes.into_iter().enumerate();
        scene.probes = outsides.map(|(number, probe)| scene.outside(number, probe, &mut victims)).collect();
        fs::write(scene.base.path().join("probes.py"), scene.program()).unwrap();
        for number in 0..scene.probes.len() {
            let look = scene.look(&scene.probes[number], "");
            scene.probes[number].before = look;
        }
        scene
    }

    /// Lays out what a probe is to find.
    fn outside(&self, number: usize, probe: Probe, victims: &mut impl Iterator<Item = u32>) -> Outside {
        let base = self.base.path();
        let [inside, out, beside] =
            ["in", "out", "in-beside"].map(|dir| base.join(dir).join(number.to_string()));
        lay_out(&inside, &out, &beside, &probe);
        let token = format!("{}-{number}", base.file_name().unwrap().display());
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        let mut names = BTreeMap::from([
            ("BASE", text(base)),
            ("ROOT", text(&self.inside())),
            ("IN", text(&inside)),
            ("OUT", text(&out)),
            ("FILE", text(&out.join("file"))),
            ("BESIDE", text(&beside)),
            ("NUMBER", format!("'{number}'")),
            ("TERMINAL", format!("{:?}", ptsname(&self.other.0, Vec::new()).unwrap())),
            ("TOKEN", format!("{token:?}")),
            ("TYPED", format!("{:?}", typed(number).to_string())),
        ]);
        let mut listeners = Vec::new();
        for (name, at) in Listener::places(&out, &inside, &token) {
            if probe.speaks_of(name) {
                let (listener, address) = Listener::new(name, &at);
                names.insert(name, address);
                listeners.extend(listener);
            }
        }
        let victim = probe.speaks_of("VICTIM").then(|| victims.next().unwrap());
        if let Some(keeper) = &self.keeper {
            keeper.name(victim, &mut names);
        }
        let mut held = Vec::new();
        for name in ["LEAKED_FILE", "LEAKED_DIRECTORY", "LEAKED_SOCKET"] {
            if probe.speaks_of(name) {
                let (fd, listener) = leak(name, &out);
                names.insert(name, fd.as_raw_fd().to_string());
                held.push(fd);
                listeners.extend(listener);
            }
        }
        if probe.speaks_of("pipe") {
            held.push(named_pipe(&out.join("pipe")));
        }
        let elsewhere = ["/dev/shm", "/run", "/dev", "/sys/fs/cgroup"].map(|dir| Path::new(dir).join(&token));
        Outside {
            probe,
            names,
            listeners,
            victim,
            _held: held,
            elsewhere: elsewhere.into(),
            before: Look::new(),
        }
    }

    /// The only directory that may be written.
    pub(super) fn inside(&self) -> PathBuf {
        self.base.path().join("in")
    }

    /// What is to be the probes' standard input.
    pub(super) fn stdin(&self) -> OwnedFd {
        self.terminal.1.try_clone().unwrap()
    }

    /// All probes as one command.
    pub(super) fn command(&self) -> Command {
        let script = self.base.path().join("probes.py").display().to_string();
        within(&self.inside(), program("python3", &["-ISEB", &script]))
    }

    fn program(&self) -> String {
        let mut text = format!("{}{}", include_str!("prelude.py"), numbers());
        for (number, Outside { probe, names, .. }) in self.probes.iter().enumerate() {
            let names: String = names.iter().map(|(name, value)| format!("'{name}': {value}, ")).collect();
            writeln!(text, "attempt({number}, {{{names}}}, r'''{}\n''')", probe.script).unwrap();
        }
        text + "print('\\x1eall')\n"
    }

    /// What became of each probe, given what all of them printed.
    pub(super) fn attempts(&self, text: &str) -> Vec<Attempt> {
        let mut parts = text.split('\x1e').skip(1);
        let mut typed = [0; 4096];
        rustix::fs::fcntl_setfl(&self.terminal.1, OFlags::NONBLOCK).unwrap();
        let read = rustix::io::read(&self.terminal.1, &mut typed).unwrap_or(0);
        let typed = String::from_utf8_lossy(&typed[..read]);
        let attempts = self.probes.iter().enumerate().map(|(number, outside)| {
            let part = parts.next().and_then(|part| part.strip_prefix(&format!("{number}\n")));
            let text = part.unwrap_or_else(|| panic!("{} was not tried: {text}", outside.probe.name));
            let out = match outside.probe.sign {
                Sign::Outside => self.look(outside, &typed) != outside.before,
                Sign::Secret => text.contains(SECRET),
                Sign::Said => text.contains("GOT THROUGH"),
            };
            let missing = outside.probe.optional && !out && is_missing(text);
            Attempt { name: outside.probe.name, out, missing, text: text.to_owned() }
        });
        let attempts = attempts.collect();
        assert_eq!(parts.next(), Some("all\n"), "{text}");
        attempts
    }

    /// Everything outside that the probe could have had an effect on.
    fn look(&self, outside: &Outside, typed_text: &str) -> Look {
        let number = outside.names["NUMBER"].trim_matches('\'').to_owned();
        let mut look = Look::new();
        for dir in ["out", "in-beside"] {
            look::at_tree(&self.base.path().join(dir).join(&number), &mut look);
        }
        for entry in fs::read_dir(self.inside().join(&number)).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_block_device() || kind.is_char_device() {
                look.insert(entry.path().display().to_string(), "a device".to_owned());
            }
        }
        if outside.probe.speaks_of("ROOT") {
            let base = fs::metadata(self.base.path()).unwrap();
            look.insert("base".to_owned(), format!("{} {}", base.mtime(), base.mtime_nsec()));
        }
        for path in outside.elsewhere.iter().filter(|path| path.symlink_metadata().is_ok()) {
            look.insert(path.display().to_string(), "new".to_owned());
        }
        for (at, listener) in outside.listeners.iter().enumerate() {
            look.insert(format!("listener {at}"), listener.heard().to_string());
        }
        if let Some(victim) = outside.victim {
            look::at_victim(victim, &mut look);
        }
        if let Some(keeper) = &self.keeper {
            keeper.look(&outside.probe, &mut look);
        }
        if outside.probe.speaks_of("TERMINAL") {
            let shown = rustix::io::read(&self.other.0, &mut [0; 99]).is_ok();
            look.insert("terminal".to_owned(), shown.to_string());
        }
        if outside.probe.speaks_of("TYPED") {
            let typed = typed_text.contains(typed(number.parse().unwrap()));
            look.insert("typed".to_owned(), typed.to_string());
        }
        look
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for path in self.probes.iter().flat_map(|outside| &outside.elsewhere) {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

/// What a kernel answers that has no such thing, or does not give it to this user.
fn is_missing(text: &str) -> bool {
    let without = [
        libc::ENOENT,
        libc::EIO,
        libc::ENXIO,
        libc::EACCES,
        libc::ENODEV,
        libc::EINVAL,
        libc::ENOTTY,
        libc::EROFS,
        libc::ENOSYS,
        libc::EOPNOTSUPP,
        libc::EPROTONOSUPPORT,
        libc::ESOCKTNOSUPPORT,
        libc::EAFNOSUPPORT,
        libc::EADDRNOTAVAIL,
    ];
    let errno = text.lines().rev().find_map(|line| line.strip_prefix("errno "));
    errno.and_then(|errno| errno.parse().ok()).is_some_and(|errno: i32| without.contains(&errno))
}

/// A character that only this probe types.
fn typed(number: usize) -> char {
    char::from(b'0' + (number % 75) as u8)
}

fn lay_out(inside: &Path, out: &Path, beside: &Path, probe: &Probe) {
    for dir in [inside, out, beside, &out.join("empty")] {
        fs::create_dir(dir).unwrap();
    }
    for file in [out.join("file"), beside.join("file")] {
        fs::write(file, KEPT).unwrap();
    }
    let planted = rustix::fs::setxattr(out.join("file"), "user.planted", b"x", XattrFlags::empty());
    planted.expect("attributes can be had in the directory for temporary files");
    fs::write(inside.join("mine"), "mine").unwrap();
    fs::write(out.join("private"), SECRET).unwrap();
    symlink(out.join("file"), out.join("pointer")).unwrap();
    symlink(out.join("file"), inside.join("link")).unwrap();
    symlink(out, inside.join("dirlink")).unwrap();
    if probe.script.contains("planted") {
        fs::hard_link(out.join("file"), inside.join("planted")).unwrap();
    }
    if is_root() {
        fs::set_permissions(out.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
        chown(out.join("private"), Some(NOBODY), None).unwrap();
    }
    if probe.script.contains("/setuid") {
        fs::copy("/usr/bin/id", out.join("setuid")).unwrap();
        chown(out.join("setuid"), Some(NOBODY), None).unwrap();
        fs::set_permissions(out.join("setuid"), fs::Permissions::from_mode(0o4755)).unwrap();
    }
    if probe.script.contains("/capable") {
        fs::copy("/usr/bin/cat", out.join("capable")).unwrap();
        // Version 2, in effect at once: CAP_DAC_OVERRIDE.
        let rights: Vec<u8> =
            [0x0200_0001u32, 2, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        rustix::fs::setxattr(out.join("capable"), "security.capability", &rights, XattrFlags::empty())
            .unwrap();
    }
}

/// A descriptor as a careless program leaves it: open for writing, without close-on-exec.
fn leak(name: &str, out: &Path) -> (OwnedFd, Option<Listener>) {
    let (fd, listener): (OwnedFd, _) = match name {
        "LEAKED_FILE" => (fs::File::options().append(true).open(out.join("file")).unwrap().into(), None),
        "LEAKED_DIRECTORY" => (fs::File::open(out).unwrap().into(), None),
        _ => {
            let (leaked, other) = UnixDatagram::pair().unwrap();
            (leaked.into(), Some(Listener::pair(other)))
        }
    };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::empty()).unwrap();
    (fd, listener)
}

/// A named pipe with a secret in it.
fn named_pipe(path: &Path) -> OwnedFd {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let pipe = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    rustix::io::write(&pipe, SECRET.as_bytes()).unwrap();
    pipe
}

/// A terminal that keeps what is typed until it is read.
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    unlockpt(&master).unwrap();
    let how = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, how).unwrap();
    let mut raw = tcgetattr(&slave).unwrap();
    raw.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
    (master, slave)
}
