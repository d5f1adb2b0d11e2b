//! `codex tool list` and `codex tool call`: the tools without any model, through the same server as everybody's.

use std::time::Duration;

use mcp_server::api::{DENIED_META, SERVERS_META};
use mcp_server::{Answer, ServerClient};
use rmcp::model::{CallToolResult, JsonObject, ListToolsResult};
use serde_json::{Value, json};

use super::exec::text;
use super::{block_on, interrupted_by_signal, misconfigured};
use crate::args::{Global, Tool};
use crate::assemble::House;
use crate::exit::Exit;
use crate::out;

/// A listing waits so long for servers that are slow to start: the first run of `npx` downloads.
const PATIENCE: Duration = Duration::from_secs(60);
/// The JSON-RPC code of wrong parameters: here, a tool that is not there.
const INVALID_PARAMS: i32 = -32602;

/// Runs the command.
pub(crate) fn run(global: &Global, verb: Tool) -> Exit {
    let call = match &verb {
        Tool::List { .. } => None,
        Tool::Call { arguments, .. } => match parse(arguments) {
            Ok(arguments) => Some(arguments),
            Err(problem) => {
                out::error(problem);
                return Exit::Usage;
            }
        },
    };
    match House::build(global.flags(), global.cd.clone(), None) {
        Ok(house) => block_on(async {
            let client = match house.client().await {
                Ok(client) => client,
                Err(error) => return misconfigured(&error),
            };
            let exit = match verb {
                Tool::List { json } => list(&client, json).await,
                Tool::Call { name, json, .. } => {
                    let typed = call.unwrap_or_default();
                    let arguments = fit(typed, &client, &name).await;
                    self::call(&client, &name, arguments, json).await
                }
            };
            house.host.shut_down(Duration::from_millis(300)).await;
            exit
        }),
        Err(error) => misconfigured(&error),
    }
}

/// Arguments as typed.
#[derive(Debug, Default)]
struct Typed {
    arguments: JsonObject,
    /// The text of pairs whose value may be a number, a boolean or a string: the tool's schema tells.
    ambiguous: Vec<(String, String)>,
}

/// Arguments as typed: one JSON object, or pairs.
fn parse(words: &[String]) -> Result<Typed, String> {
    if let [one] = words
        && one.trim_start().starts_with('{')
    {
        let parsed = serde_json::from_str(one);
        let arguments = parsed.map_err(|error| format!("the arguments are not a JSON object: {error}"))?;
        return Ok(Typed { arguments, ambiguous: Vec::new() });
    }
    let mut typed = Typed::default();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("{word:?} is neither a JSON object nor key=value"));
        };
        let parsed = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        if parsed.is_boolean() || parsed.is_number() || parsed.is_null() {
            typed.ambiguous.push((key.to_owned(), value.to_owned()));
        }
        if typed.arguments.insert(key.to_owned(), parsed).is_some() {
            return Err(format!("{key:?} is given twice"));
        }
    }
    Ok(typed)
}

/// Keeps as text what looks like a number or a boolean where the tool wants a string: `command=true` is a command.
async fn fit(typed: Typed, client: &ServerClient, name: &str) -> JsonObject {
    let mut arguments = typed.arguments;
    if typed.ambiguous.is_empty() {
        return arguments;
    }
    let listed = client.list_tools().await.map(|listed| listed.tools).unwrap_or_default();
    let schema = listed.iter().find(|tool| tool.name == name).map(|tool| json!(tool.input_schema));
    for (key, text) in typed.ambiguous {
        let property = schema.as_ref().and_then(|schema| schema.get("properties")?.get(&key));
        if property.is_some_and(wants_text) {
            arguments.insert(key, text.into());
        }
    }
    arguments
}

/// Whether a schema takes a string and neither a number nor a boolean.
fn wants_text(schema: &Value) -> bool {
    let mut kinds: Vec<&Value> = schema.get("type").into_iter().collect();
    for choice in ["anyOf", "oneOf"] {
        let choices = schema.get(choice).and_then(Value::as_array);
        kinds.extend(choices.into_iter().flatten().filter_map(|choice| choice.get("type")));
    }
    let has = |wanted: &str| kinds.iter().any(|kind| *kind == wanted);
    has("string") && !["number", "integer", "boolean", "null"].into_iter().any(has)
}

