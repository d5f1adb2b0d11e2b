//! What commands may do in a folder: the mode within the ceiling, the folders that it makes writable, what may not be
//! read. All that is needed to run a command under the sandbox, and nothing of the host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::{Level, Policy, Read, Rules};

use super::Flags;
use super::environment::Variables;
use super::layering::Layering;
use super::limits::{Limits, Mode};
use crate::config::{ConfigError, Home, Layers, Origin, Values, unknown_keys};
use crate::secrets::Secrets;

/// What may not be read unless `deny_read` says otherwise: keys and logins, below the user's folder.
const DENIED: [&str; 4] = [".ssh", ".aws", ".gnupg", ".config/gcloud"];
/// Files of ours that hold keys. No setting makes them readable to a sandboxed command.
const CREDENTIALS: [&str; 2] = ["auth.json", ".credentials.json"];

/// All the variables of a command.
pub(crate) type Environment = Vec<(OsString, OsString)>;

/// Answers under which policy and with which environment commands run.
pub(crate) struct Policies {
    home: Home,
    /// Where the person started us.
    start: PathBuf,
    layering: Layering,
    secrets: Secrets,
    /// Our own environment.
    inherited: Environment,
}

impl Policies {
    /// Reads the configuration once.
    pub(crate) fn read(home: Home, flags: Flags, start: PathBuf) -> Result<Self, ConfigError> {
        let layering = Layering::read(&home, flags)?;
        let secrets = Secrets::of(layering.person())?;
        // A wrong word in the file is wrong even where the command line overrides it.
        Limits::of_person(layering.file(), &home, &start)?;
        Variables::read(Values(layering.file()))?;
        Ok(Self { home, start, layering, secrets, inherited: std::env::vars_os().collect() })
    }

    /// Sets the sandbox mode where the command line chose none, whatever the file says.
    pub(crate) fn with_default_mode(mut self, mode: &str) -> Result<Self, ConfigError> {
        self.layering.default_mode(mode)?;
        Ok(self)
    }

    /// The policy and the environment of commands where we were started, when nobody asks for anything else.
    pub(crate) fn here(&self) -> Result<(Policy, Environment), ConfigError> {
        let policy = self.policy(self.layering.person(), &real(&self.start))?;
        let environment = self.environment(self.layering.person(), &policy)?;
        Ok((policy, environment))
    }

    /// What commands may do in a folder under these layers, which lie over the person's.
    pub(super) fn policy(&self, layers: &Layers, cwd: &Path) -> Result<Policy, ConfigError> {
        let person = Limits::of_person(self.layering.person(), &self.home, &self.start)?;
        let asked = Limits::of_call(layers, &self.home, &self.start, &person)?;
        let mode = self.mode(&person, &asked, cwd)?;
        if mode == Mode::FullAccess {
            return Ok(Policy::FullAccess);
        }
        let user = self.home.user();
        let denied: Vec<PathBuf> = user.iter().flat_map(|user| DENIED.map(|name| user.join(name))).collect();
        let ceiling = person.grants(mode, &denied);
        let unlimited = person.mode.as_ref().is_some_and(|mode| mode.value == Mode::FullAccess);
        let mut grants = asked.grants(mode, &denied);
        grants = if unlimited {
            grants.denying(&ceiling)
        } else {
            grants.within(&ceiling, &asked, |folder| self.may_write(folder))?
        };
        let mut folders = Vec::new();
        folders.extend(grants.reach.cwd.then(|| cwd.to_owned()));
        folders.append(&mut grants.reach.folders);
        folders.extend(grants.reach.slash_tmp.then(|| PathBuf::from("/tmp")));
        folders.extend(self.tmpdir().filter(|_| grants.reach.tmpdir));
        grants.deny_read.extend(CREDENTIALS.map(|name| self.home.folder().join(name)));
        let read = if grants.reach.read_everything { Read::Everything } else { Read::Only(folders.clone()) };
        let mut rules = Rules {
            read,
            deny_read: grants.deny_read,
            network: grants.network,
            devices: grants.devices,
            require: grants.require,
            ..Rules::default()
        };
        if mode == Mode::WorkspaceWrite {
            self.open(&mut rules, folders, grants.memories);
        }
        Ok(Policy::Sandboxed(rules))
    }

    /// Makes folders writable, as far as our own settings stay what they are.
    fn open(&self, rules: &mut Rules, folders: Vec<PathBuf>, memories: bool) {
        let mut roots = folders;
        roots.retain(|root| root.is_dir() && self.settings_at_risk(root).is_none());
        roots.dedup();
        let home = real(self.home.folder());
        if roots.iter().any(|root| home.starts_with(real(root))) {
            rules.protected.push(home);
        } else if memories {
            roots.extend(Some(home.join("memories")).filter(|folder| folder.is_dir()));
        }
        rules.writable_roots = roots;
    }

