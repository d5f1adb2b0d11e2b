//! Reads a call's arguments and says, in words that a model can act on, what is wrong with them.
//!
//! The published schema is the judge: what is told and what is accepted cannot drift apart. Texts name an argument,
//! what it must be and what kind of value came, but quote no text, because a text may be a secret.

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ToolError;

/// Reads `arguments` as a `T`, which `schema` describes. `aliases` are other names (first) for arguments (second). A
/// `null` counts as left out.
pub(crate) fn parse<T: DeserializeOwned>(
    arguments: Option<JsonObject>,
    schema: &JsonObject,
    aliases: &[(&str, &str)],
) -> Result<T, ToolError> {
    let mut arguments = arguments.unwrap_or_default();
    arguments.retain(|_, value| !value.is_null());
    for (alias, name) in aliases {
        if !arguments.contains_key(*name)
            && let Some(value) = arguments.remove(*alias)
        {
            arguments.insert((*name).to_owned(), value);
        }
    }
    let wrong = |what: String| ToolError::Arguments(format!("{what}; arguments: {}", signature(schema)));
    check_object(schema, &mut arguments, "").map_err(wrong)?;
    serde_json::from_value(Value::Object(arguments)).map_err(|error| wrong(error.to_string()))
}

/// The arguments in one line: `command, workdir (optional), …`.
fn signature(schema: &JsonObject) -> String {
    let Some(Value::Object(properties)) = schema.get("properties") else { return "none".to_owned() };
    let required = required(schema);
    let names = properties.keys().map(|name| match required.contains(&name.as_str()) {
        true => name.clone(),
        false => format!("{name} (optional)"),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn required(schema: &JsonObject) -> Vec<&str> {
    match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check_object(schema: &JsonObject, object: &mut Map<String, Value>, at: &str) -> Result<(), String> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (name, value) in &mut *object {
        let place = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        match (properties.get(name), schema.get("additionalProperties")) {
            (Some(schema), _) => check(schema, value, &place)?,
            (None, Some(Value::Bool(false))) => {
                let known = properties.keys().map(String::as_str);
                return Err(match nearest(name, known) {
                    Some(near) => format!("unknown argument \"{place}\", did you mean \"{near}\"?"),
                    None => format!("unknown argument \"{place}\""),
                });
            }
            (None, Some(schema)) => check(schema, value, &place)?,
            (None, None) => {}
        }
    }
    match required(schema).into_iter().find(|name| !object.contains_key(*name)) {
        Some(name) => {
            let place = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            let right = properties.get(name).map(describe).unwrap_or_default();
            Err(format!("\"{place}\" is missing: {right}"))
        }
        None => Ok(()),
    }
}

fn check(schema: &Value, value: &mut Value, at: &str) -> Result<(), String> {
    if let Some(Value::Array(alternatives)) = schema.get("anyOf") {
        let fits = alternatives.iter().any(|alternative| check(alternative, value, at).is_ok());
        return if fits { Ok(()) } else { Err(mismatch(schema, value, at)) };
    }
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        round(value);
    }
    let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let fits = match (schema.get("type").and_then(Value::as_str), &mut *value) {
        (Some("integer"), Value::Number(n)) => {
            let inside =
                |n: f64| number("minimum").is_none_or(|m| n >= m) && number("maximum").is_none_or(|m| n <= m);
            (n.is_i64() || n.is_u64()) && n.as_f64().is_some_and(inside)
        }
        (Some("string"), Value::String(text)) => match schema.get("enum") {
            Some(Value::Array(allowed)) => allowed.iter().any(|one| one == text.as_str()),
            _ => true,
        },
        (Some("boolean"), Value::Bool(_)) | (None, _) => true,
        (Some("array"), Value::Array(items)) => {
            let Some(schema) = schema.get("items") else { return Ok(()) };
            let mut items = items.iter_mut().enumerate();
            return items.try_for_each(|(i, item)| check(schema, item, &format!("{at}[{i}]")));
        }
        (Some("object"), Value::Object(object)) => {
            let Some(schema) = schema.as_object() else { return Ok(()) };
            return check_object(schema, object, at);
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(mismatch(schema, value, at)) }
}

/// Some models write `3.0` where an integer is asked for.
fn round(value: &mut Value) {
    let whole = value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15);
    if let (Some(whole), false) = (whole, value.is_i64() || value.is_u64()) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and far below the limits of i64")]
        let whole = whole as i64;
        *value = whole.into();
    }
}

fn mismatch(schema: &Value, value: &Value, at: &str) -> String {
    let got = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) if schema.get("enum").is_some() => "another string".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    format!("\"{at}\" must be {}, not {got}", describe(schema))
}

