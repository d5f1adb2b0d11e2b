//! The file, TCP, signal and abstract-socket rules of a policy, as a Landlock ruleset.
//!
//! Rights are asked for by name and by the kernel's own version, each as a hard requirement: a right that the
//! version promises and the kernel then refuses is an error, never a hole. Reading and executing are handled
//! only where a policy limits them; else they stay as they are. Making device nodes is handled and never
//! granted: with them a root user could make the disk itself.
#![cfg(target_os = "linux")]

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use ::landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope, make_bitflags,
};
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

use crate::{
    error::{SpawnError, Stage},
    plan::not_absolute,
    policy::Network,
    resolved::{KERNELS, Resolved},
};

mod reading;

pub(crate) use reading::{READABLE, Reading, SYSTEM};

/// The first version that knows moves between directories; below it, there are none.
const REFER_ABI: i32 = 2;
/// The first version that keeps files outside from being emptied; below it, there is no sandbox.
pub(crate) const LEAST_ABI: i32 = 3;
/// The first version that knows TCP ports.
pub(crate) const TCP_ABI: i32 = 4;
/// The first version that knows the `ioctl`s of devices.
pub(crate) const IOCTL_ABI: i32 = 5;
/// The first version that knows signals and abstract Unix sockets.
pub(crate) const SCOPE_ABI: i32 = 6;

/// What may be done beneath a writable root.
const WRITABLE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | Truncate | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSym | MakeFifo | MakeSock | Refer
});

/// Devices that hold nothing, and terminals. Every command may write to them.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"];
/// The other ends of `/dev/ptmx`.
const TERMINALS: &str = "/dev/pts";

/// The writable roots, opened.
pub(crate) fn open_roots(roots: &[PathBuf]) -> Result<Vec<(PathBuf, OwnedFd)>, SpawnError> {
    let roots = roots.iter().map(|root| {
        let unopenable = |source| SpawnError::WritableRoot { path: root.clone(), source };
        if !root.is_absolute() {
            return Err(unopenable(not_absolute()));
        }
        let dir = open(root, OFlags::DIRECTORY).map_err(|errno| unopenable(errno.into()))?;
        Ok((root.clone(), dir))
    });
    roots.collect()
}

/// What may be done beneath a writable root, as far as this version knows it.
pub(crate) fn writable(abi: i32) -> BitFlags<AccessFs> {
    let since = |version, right| if abi < version { right } else { BitFlags::EMPTY };
    WRITABLE & !(since(REFER_ABI, AccessFs::Refer.into()) | since(LEAST_ABI, AccessFs::Truncate.into()))
}

/// What may be done with a device or terminal that a command may use.
pub(crate) fn device_rights(abi: i32) -> BitFlags<AccessFs> {
    let write = BitFlags::from(AccessFs::WriteFile);
    if abi >= IOCTL_ABI { write | AccessFs::IoctlDev } else { write }
}

/// The ruleset of a sandboxed policy, for a kernel of this version.
pub(crate) fn ruleset(
    resolved: &Resolved<'_>,
    reading: Option<&Reading<'_>>,
    abi: i32,
) -> Result<OwnedFd, SpawnError> {
    let readable = if reading.is_some() { READABLE } else { BitFlags::EMPTY };
    let mut rules = create(resolved.network, readable, abi).map_err(building)?;
    for ((path, root), real) in resolved.roots.iter().zip(&resolved.real_roots) {
        if real.parent().is_some() {
            rules = rules.add_rule(PathBeneath::new(root, writable(abi) | readable)).map_err(building)?;
            continue;
        }
        if reading.is_some() {
            rules = rules.add_rule(PathBeneath::new(root, readable)).map_err(building)?;
        }
        let unusable = |source| SpawnError::WritableRoot { path: path.clone(), source };
        for (fd, rights) in in_the_root(abi).map_err(unusable)? {
            rules = rules.add_rule(PathBeneath::new(fd, rights)).map_err(building)?;
        }
    }
    for fd in devices() {
        rules = rules.add_rule(PathBeneath::new(fd, device_rights(abi))).map_err(building)?;
    }
    for node in &resolved.devices {
        rules = rules.add_rule(PathBeneath::new(&node.fd, device_rights(abi))).map_err(building)?;
    }
    if let Some(reading) = reading {
        reading.grant(&mut rules)?;
    }
    Option::<OwnedFd>::from(rules).ok_or_else(|| building("the kernel gave no ruleset"))
}

fn create(
    network: Network,
    readable: BitFlags<AccessFs>,
    abi: i32,
) -> Result<RulesetCreated, ::landlock::RulesetError> {
    let mut files = writable(abi) | readable | AccessFs::MakeChar | AccessFs::MakeBlock;
    if abi >= IOCTL_ABI {
        files |= AccessFs::IoctlDev;
    }
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(files)?;
    if abi >= TCP_ABI && network == Network::Off {
        ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    if abi >= SCOPE_ABI {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    }
    ruleset.create()
}

/// What is writable where everything is: what lies in the root and is not the kernel's own.
fn in_the_root(abi: i32) -> io::Result<Vec<(OwnedFd, BitFlags<AccessFs>)>> {
    const OF_FILES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{WriteFile | Truncate});
    let mut entries = Vec::new();
    for entry in fs::read_dir("/")? {
        let path = entry?.path();
        if KERNELS.iter().any(|kernels| path == Path::new(kernels)) {
            continue;
        }
        // What is gone by now, is not there.
        let Ok(fd) = open(&path, OFlags::NOFOLLOW) else { continue };
        match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
            FileType::Directory => entries.push((fd, writable(abi))),
            FileType::RegularFile => entries.push((fd, OF_FILES & writable(abi))),
            _ => {}
        }
    }
    Ok(entries)
}

/// Those that exist and are what their name says: a regular file called `/dev/null` is not made writable.
fn devices() -> impl Iterator<Item = OwnedFd> {
    let is = |fd: &OwnedFd, kind| {
        rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind)
    };
    let nodes = DEVICES.into_iter().filter_map(move |path| {
        open(Path::new(path), OFlags::NOFOLLOW).ok().filter(|fd| is(fd, FileType::CharacterDevice))
    });
    nodes.chain(open(Path::new(TERMINALS), OFlags::NOFOLLOW | OFlags::DIRECTORY).ok())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())
}

fn building(why: impl ToString) -> SpawnError {
    SpawnError::Setup { stage: Stage::Ruleset, source: io::Error::other(why.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::ruleset;
    use crate::{Network, Policy, probe, resolved::Resolved};

    #[test]
    fn a_ruleset_for_every_version_up_to_that_of_this_kernel() {
        let abi = i32::try_from(probe().landlock_abi().expect("landlock")).unwrap();
        let policy = Policy::workspace_write(["/"], Network::Off);
        let resolved = Resolved::new(policy.rules().unwrap(), Network::Off).unwrap();
        for abi in 1..=abi {
            ruleset(&resolved, None, abi).unwrap_or_else(|e| panic!("version {abi}: {e}"));
        }
    }
}
