//! What the keys about the sandbox say, each with its place: what commands may do before it is known where.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use sandbox::{Device, Network, Require};

use super::permissions::Permissions;
use crate::config::{ConfigError, Home, Layers, Origin, Values, check_closed_tables};

/// Modes in rising order of what they allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    ReadOnly,
    WorkspaceWrite,
    FullAccess,
}

impl Mode {
    pub(crate) const NAMES: [&'static str; 3] = ["read-only", "workspace-write", "danger-full-access"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "read-only" => Some(Self::ReadOnly),
            "workspace-write" => Some(Self::WorkspaceWrite),
            "danger-full-access" => Some(Self::FullAccess),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// A value and where it was set.
#[derive(Clone, Debug)]
pub(super) struct Set<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// What was set; what was not is `None`.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) mode: Option<Set<Mode>>,
    /// The older list, which stands for a mode and its folders.
    pub(super) list: Option<Set<Permissions>>,
    pub(super) network: Option<Set<Network>>,
    /// The older key for the network, of workspace-write alone.
    pub(super) network_access: Option<Set<bool>>,
    pub(super) require: Option<Set<Require>>,
    pub(super) deny_read: Option<Set<Vec<PathBuf>>>,
    pub(super) devices: Option<Set<Vec<Device>>>,
    pub(super) folders: Option<Set<Vec<PathBuf>>>,
    pub(super) exclude_slash_tmp: Option<Set<bool>>,
    pub(super) exclude_tmpdir: Option<Set<bool>>,
}

const MODE: &str = "sandbox_mode";
const LIST: &str = "sandbox_permissions";
const TABLE: &str = "sandbox_workspace_write";

impl Limits {
    /// What the person set.
    pub(super) fn of_person(layers: &Layers, home: &Home, start: &Path) -> Result<Self, ConfigError> {
        let mut limits = Self::read(layers, home, start)?;
        if let Some(list) = &limits.list {
            let alone = |key: &str, origin: &Origin| {
                let problem = format!(
                    "sets the sandbox another way than `{LIST}` at {}; keep one of the two",
                    list.origin
                );
                ConfigError::new(origin, key, problem)
            };
            let layer = list.origin.layer();
            let table = [TABLE.to_owned()];
            let beside = layers.below(&table).find(|(_, _, origin)| origin.layer() >= layer);
            match &limits.mode {
                Some(mode) if mode.origin.layer() > layer => limits.list = None,
                Some(mode) if mode.origin.layer() == layer => return Err(alone(MODE, &mode.origin)),
                _ => match beside {
                    Some((key, _, origin)) => return Err(alone(&key.join("."), origin)),
                    None => {
                        limits.mode = Some(Set { value: list.value.mode(), origin: list.origin.clone() });
                    }
                },
            }
        }
        limits.settle_list();
        limits.settle_network()?;
        Ok(limits)
    }

    /// What a caller asks for on top of it.
    pub(super) fn of_call(
        layers: &Layers,
        home: &Home,
        start: &Path,
        person: &Self,
    ) -> Result<Self, ConfigError> {
        let mut limits = Self::read(layers, home, start)?;
        limits.list.clone_from(&person.list);
        if let Some(list) = &limits.list
            && limits.mode.as_ref().is_none_or(|mode| mode.origin.layer() <= list.origin.layer())
        {
            limits.mode.clone_from(&person.mode);
        }
        limits.settle_list();
        limits.settle_network()?;
        Ok(limits)
    }

    fn read(layers: &Layers, home: &Home, start: &Path) -> Result<Self, ConfigError> {
        check_closed_tables(layers)?;
        let values = Values(layers);
        let networks = ["off", "localhost", "on"];
        let requires = ["full", "reduced", "none"];
        let flag = |key: &str| Ok(values.flag_at(&[TABLE, key])?.map(set));
        Ok(Self {
            mode: values.choice(&[MODE], &Mode::NAMES, Mode::parse)?.map(set),
            list: match values.texts_at(&[LIST])? {
                Some((entries, origin)) => Some(set((Permissions::parse(&entries, origin, home)?, origin))),
                None => None,
            },
            network: values.choice(&["sandbox", "network"], &networks, network)?.map(set),
            network_access: flag("network_access")?,
            require: values.choice(&["sandbox", "require"], &requires, require)?.map(set),
            deny_read: denied(values, home)?,
            devices: devices(values)?,
            folders: folders(values, home, start)?,
            exclude_slash_tmp: flag("exclude_slash_tmp")?,
            exclude_tmpdir: flag("exclude_tmpdir_env_var")?,
        })
    }

