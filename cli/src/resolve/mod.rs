//! From the configuration to what a thread runs with. Here the ceiling is kept: what a person set may be
//! tightened by a caller, never loosened.

mod environment;
mod grants;
mod layering;
mod limits;
mod permissions;
mod policy;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use mcp_host::{ApprovalPolicy, Overrides, Settings, SettingsError, ThreadSettings};

use self::layering::Layering;
use self::limits::Mode;
pub(crate) use self::policy::{Environment, Policies};
use crate::config::{
    ConfigError, Home, Layers, Origin, Provider, ServerTable, Values, check_closed_tables, servers,
};
use crate::model::{Models, Tape};

/// The model that is used unless something else is said.
const DEFAULT_MODEL: &str = "o4-mini";
/// The provider that is used unless something else is said.
const DEFAULT_PROVIDER: &str = "openai";
/// Most tool calls of one turn.
const DEFAULT_MAX_CALLS: u32 = 500;

/// What was typed on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Each `-c`, in order.
    pub(crate) config: Vec<String>,
    pub(crate) profile: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) sandbox: Option<String>,
    pub(crate) approval: Option<String>,
    pub(crate) oss: bool,
}

/// Answers the host's questions about settings.
pub(crate) struct Resolver {
    policies: Policies,
    models: Models,
}

impl Resolver {
    /// Reads the configuration once. What is wrong in it is said now, not in the middle of a session.
    pub(crate) fn new(
        home: Home,
        flags: Flags,
        start: PathBuf,
        tape: Option<Tape>,
    ) -> Result<Self, ConfigError> {
        let policies = Policies::read(home, flags, start)?;
        let models = Models::new(tape, policies.secrets().clone());
        let resolver = Self { policies, models };
        // A wrong word in the file is wrong even where the command line overrides it.
        check(Values(resolver.layering().file()))?;
        check(Values(resolver.layering().person()))?;
        resolver.thread_settings(resolver.layering().person(), &Overrides::default())?;
        Ok(resolver)
    }

    /// Keys that nothing reads, each with its place.
    pub(crate) fn unknown_keys(&self) -> Vec<String> {
        self.policies.unknown_keys()
    }

    /// The external servers, as configured.
    pub(crate) fn servers(&self) -> Result<Vec<ServerTable>, ConfigError> {
        servers(Values(self.layering().person()))
    }

    pub(crate) fn home(&self) -> &Home {
        self.policies.home()
    }

    pub(crate) fn start(&self) -> &Path {
        self.policies.start()
    }

    fn layering(&self) -> &Layering {
        self.policies.layering()
    }

    fn thread_settings(&self, layers: &Layers, overrides: &Overrides) -> Result<ThreadSettings, ConfigError> {
        let values = Values(layers);
        let cwd = self.cwd(overrides.cwd.as_deref())?;
        let policy = self.policies.policy(layers, &cwd)?;
        let env = self.policies.environment(layers, &policy)?;
        let approval = values.choice(&["approval_policy"], &ApprovalPolicy::NAMES, ApprovalPolicy::parse)?;
        let named = values.text_at(&["model_provider"])?;
        let chosen = named.as_ref().map(|(_, origin)| *origin);
        let provider_id = named.as_ref().map_or(DEFAULT_PROVIDER, |(id, _)| id.as_str()).to_owned();
        let provider = Provider::load(values, &provider_id, chosen)?;
        let provider = self.models.provider(&provider, &cwd)?;
        let developer_instructions =
            overrides.developer_instructions.clone().or(values.text(&["developer_instructions"])?);
        Ok(ThreadSettings {
            model: values.text(&["model"])?.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            provider_id,
            provider,
            cwd,
            policy,
            approval: approval.map(|(policy, _)| policy).unwrap_or_default(),
            env,
            base_instructions: overrides.base_instructions.clone(),
            developer_instructions,
            reasoning_effort: values.text(&["model_reasoning_effort"])?,
            store: !values.flag(&["disable_response_storage"])?.unwrap_or(false),
            max_calls: values.count(&["max_tool_calls"])?.unwrap_or(DEFAULT_MAX_CALLS) as usize,
        })
    }

    fn cwd(&self, asked: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let path = asked.map_or_else(|| self.start().to_owned(), |asked| self.start().join(asked));
        let refused = |problem: String| ConfigError { origin: None, key: Some("cwd".to_owned()), problem };
        let real = path.canonicalize().map_err(|error| refused(format!("{}: {error}", path.display())))?;
        if real.is_dir() { Ok(real) } else { Err(refused(format!("{} is not a folder", path.display()))) }
    }
}

impl Settings for Resolver {
    fn resolve(&self, overrides: &Overrides) -> Result<ThreadSettings, SettingsError> {
        let layers = self.layering().for_call(overrides).map_err(settings_error)?;
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

/// What can be checked without asking for a thread.
fn check(values: Values<'_>) -> Result<(), ConfigError> {
    values.choice(&["sandbox_mode"], &Mode::NAMES, Mode::parse)?;
    values.choice(&["approval_policy"], &ApprovalPolicy::NAMES, ApprovalPolicy::parse)?;
    for project in values.tables("projects")? {
        let level = |text: &str| matches!(text, "trusted" | "untrusted").then_some(());
        values.choice(&["projects", &project, "trust_level"], &["trusted", "untrusted"], level)?;
    }
    for table in ["model_providers", "profiles"] {
        values.tables(table)?;
    }
    check_closed_tables(values.0)?;
    servers(values).map(drop)
}
