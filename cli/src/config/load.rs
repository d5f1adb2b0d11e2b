//! What the typed values mean. A value of the wrong kind names its place, its key and what is right.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mcp_host::ToolApproval;
use toml_edit::Value;

use super::{ConfigError, Layers, Origin};

/// Typed access to the layers.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a>(pub(crate) &'a Layers);

impl<'a> Values<'a> {
    fn read<T>(
        self,
        key: &[&str],
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<(T, &'a Origin)>, ConfigError> {
        let Some((value, origin)) = self.0.get(key) else {
            return match self.0.table(key) {
                Some(origin) => Err(ConfigError::new(
                    origin,
                    key.join("."),
                    format!("a table stands where {wanted} belongs"),
                )),
                None => Ok(None),
            };
        };
        match read(value) {
            Some(read) => Ok(Some((read, origin))),
            None => {
                let problem = format!("{} is not {wanted}", shortened(value));
                Err(ConfigError::new(origin, key.join("."), problem))
            }
        }
    }

    pub(crate) fn text_at(self, key: &[&str]) -> Result<Option<(String, &'a Origin)>, ConfigError> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn text(self, key: &[&str]) -> Result<Option<String>, ConfigError> {
        Ok(self.text_at(key)?.map(|(text, _)| text))
    }

    pub(crate) fn flag_at(self, key: &[&str]) -> Result<Option<(bool, &'a Origin)>, ConfigError> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(crate) fn flag(self, key: &[&str]) -> Result<Option<bool>, ConfigError> {
        Ok(self.flag_at(key)?.map(|(flag, _)| flag))
    }

    pub(crate) fn count(self, key: &[&str]) -> Result<Option<u32>, ConfigError> {
        let count = |value: &Value| value.as_integer().and_then(|number| u32::try_from(number).ok());
        Ok(self.read(key, "a whole number, 0 or more", count)?.map(|(count, _)| count))
    }

    /// A time in seconds, whole or with a fraction, more than none and at most a day.
    pub(crate) fn seconds(self, key: &[&str]) -> Result<Option<Duration>, ConfigError> {
        let seconds = |value: &Value| {
            #[expect(clippy::cast_precision_loss, reason = "a number of seconds within a day is exact")]
            let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
            (number > 0.0 && number <= 86_400.0).then(|| Duration::from_secs_f64(number))
        };
        Ok(self
            .read(key, "a number of seconds, more than 0 and at most 86400", seconds)?
            .map(|(time, _)| time))
    }

    pub(crate) fn texts_at(self, key: &[&str]) -> Result<Option<(Vec<String>, &'a Origin)>, ConfigError> {
        let texts =
            |value: &Value| value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        self.read(key, "an array of strings", texts)
    }

    pub(crate) fn texts(self, key: &[&str]) -> Result<Vec<String>, ConfigError> {
        Ok(self.texts_at(key)?.map(|(texts, _)| texts).unwrap_or_default())
    }

    /// A table of strings.
    pub(crate) fn text_map(self, key: &[&str]) -> Result<BTreeMap<String, String>, ConfigError> {
        let prefix: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let mut map = BTreeMap::new();
        for (have, value, origin) in self.0.below(&prefix) {
            let name = have[prefix.len()..].join(".");
            match value.as_str() {
                Some(text) if !name.is_empty() => drop(map.insert(name, text.to_owned())),
                // The value itself stays out of the message: it may be a secret.
                _ => {
                    return Err(ConfigError::new(
                        origin,
                        have.join("."),
                        "not a string; this is a table of strings",
                    ));
                }
            }
        }
        Ok(map)
    }

    /// The names in a table of tables; anything else under its name is an error.
    pub(crate) fn tables(self, table: &str) -> Result<Vec<String>, ConfigError> {
        if let Some((value, origin)) = self.0.get(&[table]) {
            let problem = format!("{} stands where the tables [{table}.NAME] belong", shortened(value));
            return Err(ConfigError::new(origin, table, problem));
        }
        let names = self.0.children(table);
        for name in &names {
            if let Some((value, origin)) = self.0.get(&[table, name]) {
                let problem = format!("{} stands where a table belongs", shortened(value));
                return Err(ConfigError::new(origin, format!("{table}.{name}"), problem));
            }
        }
        Ok(names)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        self,
        key: &[&str],
        allowed: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<(T, &'a Origin)>, ConfigError> {
        let Some((text, origin)) = self.text_at(key)? else { return Ok(None) };
        match parse(&text) {
            Some(choice) => Ok(Some((choice, origin))),
            None => {
                let problem = format!("unknown value {text:?}; allowed: {}", allowed.join(", "));
                Err(ConfigError::new(origin, key.join("."), problem))
            }
        }
    }
}

fn shortened(value: &Value) -> String {
    let kind = match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::InlineTable(_) => "a table",
    };
    kind.to_owned()
}

/// A model provider as configured; its key is looked up elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) wire_api: String,
    pub(crate) env_key: Option<String>,
    pub(crate) env_key_instructions: Option<String>,
    pub(crate) query_params: BTreeMap<String, String>,
    pub(crate) http_headers: BTreeMap<String, String>,
    pub(crate) env_http_headers: BTreeMap<String, String>,
    pub(crate) request_max_retries: u32,
    pub(crate) stream_max_retries: u32,
    pub(crate) stream_idle_timeout: Duration,
    /// For the provider `replay`: the cassette that it plays.
    pub(crate) file: Option<PathBuf>,
}

