//! What can go wrong at the host's boundary. A failing *tool* is not here: that is a result.

use std::path::PathBuf;

use providers::ProviderError;
use serde::{Deserialize, Serialize};

/// The kind of a turn's failure, stable for programs; the exit code of `codex exec` follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The model could not be reached, refused the request, or broke off.
    Model,
    /// No usable credentials for the model provider.
    Auth,
    /// The turn asked for more calls than a turn may make.
    Limit,
    /// The thread's record could not be written.
    Storage,
    /// A replayed run differs from its cassette.
    Replay,
    /// A fault of our own.
    Internal,
}

/// Opening, resuming or driving a thread failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The settings asked for cannot be had.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No thread of that id, neither open nor on disk.
    #[error(
        "no thread {id}: it is neither open nor recorded under {}; start a new one with the tool `codex`",
        searched.display()
    )]
    UnknownThread {
        /// What was asked for.
        id: String,
        /// The folder that was searched.
        searched: PathBuf,
    },
    /// The text is not a thread id.
    #[error(
        "{text:?} is not a thread id: a thread id is a UUID such as 0193b2c4-5f1e-7a3c-8d2e-1f0a9b8c7d6e"
    )]
    MalformedThreadId {
        /// What was given.
        text: String,
    },
    /// A record could not be written or read.
    #[error("the record {} of the thread: {source}", path.display())]
    Record {
        /// The rollout file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Another process has the thread open.
    #[error(
        "thread {id} is open in another process; end that one, or start a new thread with the tool `codex`"
    )]
    Busy {
        /// The thread.
        id: String,
    },
    /// Another program wrote the record, so it is not written to.
    #[error("thread {id} was recorded by another program ({}); it can be read, not continued", path.display())]
    Foreign {
        /// The thread.
        id: String,
        /// Its record.
        path: PathBuf,
    },
    /// The thread's driver is gone, which is a fault of ours.
    #[error("thread {id} has stopped; continue it with `codex-reply`, which loads it from its record")]
    Stopped {
        /// The thread.
        id: String,
    },
}

/// Settings that cannot be had, with the setting's name and what is right.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingsError {
    /// The setting as its user would write it (`sandbox`, `model_provider`, `cwd` …).
    pub setting: String,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

impl SettingsError {
    /// A problem with one setting; the text says what was given and what is allowed.
    pub fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { setting: setting.into(), problem: problem.into() }
    }
}

/// A call that was not carried out. A tool that ran and failed is a result instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The catalog has no such tool.
    #[error("unknown tool {name:?}{}", nearest.as_deref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    UnknownTool {
        /// What was asked for.
        name: String,
        /// The nearest name in the catalog.
        nearest: Option<String>,
    },
    /// The tool's server did not start.
    #[error("{message}")]
    Server {
        /// Names the server, its command and how it ended.
        message: String,
    },
    /// The caller cancelled the call.
    #[error("interrupted")]
    Interrupted,
}

impl From<&ProviderError> for ErrorCode {
    fn from(error: &ProviderError) -> Self {
        match error {
            ProviderError::MissingKey { .. } | ProviderError::Status { status: 401 | 403, .. } => Self::Auth,
            ProviderError::Replay(_) => Self::Replay,
            _ => Self::Model,
        }
    }
}
