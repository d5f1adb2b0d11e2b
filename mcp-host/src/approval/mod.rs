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

/// What the user said of the tools of a server: `approval` in its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolApproval {
    /// Nothing: they run unasked unless they are marked destructive.
    #[default]
    Unset,
    /// They run unasked, whatever their annotations say.
    Auto,
    /// Somebody is asked before each call.
    Prompt,
    /// They do not run.
    Deny,
}

impl ToolApproval {
    /// All names, in the order in which they are documented.
    pub const NAMES: [&'static str; 3] = ["auto", "prompt", "deny"];

    /// Reads a name of [`ToolApproval::NAMES`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "prompt" => Some(Self::Prompt),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }

    /// The name that [`ToolApproval::parse`] reads, if it is set.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Auto => Some("auto"),
            Self::Prompt => Some("prompt"),
            Self::Deny => Some("deny"),
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

/// Decides on one call. Nobody can be asked yet, and no way to ask means no.
///
/// In-process tools confine themselves by the sandbox policy and run unasked, unless the policy is `untrusted` and
/// they may change something. So do the tools of servers that the person at the machine configured, unless they are
/// marked destructive or set otherwise. An annotation of a server may raise the level, never lower it.
pub(crate) fn decide(entry: &Entry, policy: ApprovalPolicy) -> Verdict {
    let annotations = entry.tool.annotations.as_ref();
    let Some(server) = &entry.server else {
        let reads = annotations.and_then(|a| a.read_only_hint) == Some(true);
        if reads || policy != ApprovalPolicy::Untrusted {
            return Verdict::Allow;
        }
        return Verdict::Deny(format!(
            "denied by approval_policy = \"untrusted\": {:?} may change something and nobody can be asked here; allow \
             it with approval_policy = \"on-request\" (-a on-request)",
            entry.raw_name
        ));
    };
    let unasked = format!("allow it with approval = \"auto\" under [mcp_servers.{server}] in config.toml");
    let tool = format!("{:?} of server {server:?}", entry.raw_name);
    let destructive = annotations.and_then(|a| a.destructive_hint) == Some(true);
    match entry.approval {
        ToolApproval::Auto => Verdict::Allow,
        ToolApproval::Deny => {
            Verdict::Deny(format!("denied by policy: {tool} is set to approval = \"deny\"; {unasked}"))
        }
        ToolApproval::Prompt => Verdict::Deny(format!(
            "denied by policy: {tool} asks before each call and nobody can be asked here; {unasked}"
        )),
        ToolApproval::Unset if policy == ApprovalPolicy::Untrusted => Verdict::Deny(format!(
            "denied by approval_policy = \"untrusted\": {tool} is not allowed by name; {unasked}"
        )),
        ToolApproval::Unset if destructive => Verdict::Deny(format!(
            "denied by policy: {tool} is marked destructive and nobody can be asked here; {unasked}"
        )),
        ToolApproval::Unset => Verdict::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::{ApprovalPolicy, ToolApproval, Verdict, decide};
    use crate::servers::Entry;
    use rmcp::model::{Tool, ToolAnnotations};
    use std::sync::Arc;

    /// What the gate says of a tool: `None` if it runs.
    fn denied(
        server: Option<&str>,
        marks: ToolAnnotations,
        approval: ToolApproval,
        policy: ApprovalPolicy,
    ) -> Option<String> {
        let mut tool = Tool::new("t", "", Arc::new(serde_json::Map::new()));
        tool.annotations = Some(marks);
        let entry = Entry { tool, server: server.map(str::to_owned), raw_name: "t".to_owned(), approval };
        match decide(&entry, policy) {
            Verdict::Allow => None,
            Verdict::Deny(text) => Some(text),
        }
    }

    #[test]
    fn a_tool_of_a_server_runs_as_its_table_says_and_a_denial_names_the_setting() {
        use ToolApproval::{Auto, Deny, Prompt, Unset};
        let plain = ToolAnnotations::new;
        let destructive = || plain().destructive(true);
        // Claiming to read as well does not make it harmless.
        let both = || destructive().read_only(true);
        let policy = ApprovalPolicy::OnRequest;
        for (marks, approval) in [
            (destructive(), Unset),
            (both(), Unset),
            (plain(), Prompt),
            (plain(), Deny),
            (plain().read_only(true), Deny),
        ] {
            let text = denied(Some("db"), marks, approval, policy).expect("must be denied");
            assert!(text.contains("[mcp_servers.db]") && text.contains("approval"), "{text}");
        }
        assert_eq!(denied(Some("db"), destructive(), Auto, policy), None);
        assert_eq!(denied(Some("db"), plain(), Unset, policy), None);
        assert_eq!(denied(None, destructive(), Unset, policy), None, "in process: the sandbox holds it");
    }

    #[test]
    fn under_untrusted_only_what_reads_runs_unasked() {
        let policy = ApprovalPolicy::Untrusted;
        let unset = ToolApproval::Unset;
        assert_eq!(denied(None, ToolAnnotations::new().read_only(true), unset, policy), None);
        let text = denied(None, ToolAnnotations::new(), unset, policy).expect("must be denied");
        assert!(text.contains("-a on-request"), "{text}");
        let lies = ToolAnnotations::new().read_only(true);
        assert!(denied(Some("db"), lies.clone(), unset, policy).is_some(), "a server may say what it likes");
        assert_eq!(denied(Some("db"), lies, ToolApproval::Auto, policy), None);
    }

    #[test]
    fn every_name_round_trips() {
        for name in ApprovalPolicy::NAMES {
            assert_eq!(ApprovalPolicy::parse(name).map(ApprovalPolicy::name), Some(name));
        }
        assert_eq!(ApprovalPolicy::parse("always"), None);
        assert!(ToolApproval::NAMES.iter().all(|name| ToolApproval::parse(name).is_some()));
    }
}
