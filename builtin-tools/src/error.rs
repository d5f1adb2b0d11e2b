//! Why a call failed, in words that tell a model what to do about it.

use std::io;

use sandbox::{AccessError, SpawnError};

use crate::patch::PatchError;
use crate::paths::PathError;

/// Why a call failed. Its text, after the tool's name, is what the model gets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{0}")]
    Arguments(String),
    #[error(transparent)]
    Path(#[from] PathError),
    /// `advice` starts with a semicolon, or is empty.
    #[error("{source}{advice}")]
    Access { source: AccessError, advice: &'static str },
    /// The path as shown; `advice` starts with a semicolon, or is empty.
    #[error("{path}: {source}{advice}")]
    Io { path: String, source: io::Error, advice: &'static str },
    /// The path as shown, and what is wrong with its content.
    #[error("{path} {what}")]
    Content { path: String, what: String },
    #[error("offset {offset} is past the end: {path} has {lines} lines")]
    PastEnd { path: String, offset: u64, lines: u64 },
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("the command was lost sight of: {0}")]
    Wait(io::Error),
    #[error("{}{}", unchanged(.0), .0)]
    Patch(#[from] PatchError),
    #[error("cancelled")]
    Cancelled,
    #[error("a fault in the tool itself broke it off; what it did until then may be half done")]
    Fault,
    #[error("the work broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl ToolError {
    /// A directory, shown so, can not be read.
    pub(crate) fn directory(source: AccessError, path: String) -> Self {
        match source {
            AccessError::Io { source, .. } => {
                let file = source.kind() == io::ErrorKind::NotADirectory;
                let advice = if file { "; read_file shows files" } else { "" };
                Self::Io { path, source, advice }
            }
            source => Self::Access { source, advice: "" },
        }
    }
}

/// A patch that failed leaves everything as it was, but for one case.
fn unchanged(error: &PatchError) -> &'static str {
    if let PatchError::Rollback { .. } = error { "" } else { "nothing was changed: " }
}