/// What a schema allows, as it follows "must be".
fn describe(schema: &Value) -> String {
    if let Some(Value::Array(alternatives)) = schema.get("anyOf") {
        return alternatives.iter().map(describe).collect::<Vec<_>>().join(" or ");
    }
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", allowed.join(", "));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "a string".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) => format!("an integer from {least} to {most}"),
            (Some(least), None) => format!("an integer from {least}"),
            _ => "an integer".to_owned(),
        },
        Some("array") => {
            let items = schema.get("items").map(describe).unwrap_or_default();
            if items == "a string" {
                "a list of strings".to_owned()
            } else {
                format!("a list, each item {items}")
            }
        }
        Some("object") => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => {
                format!("an object whose values are each {}", describe(values))
            }
            _ => {
                let names = schema.get("properties").and_then(Value::as_object);
                let names = names.map(|names| names.keys().cloned().collect::<Vec<_>>().join(", "));
                format!("an object with {}", names.unwrap_or_default())
            }
        },
        _ => "a value".to_owned(),
    }
}

/// The candidate that `word` is most likely a slip of, if any is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let word = folded(word);
    let near = candidates.map(|candidate| {
        let other = folded(candidate);
        // "timeout" for "timeout_ms", "path" for "file_path".
        let part = word.len() >= 3 && other.len() >= 3 && (other.contains(&word) || word.contains(&other));
        (if part { 1 } else { edits(&word, &other) }, candidate)
    });
    let limit = (word.chars().count() / 3).max(1);
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, near)| near)
}

/// How many characters must be put in, taken out or replaced to make `b` of `a`. Long words are cut: they are no slips.
fn edits(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        path: String,
        #[schemars(range(min = 1, max = 5))]
        depth: Option<u32>,
        env: Option<BTreeMap<String, String>>,
        steps: Option<Vec<Step>>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Step {
        status: Status,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Status {
        Pending,
        Completed,
    }

    fn check(arguments: Value, expected: &str) {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let schema = crate::schema::input::<Sample>();
        let parsed = super::parse::<Sample>(Some(arguments), &schema, &[("file", "path")]);
        let told = match parsed {
            Ok(sample) => format!(
                "{} {:?} {}",
                sample.path,
                sample.depth,
                sample.env.is_some() || sample.steps.is_some()
            ),
            Err(error) => error.to_string().split("; arguments: ").next().unwrap().to_owned(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn good_arguments() {
        check(json!({"path": "a", "depth": 5}), "a Some(5) false");
        check(json!({"path": "a", "depth": 2.0}), "a Some(2) false");
        check(json!({"file": "a", "depth": null}), "a None false");
    }

    #[test]
    fn bad_arguments_are_told_with_what_is_right() {
        check(json!({}), "\"path\" is missing: a string");
        check(json!({"path": 7}), "\"path\" must be a string, not 7");
        check(json!({"path": "a", "depth": 6}), "\"depth\" must be an integer from 1 to 5, not 6");
        check(json!({"path": "a", "depth": -1}), "\"depth\" must be an integer from 1 to 5, not -1");
        check(json!({"path": "a", "depth": 1.5}), "\"depth\" must be an integer from 1 to 5, not 1.5");
        check(
            json!({"path": "a", "depth": "secret"}),
            "\"depth\" must be an integer from 1 to 5, not a string",
        );
        check(json!({"path": "a", "dept": 1}), "unknown argument \"dept\", did you mean \"depth\"?");
        check(json!({"path": "a", "xyzzy": 1}), "unknown argument \"xyzzy\"");
        check(json!({"path": "a", "env": {"A": 1}}), "\"env.A\" must be a string, not 1");
        check(
            json!({"path": "a", "env": []}),
            "\"env\" must be an object whose values are each a string, not a list",
        );
        let steps = json!([{"status": "pending"}, {"status": "done"}]);
        let told = "\"steps[1].status\" must be one of pending, completed, not another string";
        check(json!({"path": "a", "steps": steps}), told);
        check(
            json!({"path": "a", "steps": [{}]}),
            "\"steps[0].status\" is missing: one of pending, completed",
        );
    }

    #[test]
    fn slips_find_their_word() {
        let near = |word| super::nearest(word, ["command", "workdir", "timeout_ms", "env"].into_iter());
        assert_eq!(near("timeout"), Some("timeout_ms"));
        assert_eq!(near("timeoutMs"), Some("timeout_ms"));
        assert_eq!(near("comand"), Some("command"));
        assert_eq!(near("work_dir"), Some("workdir"));
        assert_eq!(near("zzz"), None);
    }
}
