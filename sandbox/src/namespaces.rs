//! A view of the machine for one command: its own processes, its own network, and a file system in which only
//! the writable roots can be written.
//!
//! Landlock judges what is done to a file's contents and names. It has no rule for modes, owners, times and
//! attributes, and none for sysctls. A mount that is read-only refuses all of those, so every mount is made
//! so, in a copy of the mount tree that belongs to the command alone, and the writable roots are laid over it
//! as they were.
//!
//! What needs memory or a look at the system is done beforehand, in [`Namespaces::new`]; the
//! [supervisor](crate::supervisor), which is born into the new namespaces, only carries it out. Places are
//! opened there by the names that they had here, without following links, and must be what they were here.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "mounts are made by raw system calls in a forked process")]

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use libc::{c_int, c_long};

mod cover;
mod device;
#[cfg(test)]
mod less;
mod loopback;
mod mount;
mod pins;
mod place;
mod shown;
mod stand_ins;

pub(crate) use self::stand_ins::StandIns;
use self::{
    cover::Covers,
    device::{Device, HARMLESS},
    mount::{NO_SUID_DEV, READ_ONLY, allow, attributes, make_dir, make_file, make_link, mount, write},
    pins::Pins,
    place::{Below, Place},
    shown::{guards, kept, kept_links, writable},
};
use crate::{
    error::{SpawnError, Stage},
    landlock,
    policy::{Network, Read},
    resolved::{Resolved, SHARED_MEMORY},
    syscall::{call, errno, set_errno},
    terminal::Pair,
    without::{Layer, Without},
};

/// Where the sockets of the machine's services lie.
const RUN: &str = "/run";
/// The name of the terminal that a command is given.
const CONSOLE: &CStr = c"/dev/console";
/// Names in `/dev` for what lies elsewhere.
const LINKS: [(&CStr, &CStr); 5] = [
    (c"pts/ptmx", c"/dev/ptmx"),
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
];
/// How names are resolved. Where this leads into `/run`, it is kept.
pub(crate) const RESOLVER: &str = "/etc/resolv.conf";

/// How many processes and threads a command may have at a time: more than any build, fewer than a machine.
pub(crate) const MOST_PROCESSES: u64 = 8192;

/// What the command's view is made from.
#[derive(Debug)]
pub(crate) struct Namespaces {
    flags: c_int,
    /// Files to be written, in this order, so that the user is in the new namespace who it was outside.
    identity: Vec<(&'static CStr, String)>,
    /// Whether the command's own network is to have a loopback.
    loopback: bool,
    /// Whether the root itself is writable, by the policy's word.
    all_writable: bool,
    /// Whether there is a `/sys`, which is not.
    has_sys: bool,
    places: Vec<Place>,
    /// What is not to be written in the places that are writable.
    pins: Pins,
    devices: Vec<Device>,
    /// Whether there is a `/run` to be covered, and the links to be made in it.
    run: Option<Vec<(CString, CString)>>,
    covers: Covers,
    /// What Landlock is to allow for the command's own shared memory, and for its own terminals.
    writable: u64,
    terminal: u64,
    /// What Landlock is to allow for all that is new, if reading is limited.
    readable: u64,
    /// The terminal that it is given, which was made in our `/dev/pts`, not in its own.
    console: Option<Place>,
    without: Without,
    /// How many processes and threads there may be, where the kernel can say that of a namespace.
    pub(crate) most_processes: Option<String>,
}

/// Who makes the namespaces: root itself, or anyone by means of a namespace for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Direct,
    ByUserNamespace,
}

