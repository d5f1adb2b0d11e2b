//! One request to the model and its response. Only a completed response leaves here.

use futures::StreamExt;
use providers::{Item, ModelEvent, Request, Tool};
use tokio_util::sync::CancellationToken;

use super::Stop;
use crate::event::Event;
use crate::servers::Catalog;
use crate::thread::{State, base_instructions};

/// Asks the model once. Deltas leave as events; the items come back when the response is complete.
pub(super) async fn sample(
    state: &State,
    catalog: &Catalog,
    turn_id: &str,
    cancel: &CancellationToken,
) -> Result<Vec<Item>, Stop> {
    let request = request(state, catalog);
    tracing::debug!(turn_id, items = request.input.len(), tools = request.tools.len(), "asking the model");
    let mut stream = state.settings.provider.stream(request);
    let mut items = Vec::new();
    loop {
        let event = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Interrupted),
            event = stream.next() => event,
        };
        let Some(event) = event else { return Err(providers::ProviderError::Interrupted.into()) };
        match event? {
            ModelEvent::TextDelta { text } => state.emitter.emit(Event::TextDelta { text }),
            ModelEvent::ReasoningDelta { text } => state.emitter.emit(Event::ReasoningDelta { text }),
            ModelEvent::ItemDone(item) => items.push(item),
            ModelEvent::Retrying { attempt, limit, delay, reason } => {
                let seconds = delay.as_secs_f64();
                let message =
                    format!("asking the model again ({attempt}/{limit}) in {seconds:.1} s: {reason}");
                state.emitter.emit(Event::Notice { message });
            }
            ModelEvent::Completed { usage, .. } => {
                if let Some(usage) = usage {
                    state.emitter.emit(Event::TokenUsage { usage });
                }
                return Ok(items);
            }
            _ => {}
        }
    }
}

fn request(state: &State, catalog: &Catalog) -> Request {
    let settings = &state.settings;
    Request {
        model: settings.model.clone(),
        instructions: base_instructions(settings).to_owned(),
        input: state.history.items().to_vec(),
        tools: catalog.entries.iter().map(|entry| declared(&entry.tool)).collect(),
        parallel_tool_calls: true,
        reasoning_effort: settings.reasoning_effort.clone(),
        reasoning_summary: None,
        output_schema: None,
        prompt_cache_key: Some(state.id.to_string()),
        store: settings.store,
    }
}

/// A tool as a model's API takes it: an input schema always has `properties`.
fn declared(tool: &rmcp::model::Tool) -> Tool {
    let mut parameters = (*tool.input_schema).clone();
    parameters.entry("type").or_insert_with(|| "object".into());
    parameters.entry("properties").or_insert_with(|| serde_json::json!({}));
    Tool {
        name: tool.name.to_string(),
        description: tool.description.as_deref().unwrap_or_default().to_owned(),
        parameters: parameters.into(),
    }
}
