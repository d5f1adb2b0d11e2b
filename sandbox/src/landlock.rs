//! The file, TCP, signal and abstract-socket rules of a policy, as a Landlock ruleset.
//!
//! Rights are asked for by name and by the kernel's own version, each as a hard requirement: a right that the
//! version promises and the kernel then refuses is an error, never a hole. Reading and executing are handled
//! only where a policy limits them; else they stay as they are. Making device nodes is handled and never
//! granted: with them a root user could make the disk itself.
#![cfg(target_os = "linux")]

use std::{
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
    resolved::Resolved,
};

mod reading;

pub(crate) use reading::{READABLE, Reading, SYSTEM};

/// The first version that keeps files outside from being emptied; below it, there is no sandbox.
pub(crate) const LEAST_ABI: i32 = 3;
/// The first version that knows TCP ports.
pub(crate) const TCP_ABI: i32 = 4;
/// The first version that knows the `ioctl`s of devices.
pub(crate) const IOCTL_ABI: i32 = 5;
/// The first version that knows signals and abstract Unix sockets.
pub(crate) const SCOPE_ABI: i32 = 6;

/// What may be done beneath a writable root.
pub(crate) const WRITABLE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
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

/// What may be done with a device or terminal that a command may use.
pub(crate) fn device_rights(abi: i32) -> BitFlags<AccessFs> {
    let write = BitFlags::from(AccessFs::WriteFile);
    if abi >= IOCTL_ABI { write | AccessFs::IoctlDev } else { write }
}

/// The ruleset of a sandboxed policy, for a kernel of this version, which is at least [`LEAST_ABI`].
pub(crate) fn ruleset(
    resolved: &Resolved<'_>,
    reading: Option<&Reading<'_>>,
    abi: i32,
) -> Result<OwnedFd, SpawnError> {
    let readable = if reading.is_some() { READABLE } else { BitFlags::EMPTY };
    let mut rules = create(resolved.rules.network, readable, abi).map_err(building)?;
    for (_, root) in &resolved.roots {
        rules = rules.add_rule(PathBeneath::new(root, WRITABLE | readable)).map_err(building)?;
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
    let mut files = WRITABLE | readable | AccessFs::MakeChar | AccessFs::MakeBlock;
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
    SpawnError::Setup { stage: Stage::Ruleset, source: std::io::Error::other(why.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_ABI, ruleset};
    use crate::{Network, Policy, probe, resolved::Resolved};

    #[test]
    fn a_ruleset_for_every_version_up_to_that_of_this_kernel() {
        let abi = i32::try_from(probe().landlock_abi().expect("landlock")).unwrap();
        let policy = Policy::workspace_write(["/"], Network::Off);
        let resolved = Resolved::new(policy.rules().unwrap()).unwrap();
        for abi in LEAST_ABI..=abi {
            ruleset(&resolved, None, abi).unwrap_or_else(|e| panic!("version {abi}: {e}"));
        }
    }
}
