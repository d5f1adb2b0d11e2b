//! What was typed: values from the file, the profile, the command line and a call, each with its origin. A later
//! layer wins key by key; an inline table on the command line replaces the whole table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use toml_edit::{Document, Item, Value};

use super::{ConfigError, Origin};

/// A dotted key, split.
pub(crate) type Key = Vec<String>;

/// Values by key. Tables are taken apart; arrays are values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<Key, (Value, Origin)>,
    /// Tables that were written down, so that an empty one is seen too.
    tables: BTreeMap<Key, Origin>,
}

impl Layers {
    /// Adds a file. A missing one is an empty one.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ConfigError::general(format!("{}: {error}", path.display()))),
        };
        self.add_text(path, &text)
    }

    /// Adds the text of a file.
    pub(crate) fn add_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let path = Arc::new(path.to_owned());
        let at = |offset: usize| Origin::File { path: Arc::clone(&path), line: line_of(text, offset) };
        let document = Document::parse(text).map_err(|error| ConfigError {
            origin: Some(at(error.span().map_or(0, |span| span.start))),
            key: None,
            problem: format!("not valid TOML: {}", error.message().trim().replace('\n', "; ")),
        })?;
        for (name, item) in document.iter() {
            self.add_item(vec![name.to_owned()], item, &at);
        }
        Ok(())
    }

    fn add_item(&mut self, key: Key, item: &Item, at: &impl Fn(usize) -> Origin) {
        let origin = at(item.span().map_or(0, |span| span.start));
        match item {
            Item::Table(table) => {
                self.tables.insert(key.clone(), origin);
                for (name, item) in table.iter() {
                    self.add_item(child(&key, name), item, at);
                }
            }
            Item::Value(value) => self.add_value(key, value, &|span| span.map_or_else(|| origin.clone(), at)),
            Item::ArrayOfTables(_) | Item::None => {
                let value = item.clone().into_value().unwrap_or_else(|_| Value::from(false));
                self.values.insert(key, (value, origin));
            }
        }
    }

    fn add_value(&mut self, key: Key, value: &Value, at: &impl Fn(Option<usize>) -> Origin) {
        let origin = at(value.span().map(|span| span.start));
        match value {
            Value::InlineTable(table) => {
                self.tables.insert(key.clone(), origin);
                for (name, value) in table.iter() {
                    self.add_value(child(&key, name), value, at);
                }
            }
            _ => drop(self.values.insert(key, (value.clone(), origin))),
        }
    }

    /// Adds one `-c key=value`. The value is TOML, or else a plain string.
    pub(crate) fn add_flag(&mut self, typed: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = typed.split_once('=') else {
            let problem = format!("-c takes KEY=VALUE, for example -c model=o3; {typed:?} has no `=`");
            return Err(ConfigError::general(problem));
        };
        let key = split_key(key.trim())
            .map_err(|problem| ConfigError::general(format!("-c {typed}: {problem}")))?;
        let value = value.trim();
        let parsed = format!("x = {value}").parse::<toml_edit::DocumentMut>().ok();
        let parsed =
            parsed.and_then(|mut document| document.remove("x")).and_then(|item| item.into_value().ok());
        let value = parsed.unwrap_or_else(|| Value::from(value.trim_matches(|c| c == '"' || c == '\'')));
        let origin = Origin::Flag(format!("-c {}", key.join(".")));
        self.set(&key, &value, &origin);
        Ok(())
    }

    /// Sets a key, and all below it when the value is a table.
    pub(crate) fn set(&mut self, key: &[String], value: &Value, origin: &Origin) {
        self.clear(key);
        self.add_value(key.to_vec(), value, &|_| origin.clone());
    }

    /// Adds the `config` object of a call: keys may be dotted or nested.
    pub(crate) fn add_call(&mut self, config: &serde_json::Map<String, Json>) -> Result<(), ConfigError> {
        for (name, json) in config {
            let key = split_key(name).map_err(|problem| ConfigError::new(&Origin::Call, name, problem))?;
            if let Some(value) = to_toml(json) {
                self.set(&key, &value, &Origin::Call);
            }
        }
        Ok(())
    }

    /// Puts the values of `[profiles.NAME]` over those of the file, but for those below the barred names.
    pub(crate) fn apply_profile(&mut self, name: &str, barred: &[&str]) -> Result<(), ConfigError> {
        let prefix = ["profiles".to_owned(), name.to_owned()];
        let found: Vec<(Key, Value, Origin)> = self
            .below(&prefix)
            .map(|(key, value, origin)| {
                let from = Box::new(origin.clone());
                (key[2..].to_vec(), value.clone(), Origin::Profile { name: name.to_owned(), from })
            })
            .collect();
        if found.is_empty() && !self.tables.contains_key(prefix.as_slice()) {
            let known = self.children("profiles");
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            return Err(ConfigError::general(format!(
                "profile {name:?} is not in config.toml; known profiles: {known}"
            )));
        }
        let barred = |key: &Key| key.first().is_some_and(|first| barred.contains(&first.as_str()));
        for (key, value, origin) in found.into_iter().filter(|(key, ..)| !barred(key)) {
            self.set(&key, &value, &origin);
        }
        Ok(())
    }

    fn clear(&mut self, key: &[String]) {
        self.values.retain(|have, _| !have.starts_with(key));
        self.tables.retain(|have, _| !have.starts_with(key));
        // A value where a table is needed gives way to it.
        for end in 1..key.len() {
            self.values.remove(&key[..end]);
        }
    }

    pub(crate) fn get(&self, key: &[&str]) -> Option<(&Value, &Origin)> {
        let key: Key = key.iter().map(|part| (*part).to_owned()).collect();
        self.values.get(&key).map(|(value, origin)| (value, origin))
    }

    /// Where a table was written down.
    pub(crate) fn table(&self, key: &[&str]) -> Option<&Origin> {
        let key: Key = key.iter().map(|part| (*part).to_owned()).collect();
        self.tables.get(&key)
    }

    /// All values below a key.
    pub(crate) fn below<'a>(
        &'a self,
        key: &'a [String],
    ) -> impl Iterator<Item = (&'a Key, &'a Value, &'a Origin)> {
        self.values
            .range(key.to_vec()..)
            .take_while(move |(have, _)| have.starts_with(key))
            .map(|(have, (value, origin))| (have, value, origin))
    }

    /// The names directly below a table, in order.
    pub(crate) fn children(&self, table: &str) -> Vec<String> {
        let direct = |key: &Key| {
            (key.first().map(String::as_str) == Some(table)).then(|| key.get(1).cloned()).flatten()
        };
        let mut names: Vec<String> =
            self.values.keys().filter_map(direct).chain(self.tables.keys().filter_map(direct)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every key with its origin.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Key, &Origin)> {
        self.values.iter().map(|(key, (_, origin))| (key, origin))
    }
}

