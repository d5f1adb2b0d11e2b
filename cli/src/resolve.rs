//! From the configuration to what a thread runs with. Here the ceiling is kept: what a person set may be
//! tightened by a caller, never loosened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mcp_host::{ApprovalPolicy, Overrides, Settings, SettingsError, ThreadSettings};
use sandbox::{Network, Policy};

use crate::config::{ConfigError, Home, Layers, Origin, Provider, ServerTable, Values, servers};
use crate::model::{Models, Tape};

/// The model that is used unless something else is said.
const DEFAULT_MODEL: &str = "o4-mini";
/// Most tool calls of one turn.
const DEFAULT_MAX_CALLS: u32 = 500;

/// What was typed on the command line, besides `-c`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) config: Vec<String>,
    pub(crate) profile: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) sandbox: Option<String>,
    pub(crate) approval: Option<String>,
    pub(crate) oss: bool,
}

/// Answers the host's questions about settings.
pub(crate) struct Resolver {
    home: Home,
    flags: Flags,
    /// Where the person started us.
    start: PathBuf,
    models: Models,
    /// Values the person set: file, profile, command line.
    layers: Layers,
    environment: Vec<(OsString, OsString)>,
}

/// Modes in rising order of what they allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    ReadOnly,
    WorkspaceWrite,
    FullAccess,
}

