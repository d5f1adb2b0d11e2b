//! The keys that something reads. What is not here is named in a warning: it is mistyped, or from elsewhere.

use super::{ConfigError, Layers};

/// Every key, dotted; `*` stands for one name, `**` for all that follows.
const KEYS: [&str; 46] = [
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
    "sandbox.deny_read",
    "sandbox.devices",
    "sandbox.network",
    "sandbox.require",
    "sandbox_mode",
    "sandbox_permissions",
    "sandbox_workspace_write.exclude_slash_tmp",
    "sandbox_workspace_write.exclude_tmpdir_env_var",
    "sandbox_workspace_write.network_access",
    "sandbox_workspace_write.writable_roots",
    "shell_environment_policy.exclude",
    "shell_environment_policy.ignore_default_excludes",
    "shell_environment_policy.include_only",
    "shell_environment_policy.inherit",
    "shell_environment_policy.set.**",
];

/// Tables that take something away from commands. A mistyped key in one of them would leave more allowed than its
/// author meant, so there it is an error.
const CLOSED: [&str; 3] = ["sandbox", "sandbox_workspace_write", "shell_environment_policy"];
/// A key of such a table that other versions have and that takes nothing away.
const HARMLESS: &str = "shell_environment_policy.experimental_use_profile";

/// A line for each key that nothing reads, with its place.
pub(crate) fn unknown_keys(layers: &Layers) -> Vec<String> {
    let line = |key: &[String], origin| {
        format!("{origin}: `{}` is not a setting of this version; it is ignored", key.join("."))
    };
    layers.keys().filter(|(key, _)| unknown(key)).map(|(key, origin)| line(key, origin)).collect()
}

/// Refuses keys that nothing reads in the tables where that would allow too much.
pub(crate) fn check_closed_tables(layers: &Layers) -> Result<(), ConfigError> {
    let closed =
        |key: &[String]| CLOSED.iter().find(|table| key.first().is_some_and(|first| first == *table));
    for (key, origin) in layers.keys() {
        let Some(table) = closed(key).filter(|_| unknown(key) && !matches(HARMLESS, key)) else { continue };
        if key.len() == 1 {
            return Err(ConfigError::new(origin, *table, "a value stands where a table belongs"));
        }
        let below = |known: &&str| known.strip_prefix(table)?.strip_prefix('.').map(str::to_owned);
        let known: Vec<String> = KEYS.iter().filter_map(below).collect();
        let known = known.join(", ").replace(".**", "");
        let problem = format!("not a setting of [{table}], which has {known}");
        return Err(ConfigError::new(origin, key.join("."), problem));
    }
    Ok(())
}

fn unknown(key: &[String]) -> bool {
    !KEYS.iter().any(|known| matches(known, key))
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
    use super::{Layers, check_closed_tables, unknown_keys};
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

    #[test]
    fn where_it_would_allow_too_much_a_mistyped_key_is_an_error() {
        let checked = |text: &str| {
            let mut layers = Layers::default();
            layers.add_text(Path::new("config.toml"), text).unwrap();
            check_closed_tables(&layers).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        for (text, expected) in [
            (
                "[sandbox]\ndeny_raed = []\n",
                "config.toml:2: `sandbox.deny_raed`: not a setting of [sandbox], which has deny_read, devices, network, require",
            ),
            (
                "[sandbox_workspace_write]\nexclude_tmp = true\n",
                "config.toml:2: `sandbox_workspace_write.exclude_tmp`",
            ),
            ("sandbox = \"read-only\"\n", "config.toml:1: `sandbox`: a value stands where a table belongs"),
            (
                "[shell_environment_policy]\nexcludes = []\n",
                "config.toml:2: `shell_environment_policy.excludes`: not a setting of [shell_environment_policy], which has exclude, ignore_default_excludes, include_only, inherit, set",
            ),
            ("[shell_environment_policy]\nexperimental_use_profile = true\nset = { A = \"1\" }\n", "fine"),
        ] {
            assert!(checked(text).starts_with(expected), "{text}{}", checked(text));
        }
    }
}
