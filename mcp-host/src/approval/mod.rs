//! The gate: whether a call may run. Every call passes here, whoever makes it.

use serde::{Deserialize, Serialize};

use crate::servers::Entry;

/// When somebody is asked before a call runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// Only what is known to be safe runs unasked.
    Untrusted,
    /// Everything runs sandboxed; after a failure somebody is asked.
    OnFailure,
    /// The model asks where it needs more than the sandbox gives.
    #[default]
    OnRequest,
    /// Nobody is asked: what the policy allows runs, the rest is denied.
    Never,
}

impl ApprovalPolicy {
    /// All names, in the order in which they are documented.
    pub const NAMES: [&'static str; 4] = ["untrusted", "on-failure", "on-request", "never"];

    /// Reads a policy's name; `unless-allow-listed` and `unless-trusted` are older names of `untrusted`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "untrusted" | "unless-allow-listed" | "unless-trusted" => Some(Self::Untrusted),
            "on-failure" => Some(Self::OnFailure),
            "on-request" => Some(Self::OnRequest),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// The name that [`ApprovalPolicy::parse`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::OnFailure => "on-failure",
            Self::OnRequest => "on-request",
            Self::Never => "never",
        }
    }
}

/// What the gate says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Allow,
    /// It does not run; the text says which rule and which setting would allow it.
    Deny(String),
}

/// Decides on one call.
///
/// In-process tools confine themselves by the sandbox policy and run unasked; so do the tools of servers that
/// the person at the machine configured, unless they are marked destructive: there is no way yet to ask for
/// those, and no way to ask means no.
pub(crate) fn decide(entry: &Entry) -> Verdict {
    let Some(server) = &entry.server else { return Verdict::Allow };
    let annotations = entry.tool.annotations.as_ref();
    let read_only = annotations.and_then(|a| a.read_only_hint).unwrap_or(false);
    let destructive = annotations.and_then(|a| a.destructive_hint) == Some(true);
    if destructive && !read_only && !entry.approved {
        return Verdict::Deny(format!(
            "denied by policy: {:?} of server {server:?} is marked destructive and nobody can be asked here; \
             allow it with approval = \"auto\" under [mcp_servers.{server}] in config.toml",
            entry.raw_name
        ));
    }
    Verdict::Allow
}

#[cfg(test)]
mod tests {
    use super::{ApprovalPolicy, Verdict, decide};
    use crate::servers::Entry;
    use rmcp::model::{Tool, ToolAnnotations};
    use std::sync::Arc;

    fn entry(server: Option<&str>, annotations: Option<ToolAnnotations>, approved: bool) -> Entry {
        let mut tool = Tool::new("t", "", Arc::new(serde_json::Map::new()));
        tool.annotations = annotations;
        Entry { tool, server: server.map(str::to_owned), raw_name: "t".to_owned(), approved }
    }

    #[test]
    fn a_destructive_tool_of_a_server_is_denied_and_names_the_setting() {
        let marked = ToolAnnotations::new().destructive(true);
        let Verdict::Deny(text) = decide(&entry(Some("db"), Some(marked.clone()), false)) else {
            panic!("must be denied")
        };
        assert!(text.contains("[mcp_servers.db]"), "{text}");
        assert_eq!(decide(&entry(Some("db"), Some(marked.clone()), true)), Verdict::Allow);
        assert_eq!(
            decide(&entry(None, Some(marked), false)),
            Verdict::Allow,
            "in process: the sandbox holds it"
        );
        assert_eq!(decide(&entry(Some("db"), None, false)), Verdict::Allow);
    }

    #[test]
    fn every_name_round_trips() {
        for name in ApprovalPolicy::NAMES {
            assert_eq!(ApprovalPolicy::parse(name).map(ApprovalPolicy::name), Some(name));
        }
        assert_eq!(ApprovalPolicy::parse("always"), None);
    }
}
