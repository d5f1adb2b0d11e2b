//! A [`Request`] as the Responses API takes it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::ProviderError;
use crate::item::Item;
use crate::request::{Request, Tool};

/// The name that a schema for the answer goes by.
const SCHEMA_NAME: &str = "codex_output_schema";

/// The body of the request, as JSON.
///
/// # Errors
/// [`ProviderError::Decode`] if the request cannot be written as JSON, which no request made here is known to do.
pub(super) fn body(request: &Request) -> Result<Vec<u8>, ProviderError> {
    let body = Body::new(request);
    serde_json::to_vec(&body)
        .map_err(|error| ProviderError::Decode { problem: format!("the request: {error}") })
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    input: Vec<WireItem<'a>>,
    tools: Vec<WireTool<'a>>,
    tool_choice: &'static str,
    parallel_tool_calls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    store: bool,
    stream: bool,
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

#[derive(Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    strict: bool,
    parameters: &'a Value,
}

/// An item, with or without the server's id of it.
struct WireItem<'a> {
    item: &'a Item,
    stored: bool,
}

impl<'a> Body<'a> {
    fn new(request: &'a Request) -> Self {
        let reasoning = match (request.reasoning_effort.as_deref(), request.reasoning_summary.as_deref()) {
            (None, None) => None,
            (effort, summary) => Some(Reasoning { effort, summary }),
        };
        let stored = request.store;
        let sent = |item: &&Item| stored || !is_hollow(item);
        Self {
            model: &request.model,
            instructions: &request.instructions,
            input: request.input.iter().filter(sent).map(|item| WireItem { item, stored }).collect(),
            tools: request.tools.iter().map(WireTool::new).collect(),
            tool_choice: "auto",
            parallel_tool_calls: request.parallel_tool_calls,
            include: if reasoning.is_some() { &["reasoning.encrypted_content"] } else { &[] },
            reasoning,
            store: request.store,
            stream: true,
            prompt_cache_key: request.prompt_cache_key.as_deref(),
            text: request.output_schema.as_ref().map(|schema| Text {
                format: Format { r#type: "json_schema", name: SCHEMA_NAME, strict: true, schema },
            }),
        }
    }
}

impl<'a> WireTool<'a> {
    fn new(tool: &'a Tool) -> Self {
        Self {
            r#type: "function",
            name: &tool.name,
            description: &tool.description,
            strict: false,
            parameters: &tool.parameters,
        }
    }
}

/// Reasoning that is nothing but an id, or a summary of what the server alone has kept: when it stores
/// nothing, it has nothing to look up and refuses the item.
fn is_hollow(item: &Item) -> bool {
    matches!(item, Item::Reasoning { content: None, encrypted_content: None, .. })
}

impl Serialize for WireItem<'_> {
    /// An id names what the server has stored; where it stores nothing, an id is an error to it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.item {
            item if self.stored => item.serialize(serializer),
            Item::Reasoning { summary, content, encrypted_content, .. } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("type", "reasoning")?;
                map.serialize_entry("summary", summary)?;
                if let Some(content) = content {
                    map.serialize_entry("content", content)?;
                }
                map.serialize_entry("encrypted_content", encrypted_content)?;
                map.end()
            }
            Item::FunctionCall { call_id, name, arguments, .. } => {
                let mut map = serializer.serialize_map(Some(4))?;
                map.serialize_entry("type", "function_call")?;
                map.serialize_entry("call_id", call_id)?;
                map.serialize_entry("name", name)?;
                map.serialize_entry("arguments", arguments)?;
                map.end()
            }
            Item::Other(Value::Object(object)) => {
                serializer.collect_map(object.iter().filter(|(key, _)| *key != "id"))
            }
            item @ (Item::Message { .. } | Item::FunctionCallOutput { .. } | Item::Other(_)) => {
                item.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::body;
    use crate::item::{Item, ReasoningText};
    use crate::request::{Request, Tool};
    use serde_json::{Value, json};

    /// What the wire gets for a request that is empty but for `change`.
    fn sent(change: impl FnOnce(&mut Request)) -> Value {
        let mut request = Request {
            model: "m".into(),
            instructions: String::new(),
            input: vec![],
            tools: vec![],
            parallel_tool_calls: false,
            reasoning_effort: None,
            reasoning_summary: None,
            output_schema: None,
            prompt_cache_key: None,
            store: false,
        };
        change(&mut request);
        serde_json::from_slice(&body(&request).unwrap()).unwrap()
    }

    #[test]
    fn a_bare_request_has_only_what_it_must() {
        assert_eq!(
            sent(|_| ()),
            json!({"model":"m","input":[],"tools":[],"tool_choice":"auto","parallel_tool_calls":false,
                "store":false,"stream":true,"include":[]})
        );
    }

    #[test]
    fn everything_that_is_set_is_sent() {
        let full = sent(|request| {
            request.instructions = "be brief".into();
            request.input = vec![Item::user("hi"), Item::output("c", "done")];
            let parameters = json!({"type":"object","properties":{}});
            request.tools = vec![Tool { name: "t".into(), description: "d".into(), parameters }];
            request.parallel_tool_calls = true;
            request.reasoning_effort = Some("low".into());
            request.output_schema = Some(json!({"type":"string"}));
            request.prompt_cache_key = Some("k".into());
        });
        assert_eq!(
            full,
            json!({"model":"m","instructions":"be brief",
                "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},
                    {"type":"function_call_output","call_id":"c","output":"done"}],
                "tools":[{"type":"function","name":"t","description":"d","strict":false,
                    "parameters":{"type":"object","properties":{}}}],
                "tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"low"},"store":false,"stream":true,
                "include":["reasoning.encrypted_content"],"prompt_cache_key":"k",
                "text":{"format":{"type":"json_schema","name":"codex_output_schema","strict":true,"schema":{"type":"string"}}}})
        );
    }

    #[test]
    fn ids_go_only_to_a_server_that_stores() {
        let reasoning = |id: &str, encrypted: Option<&str>| Item::Reasoning {
            id: Some(id.into()),
            summary: vec![ReasoningText::SummaryText { text: "s".into() }],
            content: None,
            encrypted_content: encrypted.map(str::to_owned),
        };
        let input = vec![
            reasoning("rs_1", Some("e")),
            reasoning("rs_2", None),
            Item::FunctionCall {
                id: Some("fc_1".into()),
                call_id: "c".into(),
                name: "n".into(),
                arguments: "{}".into(),
            },
            Item::Other(json!({"type":"web_search_call","id":"ws_1","status":"completed"})),
        ];
        let kept = sent(|request| (request.input, request.store) = (input.clone(), true));
        assert_eq!(kept["input"], serde_json::to_value(&input).unwrap());
        let bare = sent(|request| request.input = input);
        assert_eq!(
            bare["input"],
            json!([{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"e"},
                {"type":"function_call","call_id":"c","name":"n","arguments":"{}"},
                {"type":"web_search_call","status":"completed"}])
        );
    }
}
