//! What the limits come to under one mode, and the ceiling over them: what a caller asks for beyond what the person
//! granted is refused where it is asked for in so many words, and left out where it stands in a profile.

use std::path::{Path, PathBuf};

use sandbox::{Device, Network, Require};

use super::limits::{Limits, Mode, Set, network_name, require_name};
use super::permissions::Reach;
use crate::config::{ConfigError, Origin};

/// What commands may do, with every default in its place.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    pub(super) network: Network,
    pub(super) require: Require,
    pub(super) devices: Vec<Device>,
    pub(super) deny_read: Vec<PathBuf>,
    pub(super) reach: Reach,
    /// The folder for what is remembered from session to session.
    pub(super) memories: bool,
}

impl Limits {
    /// What they come to under a mode, where `denied` is what may not be read unless something is said.
    pub(super) fn grants(&self, mode: Mode, denied: &[PathBuf]) -> Grants {
        let open = self.network_access.as_ref().is_some_and(|access| access.value);
        let network = match &self.network {
            Some(network) => network.value,
            None if open && mode == Mode::WorkspaceWrite => Network::On,
            None => Network::Off,
        };
        let standard = Grants {
            network,
            require: value(&self.require).unwrap_or_default(),
            devices: value(&self.devices).unwrap_or_default(),
            deny_read: value(&self.deny_read).unwrap_or_else(|| denied.to_vec()),
            reach: Reach {
                read_everything: true,
                cwd: true,
                slash_tmp: !value(&self.exclude_slash_tmp).unwrap_or(false),
                tmpdir: !value(&self.exclude_tmpdir).unwrap_or(false),
                folders: value(&self.folders).unwrap_or_default(),
            },
            memories: true,
        };
        match self.list.as_ref().map(|list| &list.value) {
            Some(list) if list.mode() != Mode::FullAccess => Grants {
                network: if list.network { Network::On } else { network },
                reach: list.reach.clone(),
                memories: false,
                ..standard
            },
            _ => standard,
        }
    }
}

fn value<T: Clone>(set: &Option<Set<T>>) -> Option<T> {
    set.as_ref().map(|set| set.value.clone())
}

impl Grants {
    /// The part of it that lies within what the person granted; `named` tells of a folder whether somebody named it.
    pub(super) fn within(
        mut self,
        person: &Self,
        asked: &Limits,
        named: impl Fn(&Path) -> bool,
    ) -> Result<Self, ConfigError> {
        const TABLE: &str = "sandbox_workspace_write";
        if rank(self.network) > rank(person.network) {
            let most = format!("the network is {} here", network_name(person.network));
            refuse(&asked.network, "sandbox.network", &most)?;
            refuse(&asked.network_access, &format!("{TABLE}.network_access"), &most)?;
            self.network = person.network;
        }
        if strength(self.require) < strength(person.require) {
            let least = format!("{:?} is the least here", require_name(person.require));
            refuse(&asked.require, "sandbox.require", &least)?;
            self.require = person.require;
        }
        if self.devices.iter().any(|device| !person.devices.contains(device)) {
            refuse(&asked.devices, "sandbox.devices", "a device is opened by the person alone")?;
            self.devices.retain(|device| person.devices.contains(device));
        }
        if self.reach.slash_tmp && !person.reach.slash_tmp {
            refuse(&asked.exclude_slash_tmp, &format!("{TABLE}.exclude_slash_tmp"), "it is excluded here")?;
            self.reach.slash_tmp = false;
        }
        if self.reach.tmpdir && !person.reach.tmpdir {
            let key = format!("{TABLE}.exclude_tmpdir_env_var");
            refuse(&asked.exclude_tmpdir, &key, "it is excluded here")?;
            self.reach.tmpdir = false;
        }
        let granted = |folder: &PathBuf| {
            person.reach.folders.iter().any(|granted| granted == folder)
                || named(folder)
                || inside(folder, &person.reach.folders)
        };
        if !self.reach.folders.iter().all(granted) {
            let least = "a caller can only name folders below those that may be written anyway";
            refuse(&asked.folders, &format!("{TABLE}.writable_roots"), least)?;
            self.reach.folders.retain(granted);
        }
        Ok(self.denying(person))
    }

    /// Denials add up: nobody takes back what the person denied.
    pub(super) fn denying(mut self, person: &Self) -> Self {
        let more = person.deny_read.iter().filter(|path| !self.deny_read.contains(path)).cloned();
        self.deny_read = more.collect::<Vec<_>>().into_iter().chain(self.deny_read).collect();
        self
    }
}

/// Whether a folder that exists lies below one of these.
fn inside(folder: &Path, granted: &[PathBuf]) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    granted
        .iter()
        .filter_map(|granted| granted.canonicalize().ok())
        .any(|granted| folder.starts_with(granted))
}

/// Refuses a value that a caller gave itself.
fn refuse<T>(set: &Option<Set<T>>, key: &str, why: &str) -> Result<(), ConfigError> {
    match set {
        Some(Set { origin: Origin::Call, .. }) => {
            let problem = format!(
                "is more than this server allows: {why}; the person who starts it can allow more with -c {key}=… or \
                 in config.toml"
            );
            Err(ConfigError::new(&Origin::Call, key, problem))
        }
        _ => Ok(()),
    }
}

/// Rises with what it opens.
fn rank(network: Network) -> u8 {
    match network {
        Network::Off => 0,
        Network::Localhost => 1,
        _ => 2,
    }
}

/// Rises with what it asks of the system.
fn strength(require: Require) -> u8 {
    match require {
        Require::Nothing => 0,
        Require::Reduced => 1,
        Require::Full => 2,
    }
}
