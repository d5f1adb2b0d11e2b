//! Requests and expectations as data: what `cases/*.toml` says, and whether an answer is as it says.
//!
//! A file holds `[[case]]`s, a case `[[case.step]]`s that are sent in turn. An expectation is part of an answer:
//! of a table the named keys, of a list some element for each that is named, of a text that begins with `~` the
//! rest of it anywhere. `{workspace}` and what earlier steps saved stand in for their values.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::fixture::House;

/// All cases of one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Whether the everything server is configured as `every`.
    #[serde(default)]
    pub every: bool,
    /// In the order of the file.
    pub case: Vec<Case>,
}

/// Something that a client can do, from a fresh house.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Files of the workspace before, by path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What the model says, one reply for each request to it.
    #[serde(default)]
    pub model: Vec<Reply>,
    /// What is sent, in turn.
    pub step: Vec<Step>,
    /// Files of the workspace afterwards, by path.
    #[serde(default)]
    pub after: BTreeMap<String, String>,
}

/// One reply of the scripted model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It says this and is done.
    Text(String),
    /// It calls these tools.
    Calls(Vec<Call>),
}

/// A tool and its arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Value,
}

/// One request and what its answer must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The tool to call, or else `method`.
    pub call: Option<String>,
    /// The tool's arguments.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// A method without parameters, such as `tools/list`.
    pub method: Option<String>,
    /// Part of the result.
    #[serde(default)]
    pub expect: Value,
    /// Whether the result says `isError`.
    #[serde(default)]
    pub fails: bool,
    /// Names for later steps, each with the JSON pointer of its value in the result.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

/// A request as a client sends it.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// `tools/call`.
    Call(&'a str, &'a Value),
    /// Any other method, without parameters.
    Method(&'a str),
}

impl Cases {
    /// Reads `cases/NAME.toml`.
    ///
    /// # Panics
    /// When the file is not as this module says.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = format!("{}/cases/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Case {
    /// A house as the case wants it.
    #[must_use]
    pub fn furnish(&self, codex: &str, every: bool) -> House {
        let mut house = House::new(codex);
        self.files.iter().for_each(|(path, text)| house.file(path, text));
        if every {
            house.with_every();
        }
        house
    }

    /// Sends all steps by `send`, in a house that this case furnished, and looks at the files afterwards.
    ///
    /// # Errors
    /// The first step or file that is not as expected, and how.
    pub fn play(
        &self,
        house: &House,
        send: impl FnMut(Request<'_>) -> Result<Value, String>,
    ) -> Result<(), String> {
        let workspace = house.workspace().to_string_lossy().into_owned();
        self.run(BTreeMap::from([("workspace".to_owned(), workspace)]), send)?;
        for (path, expected) in &self.after {
            let found = fs::read_to_string(house.workspace().join(path)).map_err(|error| error.to_string());
            if found.as_ref() != Ok(expected) {
                return Err(format!("{}: {path} is {found:?}, not {expected:?}", self.name));
            }
        }
        Ok(())
    }

    /// Sends all steps by `send` and holds each answer against its expectation. `send` gives the result, or the
    /// text of an error.
    ///
    /// # Errors
    /// The first step that is not answered as expected, and how.
    fn run(
        &self,
        mut values: BTreeMap<String, String>,
        mut send: impl FnMut(Request<'_>) -> Result<Value, String>,
    ) -> Result<(), String> {
        for (number, step) in self.step.iter().enumerate() {
            let arguments = filled(&step.arguments, &values);
            let request = match (&step.call, &step.method) {
                (Some(tool), None) => Request::Call(tool, &arguments),
                (None, Some(method)) => Request::Method(method),
                _ => return Err(format!("step {number} must name either `call` or `method`")),
            };
            let wrong = |what: String| format!("{}, step {number}: {what}", self.name);
            let result = send(request).map_err(wrong)?;
            let failed = result["isError"] == true;
            if failed != step.fails {
                return Err(wrong(format!("isError is {failed} in {result}")));
            }
            if let Some(difference) = difference(&filled(&step.expect, &values), &result) {
                return Err(wrong(format!("{difference} in {result}")));
            }
            for (name, pointer) in &step.save {
                let value = result.pointer(pointer).and_then(Value::as_str);
                let value = value.ok_or_else(|| wrong(format!("no text at {pointer} in {result}")))?;
                values.insert(name.clone(), value.to_owned());
            }
        }
        Ok(())
    }
}

/// `value` with every `{name}` in its texts replaced.
fn filled(value: &Value, values: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => values
            .iter()
            .fold(text.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
            .into(),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| (key.clone(), filled(field, values))).collect()
        }
        other => other.clone(),
    }
}

