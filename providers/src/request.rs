//! What a model is asked: the instructions, the transcript so far, the tools, and how to answer.

use serde::Serialize;
use serde_json::Value;

use crate::item::Item;

/// One question to a model. It says what is wanted, not how a wire spells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The model's name, as its provider knows it.
    pub model: String,
    /// What the model is to be, above the transcript; empty for none.
    pub instructions: String,
    /// The transcript, oldest first.
    pub input: Vec<Item>,
    /// The tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether one response may hold several calls.
    pub parallel_tool_calls: bool,
    /// How hard to think (`low`, `medium`, `high`, …); none leaves it to the server.
    pub reasoning_effort: Option<String>,
    /// How to summarise the thinking (`auto`, `concise`, `detailed`); none asks for no summary.
    pub reasoning_summary: Option<String>,
    /// A JSON Schema that the answer must satisfy.
    pub output_schema: Option<Value>,
    /// Requests with the same key share the server's prompt cache.
    pub prompt_cache_key: Option<String>,
    /// Whether the server may keep the response.
    pub store: bool,
}

/// A tool, as it is declared to a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// The name that calls use.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema of its arguments.
    pub parameters: Value,
}
