//! What a thread's commands may do, as data: the same for the model, the record and whoever watches.

use std::fmt::Write;
use std::path::PathBuf;

use sandbox::{Device, Level, Network, Policy, Read, Require};
use serde::{Deserialize, Serialize};

/// What commands may do, and how far the system holds them to it.
///
/// Published on the wire (in `turn_started`), so fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SandboxLimits {
    /// `read-only`, `workspace-write` or `danger-full-access`.
    #[serde(rename = "type")]
    pub mode: String,
    /// `full`, `reduced` or `none`; `None` where there is nothing to enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The least level that commands are run at: `full`, `reduced` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<String>,
    /// `off`, `localhost` or `on`.
    #[serde(default)]
    pub network: String,
    /// Folders that may be written.
    #[serde(default)]
    pub writable_roots: Vec<String>,
    /// What stays read-only in them, besides what always does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
    /// What alone may be read besides the system's own files and `writable_roots`; `None`: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable: Option<Vec<String>>,
    /// What may not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny_read: Vec<String>,
    /// Devices that may be used: `nvidia`, `dri`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

impl SandboxLimits {
    /// What a policy allows on this system. Asks the system once in the life of the process.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        match policy {
            Policy::Sandboxed(_) => Self::at(policy, sandbox::probe().level()),
            Policy::FullAccess => Self::at(policy, Level::None),
        }
    }

    fn at(policy: &Policy, level: Level) -> Self {
        let mode = policy.mode().to_owned();
        let network = match policy.network() {
            Network::Off => "off",
            Network::Localhost => "localhost",
            _ => "on",
        };
        let Some(rules) = policy.rules() else {
            return Self { mode, network: network.to_owned(), ..Self::default() };
        };
        let require = match rules.require {
            Require::Full => "full",
            Require::Reduced => "reduced",
            Require::Nothing => "none",
        };
        let device = |device: &Device| match device {
            Device::Nvidia => "nvidia".to_owned(),
            Device::Dri => "dri".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        Self {
            mode,
            level: Some(level.to_string()),
            require: Some(require.to_owned()),
            network: network.to_owned(),
            writable_roots: shown(&rules.writable_roots),
            protected: shown(&rules.protected),
            readable: match &rules.read {
                Read::Everything => None,
                Read::Only(readable) => Some(shown(readable)),
            },
            deny_read: shown(&rules.deny_read),
            devices: rules.devices.iter().map(device).collect(),
        }
    }

    /// Whether commands are refused, because this system enforces less than is required.
    #[must_use]
    pub fn refuses_commands(&self) -> bool {
        let (level, require) = (self.level.as_deref(), self.require.as_deref());
        matches!((level, require), (Some("none"), Some("full" | "reduced")) | (Some("reduced"), Some("full")))
    }

    /// In sentences for a model.
    pub(crate) fn instructions(&self) -> String {
        let mut text = format!("Sandbox mode: {}. ", self.mode);
        let Some(level) = &self.level else {
            text.push_str("Commands run without a sandbox.");
            return text;
        };
        let reads = match &self.readable {
            None => "may read everything".to_owned(),
            Some(readable) if readable.is_empty() => "may read the system's own files alone".to_owned(),
            Some(readable) => {
                format!("may read the system's own files and what lies below {}", list(readable))
            }
        };
        let writes = match self.writable_roots.as_slice() {
            [] => "write nothing".to_owned(),
            roots => format!("write only below {}", list(roots)),
        };
        let _ = write!(text, "Commands {reads} and {writes}. ");
        if !self.protected.is_empty() {
            let _ = write!(text, "Not to be written all the same: {}. ", list(&self.protected));
        }
        if !self.deny_read.is_empty() {
            let _ = write!(text, "Not to be read: {}. ", list(&self.deny_read));
        }
        text.push_str(match self.network.as_str() {
            "on" => "The network is reachable.",
            "localhost" => "The network is off; a command can serve and reach itself on localhost.",
            _ => "The network is off.",
        });
        text.push_str(match level.as_str() {
            "full" => "",
            _ if self.refuses_commands() => {
                " This system cannot enforce it as far as is required, so commands are refused."
            }
            "none" => " Nothing on this system holds commands to this: keep to it by yourself.",
            _ => " This system enforces it at a reduced level: keep to it also where nothing stops you.",
        });
        text
    }
}

fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn list(paths: &[String]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::SandboxLimits;
    use sandbox::{Device, Level, Network, Policy, Read, Require, Rules};

    fn told(policy: &Policy, level: Level) -> String {
        SandboxLimits::at(policy, level).instructions()
    }

    #[test]
    fn a_model_is_told_what_holds_and_what_does_not() {
        let policy = Policy::workspace_write(["/ws", "/tmp"], Network::On);
        assert_eq!(
            told(&policy, Level::Full),
            "Sandbox mode: workspace-write. Commands may read everything and write only below `/ws`, `/tmp`. The \
             network is reachable."
        );
        let reduced = told(&Policy::read_only(), Level::Reduced);
        assert!(
            reduced.contains("write nothing. The network is off. This system enforces it at a reduced"),
            "{reduced}"
        );
        assert!(told(&Policy::read_only(), Level::None).ends_with("commands are refused."));
        let strict = Policy::Sandboxed(Rules { require: Require::Full, ..Rules::default() });
        assert!(told(&strict, Level::Reduced).ends_with("commands are refused."));
        let bare = Rules { require: Require::Nothing, network: Network::Localhost, ..Rules::default() };
        let bare = told(&Policy::Sandboxed(bare), Level::None);
        assert!(bare.contains("itself on localhost. Nothing on this system"), "{bare}");
        let free = told(&Policy::FullAccess, Level::None);
        assert_eq!(free, "Sandbox mode: danger-full-access. Commands run without a sandbox.");
    }

    #[test]
    fn what_may_not_be_read_or_written_is_listed() {
        let rules = Rules {
            writable_roots: vec!["/ws".into()],
            protected: vec!["/ws/mine".into()],
            read: Read::Only(vec!["/ws".into()]),
            deny_read: vec!["/ws/keys".into()],
            ..Rules::default()
        };
        assert_eq!(
            told(&Policy::Sandboxed(rules), Level::Full),
            "Sandbox mode: workspace-write. Commands may read the system's own files and what lies below `/ws` and \
             write only below `/ws`. Not to be written all the same: `/ws/mine`. Not to be read: `/ws/keys`. The \
             network is off."
        );
    }

    #[test]
    fn what_is_published_keeps_its_names() {
        let rules = Rules { devices: vec![Device::Dri], deny_read: vec!["/k".into()], ..Rules::default() };
        let limits = SandboxLimits::at(&Policy::Sandboxed(rules), Level::Reduced);
        let published = serde_json::json!(limits);
        let expected = serde_json::json!({
            "type": "read-only", "level": "reduced", "require": "reduced", "network": "off", "writable_roots": [],
            "deny_read": ["/k"], "devices": ["dri"],
        });
        assert_eq!(published, expected);
        assert_eq!(serde_json::from_value::<SandboxLimits>(published).unwrap(), limits);
    }
}
