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
    ffi::{CStr, CString, OsStr},
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicI32, Ordering},
};

use libc::{c_int, c_long};

use crate::{
    error::{SpawnError, Stage},
    landlock,
    policy::{Network, Policy},
    syscall::{address, call, errno, set_errno, step},
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

// Flags of the kernel's mount interface that the C library does not name.
const OPEN_TREE_CLONE: c_long = 1;
const MOVE_MOUNT_FROM_DESCRIPTOR: c_long = 0x04;
const MOVE_MOUNT_TO_DESCRIPTOR: c_long = 0x40;
const READ_ONLY: u64 = 1;
const NO_SUID_DEV: u64 = 2 | 4;
const RESOLVE_NO_LINKS: u64 = 0x02 | 0x04;

/// What the command's view is made from.
#[derive(Debug)]
pub(crate) struct Namespaces {
    flags: c_int,
    /// Files to be written, in this order, so that the user is in the new namespace who it was outside.
    identity: Vec<(&'static CStr, String)>,
    /// Whether the root itself is writable, by the policy's word.
    all_writable: bool,
    places: Vec<Place>,
    /// Whether there is a `/run` to be covered, and the links to be made in it.
    run: Option<Vec<(CString, CString)>>,
    /// What Landlock is to allow for the command's own terminals.
    terminal: u64,
}

/// Who makes the namespaces: root itself, or anyone by means of a namespace for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Direct,
    ByUserNamespace,
}

/// A part of the file system that is to be seen, as it is here, at its old place.
#[derive(Debug)]
struct Place {
    path: CString,
    /// Device and inode.
    identity: (u64, u64),
    writable: bool,
    is_dir: bool,
    /// The place as found, and a copy of its mount; -1 before they are opened.
    found: AtomicI32,
    copy: AtomicI32,
    /// What has to be made first, if it lies below something that is covered.
    make: Option<Make>,
}

#[derive(Debug)]
struct Make {
    /// Whether below `/dev/shm`, not below `/run`.
    in_shared_memory: bool,
    parents: Vec<CString>,
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
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
        Ok(Self { flags, identity, all_writable, places, run, terminal })
    }

    /// The flags for `clone`.
    pub(crate) fn flags(&self) -> c_int {
        self.flags
    }

    /// Makes the view, and lets the Landlock ruleset (-1: none) know what of it is new and writable.
    ///
    /// # Safety
    /// Only in a forked process that has one thread and was born into namespaces with these
    /// [flags](Self::flags).
    pub(crate) unsafe fn enter(&self, ruleset: c_int) -> Result<(), Stage> {
        // SAFETY: as the caller promises.
        unsafe {
            for (file, text) in &self.identity {
                write(file, text.as_bytes())?;
            }
            self.file_system(ruleset)
        }
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
            mount(c"proc", c"/proc", flags | libc::MS_RDONLY, None)?;
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

impl Place {
    /// A writable root. `None` if a command has a private one of these anyway.
    fn root(path: &Path) -> io::Result<Option<Self>> {
        if path == Path::new(SHARED_MEMORY) {
            return Ok(None);
        }
        let owned = ["/dev", "/proc"].into_iter().any(|own| path.starts_with(own));
        if owned && !path.starts_with(SHARED_MEMORY) {
            return Err(io::Error::other("a sandboxed command has its own /dev and /proc"));
        }
        Self::new(path, true).map(Some)
    }

    fn new(path: &Path, writable: bool) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let make = [(RUN, false), (SHARED_MEMORY, true)].into_iter().find_map(|(cover, in_shared_memory)| {
            let below = path.parent()?.strip_prefix(cover).ok()?;
            let parents = below.ancestors().filter(|it| !it.as_os_str().is_empty());
            let mut parents: Vec<_> = parents.map(|it| c_string(&Path::new(cover).join(it))).collect();
            parents.reverse();
            Some(
                parents
                    .into_iter()
                    .collect::<io::Result<_>>()
                    .map(|parents| Make { in_shared_memory, parents }),
            )
        });
        Ok(Self {
            path: c_string(path)?,
            identity: (metadata.dev(), metadata.ino()),
            writable,
            is_dir: metadata.is_dir(),
            found: AtomicI32::new(-1),
            copy: AtomicI32::new(-1),
            make: make.transpose()?,
        })
    }

    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// Finds the place again, and takes a copy of it before it changes.
    unsafe fn take(&self) -> Result<(), Stage> {
        /// The kernel's `struct open_how`.
        #[repr(C)]
        struct How {
            flags: u64,
            mode: u64,
            resolve: u64,
        }
        let how = How {
            flags: (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64,
            mode: 0,
            resolve: RESOLVE_NO_LINKS,
        };
        // SAFETY: path, structures and their sizes are what the calls expect.
        unsafe {
            let open = [
                libc::AT_FDCWD.into(),
                address(self.path.as_ptr()),
                address(&raw const how),
                size_of::<How>() as c_long,
                0,
            ];
            let found = call(libc::SYS_openat2, open);
            step(found, Stage::Mounts)?;
            let mut stat = MaybeUninit::<libc::stat>::zeroed();
            step(call(libc::SYS_fstat, [found, address(stat.as_mut_ptr()), 0, 0, 0]), Stage::Mounts)?;
            let stat = stat.assume_init();
            if (stat.st_dev, stat.st_ino) != self.identity {
                set_errno(libc::ESTALE);
                return Err(Stage::Mounts);
            }
            let found = found as c_int;
            self.found.store(found, Ordering::Relaxed);
            self.copy.store(copy(found, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?, Ordering::Relaxed);
            Ok(())
        }
    }

    /// Lays the copy over the place.
    unsafe fn lay(&self) -> Result<(), Stage> {
        let (found, copy) = (self.found.load(Ordering::Relaxed), self.copy.load(Ordering::Relaxed));
        let read_only = if self.writable { 0 } else { READ_ONLY };
        // SAFETY: both were opened by `take`.
        unsafe {
            attributes(copy, c"", read_only | NO_SUID_DEV, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?;
            match self.make {
                Some(_) => attach(copy, libc::AT_FDCWD, &self.path),
                None => attach(copy, found, c""),
            }
        }
    }
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

// What follows runs in the forked process, on paths and descriptors that its callers vouch for.

unsafe fn write(file: &CStr, bytes: &[u8]) -> Result<(), Stage> {
    let how = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
    // SAFETY: see above.
    unsafe {
        let fd = call(libc::SYS_openat, [libc::AT_FDCWD.into(), address(file.as_ptr()), how, 0, 0]);
        step(fd, Stage::Identity)?;
        let written = call(libc::SYS_write, [fd, address(bytes.as_ptr()), bytes.len() as c_long, 0, 0]);
        step(written, Stage::Identity)?;
        call(libc::SYS_close, [fd, 0, 0, 0, 0]);
        Ok(())
    }
}

unsafe fn mount(kind: &CStr, at: &CStr, flags: u64, options: Option<&CStr>) -> Result<(), Stage> {
    let kind = address(kind.as_ptr());
    let options = options.map_or(0, |options| address(options.as_ptr()));
    // SAFETY: see above.
    unsafe {
        step(
            call(libc::SYS_mount, [kind, address(at.as_ptr()), kind, flags.cast_signed(), options]),
            Stage::Mounts,
        )
    }
}

/// A copy of a mount, at no place yet.
unsafe fn copy(dir: c_int, path: &CStr, how: c_int) -> Result<c_int, Stage> {
    let flags = OPEN_TREE_CLONE | c_long::from(libc::O_CLOEXEC | how);
    // SAFETY: see above.
    let copy = unsafe { call(libc::SYS_open_tree, [dir.into(), address(path.as_ptr()), flags, 0, 0]) };
    step(copy, Stage::Mounts)?;
    Ok(copy as c_int)
}

/// Puts a copy in its place.
unsafe fn attach(copy: c_int, dir: c_int, path: &CStr) -> Result<(), Stage> {
    let to = if path.is_empty() { MOVE_MOUNT_TO_DESCRIPTOR } else { 0 };
    let from = [copy.into(), address(c"".as_ptr()), dir.into(), address(path.as_ptr())];
    let [a, b, c, d] = from;
    // SAFETY: see above.
    unsafe { step(call(libc::SYS_move_mount, [a, b, c, d, MOVE_MOUNT_FROM_DESCRIPTOR | to]), Stage::Mounts) }
}

/// Adds attributes to a mount, and cuts it off from what is mounted elsewhere later.
unsafe fn attributes(dir: c_int, path: &CStr, set: u64, how: c_int) -> Result<(), Stage> {
    let attributes = Attributes { set, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    let (path, size) = (address(path.as_ptr()), size_of::<Attributes>() as c_long);
    // SAFETY: see above.
    unsafe {
        let set = [dir.into(), path, how.into(), address(&raw const attributes), size];
        step(call(libc::SYS_mount_setattr, set), Stage::Mounts)
    }
}

unsafe fn make_dir(path: &CStr) -> Result<(), Stage> {
    // SAFETY: see above.
    unsafe {
        let made = call(libc::SYS_mkdirat, [libc::AT_FDCWD.into(), address(path.as_ptr()), 0o755, 0, 0]);
        if made < 0 && errno() == libc::EEXIST { Ok(()) } else { step(made, Stage::Mounts) }
    }
}

unsafe fn make_file(path: &CStr) -> Result<(), Stage> {
    let mode = c_long::from(libc::S_IFREG | 0o644);
    // SAFETY: see above.
    unsafe {
        let make = [libc::AT_FDCWD.into(), address(path.as_ptr()), mode, 0, 0];
        step(call(libc::SYS_mknodat, make), Stage::Mounts)
    }
}

unsafe fn make_link(target: &CStr, link: &CStr) -> Result<(), Stage> {
    let make = [address(target.as_ptr()), libc::AT_FDCWD.into(), address(link.as_ptr()), 0, 0];
    // SAFETY: see above.
    unsafe { step(call(libc::SYS_symlinkat, make), Stage::Mounts) }
}

/// Adds a rule to a Landlock ruleset for a directory that did not exist when the ruleset was made.
unsafe fn allow(ruleset: c_int, dir: &CStr, rights: u64) -> Result<(), Stage> {
    /// The kernel's `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct Rule {
        rights: u64,
        dir: c_int,
    }
    const PATH_BENEATH: c_long = 1;
    let how = c_long::from(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
    // SAFETY: see above.
    unsafe {
        let dir = call(libc::SYS_openat, [libc::AT_FDCWD.into(), address(dir.as_ptr()), how, 0, 0]);
        step(dir, Stage::Mounts)?;
        let rule = Rule { rights, dir: dir as c_int };
        let add = [ruleset.into(), PATH_BENEATH, address(&raw const rule), 0, 0];
        step(call(libc::SYS_landlock_add_rule, add), Stage::Ruleset)?;
        call(libc::SYS_close, [dir, 0, 0, 0, 0]);
        Ok(())
    }
}