    /// The list stands in place of the table; what lies above it in the table makes it narrower.
    fn settle_list(&mut self) {
        fn drop_to<T>(layer: u8, set: &mut Option<Set<T>>) {
            *set = set.take().filter(|set| set.origin.layer() > layer);
        }
        let Some(list) = &mut self.list else { return };
        let layer = list.origin.layer();
        for set in [&mut self.network_access, &mut self.exclude_slash_tmp, &mut self.exclude_tmpdir] {
            drop_to(layer, set);
        }
        drop_to(layer, &mut self.folders);
        let is = |set: &Option<Set<bool>>, value| set.as_ref().is_some_and(|set| set.value == value);
        list.value.network &= !is(&self.network_access, false);
        list.value.reach.slash_tmp &= !is(&self.exclude_slash_tmp, true);
        list.value.reach.tmpdir &= !is(&self.exclude_tmpdir, true);
        if let Some(folders) = &self.folders {
            list.value.reach.folders.clone_from(&folders.value);
        }
    }

    /// Three keys open the network. Where two of one layer say different things, nobody knows what was meant; of two
    /// layers, the higher one holds.
    fn settle_network(&mut self) -> Result<(), ConfigError> {
        let Some(asked) = &self.network else { return Ok(()) };
        let listed = self.list.as_ref().filter(|list| list.value.network);
        let (older, origin) = match (&self.network_access, listed) {
            (_, Some(list)) => (format!("`{LIST}` has network-full-access"), &list.origin),
            (Some(access), _) if access.value != (asked.value == Network::On) => {
                (format!("`{TABLE}.network_access` is {}", access.value), &access.origin)
            }
            _ => return Ok(()),
        };
        match asked.origin.layer().cmp(&origin.layer()) {
            Ordering::Less => self.network = None,
            Ordering::Greater => {
                self.network_access = None;
                if let Some(list) = &mut self.list {
                    list.value.network = false;
                }
            }
            Ordering::Equal if listed.is_some() && asked.value == Network::On => {}
            Ordering::Equal => {
                let name = network_name(asked.value);
                let problem = format!("is {name:?}, but {older} at {origin}; they contradict each other");
                return Err(ConfigError::new(&asked.origin, "sandbox.network", problem));
            }
        }
        Ok(())
    }
}

fn set<T>((value, origin): (T, &Origin)) -> Set<T> {
    Set { value, origin: origin.clone() }
}

fn network(name: &str) -> Option<Network> {
    match name {
        "off" => Some(Network::Off),
        "localhost" => Some(Network::Localhost),
        "on" => Some(Network::On),
        _ => None,
    }
}

/// The word of the settings.
pub(super) fn network_name(network: Network) -> &'static str {
    match network {
        Network::Off => "off",
        Network::Localhost => "localhost",
        _ => "on",
    }
}

fn require(name: &str) -> Option<Require> {
    match name {
        "full" => Some(Require::Full),
        "reduced" => Some(Require::Reduced),
        "none" => Some(Require::Nothing),
        _ => None,
    }
}

/// The word of the settings.
pub(super) fn require_name(require: Require) -> &'static str {
    match require {
        Require::Full => "full",
        Require::Reduced => "reduced",
        Require::Nothing => "none",
    }
}

fn denied(values: Values<'_>, home: &Home) -> Result<Option<Set<Vec<PathBuf>>>, ConfigError> {
    let Some((typed, origin)) = values.texts_at(&["sandbox", "deny_read"])? else { return Ok(None) };
    let wrong = |problem: String| ConfigError::new(origin, "sandbox.deny_read", problem);
    let path = |typed: &String| {
        let path = home.expand(typed).map_err(wrong)?;
        if !path.is_absolute() {
            return Err(wrong(format!("{typed:?} is not absolute; write it from / or from ~/")));
        }
        // A pattern taken for a name would deny nothing.
        if typed.contains(['*', '?', '[']) && !path.exists() {
            return Err(wrong(format!("{typed:?} looks like a pattern; name folders or files, one by one")));
        }
        Ok(path)
    };
    let value = typed.iter().map(path).collect::<Result<_, _>>()?;
    Ok(Some(Set { value, origin: origin.clone() }))
}

fn devices(values: Values<'_>) -> Result<Option<Set<Vec<Device>>>, ConfigError> {
    let Some((typed, origin)) = values.texts_at(&["sandbox", "devices"])? else { return Ok(None) };
    let device = |name: &String| match name.as_str() {
        "nvidia" => Ok(Device::Nvidia),
        "dri" => Ok(Device::Dri),
        _ => {
            let problem = format!("unknown device {name:?}; allowed: nvidia, dri");
            Err(ConfigError::new(origin, "sandbox.devices", problem))
        }
    };
    let value = typed.iter().map(device).collect::<Result<_, _>>()?;
    Ok(Some(Set { value, origin: origin.clone() }))
}

/// A relative one counts from where codex was started.
fn folders(values: Values<'_>, home: &Home, start: &Path) -> Result<Option<Set<Vec<PathBuf>>>, ConfigError> {
    let Some((typed, origin)) = values.texts_at(&[TABLE, "writable_roots"])? else { return Ok(None) };
    let wrong = |problem| ConfigError::new(origin, "sandbox_workspace_write.writable_roots", problem);
    let folder = |typed: &String| Ok(start.join(home.expand(typed).map_err(wrong)?));
    let value = typed.iter().map(folder).collect::<Result<_, _>>()?;
    Ok(Some(Set { value, origin: origin.clone() }))
}