fn child(key: &[String], name: &str) -> Key {
    key.iter().cloned().chain([name.to_owned()]).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// Splits a dotted key; parts may be quoted, as in TOML.
pub(crate) fn split_key(key: &str) -> Result<Key, String> {
    let parts =
        toml_edit::Key::parse(key).map_err(|_| format!("{key:?} is not a key; a key looks like `a.b.c`"))?;
    Ok(parts.into_iter().map(|part| part.get().to_owned()).collect())
}

/// JSON as TOML; `null` is left out.
fn to_toml(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::from(number.as_f64()?),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().filter_map(to_toml).collect()),
        Json::Object(fields) => Value::InlineTable(
            fields.iter().filter_map(|(name, json)| Some((name.as_str(), to_toml(json)?))).collect(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::Layers;
    use std::path::Path;

    fn layers(text: &str) -> Layers {
        let mut layers = Layers::default();
        layers.add_text(Path::new("config.toml"), text).unwrap();
        layers
    }

    fn shown(layers: &Layers, key: &[&str]) -> String {
        layers.get(key).map_or_else(
            || "-".to_owned(),
            |(value, origin)| format!("{} @ {origin}", value.to_string().trim()),
        )
    }

    #[test]
    fn every_value_knows_its_line() {
        let layers =
            layers("model = \"o3\"\n\n[mcp_servers.every]\ncommand = \"npx\"\nenv = { A = \"1\" }\n");
        assert_eq!(shown(&layers, &["model"]), "\"o3\" @ config.toml:1");
        assert_eq!(shown(&layers, &["mcp_servers", "every", "command"]), "\"npx\" @ config.toml:4");
        assert_eq!(shown(&layers, &["mcp_servers", "every", "env", "A"]), "\"1\" @ config.toml:5");
        assert_eq!(layers.children("mcp_servers"), ["every"]);
    }

    #[test]
    fn flags_win_key_by_key_and_an_inline_table_replaces_the_table() {
        let mut layers =
            layers("model = \"o3\"\n[mcp_servers.a]\ncommand = \"x\"\n[mcp_servers.b]\ncommand = \"y\"\n");
        for flag in ["model=gpt-5.6-sol", "mcp_servers.a.enabled=false", "x.y='quoted'", "n=3"] {
            layers.add_flag(flag).unwrap();
        }
        assert_eq!(shown(&layers, &["model"]), "\"gpt-5.6-sol\" @ command line (-c model)");
        assert_eq!(shown(&layers, &["mcp_servers", "a", "command"]), "\"x\" @ config.toml:3");
        assert_eq!(shown(&layers, &["x", "y"]), "'quoted' @ command line (-c x.y)");
        assert_eq!(shown(&layers, &["n"]), "3 @ command line (-c n)");
        layers.add_flag("mcp_servers={}").unwrap();
        assert!(layers.children("mcp_servers").is_empty());
    }

    #[test]
    fn a_profile_is_put_over_the_file() {
        let mut layers = layers("model = \"o3\"\n[profiles.fast]\nmodel = \"mini\"\n");
        layers.apply_profile("fast", &[]).unwrap();
        assert_eq!(shown(&layers, &["model"]), "\"mini\" @ config.toml:3 (profile \"fast\")");
        let unknown = layers.apply_profile("slow", &[]).unwrap_err().to_string();
        assert!(unknown.contains("known profiles: fast"), "{unknown}");
    }

    #[test]
    fn broken_toml_names_file_and_line() {
        let error = Layers::default()
            .add_text(Path::new("config.toml"), "model = \"o3\"\nmodel_provider = \n")
            .unwrap_err();
        assert!(error.to_string().starts_with("config.toml:2: not valid TOML"), "{error}");
    }

    #[test]
    fn a_flag_without_a_value_says_how_one_looks() {
        let error = Layers::default().add_flag("model").unwrap_err().to_string();
        assert!(error.contains("KEY=VALUE"), "{error}");
        assert!(Layers::default().add_flag("=x").is_err());
    }
}