impl Namespaces {
    /// What is needed for a sandboxed policy.
    pub(crate) fn new(
        resolved: &Resolved<'_>,
        cwd: &Path,
        means: Means,
        abi: i32,
    ) -> Result<Self, SpawnError> {
        let mut flags = libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        let network = resolved.network;
        if network != Network::On {
            flags |= libc::CLONE_NEWNET;
        }
        let mut identity = Vec::new();
        if means == Means::ByUserNamespace {
            flags |= libc::CLONE_NEWUSER;
            let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            identity = vec![
                (c"/proc/self/setgroups", "deny".to_owned()),
                (c"/proc/self/uid_map", format!("{user} {user} 1")),
                (c"/proc/self/gid_map", format!("{group} {group} 1")),
            ];
        }
        let mut places = writable(resolved)?;
        let all_writable = resolved.real_roots.iter().any(|root| root.parent().is_none());
        let run_is_writable = places.iter().any(|place| place.path() == Path::new(RUN));
        let pins = Pins::new(&guards(resolved)?)?;
        let listed = match &resolved.rules.read {
            Read::Everything => &[],
            Read::Only(listed) => listed.as_slice(),
        };
        places.extend(kept(cwd, listed, &places));
        let run = !run_is_writable && fs::symlink_metadata(RUN).is_ok_and(|run| run.is_dir());
        let unnameable = |source| SpawnError::Setup { stage: Stage::Mounts, source };
        let covers = Covers::new(resolved, &mut places, run).map_err(unnameable)?;
        let found = resolved.devices.iter().map(|node| node.path.as_path());
        let devices = HARMLESS.iter().map(Path::new).chain(found).map(Device::new);
        let devices = devices.collect::<io::Result<_>>().map_err(unnameable)?;
        let run = run.then(kept_links);
        let (writable, terminal) = (landlock::writable(abi).bits(), landlock::device_rights(abi).bits());
        let limited = resolved.rules.read != Read::Everything;
        let readable = if limited { landlock::READABLE.bits() } else { 0 };
        let loopback = network == Network::Localhost;
        let most_processes = limits_processes().then(|| MOST_PROCESSES.to_string());
        Ok(Self {
            flags,
            identity,
            loopback,
            all_writable,
            has_sys: fs::exists("/sys").unwrap_or(true),
            places,
            devices,
            pins,
            run,
            covers,
            writable,
            terminal,
            readable,
            console: None,
            without: Without::default(),
            most_processes,
        })
    }

    /// Gives the command's terminal a name that it can find: [`CONSOLE`].
    pub(crate) fn show_terminal(&mut self, pair: &Pair) -> io::Result<()> {
        self.console = pair.name()?.map(|name| Place::new(&name, true)).transpose()?;
        Ok(())
    }

    /// The flags for `clone`.
    pub(crate) fn flags(&self) -> c_int {
        self.flags
    }

    /// Makes the view, and lets the Landlock ruleset (-1: none) know what of it is new and writable. What was
    /// made outside for that is noted in `stand_ins`, also if it fails.
    ///
    /// # Safety
    /// Only in a forked process that has one thread and was born into namespaces with these
    /// [flags](Self::flags).
    pub(crate) unsafe fn enter(&self, ruleset: c_int, stand_ins: &mut StandIns) -> Result<(), Stage> {
        // SAFETY: as the caller promises.
        unsafe {
            self.identify()?;
            if self.loopback {
                loopback::switch_on()?;
            }
            self.file_system(ruleset)?;
            // Last, over whatever the view has become.
            self.pins.lay(stand_ins)
        }
    }

    /// In a new namespace for users, becomes who it was outside.
    unsafe fn identify(&self) -> Result<(), Stage> {
        if self.identity.is_empty() {
            return Ok(());
        }
        let prctl = |what: c_int, value: c_long| {
            // SAFETY: plain numbers.
            unsafe { call(libc::SYS_prctl, [what.into(), value, 0, 0, 0]) }
        };
        // A process that may not be dumped does not own its files in /proc.
        let may_be_dumped = prctl(libc::PR_GET_DUMPABLE, 0) == 1;
        prctl(libc::PR_SET_DUMPABLE, 1);
        // SAFETY: as for `file_system`.
        let written =
            self.identity.iter().try_for_each(|(file, text)| unsafe { write(file, text.as_bytes()) });
        let why = errno();
        if !may_be_dumped {
            prctl(libc::PR_SET_DUMPABLE, 0);
        }
        set_errno(why);
        written
    }

