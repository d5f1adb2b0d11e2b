//! The places that a policy's rules speak of, as they are on this system when a command starts.
#![cfg(target_os = "linux")]

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use crate::{
    denied::{self, Denied},
    devices::{self, Node},
    error::SpawnError,
    landlock,
    policy::{Network, Rules},
};

/// What is the kernel's own: its settings and its devices.
pub(crate) const KERNELS: [&str; 3] = ["/dev", "/proc", "/sys"];
/// What other processes can share without a name that a policy knows.
pub(crate) const SHARED_MEMORY: &str = "/dev/shm";

/// A policy's rules, with the places found that they name.
pub(crate) struct Resolved<'a> {
    pub(crate) rules: &'a Rules,
    /// The network that a command gets.
    pub(crate) network: Network,
    /// The writable roots, opened.
    pub(crate) roots: Vec<(PathBuf, OwnedFd)>,
    /// The names that they go by now, without links.
    pub(crate) real_roots: Vec<PathBuf>,
    /// What must not be read.
    pub(crate) denied: Vec<Denied>,
    /// The devices that may be used.
    pub(crate) devices: Vec<Node>,
}

impl<'a> Resolved<'a> {
    pub(crate) fn new(rules: &'a Rules, network: Network) -> Result<Self, SpawnError> {
        let roots = landlock::open_roots(&rules.writable_roots)?;
        let real = |(path, root): &(PathBuf, OwnedFd)| {
            real(root).map_err(|source| SpawnError::WritableRoot { path: path.clone(), source })
        };
        let real_roots = roots.iter().map(real).collect::<Result<Vec<_>, _>>()?;
        for ((path, _), real) in roots.iter().zip(&real_roots) {
            let of_the_kernel = KERNELS.into_iter().any(|kernels| real.starts_with(kernels));
            if of_the_kernel && !real.starts_with(SHARED_MEMORY) {
                let source = io::Error::other("no sandboxed command changes /dev, /proc and /sys");
                return Err(SpawnError::WritableRoot { path: path.clone(), source });
            }
        }
        let denied = denied::resolve(&rules.deny_read, &real_roots)?;
        Ok(Self { rules, network, roots, real_roots, denied, devices: devices::nodes(&rules.devices) })
    }
}

fn real(fd: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