async fn list(client: &ServerClient, json: bool) -> Exit {
    let listed = match settled(client).await {
        Ok(listed) => listed,
        Err(message) => {
            out::error(message);
            return Exit::Failed;
        }
    };
    if json {
        out::line(serde_json::to_string_pretty(&listed.tools).unwrap_or_default());
    } else {
        let width = listed.tools.iter().map(|tool| tool.name.len()).max().unwrap_or_default();
        for tool in &listed.tools {
            let description =
                tool.description.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
            out::line(out::plain(&format!("{:width$}  {description}", tool.name)));
        }
    }
    for (name, message) in missing(&listed) {
        out::note(format!("! {}", message.unwrap_or_else(|| format!("server {name:?} is still starting"))));
    }
    Exit::Done
}

/// Lists until every server has come up or failed.
async fn settled(client: &ServerClient) -> Result<ListToolsResult, String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let listed = client.list_tools().await?;
        let waiting = missing(&listed).iter().any(|(_, message)| message.is_none());
        if !waiting || tokio::time::timeout_at(deadline, client.tools_changed()).await.is_err() {
            return Ok(listed);
        }
    }
}

/// Servers whose tools are not in the list: those that failed come with a message.
fn missing(listed: &ListToolsResult) -> Vec<(String, Option<String>)> {
    let servers = listed.meta.as_ref().and_then(|meta| meta.get(SERVERS_META)).cloned().unwrap_or_default();
    let array = |key: &str| servers.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(out::plain);
    let starting = array("starting").into_iter().map(|name| (text(Some(&name)).unwrap_or_default(), None));
    let failed = array("failed").into_iter().map(|server| {
        (
            text(server.get("name")).unwrap_or_default(),
            text(server.get("message")).or_else(|| Some(String::new())),
        )
    });
    starting.chain(failed).collect()
}

async fn call(client: &ServerClient, name: &str, arguments: JsonObject, json: bool) -> Exit {
    let interrupt = interrupted_by_signal();
    match client.call(name, arguments, &interrupt, |_| {}).await {
        Answer::Result(result) => {
            if json {
                out::line(serde_json::to_string_pretty(&result).unwrap_or_default());
            } else if result.is_error == Some(true) {
                out::error(shown(&result));
            } else {
                out::line(shown(&result));
            }
            ended(&result)
        }
        Answer::Refused { code, message } => {
            out::error(message);
            if code == INVALID_PARAMS { Exit::Usage } else { Exit::Failed }
        }
        Answer::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

fn ended(result: &CallToolResult) -> Exit {
    let denied = result.meta.as_ref().and_then(|meta| meta.get(DENIED_META)).is_some_and(|flag| flag == true);
    match result.is_error {
        Some(true) if denied => Exit::Denied,
        Some(true) => Exit::Failed,
        _ => Exit::Done,
    }
}

/// What a person reads: the text; of other blocks, what they are.
fn shown(result: &CallToolResult) -> String {
    let mut shown = text(result);
    for block in result.content.iter().filter(|block| block.as_text().is_none()) {
        let block = json!(block);
        let kind = block.get("type").and_then(Value::as_str).unwrap_or("block");
        let embedded = block.pointer("/resource/text").and_then(Value::as_str).map(out::plain);
        shown.push_str(
            &embedded.map_or_else(|| format!("\n[{kind}; see --json]"), |text| format!("\n{text}")),
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{parse, wants_text};
    use serde_json::json;

    fn parsed(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words).map_or_else(|error| error, |typed| json!(typed.arguments).to_string())
    }

    #[test]
    fn arguments_are_one_object_or_pairs() {
        assert_eq!(parsed(&[]), "{}");
        assert_eq!(parsed(&[r#"{"a": 1}"#]), r#"{"a":1}"#);
        assert_eq!(
            parsed(&["command=ls -l", "limit=3", "flag=true", "x=a=b"]),
            r#"{"command":"ls -l","limit":3,"flag":true,"x":"a=b"}"#
        );
        assert!(parsed(&["{broken"]).contains("not a JSON object"));
        assert!(parsed(&["word"]).contains("key=value"));
        assert!(parsed(&["a=1", "a=2"]).contains("given twice"));
    }

    #[test]
    fn a_schema_tells_whether_it_wants_text() {
        assert!(wants_text(&json!({"type": "string"})));
        assert!(wants_text(&json!({"anyOf": [{"type": "string"}, {"type": "array"}]})));
        assert!(!wants_text(&json!({"type": "integer"})));
        assert!(!wants_text(&json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})));
        assert!(!wants_text(&json!({})));
    }
}