/// The providers that need no table: id, name, base URL, environment variable of the key.
const BUILT_IN: [(&str, &str, &str, Option<&str>); 3] = [
    ("openai", "OpenAI", "https://api.openai.com/v1", Some("OPENAI_API_KEY")),
    ("ollama", "Ollama", "http://localhost:11434/v1", None),
    ("lmstudio", "LM Studio", "http://localhost:1234/v1", None),
];

impl Provider {
    /// The provider of that id, from its table or built in.
    pub(crate) fn load(values: Values<'_>, id: &str, chosen: Option<&Origin>) -> Result<Self, ConfigError> {
        let built_in = BUILT_IN.iter().find(|(known, ..)| *known == id);
        if built_in.is_none()
            && !values.0.children("model_providers").iter().any(|name| name == id)
            && id != "replay"
        {
            let mut known: Vec<String> = BUILT_IN.iter().map(|(id, ..)| (*id).to_owned()).collect();
            known.extend(values.0.children("model_providers"));
            let problem =
                format!("unknown provider {id:?}; known: {}; add [model_providers.{id}]", known.join(", "));
            let key = Some("model_provider".to_owned());
            return Err(ConfigError { origin: chosen.cloned(), key, problem });
        }
        let text = |key: &str| values.text(&["model_providers", id, key]);
        let map = |key: &str| values.text_map(&["model_providers", id, key]);
        let count = |key: &str, default| Ok(values.count(&["model_providers", id, key])?.unwrap_or(default));
        let idle = count("stream_idle_timeout_ms", 300_000)?;
        let base_url = match (text("base_url")?, built_in) {
            (Some(url), _) => url,
            (None, Some((_, _, url, _))) => (*url).to_owned(),
            (None, None) if id == "replay" => String::new(),
            (None, None) => {
                let origin = values.0.table(&["model_providers", id]);
                let problem = "has no base_url, for example \"http://localhost:8000/v1\"";
                return Err(ConfigError {
                    origin: origin.cloned(),
                    key: Some(format!("model_providers.{id}")),
                    problem: problem.to_owned(),
                });
            }
        };
        let wire =
            values.choice(
                &["model_providers", id, "wire_api"],
                &["responses", "chat"],
                |text| match text {
                    "responses" => Some("responses"),
                    "chat" => Some("chat"),
                    _ => None,
                },
            )?;
        Ok(Self {
            id: id.to_owned(),
            name: text("name")?.or_else(|| built_in.map(|b| b.1.to_owned())).unwrap_or_else(|| id.to_owned()),
            base_url,
            wire_api: wire.map_or("responses", |(wire, _)| wire).to_owned(),
            env_key: text("env_key")?.or_else(|| built_in.and_then(|b| b.3).map(str::to_owned)),
            env_key_instructions: text("env_key_instructions")?,
            query_params: map("query_params")?,
            http_headers: map("http_headers")?,
            env_http_headers: map("env_http_headers")?,
            request_max_retries: count("request_max_retries", 4)?,
            stream_max_retries: count("stream_max_retries", 5)?,
            stream_idle_timeout: Duration::from_millis(idle.into()),
            file: text("file")?.map(PathBuf::from),
        })
    }
}

/// One `[mcp_servers.NAME]` table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerTable {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Names of variables that it gets from our environment.
    pub(crate) env_vars: Vec<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) enabled: bool,
    pub(crate) startup_timeout: Duration,
    pub(crate) tool_timeout: Duration,
    pub(crate) approval: ToolApproval,
}

