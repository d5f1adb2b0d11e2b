//! What is a secret on this machine: which variables hold one, and the values that may appear nowhere.

use std::collections::BTreeSet;

use crate::config::{ConfigError, Layers, Values};

/// A shorter value is no secret, and taking it out of texts would tear up ordinary words.
const SHORTEST: usize = 6;

/// The secrets that the environment and the configuration tell of.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// Variables that the configuration takes keys from, whatever their names.
    names: BTreeSet<String>,
    values: Vec<String>,
}

impl Secrets {
    /// Collects them.
    pub(crate) fn of(layers: &Layers) -> Result<Self, ConfigError> {
        let values = Values(layers);
        let mut names = BTreeSet::new();
        let mut found = Vec::new();
        for provider in values.tables("model_providers")? {
            let key = |part| ["model_providers", provider.as_str(), part];
            names.extend(values.text(&key("env_key"))?);
            names.extend(values.text_map(&key("env_http_headers"))?.into_values());
            found.extend(values.text_map(&key("http_headers"))?.into_values());
        }
        for server in values.tables("mcp_servers")? {
            found.extend(values.text_map(&["mcp_servers", &server, "env"])?.into_values());
        }
        let set = values.text_map(&["shell_environment_policy", "set"])?;
        found.extend(set.into_iter().filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value));
        let mut secrets = Self { names, values: Vec::new() };
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            if secrets.hides(&name) { Some(value) } else { password(&name, &value) }
        });
        secrets.values = environment.chain(found).filter(|value| value.len() >= SHORTEST).collect();
        Ok(secrets)
    }

    /// Whether a variable is kept from commands unless the person says otherwise.
    pub(crate) fn hides(&self, name: &str) -> bool {
        self.names.contains(name) || names_a_secret(name)
    }

    /// What must not be written anywhere.
    pub(crate) fn values(&self) -> &[String] {
        &self.values
    }
}

/// Whether a variable's name says that its value is a secret.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let parts = ["KEY", "SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "DATABASE_URL"];
    parts.iter().any(|part| name.contains(part)) || name.ends_with("_PAT")
}

/// The password in a proxy's URL. The variable itself stays: programs need it to reach the network.
fn password(name: &str, value: &str) -> Option<String> {
    let proxy = name.to_ascii_uppercase().ends_with("_PROXY");
    let (user, _) = value.split_once("://").filter(|_| proxy)?.1.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Secrets, names_a_secret, password};
    use crate::config::Layers;
    use std::path::Path;

    #[test]
    fn variables_that_hold_secrets_are_known_by_their_names() {
        for name in [
            "OPENAI_API_KEY",
            "github_token",
            "DB_PASSWORD",
            "AWS_SECRET_ACCESS_KEY",
            "GH_PAT",
            "DATABASE_URL",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["PATH", "HOME", "LANG", "PATTERN"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn variables_that_the_configuration_takes_keys_from_are_secrets_whatever_their_names() {
        let mut layers = Layers::default();
        let text = "[model_providers.x]\nbase_url = \"http://x\"\nenv_key = \"MY_AUTH\"\nenv_http_headers = { A = \"OTHER\" }\n\
                    http_headers = { B = \"header-value\" }\n[mcp_servers.s]\ncommand = \"x\"\nenv = { E = \"server-value\" }\n";
        layers.add_text(Path::new("config.toml"), text).unwrap();
        let secrets = Secrets::of(&layers).unwrap();
        assert!(secrets.hides("MY_AUTH") && secrets.hides("OTHER") && !secrets.hides("HOME"));
        for value in ["header-value", "server-value"] {
            assert!(secrets.values().iter().any(|have| have == value), "{value}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_a_secret() {
        assert_eq!(password("https_proxy", "http://me:hush@p:1").as_deref(), Some("hush"));
        assert_eq!(password("https_proxy", "http://p:1"), None);
        assert_eq!(password("OTHER", "http://me:hush@p:1"), None);
    }
}