    /// The mode asked for, within the ceiling: what the person set, else workspace-write.
    fn mode(&self, person: &Limits, asked: &Limits, cwd: &Path) -> Result<Mode, ConfigError> {
        let ceiling = person.mode.as_ref().map_or(Mode::WorkspaceWrite, |mode| mode.value);
        let (mode, origin) = match &asked.mode {
            Some(set) => (set.value, Some(&set.origin)),
            None if self.is_trusted(cwd) => (Mode::WorkspaceWrite, None),
            None => (Mode::ReadOnly, None),
        };
        if let Some(origin) = origin.filter(|_| mode > ceiling) {
            let limit = match &person.mode {
                Some(set) => format!("{} is set by {}", ceiling.name(), set.origin),
                None => format!("without a setting it is {}", ceiling.name()),
            };
            let problem = format!(
                "{:?} is more than this server allows: {limit}; the person who starts it can allow more with -s {} \
                 or sandbox_mode in config.toml",
                mode.name(),
                mode.name()
            );
            return Err(ConfigError::new(origin, "sandbox_mode", problem));
        }
        let writes_here = asked.list.as_ref().is_none_or(|list| list.value.reach.cwd);
        if mode != Mode::WorkspaceWrite || !writes_here || self.may_write(cwd) {
            return Ok(mode);
        }
        let why = self.settings_at_risk(cwd).unwrap_or_else(|| {
            format!(
                "it is neither below the folder where the server was started nor in one that config.toml trusts; the \
                 person who starts the server can name it with -C, or with [projects.\"{}\"] trust_level = \"trusted\"",
                cwd.display()
            )
        });
        let why = format!("{} stays read-only: {why}", cwd.display());
        // Whoever asked for more in so many words hears of it; else it is the folder that decides.
        if origin == Some(&Origin::Call) {
            return Err(ConfigError::new(&Origin::Call, "sandbox_mode", why));
        }
        tracing::warn!("{why}");
        Ok(Mode::ReadOnly)
    }

    /// A folder that nobody named cannot be made writable by a caller. Starting in `/`, as programs with a desktop
    /// do, names nothing.
    fn may_write(&self, folder: &Path) -> bool {
        let (start, folder) = (real(&self.start), real(folder));
        let below_start = start.parent().is_some() && folder.starts_with(&start);
        folder.parent().is_some()
            && (below_start || self.is_trusted(&folder))
            && self.settings_at_risk(&folder).is_none()
    }

    /// Why our own settings and records would be writable with a folder, if so: an agent that can write them could
    /// give itself more at the next start. In a folder above them they are protected, which the full level alone can
    /// do, and only if they are there.
    fn settings_at_risk(&self, folder: &Path) -> Option<String> {
        let (home, folder) = (real(self.home.folder()), real(folder));
        if folder.starts_with(&home) {
            return Some(format!("{} is where codex keeps its own settings", home.display()));
        }
        if !home.starts_with(&folder) || home.is_dir() && sandbox::probe().level() == Level::Full {
            return None;
        }
        let way = match home.is_dir() {
            true => {
                "which only the full level protects (see codex sandbox check); set CODEX_HOME to a folder elsewhere"
            }
            false => "which is to be protected and does not exist yet: make it",
        };
        Some(format!("codex's own settings are in it, in {}, {way}", home.display()))
    }

    /// `TMPDIR`, unless a careless caller made it a folder that matters.
    fn tmpdir(&self) -> Option<PathBuf> {
        let named = self.inherited.iter().find(|(name, _)| name == "TMPDIR");
        let set = named.map(|(_, value)| PathBuf::from(value))?;
        let real = set.canonicalize().ok()?;
        let careless = self.home.user().is_some_and(|home| home.starts_with(&real))
            || self.start.starts_with(&real) && self.start != real;
        (set.is_absolute() && !careless).then_some(real)
    }

    /// The project that names the folder most closely decides.
    fn is_trusted(&self, cwd: &Path) -> bool {
        let layers = self.layering.person();
        let closest = layers
            .children("projects")
            .into_iter()
            .filter_map(|project| {
                let root = real(Path::new(&project));
                cwd.starts_with(&root).then(|| (root.components().count(), project))
            })
            .max();
        closest.is_some_and(|(_, project)| {
            let level = layers.get(&["projects", &project, "trust_level"]);
            level.and_then(|(value, _)| value.as_str()) == Some("trusted")
        })
    }

    /// The environment of commands under these layers and a policy.
    pub(super) fn environment(&self, layers: &Layers, policy: &Policy) -> Result<Environment, ConfigError> {
        let resolve = |layers| -> Result<_, ConfigError> {
            let variables = Variables::read(Values(layers))?;
            Ok(variables.of(&self.inherited, &self.secrets, policy))
        };
        let granted = resolve(self.layering.person())?;
        // A profile that a caller chose takes variables away; it adds none.
        let mut asked = resolve(layers)?;
        asked.retain(|variable| granted.contains(variable));
        Ok(asked)
    }

    /// Keys that nothing reads, each with its place: they are worth a warning, being mistyped or from elsewhere.
    pub(crate) fn unknown_keys(&self) -> Vec<String> {
        unknown_keys(self.layering.person())
    }

    pub(crate) fn layering(&self) -> &Layering {
        &self.layering
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn start(&self) -> &Path {
        &self.start
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
