//! The events of the Responses API, turned into ours.
//!
//! Servers differ in what they leave out. Only two things are insisted on: `response.completed` ends a
//! response well and nothing else does, and an item is handed out once, however often it comes.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::Value;

use crate::error::ProviderError;
use crate::event::{ModelEvent, Usage};
use crate::exchange::Decoder;
use crate::http::error_words;
use crate::item::Item;

/// Reads the events of one response.
#[derive(Debug, Default)]
pub(super) struct ResponseDecoder {
    started: bool,
    /// Texts of messages that are not whole, by their place in the output.
    open: Vec<(u64, String)>,
    /// Hashes of the items that were handed out.
    done: HashSet<u64>,
    handed_out: usize,
    /// What was wrong with the last event, if it could not be read.
    malformed: Option<String>,
}

/// The fields that we read of any event. The rest, such as the echo of the request in `response`, is skipped
/// while parsing and never allocated.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    item: Option<Value>,
    #[serde(default)]
    response: Option<Response>,
}

/// Text in the events that we read; something else in events that we do not know.
#[derive(Deserialize)]
#[serde(untagged)]
enum Delta {
    Text(String),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    output: Option<Vec<Value>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default)]
    total_tokens: u64,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: u64,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: u64,
}

impl Decoder for ResponseDecoder {
    fn decode(
        &mut self,
        name: &str,
        data: &str,
        events: &mut VecDeque<ModelEvent>,
    ) -> Result<(), ProviderError> {
        // Some gateways end with the marker of the other wire.
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let envelope: Envelope<'_> = match serde_json::from_str(data) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::debug!(%error, bytes = data.len(), "skipped an event that could not be read");
                self.malformed = Some(error.to_string());
                return Ok(());
            }
        };
        self.malformed = None;
        let kind = if envelope.kind.is_empty() { name.to_owned().into() } else { envelope.kind.clone() };
        match (kind.as_ref(), envelope.delta) {
            ("response.output_text.delta" | "response.refusal.delta", Some(Delta::Text(text))) => {
                self.text(envelope.output_index, &text);
                events.push_back(ModelEvent::TextDelta { text });
            }
            (
                "response.reasoning_summary_text.delta" | "response.reasoning_text.delta",
                Some(Delta::Text(text)),
            ) => events.push_back(ModelEvent::ReasoningDelta { text }),
            ("response.created" | "response.in_progress", _) => self.begun(envelope.response, events),
            ("response.output_item.done", _) => {
                self.open.retain(|(index, _)| *index != envelope.output_index);
                self.item(envelope.item, events);
            }
            ("response.completed", _) => self.completed(envelope.response, events),
            ("response.failed", _) => return Err(failed(envelope.response)),
            ("response.incomplete", _) => return Err(incomplete(envelope.response)),
            ("error", _) => return Err(error_event(data)),
            (kind, _) => tracing::trace!(kind, "passed over an event"),
        }
        Ok(())
    }

    fn cut_off(&mut self) -> ProviderError {
        match self.malformed.take() {
            Some(problem) => {
                ProviderError::Decode { problem: format!("its last event is malformed: {problem}") }
            }
            None => ProviderError::Interrupted,
        }
    }
}

impl ResponseDecoder {
    fn begun(&mut self, response: Option<Response>, events: &mut VecDeque<ModelEvent>) {
        if let Some(response_id) = response.and_then(|response| response.id)
            && !std::mem::replace(&mut self.started, true)
        {
            events.push_back(ModelEvent::Started { response_id });
        }
    }

    fn text(&mut self, index: u64, text: &str) {
        // Deltas of one message come in a row: its place is nearly always the last.
        match self.open.iter_mut().rev().find(|(open, _)| *open == index) {
            Some((_, so_far)) => so_far.push_str(text),
            None => self.open.push((index, text.to_owned())),
        }
    }

    fn item(&mut self, item: Option<Value>, events: &mut VecDeque<ModelEvent>) {
        let Some(item) = item else { return };
        // The whole item is compared, not its id: a server that numbers carelessly must not lose a call.
        let named = ["id", "call_id"].iter().any(|key| item.get(key).is_some_and(|id| !id.is_null()));
        if named && !self.done.insert(hash(&item)) {
            tracing::debug!("passed over an item that came twice");
            return;
        }
        match serde_json::from_value(item) {
            Ok(item) => {
                self.handed_out += 1;
                events.push_back(ModelEvent::ItemDone(item));
            }
            Err(error) => tracing::debug!(%error, "passed over an item that could not be read"),
        }
    }

    fn completed(&mut self, response: Option<Response>, events: &mut VecDeque<ModelEvent>) {
        let (response_id, usage, output) = match response {
            Some(response) => (response.id, response.usage, response.output.unwrap_or_default()),
            None => (None, None, Vec::new()),
        };
        if self.handed_out == 0 {
            for item in output {
                let message = item.get("type").and_then(Value::as_str) == Some("message");
                self.item(Some(item), events);
                if message {
                    self.open.clear();
                }
            }
        }
        // A server that sends a message only as deltas has still said it.
        for (_, text) in std::mem::take(&mut self.open) {
            if !text.is_empty() {
                events.push_back(ModelEvent::ItemDone(Item::assistant(text)));
            }
        }
        events.push_back(ModelEvent::Completed { response_id, usage: usage.map(Usage::from) });
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let sum = wire.input_tokens.saturating_add(wire.output_tokens);
        Self {
            input_tokens: wire.input_tokens,
            cached_input_tokens: wire.input_tokens_details.map_or(0, |details| details.cached_tokens),
            output_tokens: wire.output_tokens,
            reasoning_tokens: wire.output_tokens_details.map_or(0, |details| details.reasoning_tokens),
            total_tokens: if wire.total_tokens == 0 { sum } else { wire.total_tokens },
        }
    }
}

fn hash(item: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    item.hash(&mut hasher);
    hasher.finish()
}

fn failed(response: Option<Response>) -> ProviderError {
    let error = response.and_then(|response| response.error).filter(|error| !error.is_null());
    let (code, message) = match error {
        Some(error) => error_words(&error),
        None => (None, "the server gave no reason".to_owned()),
    };
    ProviderError::failed(code, message)
}

fn incomplete(response: Option<Response>) -> ProviderError {
    let reason = response.and_then(|response| response.incomplete_details).and_then(|details| details.reason);
    let message = match reason.as_deref() {
        Some("max_output_tokens") => {
            "it reached the most tokens that the model may write (max_output_tokens)".to_owned()
        }
        Some("content_filter") => "the server's content filter stopped it (content_filter)".to_owned(),
        Some(other) => format!("the server stopped it ({other})"),
        None => "the server stopped it without a reason".to_owned(),
    };
    ProviderError::Failed { code: Some("incomplete".to_owned()), message }
}

fn error_event(data: &str) -> ProviderError {
    let (code, message) =
        serde_json::from_str(data).map_or((None, data.to_owned()), |body: Value| error_words(&body));
    ProviderError::failed(code, message)
}
