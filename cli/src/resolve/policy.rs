//! What commands may do: the mode within the ceiling, and the folders that it makes writable.

use std::path::{Path, PathBuf};

use sandbox::{Network, Policy};

use super::Resolver;
use crate::config::{ConfigError, Origin, Values};

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

    fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Resolver {
    /// What commands may do in a folder.
    pub(super) fn policy(&self, values: Values<'_>, cwd: &Path) -> Result<Policy, ConfigError> {
        let (extra, network) = workspace_write(values)?;
        let (mode, asked) = self.mode(values, cwd)?;
        Ok(match mode {
            Mode::ReadOnly => Policy::read_only(),
            Mode::FullAccess => Policy::FullAccess,
            Mode::WorkspaceWrite if !self.may_write(cwd) => {
                let why = format!(
                    "{} stays read-only: it is neither below the folder where the server was started nor in one that \
                     config.toml trusts, or it holds codex's own settings; the person who starts the server can name \
                     it with -C, or with [projects.\"{}\"] trust_level = \"trusted\"",
                    cwd.display(),
                    cwd.display()
                );
                // Whoever asked for more in so many words hears of it; else it is the folder that decides.
                if asked == Some(Origin::Call) {
                    return Err(ConfigError::new(&Origin::Call, "sandbox_mode", why));
                }
                tracing::warn!("{why}");
                Policy::read_only()
            }
            Mode::WorkspaceWrite => {
                let mut roots = vec![cwd.to_owned()];
                roots.extend(extra.folders.iter().map(|root| self.start.join(root)));
                if extra.slash_tmp {
                    roots.push(PathBuf::from("/tmp"));
                }
                if extra.tmpdir {
                    roots.extend(self.tmpdir());
                }
                roots.retain(|root| root.is_dir() && !self.touches_home(root));
                roots.dedup();
                Policy::workspace_write(roots, network)
            }
        })
    }

    /// The mode asked for and by whom, within the ceiling: what a person set, else workspace-write.
    fn mode(&self, values: Values<'_>, cwd: &Path) -> Result<(Mode, Option<Origin>), ConfigError> {
        let set = |values: Values<'_>| {
            Ok(values.choice(&["sandbox_mode"], &Mode::NAMES, Mode::parse)?.map(|(m, o)| (m, o.clone())))
        };
        let persons = set(Values(self.layering.person()))?;
        let ceiling = persons.as_ref().map_or(Mode::WorkspaceWrite, |(mode, _)| *mode);
        match set(values)? {
            Some((mode, origin)) if mode > ceiling => {
                let limit = match &persons {
                    Some((_, by)) => format!("{} is set by {by}", ceiling.name()),
                    None => format!("without a setting it is {}", ceiling.name()),
                };
                let problem = format!(
                    "{:?} is more than this server allows: {limit}; the person who starts it can allow more with -s {} \
                     or sandbox_mode in config.toml",
                    mode.name(),
                    mode.name()
                );
                Err(ConfigError::new(&origin, "sandbox_mode", problem))
            }
            Some((mode, origin)) => Ok((mode, Some(origin))),
            None if self.is_trusted(cwd) => Ok((Mode::WorkspaceWrite, None)),
            None => Ok((Mode::ReadOnly, None)),
        }
    }

    /// A folder that nobody named cannot be made writable by a caller. Starting in `/`, as programs with a desktop
    /// do, names nothing.
    fn may_write(&self, cwd: &Path) -> bool {
        let start = self.start.canonicalize().unwrap_or_else(|_| self.start.clone());
        let below_start = start.parent().is_some() && cwd.starts_with(&start);
        cwd.parent().is_some() && (below_start || self.is_trusted(cwd)) && !self.touches_home(cwd)
    }

    /// Whether our own settings and records would be writable with a folder: an agent that can write them could give
    /// itself more at the next start.
    fn touches_home(&self, folder: &Path) -> bool {
        let home = self.home.folder();
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        home.starts_with(&folder) || folder.starts_with(&home)
    }

    /// `TMPDIR`, unless a careless caller made it a folder that matters.
    fn tmpdir(&self) -> Option<PathBuf> {
        let named = self.environment.iter().find(|(name, _)| name == "TMPDIR");
        let set = named.map(|(_, value)| PathBuf::from(value))?;
        let real = set.canonicalize().ok()?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let careless = home.is_some_and(|home| home.starts_with(&real))
            || self.start.starts_with(&real) && self.start != real;
        (set.is_absolute() && !careless).then_some(real)
    }

    /// The project that names the folder most closely decides.
    pub(super) fn is_trusted(&self, cwd: &Path) -> bool {
        let layers = self.layering.person();
        let closest = layers
            .children("projects")
            .into_iter()
            .filter_map(|project| {
                let root = Path::new(&project);
                let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
                cwd.starts_with(&root).then(|| (root.components().count(), project))
            })
            .max();
        closest.is_some_and(|(_, project)| {
            let level = layers.get(&["projects", &project, "trust_level"]);
            level.and_then(|(value, _)| value.as_str()) == Some("trusted")
        })
    }
}

/// `[sandbox_workspace_write]`.
struct Extra {
    folders: Vec<String>,
    slash_tmp: bool,
    tmpdir: bool,
}

fn workspace_write(values: Values<'_>) -> Result<(Extra, Network), ConfigError> {
    let key = |name| ["sandbox_workspace_write", name];
    let extra = Extra {
        folders: values.texts(&key("writable_roots"))?,
        slash_tmp: !values.flag(&key("exclude_slash_tmp"))?.unwrap_or(false),
        tmpdir: !values.flag(&key("exclude_tmpdir_env_var"))?.unwrap_or(false),
    };
    let network = values.flag(&key("network_access"))?.unwrap_or(false);
    Ok((extra, if network { Network::On } else { Network::Off }))
}