impl Mode {
    const NAMES: [&'static str; 3] = ["read-only", "workspace-write", "danger-full-access"];

    fn parse(name: &str) -> Option<Self> {
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

/// Settings that reach outside the sandbox or decide where keys go: a caller cannot set them.
const PERSONS_ONLY: [&str; 7] = [
    "mcp_servers",
    "model_providers",
    "projects",
    "notify",
    "sandbox",
    "shell_environment_policy",
    "sandbox_workspace_write",
];

impl Resolver {
    /// Reads the configuration once.
    pub(crate) fn new(
        home: Home,
        flags: Flags,
        start: PathBuf,
        tape: Option<Tape>,
    ) -> Result<Self, ConfigError> {
        let layers = person_layers(&home, &flags, None)?;
        let environment = command_environment();
        let models = Models::new(tape);
        let resolver = Self { home, flags, start, models, layers, environment };
        // What is wrong in the file is said at the start, not in the middle of a session.
        resolver.thread_settings(&resolver.layers, &Overrides::default())?;
        check_choices(&resolver.home)?;
        servers(Values(&resolver.layers))?;
        Ok(resolver)
    }

    /// Keys that nothing reads, each with its place: they are worth a warning, being mistyped or from elsewhere.
    pub(crate) fn unknown_keys(&self) -> Vec<String> {
        let unknown = |key: &[String]| key.first().is_some_and(|first| !KNOWN_KEYS.contains(&first.as_str()));
        self.layers
            .keys()
            .filter(|(key, _)| unknown(key))
            .map(|(key, origin)| {
                format!("{origin}: `{}` is not a setting of this version; it is ignored", key.join("."))
            })
            .collect()
    }

    /// The external servers, as configured.
    pub(crate) fn servers(&self) -> Result<Vec<ServerTable>, ConfigError> {
        servers(Values(&self.layers))
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn start(&self) -> &Path {
        &self.start
    }

    fn thread_settings(&self, layers: &Layers, overrides: &Overrides) -> Result<ThreadSettings, ConfigError> {
        let values = Values(layers);
        let cwd = self.cwd(overrides.cwd.as_deref())?;
        let mode = self.mode(values, &cwd)?;
        let policy = self.policy(values, mode, &cwd)?;
        let approval = values
            .choice(&["approval_policy"], &ApprovalPolicy::NAMES, ApprovalPolicy::parse)?
            .map_or(ApprovalPolicy::default(), |(policy, _)| policy);
        let provider_id = values.text_at(&["model_provider"])?;
        let chosen = provider_id.as_ref().map(|(_, origin)| *origin);
        let id = provider_id.as_ref().map_or("openai", |(id, _)| id.as_str());
        let provider = Provider::load(values, id, chosen)?;
        let provider = self.models.provider(&provider, &cwd)?;
        Ok(ThreadSettings {
            model: values.text(&["model"])?.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            provider,
            cwd,
            policy,
            approval,
            env: self.environment.clone(),
            base_instructions: overrides.base_instructions.clone(),
            developer_instructions: overrides
                .developer_instructions
                .clone()
                .or(values.text(&["developer_instructions"])?),
            reasoning_effort: values.text(&["model_reasoning_effort"])?,
            store: !values.flag(&["disable_response_storage"])?.unwrap_or(false),
            max_calls: values.count(&["max_tool_calls"])?.unwrap_or(DEFAULT_MAX_CALLS) as usize,
        })
    }

    fn cwd(&self, asked: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let path = asked.map_or_else(|| self.start.clone(), |asked| self.start.join(asked));
        let refused = |problem: String| ConfigError { origin: None, key: Some("cwd".to_owned()), problem };
        let real = path.canonicalize().map_err(|error| refused(format!("{}: {error}", path.display())))?;
        if real.is_dir() { Ok(real) } else { Err(refused(format!("{} is not a folder", path.display()))) }
    }

    /// The mode asked for, within the ceiling: what a person set, else workspace-write.
    fn mode(&self, values: Values<'_>, cwd: &Path) -> Result<Mode, ConfigError> {
        let set = |values: Values<'_>| {
            Ok(values.choice(&["sandbox_mode"], &Mode::NAMES, Mode::parse)?.map(|(m, o)| (m, o.clone())))
        };
        let persons = set(Values(&self.layers))?;
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
            Some((mode, _)) => Ok(mode),
            None if self.is_trusted(cwd) => Ok(Mode::WorkspaceWrite),
            None => Ok(Mode::ReadOnly),
        }
    }

    fn policy(&self, values: Values<'_>, mode: Mode, cwd: &Path) -> Result<Policy, ConfigError> {
        Ok(match mode {
            Mode::ReadOnly => Policy::ReadOnly,
            Mode::FullAccess => Policy::FullAccess,
            // A folder that nobody named cannot be made writable by a caller; nor can everything.
            Mode::WorkspaceWrite if !self.may_write(cwd) => Policy::ReadOnly,
            Mode::WorkspaceWrite => {
                let key = |name| ["sandbox_workspace_write", name];
                let mut roots = vec![cwd.to_owned()];
                for root in values.texts(&key("writable_roots"))? {
                    roots.push(self.start.join(root));
                }
                if !values.flag(&key("exclude_slash_tmp"))?.unwrap_or(false) {
                    roots.push(PathBuf::from("/tmp"));
                }
                if !values.flag(&key("exclude_tmpdir_env_var"))?.unwrap_or(false) {
                    roots.extend(self.tmpdir());
                }
                roots.retain(|root| root.is_dir());
                roots.dedup();
                let network = values.flag(&key("network_access"))?.unwrap_or(false);
                let network = if network { Network::On } else { Network::Off };
                Policy::WorkspaceWrite { writable_roots: roots, network }
            }
        })
    }

    /// `TMPDIR`, unless a careless caller made it a folder that matters.
    fn tmpdir(&self) -> Option<PathBuf> {
        let set = self
            .environment
            .iter()
            .find(|(name, _)| name == "TMPDIR")
            .map(|(_, value)| PathBuf::from(value))?;
        let real = set.canonicalize().ok()?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let careless = home.is_some_and(|home| home.starts_with(&real))
            || self.start.starts_with(&real) && self.start != real;
        (set.is_absolute() && !careless).then_some(real)
    }

    fn may_write(&self, cwd: &Path) -> bool {
        let start = self.start.canonicalize().unwrap_or_else(|_| self.start.clone());
        cwd.parent().is_some() && (cwd.starts_with(&start) || self.is_trusted(cwd))
    }

    fn is_trusted(&self, cwd: &Path) -> bool {
        self.layers.children("projects").iter().any(|project| {
            let level = self.layers.get(&["projects", project, "trust_level"]);
            let trusted = level.and_then(|(value, _)| value.as_str()) == Some("trusted");
            let root = Path::new(project);
            trusted && cwd.starts_with(root.canonicalize().as_deref().unwrap_or(root))
        })
    }
}

impl Settings for Resolver {
    fn resolve(&self, overrides: &Overrides) -> Result<ThreadSettings, SettingsError> {
        let layers = match call_layers(self, overrides) {
            Ok(layers) => layers,
            Err(error) => return Err(settings_error(error)),
        };
        self.thread_settings(&layers, overrides).map_err(settings_error)
    }
}

fn settings_error(error: ConfigError) -> SettingsError {
    let setting = error.key.clone().unwrap_or_else(|| "configuration".to_owned());
    let problem = match &error.origin {
        Some(Origin::Call) | None => error.problem,
        Some(origin) => format!("{} ({origin})", error.problem),
    };
    SettingsError::new(setting, problem)
}

/// A wrong word in the file is wrong even where the command line overrides it.
fn check_choices(home: &Home) -> Result<(), ConfigError> {
    let mut file = Layers::default();
    file.add_file(&home.config_file())?;
    Values(&file).choice(&["sandbox_mode"], &Mode::NAMES, Mode::parse)?;
    Values(&file).choice(&["approval_policy"], &ApprovalPolicy::NAMES, ApprovalPolicy::parse)?;
    Ok(())
}

/// Default, user, profile, flags: each over the one before.
fn person_layers(home: &Home, flags: &Flags, profile: Option<&str>) -> Result<Layers, ConfigError> {
    let mut layers = Layers::default();
    layers.add_file(&home.config_file())?;
    let mut typed = Layers::default();
    for flag in &flags.config {
        typed.add_flag(flag)?;
    }
    let chosen_by_caller = profile.is_some();
    let named = |layers: &Layers| Values(layers).text(&["profile"]);
    let profile = match profile.map(str::to_owned).or_else(|| flags.profile.clone()) {
        Some(profile) => Some(profile),
        None => named(&typed)?.or(named(&layers)?),
    };
    if let Some(profile) = profile {
        // A profile that a caller chose cannot reach what only the person sets.
        let barred: &[&str] = if chosen_by_caller { &PERSONS_ONLY } else { &[] };
        layers.apply_profile(&profile, barred)?;
    }
    for flag in &flags.config {
        layers.add_flag(flag)?;
    }
    let mut set = |key: &str, value: &Option<String>, flag: &str| {
        if let Some(value) = value {
            layers.set(&[key.to_owned()], &value.as_str().into(), &Origin::Flag(flag.to_owned()));
        }
    };
    set("model", &flags.model, "-m");
    set("sandbox_mode", &flags.sandbox, "-s");
    set("approval_policy", &flags.approval, "-a");
    set("model_provider", &flags.oss.then(|| "ollama".to_owned()), "--oss");
    Ok(layers)
}

/// The person's layers with a call's wishes on top.
fn call_layers(resolver: &Resolver, overrides: &Overrides) -> Result<Layers, ConfigError> {
    let mut layers = match &overrides.profile {
        Some(profile) => person_layers(&resolver.home, &resolver.flags, Some(profile))?,
        None => resolver.layers.clone(),
    };
    for name in overrides.config.keys() {
        let first =
            crate::config::split_key(name).ok().and_then(|key| key.first().cloned()).unwrap_or_default();
        if PERSONS_ONLY.contains(&first.as_str()) {
            let problem = "can be set only by the person who starts the server: in config.toml, or with -c";
            return Err(ConfigError::new(&Origin::Call, name, problem));
        }
    }
    layers.add_call(&overrides.config)?;
    let mut set = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            layers.set(&[key.to_owned()], &value.as_str().into(), &Origin::Call);
        }
    };
    set("model", &overrides.model);
    set("sandbox_mode", &overrides.sandbox);
    set("approval_policy", &overrides.approval_policy);
    Ok(layers)
}

/// The environment of commands: ours, without what looks like a secret and without our own settings.
fn command_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !crate::model::names_a_secret(&name.to_string_lossy())).collect()
}

/// First parts of the keys that something reads.
const KNOWN_KEYS: [&str; 14] = [
    "approval_policy",
    "developer_instructions",
    "disable_response_storage",
    "max_tool_calls",
    "mcp_servers",
    "model",
    "model_provider",
    "model_providers",
    "model_reasoning_effort",
    "profile",
    "profiles",
    "projects",
    "sandbox_mode",
    "sandbox_workspace_write",
];
