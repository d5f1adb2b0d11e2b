//! What a model's response is made of, as it arrives.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::item::Item;

/// A step of a response. Deltas are for watching; what counts is in [`ModelEvent::ItemDone`], and only
/// after [`ModelEvent::Completed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelEvent {
    /// The server has begun to answer. Comes again after each [`ModelEvent::Retrying`].
    Started {
        /// The server's id of the response.
        response_id: String,
    },
    /// A piece of the answer's text.
    TextDelta {
        /// The piece.
        text: String,
    },
    /// A piece of the reasoning, or of its summary.
    ReasoningDelta {
        /// The piece.
        text: String,
    },
    /// An item is whole.
    ItemDone(Item),
    /// The response is whole. Nothing comes after it.
    Completed {
        /// The server's id of the response.
        #[serde(default)]
        response_id: Option<String>,
        /// What it cost, if the server said so.
        #[serde(default)]
        usage: Option<Usage>,
    },
    /// The request failed in a way that may pass and will be made again. What came before it is void.
    Retrying {
        /// Which repetition this is, from 1.
        attempt: u32,
        /// How many repetitions there may be.
        limit: u32,
        /// The wait before it.
        delay: Duration,
        /// What went wrong, for people.
        reason: String,
    },
}

/// What a response cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Of those, read from the server's cache.
    pub cached_input_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
    /// Of those, spent on reasoning.
    pub reasoning_tokens: u64,
    /// Read and written.
    pub total_tokens: u64,
}

impl AddAssign for Usage {
    /// Saturates: a server that reports nonsense must not stop a turn.
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_input_tokens = self.cached_input_tokens.saturating_add(other.cached_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}
