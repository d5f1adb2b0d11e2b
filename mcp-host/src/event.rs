//! What a watcher of a thread sees. One closed enum, used by the loop, the record and every screen alike.

use providers::{Item, Usage};
use rmcp::model::CallToolResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ErrorCode;
use crate::limits::SandboxLimits;

/// One thing that happened in a turn.
///
/// Published on the wire (`codex/event`), so fields are only ever added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A prompt was accepted and its turn begins.
    TurnStarted {
        /// What the user asked.
        prompt: String,
        /// The model that will answer.
        model: String,
        /// What commands may do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandbox: Option<SandboxLimits>,
    },
    /// A prompt joined the turn that is already running.
    Steered {
        /// What the user added.
        prompt: String,
    },
    /// A piece of the answer's text. Not recorded: the whole text follows as an [`Event::Item`].
    TextDelta {
        /// The piece.
        text: String,
    },
    /// A piece of a reasoning summary. Not recorded.
    ReasoningDelta {
        /// The piece.
        text: String,
    },
    /// An item of the transcript is complete.
    Item {
        /// The item, in the transcript's vocabulary.
        item: Item,
    },
    /// A tool call begins.
    CallStarted {
        /// The model's id of the call.
        call_id: String,
        /// The tool's name in the catalog.
        tool: String,
        /// Its arguments.
        arguments: Value,
    },
    /// A running call reports progress. Not recorded.
    CallProgress {
        /// The model's id of the call.
        call_id: String,
        /// Short plain text.
        message: String,
    },
    /// A tool call ended; every [`Event::CallStarted`] is followed by exactly one.
    CallFinished {
        /// The model's id of the call.
        call_id: String,
        /// The tool's name in the catalog.
        tool: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What the tool answered, as MCP has it.
        result: CallToolResult,
    },
    /// Tokens used by one response of the model.
    TokenUsage {
        /// The provider's own count.
        usage: Usage,
    },
    /// Something a person should know, which does not end the turn: a retry, a server that did not start.
    Notice {
        /// One or more plain sentences.
        message: String,
    },
    /// The turn is over. The last event of every turn.
    TurnEnded {
        /// How it ended.
        outcome: TurnOutcome,
    },
}

impl Event {
    /// Whether the event is written to the thread's record; deltas and progress are not.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        !matches!(self, Self::TextDelta { .. } | Self::ReasoningDelta { .. } | Self::CallProgress { .. })
    }
}

/// An [`Event`] with its place in the thread.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Grows by one with each event of the thread, from 1; a watcher that sees a gap has missed events.
    pub seq: u64,
    /// The thread.
    pub thread_id: String,
    /// The turn within the thread.
    pub turn_id: String,
    /// What happened.
    pub event: Event,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The model answered and asked for nothing more.
    Completed {
        /// The last message of the model; empty if it said nothing.
        text: String,
    },
    /// The turn could not go on.
    Failed {
        /// What kind of failure, stable for programs.
        code: ErrorCode,
        /// What happened and what to do, for people.
        message: String,
    },
    /// Somebody interrupted the turn; what was done until then is on record.
    Interrupted,
}
