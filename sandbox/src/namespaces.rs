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
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use libc::{c_int, c_long};

mod mount;
mod pins;
mod place;
mod stand_ins;

pub(crate) use self::stand_ins::StandIns;
use self::{
    mount::{
        NO_SUID_DEV, READ_ONLY, allow, attach, attributes, copy, make_dir, make_file, make_link, mount, write,
    },
    pins::Pins,
    place::Place,
};
use crate::{
    error::{SpawnError, Stage},
    landlock,
    policy::{Network, Policy},
    protected,
    syscall::{call, errno, set_errno},
};

/// Where the sockets of the machine's services lie.
const RUN: &str = "/run";
/// What other processes can share without a name that a policy knows.
const SHARED_MEMORY: &str = "/dev/shm";
/// What a command finds in `/dev`, besides its own terminals and shared memory.
const DEVICES: [&CStr; 6] =
    [c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom", c"/dev/tty"];
/// Names in `/dev` for what lies elsewhere.
const LINKS: [(&CStr, &CStr); 5] = [
    (c"pts/ptmx", c"/dev/ptmx"),
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
];
/// How names are resolved. Where this leads into `/run`, it is kept.
const RESOLVER: &str = "/etc/resolv.conf";
/// Links in `/run` that are kept: NixOS has its programs there.
const KEPT_LINKS: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

/// How many processes and threads a command may have at a time: more than any build, fewer than a machine.
pub(crate) const MOST_PROCESSES: u64 = 8192;

/// What the command's view is made from.
#[derive(Debug)]
pub(crate) struct Namespaces {
    flags: c_int,
    /// Files to be written, in this order, so that the user is in the new namespace who it was outside.
    identity: Vec<(&'static CStr, String)>,
    /// Whether the root itself is writable, by the policy's word.
    all_writable: bool,
    places: Vec<Place>,
    /// What is not to be written in the places that are writable.
    pins: Pins,
    /// Whether there is a `/run` to be covered, and the links to be made in it.
    run: Option<Vec<(CString, CString)>>,
    /// What Landlock is to allow for the command's own terminals.
    terminal: u64,
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
    /// What is needed for a policy other than full access. `roots` are its writable roots, opened.
    pub(crate) fn new(
        policy: &Policy,
        roots: &[(PathBuf, OwnedFd)],
        cwd: &Path,
        means: Means,
        abi: i32,
    ) -> Result<Self, SpawnError> {
        let mut flags = libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        if policy.network() == Network::Off {
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
        let mut places: Vec<Place> = Vec::new();
        for (path, root) in roots {
            let unusable = |source| SpawnError::WritableRoot { path: path.clone(), source };
            // The name that it goes by now, without links.
            let real = fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).map_err(unusable)?;
            if let Some(place) = Place::root(&real).map_err(unusable)? {
                places.push(place);
            }
        }
        let all_writable = places.iter().any(|place| place.path() == Path::new("/"));
        let run_is_writable = places.iter().any(|place| place.path() == Path::new(RUN));
        // Those in a wider root are there with it, unless a cover comes in between.
        places.sort_by(|a, b| a.path.cmp(&b.path));
        places.dedup_by(|a, b| a.path == b.path);
        let wider: Vec<PathBuf> = places.iter().map(|place| place.path().to_owned()).collect();
        let pins = Pins::new(&protected::survey(policy, &wider)?)?;
        places.retain(|place| {
            let within = |outer: &&PathBuf| {
                place.path() != *outer && place.path().starts_with(outer) && outer.parent().is_some()
            };
            place.path().parent().is_some() && !wider.iter().any(|outer| within(&outer))
        });
        places.extend(kept(cwd, &places));
        let run = !run_is_writable && fs::symlink_metadata(RUN).is_ok_and(|run| run.is_dir());
        let run = run.then(kept_links);
        let terminal = landlock::device_rights(abi).bits();
        let most_processes = limits_processes().then(|| MOST_PROCESSES.to_string());
        Ok(Self { flags, identity, all_writable, places, pins, run, terminal, most_processes })
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
            let mut devices = [-1; DEVICES.len()];
            for (device, path) in devices.iter_mut().zip(DEVICES) {
                // What this machine does not have is not there inside either.
                *device = copy(libc::AT_FDCWD, path, 0).unwrap_or(-1);
            }
            for place in &self.places {
                place.take()?;
            }
            let read_only = if self.all_writable { 0 } else { READ_ONLY };
            attributes(libc::AT_FDCWD, c"/", read_only | NO_SUID_DEV, libc::AT_RECURSIVE)?;
            for place in self.places.iter().filter(|place| place.make.is_none()) {
                place.lay()?;
            }
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            mount(c"proc", c"/proc", flags, None)?;
            if let Some(most) = &self.most_processes {
                // A limit, not a wall: where it is refused, there is the machine's own.
                let _ = write(c"/proc/sys/kernel/pid_max", most.as_bytes());
            }
            attributes(libc::AT_FDCWD, c"/proc", READ_ONLY, 0)?;
            self.devices(devices, ruleset)?;
            if let Some(links) = &self.run {
                mount(c"tmpfs", c"/run", flags, Some(c"mode=755,size=1m"))?;
                for (target, link) in links {
                    make_link(target, link)?;
                }
                self.lay_made(false)?;
                attributes(libc::AT_FDCWD, c"/run", READ_ONLY, 0)?;
            }
            Ok(())
        }
    }

    unsafe fn devices(&self, devices: [c_int; DEVICES.len()], ruleset: c_int) -> Result<(), Stage> {
        // SAFETY: as for `file_system`.
        unsafe {
            mount(c"tmpfs", c"/dev", libc::MS_NOSUID | libc::MS_NOEXEC, Some(c"mode=755,size=1m"))?;
            for (device, path) in devices.into_iter().zip(DEVICES).filter(|(device, _)| *device >= 0) {
                make_file(path)?;
                attach(device, libc::AT_FDCWD, path)?;
            }
            for (target, link) in LINKS {
                make_link(target, link)?;
            }
            make_dir(c"/dev/pts")?;
            make_dir(c"/dev/shm")?;
            let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
            mount(c"devpts", c"/dev/pts", flags, Some(c"newinstance,ptmxmode=0666,mode=620"))?;
            mount(c"tmpfs", c"/dev/shm", flags | libc::MS_NODEV, Some(c"mode=1777"))?;
            self.lay_made(true)?;
            attributes(libc::AT_FDCWD, c"/dev", READ_ONLY, 0)?;
            if ruleset >= 0 {
                allow(ruleset, c"/dev/pts", self.terminal)?;
                allow(ruleset, c"/dev/shm", landlock::WRITABLE.bits())?;
            }
            Ok(())
        }
    }

    /// The places below what has just been covered.
    unsafe fn lay_made(&self, in_shared_memory: bool) -> Result<(), Stage> {
        for place in &self.places {
            let Some(make) = place.make.as_ref().filter(|make| make.in_shared_memory == in_shared_memory)
            else {
                continue;
            };
            // SAFETY: as for `file_system`.
            unsafe {
                for parent in &make.parents {
                    make_dir(parent)?;
                }
                if place.is_dir {
                    make_dir(&place.path)?
                } else {
                    make_file(&place.path)?
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

/// What of the covered places is to be seen all the same, though not to be written.
fn kept(cwd: &Path, roots: &[Place]) -> Vec<Place> {
    let seen = |path: &Path| roots.iter().any(|root| path.starts_with(root.path()));
    let real = [Path::new(RESOLVER), cwd].into_iter().filter_map(|path| path.canonicalize().ok());
    let places = real.filter(|path| !seen(path)).filter_map(|path| Place::new(&path, false).ok());
    places.filter(|place| place.make.is_some()).collect()
}

fn kept_links() -> Vec<(CString, CString)> {
    let links = KEPT_LINKS.into_iter().filter_map(|link| Some((fs::read_link(link).ok()?, link)));
    links
        .filter_map(|(target, link)| Some((c_string(&target).ok()?, c_string(Path::new(link)).ok()?)))
        .collect()
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
