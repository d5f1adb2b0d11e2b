//! The one port through which a thread gets its settings. The host asks; the composition root, which knows the
//! configuration files, the command line and the ceiling a person set, answers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use providers::Provider;
use serde_json::{Map, Value};

use crate::approval::ApprovalPolicy;
use crate::error::SettingsError;

/// Answers what a thread runs with.
pub trait Settings: Send + Sync + 'static {
    /// The settings of a new or resumed thread, after the caller's overrides were checked against the ceiling.
    ///
    /// # Errors
    /// A value that is not known, or more than a person allowed; names the setting.
    fn resolve(&self, overrides: &Overrides) -> Result<ThreadSettings, SettingsError>;
}

/// What a caller asks to be different for one thread. Everything is untrusted: it may come from a model.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The model's name.
    pub model: Option<String>,
    /// A profile of the configuration.
    pub profile: Option<String>,
    /// The working directory; a relative one counts from the server's own.
    pub cwd: Option<PathBuf>,
    /// `untrusted`, `on-failure`, `on-request` or `never`.
    pub approval_policy: Option<String>,
    /// `read-only`, `workspace-write` or `danger-full-access`.
    pub sandbox: Option<String>,
    /// Keys of the configuration, dotted or nested.
    pub config: Map<String, Value>,
    /// Replaces the base instructions.
    pub base_instructions: Option<String>,
    /// Added as a developer message.
    pub developer_instructions: Option<String>,
}

/// What a thread runs with, resolved and checked.
#[derive(Clone)]
pub struct ThreadSettings {
    /// The model's name, as its provider knows it.
    pub model: String,
    /// The key of the provider in the configuration.
    pub provider_id: String,
    /// Where the model is asked.
    pub provider: Arc<dyn Provider>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// What commands and file tools may do.
    pub policy: sandbox::Policy,
    /// When somebody is asked.
    pub approval: ApprovalPolicy,
    /// The whole environment of commands.
    pub env: Vec<(OsString, OsString)>,
    /// Replaces the base instructions.
    pub base_instructions: Option<String>,
    /// Added as a developer message.
    pub developer_instructions: Option<String>,
    /// Sent to models that reason.
    pub reasoning_effort: Option<String>,
    /// Whether the provider may keep responses.
    pub store: bool,
    /// Most tool calls of one turn; beyond it the turn ends with [`ErrorCode::Limit`](crate::ErrorCode::Limit).
    pub max_calls: usize,
}

impl std::fmt::Debug for ThreadSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment stays out: it may hold secrets.
        f.debug_struct("ThreadSettings")
            .field("model", &self.model)
            .field("provider", &self.provider.name())
            .field("cwd", &self.cwd)
            .field("policy", &self.policy)
            .field("approval", &self.approval)
            .finish_non_exhaustive()
    }
}

/// Periods of the host. Settings, so that tests need not wait.
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long a listing waits for servers that are still starting.
    pub list_wait: Duration,
    /// How long a server's processes may take to end once asked, before they are killed.
    pub server_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { list_wait: Duration::from_secs(4), server_grace: Duration::from_secs(2) }
    }
}
