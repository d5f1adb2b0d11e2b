//! What the sandbox refused to a command, for programs that read the result.

use sandbox::{Denial, Network, PathReason, Policy, Refused};
use schemars::JsonSchema;
use serde::Serialize;

use crate::paths;

/// What the sandbox refused, and the rules as a whole.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DenialReport {
    kind: Kind,
    /// What was to be read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// In words.
    rule: String,
    /// What would allow it, in words.
    setting: String,
    /// How far the rules are enforced: full or reduced.
    level: String,
    mode: &'static str,
    writable_roots: Vec<String>,
    network: bool,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Path,
    Network,
    SystemCall,
    // Nothing that the output tells for sure.
    Unknown,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    NothingWritable,
    OutsideRoots,
    Protected,
    DenyRead,
    NotListed,
}

impl DenialReport {
    pub(crate) fn new(denial: &Denial, policy: &Policy) -> Self {
        let (kind, path, reason) = match &denial.what {
            Refused::Path { path, reason } => (Kind::Path, Some(paths::show(path)), reason_of(*reason)),
            Refused::Network => (Kind::Network, None, None),
            Refused::SystemCall => (Kind::SystemCall, None, None),
            _ => (Kind::Unknown, None, None),
        };
        Self {
            kind,
            path,
            reason,
            rule: denial.rule.clone(),
            setting: denial.setting.clone(),
            level: denial.level.to_string(),
            mode: policy.mode(),
            writable_roots: policy.writable_roots().iter().map(|root| paths::show(root)).collect(),
            network: policy.network() != Network::Off,
        }
    }
}

fn reason_of(reason: PathReason) -> Option<Reason> {
    match reason {
        PathReason::NothingWritable => Some(Reason::NothingWritable),
        PathReason::OutsideRoots => Some(Reason::OutsideRoots),
        PathReason::Protected => Some(Reason::Protected),
        PathReason::DenyRead => Some(Reason::DenyRead),
        PathReason::NotListed => Some(Reason::NotListed),
        _ => None,
    }
}