    unsafe fn file_system(&self, ruleset: c_int) -> Result<(), Stage> {
        // SAFETY: paths and descriptors are those of the plan, or opened here.
        unsafe {
            // Copies first, of what is to stay as it is.
            for device in &self.devices {
                device.take();
            }
            for place in self.places.iter().chain(&self.console) {
                place.take()?;
            }
            let read_only = if self.all_writable { 0 } else { READ_ONLY };
            let no_devices = if self.without.keeps(Layer::Devices) { NO_SUID_DEV } else { 0 };
            attributes(libc::AT_FDCWD, c"/", read_only | no_devices, libc::AT_RECURSIVE)?;
            if self.all_writable && self.has_sys {
                attributes(libc::AT_FDCWD, c"/sys", READ_ONLY, libc::AT_RECURSIVE)?;
            }
            for place in self.places.iter().filter(|place| place.make.is_none()) {
                place.lay()?;
            }
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            if self.without.keeps(Layer::Proc) {
                mount(c"proc", c"/proc", flags, None)?;
                if let Some(most) = &self.most_processes {
                    // A limit, not a wall: where it is refused, there is the machine's own.
                    let _ = write(c"/proc/sys/kernel/pid_max", most.as_bytes());
                }
                attributes(libc::AT_FDCWD, c"/proc", READ_ONLY, 0)?;
            }
            if !self.without.keeps(Layer::Devices) {
                return Ok(());
            }
            let workshop = self.own_devices(ruleset)?;
            if let Some(links) = &self.run {
                mount(c"tmpfs", c"/run", flags, Some(c"mode=755,size=1m"))?;
                for (target, link) in links {
                    make_link(target, link)?;
                }
                self.lay_made(Below::Run)?;
                attributes(libc::AT_FDCWD, c"/run", READ_ONLY, 0)?;
            }
            self.covers.lay(workshop, &self.places)
        }
    }

    /// Returns the place where covers are made.
    unsafe fn own_devices(&self, ruleset: c_int) -> Result<c_int, Stage> {
        // SAFETY: as for `file_system`.
        unsafe {
            mount(c"tmpfs", c"/dev", libc::MS_NOSUID | libc::MS_NOEXEC, Some(c"mode=755,size=1m"))?;
            for device in &self.devices {
                device.lay()?;
            }
            for (target, link) in LINKS {
                make_link(target, link)?;
            }
            if let Some(console) = &self.console {
                make_file(CONSOLE, 0o644)?;
                console.attach(CONSOLE)?;
            }
            make_dir(c"/dev/pts", 0o755)?;
            make_dir(c"/dev/shm", 0o755)?;
            let workshop = self.covers.make()?;
            let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
            mount(c"devpts", c"/dev/pts", flags, Some(c"newinstance,ptmxmode=0666,mode=620"))?;
            mount(c"tmpfs", c"/dev/shm", flags | libc::MS_NODEV, Some(c"mode=1777"))?;
            self.lay_made(Below::SharedMemory)?;
            attributes(libc::AT_FDCWD, c"/dev", READ_ONLY, 0)?;
            if ruleset >= 0 {
                allow(ruleset, c"/dev/pts", self.terminal)?;
                if self.console.is_some() {
                    allow(ruleset, CONSOLE, self.terminal)?;
                }
                allow(ruleset, c"/dev/shm", self.writable)?;
                if self.readable != 0 {
                    allow(ruleset, c"/dev", self.readable)?;
                    allow(ruleset, c"/proc", self.readable)?;
                }
            }
            Ok(workshop)
        }
    }

    /// The places below what has just been covered.
    unsafe fn lay_made(&self, below: Below) -> Result<(), Stage> {
        for place in &self.places {
            let Some(make) = place.make.as_ref().filter(|make| make.below == below) else { continue };
            // SAFETY: as for `file_system`.
            unsafe {
                for parent in &make.parents {
                    make_dir(parent, 0o755)?;
                }
                if place.is_dir {
                    make_dir(&place.path, 0o755)?
                } else {
                    make_file(&place.path, 0o644)?
                }
                place.lay()?;
            }
        }
        Ok(())
    }
}

/// Whether a namespace has a `kernel.pid_max` of its own. Before that, what root writes there is the machine's.
fn limits_processes() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|digit: char| !digit.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next(), numbers.next());
    matches!((major, minor), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 14))
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
