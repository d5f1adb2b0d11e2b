//! The keys that something reads. What is not here is named in a warning: it is mistyped, or from elsewhere.

use super::Layers;

/// Every key, dotted; `*` stands for one name, `**` for all that follows.
const KEYS: [&str; 36] = [
    "approval_policy",
    "developer_instructions",
    "disable_response_storage",
    "max_tool_calls",
    "mcp_servers.*.approval",
    "mcp_servers.*.args",
    "mcp_servers.*.command",
    "mcp_servers.*.cwd",
    "mcp_servers.*.enabled",
    "mcp_servers.*.env.**",
    "mcp_servers.*.env_vars",
    "mcp_servers.*.startup_timeout_sec",
    "mcp_servers.*.tool_timeout_sec",
    "model",
    "model_provider",
    "model_providers.*.base_url",
    "model_providers.*.env_http_headers.**",
    "model_providers.*.env_key",
    "model_providers.*.env_key_instructions",
    "model_providers.*.file",
    "model_providers.*.http_headers.**",
    "model_providers.*.name",
    "model_providers.*.query_params.**",
    "model_providers.*.request_max_retries",
    "model_providers.*.stream_idle_timeout_ms",
    "model_providers.*.stream_max_retries",
    "model_providers.*.wire_api",
    "model_reasoning_effort",
    "profile",
    "profiles.*.**",
    "projects.*.trust_level",
    "sandbox_mode",
    "sandbox_workspace_write.exclude_slash_tmp",
    "sandbox_workspace_write.exclude_tmpdir_env_var",
    "sandbox_workspace_write.network_access",
    "sandbox_workspace_write.writable_roots",
];

/// A line for each key that nothing reads, with its place.
pub(crate) fn unknown_keys(layers: &Layers) -> Vec<String> {
    let unknown = |key: &[String]| !KEYS.iter().any(|known| matches(known, key));
    let line = |key: &[String], origin| {
        format!("{origin}: `{}` is not a setting of this version; it is ignored", key.join("."))
    };
    layers.keys().filter(|(key, _)| unknown(key)).map(|(key, origin)| line(key, origin)).collect()
}

fn matches(known: &str, key: &[String]) -> bool {
    let mut rest = key.iter();
    for part in known.split('.') {
        match (part, rest.next()) {
            ("**", next) => return next.is_some(),
            (_, None) => return false,
            ("*", Some(_)) => {}
            (part, Some(have)) if part == have => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{Layers, unknown_keys};
    use std::path::Path;

    #[test]
    fn a_mistyped_key_is_named_with_its_place() {
        let mut layers = Layers::default();
        let text = "modell = \"x\"\n[mcp_servers.a]\ncommand = \"x\"\ndisabled_tools = []\nenv = { A = \"1\" }\n\
                    [sandbox_workspace_write]\nnetwork = true\n";
        layers.add_text(Path::new("config.toml"), text).unwrap();
        let lines = unknown_keys(&layers).join("\n");
        for part in [
            "config.toml:1: `modell`",
            "config.toml:4: `mcp_servers.a.disabled_tools`",
            "config.toml:7: `sandbox_workspace_write.network`",
        ] {
            assert!(lines.contains(part), "{part}\n{lines}");
        }
        assert_eq!(lines.lines().count(), 3, "{lines}");
    }
}
