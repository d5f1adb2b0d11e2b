//! Runs the calls that one response asked for. Each gets exactly one output, whatever happens to it.

use std::sync::Arc;
use std::time::Instant;

use futures::stream::{FuturesOrdered, StreamExt};
use providers::Item;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::output::{capped, output};
use crate::error::CallError;
use crate::event::Event;
use crate::servers::{CallRequest, Catalog, ProgressSink, Toolset};
use crate::thread::{Emitter, State};

/// A call as the model asked for it.
pub(super) struct Call {
    id: String,
    tool: String,
    /// JSON text, as the model wrote it.
    arguments: String,
}

impl Call {
    pub(super) fn new(id: &str, tool: &str, arguments: &str) -> Self {
        Self { id: id.to_owned(), tool: tool.to_owned(), arguments: arguments.to_owned() }
    }
}

/// Runs the calls in order and answers their outputs in order: tools that only read run together, one that
/// may change something runs alone, after all before it. With `refused` none runs.
pub(super) async fn run(
    state: &State,
    catalog: &Catalog,
    calls: Vec<Call>,
    refused: bool,
    cancel: &CancellationToken,
) -> Vec<Item> {
    let mut outputs = Vec::with_capacity(calls.len());
    let mut together = FuturesOrdered::new();
    for call in calls {
        let reads = catalog.get(&call.tool).is_some_and(only_reads);
        if !reads {
            while let Some(output) = together.next().await {
                outputs.push(output);
            }
        }
        let running = run_one(&state.emitter, &state.toolset, call, refused, cancel);
        together.push_back(running);
        if !reads {
            while let Some(output) = together.next().await {
                outputs.push(output);
            }
        }
    }
    while let Some(output) = together.next().await {
        outputs.push(output);
    }
    outputs
}

/// A server outside may say what it likes of its tools; together run only those that we vouch for.
fn only_reads(entry: &crate::servers::Entry) -> bool {
    entry.server.is_none() && entry.tool.annotations.as_ref().and_then(|a| a.read_only_hint) == Some(true)
}

async fn run_one(
    emitter: &Arc<Emitter>,
    toolset: &Toolset,
    call: Call,
    refused: bool,
    cancel: &CancellationToken,
) -> Item {
    let begun = Instant::now();
    let arguments = parse(&call.arguments);
    let shown = arguments
        .as_ref()
        .map_or_else(|_| Value::String(call.arguments.clone()), |a| Value::Object(a.clone()));
    emitter.emit(Event::CallStarted { call_id: call.id.clone(), tool: call.tool.clone(), arguments: shown });
    let result = match arguments {
        _ if refused => text_error("not run: the turn has used up its tool calls"),
        _ if cancel.is_cancelled() => text_error("interrupted before it ran"),
        _ if emitter.broken().is_some() => text_error("not run: the thread's record cannot be written"),
        Err(problem) => text_error(&problem),
        Ok(arguments) => {
            let progress = Some(progress_events(emitter, &call.id));
            let request =
                CallRequest { name: call.tool.clone(), arguments, cancel: cancel.clone(), progress };
            match toolset.call(request).await {
                Ok(result) => result,
                Err(CallError::Interrupted) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    text_error(&format!(
                        "interrupted after {seconds:.1} s; what it did until then stays done"
                    ))
                }
                Err(error) => text_error(&error.to_string()),
            }
        }
    };
    let result = capped(result);
    let output = output(&result);
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    emitter.emit(Event::CallFinished { call_id: call.id.clone(), tool: call.tool, duration_ms, result });
    Item::FunctionCallOutput { call_id: call.id, output }
}

fn parse(arguments: &str) -> Result<JsonObject, String> {
    if arguments.trim().is_empty() {
        return Ok(JsonObject::new());
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err("the arguments must be a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
    }
}

fn progress_events(emitter: &Arc<Emitter>, call_id: &str) -> ProgressSink {
    let (emitter, call_id) = (Arc::clone(emitter), call_id.to_owned());
    Arc::new(move |progress| {
        if let Some(message) = &progress.message {
            emitter.emit(Event::CallProgress { call_id: call_id.clone(), message: message.clone() });
        }
    })
}

fn text_error(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn arguments_that_are_no_object_say_so() {
        assert!(parse("[1]").unwrap_err().contains("JSON object"));
        assert!(parse("{\"a\":").unwrap_err().contains("not valid JSON"));
        assert!(parse("  ").unwrap().is_empty());
    }
}