/// Where `actual` is not what `expected` asks for.
#[must_use]
pub fn difference(expected: &Value, actual: &Value) -> Option<String> {
    let found = |place: &str| Some(format!("{place} is {actual}, not {expected}"));
    match (expected, actual) {
        (Value::Null, _) => None,
        (Value::Object(fields), Value::Object(_)) => fields.iter().find_map(|(key, field)| {
            let inner = difference(field, &actual[key.as_str()])?;
            Some(format!("{key}: {inner}"))
        }),
        (Value::Array(items), Value::Array(all)) => items
            .iter()
            .find(|item| all.iter().all(|one| difference(item, one).is_some()))
            .map(|item| format!("no element is {item}")),
        (Value::String(pattern), Value::String(text)) => match pattern.strip_prefix('~') {
            Some(part) if text.contains(part) => None,
            None if text == pattern => None,
            _ => found("text"),
        },
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if expected == actual => None,
        _ => found("value"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Request, difference, filled};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn an_expectation_is_part_of_an_answer() {
        let actual =
            json!({"code": 0, "list": [{"name": "a", "more": 1}, {"name": "b"}], "text": "six times seven"});
        for expected in [
            Value::Null,
            json!({}),
            json!({"code": 0.0}),
            json!({"list": [{"name": "b"}, {"name": "a"}]}),
            json!({"text": "~times"}),
            json!({"text": "six times seven"}),
        ] {
            assert_eq!(difference(&expected, &actual), None, "{expected}");
        }
        for expected in [
            json!({"code": 1}),
            json!({"code": "0"}),
            json!({"list": [{"name": "c"}]}),
            json!({"list": [{"name": "b", "more": 1}]}),
            json!({"text": "~eight"}),
            json!({"text": "six"}),
            json!({"missing": false}),
        ] {
            assert!(difference(&expected, &actual).is_some(), "{expected}");
        }
    }

    #[test]
    fn names_stand_in_for_their_values() {
        let values = BTreeMap::from([("workspace".to_owned(), "/w".to_owned())]);
        let given = json!({"path": "{workspace}/a", "n": 1, "list": ["{workspace}", "{other}"]});
        assert_eq!(filled(&given, &values), json!({"path": "/w/a", "n": 1, "list": ["/w", "{other}"]}));
    }

    fn run(case: &str, answers: &[Value]) -> Result<Vec<String>, String> {
        let case: Case = toml::from_str(case).unwrap();
        let mut answers = answers.iter();
        let mut sent = Vec::new();
        let send = |request: Request<'_>| {
            sent.push(format!("{request:?}"));
            answers.next().cloned().ok_or_else(|| "no answer".to_owned())
        };
        case.run(BTreeMap::new(), send).map(|()| sent)
    }

    #[test]
    fn a_later_step_uses_what_an_earlier_one_saved() {
        let case = r#"
            name = "two steps"
            [[step]]
            call = "start"
            save = { thread = "/id" }
            [[step]]
            call = "go"
            arguments = { id = "{thread}" }
            expect = { text = "~{thread}" }
        "#;
        let sent = run(case, &[json!({"id": "7"}), json!({"text": "on 7"})]).unwrap();
        assert!(sent[1].contains(r#""id": String("7")"#), "{sent:?}");
        let wrong = run(case, &[json!({"id": "7"}), json!({"text": "on 8"})]).unwrap_err();
        assert!(wrong.starts_with("two steps, step 1: text:"), "{wrong}");
        assert!(run(case, &[json!({"id": "7"})]).unwrap_err().contains("no answer"));
    }

    #[test]
    fn a_failing_tool_is_seen_either_way() {
        let good = "name = \"t\"\n[[step]]\ncall = \"t\"";
        let failed = json!({"isError": true});
        assert!(run(good, std::slice::from_ref(&failed)).unwrap_err().contains("isError is true"));
        assert!(run(&format!("{good}\nfails = true"), &[failed]).is_ok());
        assert!(
            run(&format!("{good}\nfails = true"), &[json!({})]).unwrap_err().contains("isError is false")
        );
    }
}
