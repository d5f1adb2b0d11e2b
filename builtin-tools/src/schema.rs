//! JSON schemas of arguments and results, from the Rust types that read and write them.
//!
//! Every call pays for these schemas in tokens, so what a model does not need is taken out: titles, Rust's number
//! formats, the dialect's address, and "or null" for arguments that can as well be left out.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of a tool's arguments.
pub(crate) fn input<T: JsonSchema>() -> Arc<JsonObject> {
    generate::<T>(SchemaSettings::draft2020_12(), true)
}

/// The schema of a tool's structured result.
pub(crate) fn output<T: JsonSchema>() -> Arc<JsonObject> {
    generate::<T>(SchemaSettings::draft2020_12().for_serialize(), false)
}

fn generate<T: JsonSchema>(settings: SchemaSettings, input: bool) -> Arc<JsonObject> {
    let settings = settings.with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema, input);
    let Value::Object(mut schema) = schema else { return Arc::default() };
    schema.remove("description");
    Arc::new(schema)
}

fn tidy(schema: &mut Value, input: bool) {
    if input {
        drop_null(schema);
    }
    let Value::Object(object) = schema else { return };
    for noise in ["title", "format", "default"] {
        object.remove(noise);
    }
    for (keyword, value) in object.iter_mut() {
        match (keyword.as_str(), value) {
            // The keys in here are the names of arguments, not keywords.
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|value| tidy(value, input))
            }
            ("items" | "additionalProperties", value) => tidy(value, input),
            ("anyOf" | "oneOf", Value::Array(alternatives)) => {
                alternatives.iter_mut().for_each(|value| tidy(value, input))
            }
            _ => {}
        }
    }
}

/// Turns "T or null" into "T".
fn drop_null(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [single] = types.as_slice() {
            let single = single.clone();
            object.insert("type".to_owned(), single);
        }
    }
    if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
        alternatives.retain(|alternative| alternative.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(single)] = alternatives.as_mut_slice() {
            let single = std::mem::take(single);
            object.remove("anyOf");
            object.extend(single);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde_json::{Value, json};

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    #[schemars(deny_unknown_fields)]
    struct Sample {
        /// How many.
        #[schemars(range(min = 1, max = 5))]
        limit: Option<u32>,
        title: String,
        either: Option<Either>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    #[schemars(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }

    #[test]
    fn nothing_but_what_a_model_needs() {
        let schema = Value::Object(super::input::<Sample>().as_ref().clone());
        let expected = json!({
            "type": "object",
            "properties": {
                "limit": {"description": "How many.", "type": "integer", "minimum": 1, "maximum": 5},
                "title": {"type": "string"},
                "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            },
            "required": ["title"],
            "additionalProperties": false,
        });
        assert_eq!(schema, expected);
    }
}
