//! What clients have read of our tools: parameters, results and hints. They are only ever added to, so each change
//! shows here and in `cases/published.json`.

use std::collections::BTreeMap;
use std::fs;

use inspector_tests::fixture::House;
use serde_json::{Value, json};

use crate::CODEX;

const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/published.json");

#[test]
fn the_tools_are_as_published() {
    let house = House::new(CODEX);
    let mut wire = house.serve([]);
    wire.initialize("2025-11-25", json!({}));
    let listed = wire.request("tools/list", json!({}))["result"]["tools"].take();
    let tools: BTreeMap<String, Value> = listed.as_array().unwrap().iter().map(shape).collect();
    let now = json!(tools);
    let before: Value = serde_json::from_str(&fs::read_to_string(PUBLISHED).unwrap()).unwrap();
    let changes = changes(&before, &now);
    if !changes.is_empty() {
        let found = concat!(env!("CARGO_TARGET_TMPDIR"), "/published.json");
        fs::write(found, format!("{now:#}\n")).unwrap();
        panic!(
            "clients rely on what is published; if this is meant: cp {found} {PUBLISHED}\n{}",
            changes.join("\n")
        );
    }
}

/// What programs read of a tool; its texts may change.
fn shape(tool: &Value) -> (String, Value) {
    let mut shape = tool.clone();
    let fields = shape.as_object_mut().unwrap();
    let name = fields.remove("name").unwrap().as_str().unwrap().to_owned();
    fields.retain(|key, _| ["inputSchema", "outputSchema", "annotations"].contains(&key.as_str()));
    without_texts(&mut shape);
    (name, shape)
}

fn without_texts(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A parameter may be called so too; then it is a schema, not a text.
            fields.retain(|key, value| {
                !(["description", "title"].contains(&key.as_str()) && value.is_string())
            });
            fields.values_mut().for_each(without_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(without_texts),
        _ => {}
    }
}

/// The leaves that went (`-`) and came (`+`), each with its place.
fn changes(before: &Value, now: &Value) -> Vec<String> {
    let (before, now) = (leaves(before), leaves(now));
    let gone = before.iter().filter(|leaf| !now.contains(leaf)).map(|leaf| format!("- {leaf}"));
    let come = now.iter().filter(|leaf| !before.contains(leaf)).map(|leaf| format!("+ {leaf}"));
    gone.chain(come).collect()
}

fn leaves(value: &Value) -> Vec<String> {
    let below =
        |key: &str, inner: &Value| leaves(inner).into_iter().map(|leaf| format!("{key}.{leaf}")).collect();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().flat_map(|(key, field)| -> Vec<String> { below(key, field) }).collect()
        }
        // The order of a list says nothing in a schema.
        Value::Array(items) => items.iter().flat_map(|item| -> Vec<String> { below("[]", item) }).collect(),
        leaf => vec![leaf.to_string()],
    }
}

#[test]
fn a_parameter_that_goes_and_one_that_comes_are_both_shown() {
    let before = json!({"t": {"properties": {"a": {"type": "string"}}, "required": ["a", "b"]}});
    let now = json!({"t": {"required": ["b", "a"], "properties": {"c": {"type": "string"}}}});
    assert_eq!(
        changes(&before, &now),
        ["- t.properties.a.type.\"string\"", "+ t.properties.c.type.\"string\""]
    );
    assert_eq!(changes(&now, &now), Vec::<String>::new());
}