/// All external servers of the configuration.
pub(crate) fn servers(values: Values<'_>) -> Result<Vec<ServerTable>, ConfigError> {
    values.tables("mcp_servers")?.iter().map(|name| server(values, name)).collect()
}

fn server(values: Values<'_>, name: &str) -> Result<ServerTable, ConfigError> {
    let key = |part| ["mcp_servers", name, part];
    let Some(command) = values.text(&key("command"))? else {
        let origin = values.0.table(&["mcp_servers", name]).cloned();
        let problem = match values.text(&key("url"))? {
            Some(_) => "servers over HTTP (`url`) are not supported yet; give it a `command`",
            None => "has no `command`, for example command = \"npx\" with args = [\"-y\", \"some-server\"]",
        };
        return Err(ConfigError {
            origin,
            key: Some(format!("mcp_servers.{name}")),
            problem: problem.to_owned(),
        });
    };
    let approval = values.choice(&key("approval"), &ToolApproval::NAMES, ToolApproval::parse)?;
    let seconds = |part, default| Ok(values.seconds(&key(part))?.unwrap_or(Duration::from_secs(default)));
    Ok(ServerTable {
        name: name.to_owned(),
        command,
        args: values.texts(&key("args"))?,
        env: values.text_map(&key("env"))?,
        env_vars: values.texts(&key("env_vars"))?,
        cwd: values.text(&key("cwd"))?.map(PathBuf::from),
        enabled: values.flag(&key("enabled"))?.unwrap_or(true),
        startup_timeout: seconds("startup_timeout_sec", 30)?,
        tool_timeout: seconds("tool_timeout_sec", 120)?,
        approval: approval.map(|(approval, _)| approval).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Provider, Values, servers};
    use crate::config::Layers;
    use std::path::Path;

    fn layers(text: &str) -> Layers {
        let mut layers = Layers::default();
        layers.add_text(Path::new("config.toml"), text).unwrap();
        layers
    }

    /// What loading a text says: the servers' commands, or the error.
    fn loaded(text: &str) -> String {
        match servers(Values(&layers(text))) {
            Ok(servers) => {
                servers.iter().map(|s| format!("{} {:?}", s.command, s.args)).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_server_table_names_line_key_and_what_is_right() {
        let table = [
            ("[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"-y\"]\n", "npx [\"-y\"]"),
            ("[mcp_servers.a]\n", "config.toml:1: `mcp_servers.a`: has no `command`"),
            ("\n[mcp_servers.a]\nurl = \"https://x\"\n", "config.toml:2: `mcp_servers.a`: servers over HTTP"),
            (
                "[mcp_servers.a]\ncommand = 3\n",
                "config.toml:2: `mcp_servers.a.command`: a number is not a string",
            ),
            (
                "[mcp_servers.a]\ncommand = \"x\"\nargs = \"-y\"\n",
                "config.toml:3: `mcp_servers.a.args`: a string is not an array of strings",
            ),
            (
                "[mcp_servers.a]\ncommand = \"x\"\nenv = { K = 1 }\n",
                "config.toml:3: `mcp_servers.a.env.K`: not a string",
            ),
            (
                "[mcp_servers.a]\ncommand = \"x\"\nstartup_timeout_sec = 0\n",
                "config.toml:3: `mcp_servers.a.startup_timeout_sec`: a number is not a number of seconds, more than 0",
            ),
            (
                "[mcp_servers.a]\ncommand = \"x\"\napproval = \"yes\"\n",
                "config.toml:3: `mcp_servers.a.approval`: unknown value \"yes\"; allowed: auto, prompt, deny",
            ),
        ];
        for (text, expected) in table {
            let said = loaded(text);
            assert!(said.starts_with(expected), "{text}\n{said}\nexpected {expected}");
        }
    }

    #[test]
    fn an_unknown_provider_is_answered_with_the_known_ones() {
        let layers = layers("[model_providers.mine]\nbase_url = \"http://x\"\n");
        let error = Provider::load(Values(&layers), "yours", None).unwrap_err().to_string();
        assert!(error.contains("openai, ollama, lmstudio, mine"), "{error}");
        assert_eq!(Provider::load(Values(&layers), "mine", None).unwrap().base_url, "http://x");
        assert_eq!(
            Provider::load(Values(&layers), "openai", None).unwrap().env_key.as_deref(),
            Some("OPENAI_API_KEY")
        );
    }
}
