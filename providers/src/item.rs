//! The transcript's vocabulary: what a user, a model and its tools have said.
//!
//! The shapes are the Responses API's own, so that an item goes to the wire and into a record as it is. What
//! this version does not know is kept whole ([`Item::Other`], [`Part::Other`]): a newer server's items survive
//! a round trip through an older client.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One entry of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// Something said, by whom.
    Message {
        /// Who said it.
        role: Role,
        /// What was said, in order.
        content: Vec<Part>,
    },
    /// What the model thought. It goes back unchanged, so that the model can go on from it.
    Reasoning {
        /// The server's id; left out of requests that store nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// A summary for people.
        #[serde(default)]
        summary: Vec<ReasoningText>,
        /// The reasoning itself, from servers that show it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Vec<ReasoningText>>,
        /// The reasoning itself, readable only by the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    /// The model asks for a tool to be run.
    FunctionCall {
        /// The server's id of this item, which is not the `call_id`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Ties the call to its output.
        call_id: String,
        /// The tool.
        name: String,
        /// JSON text, as the model wrote it: it may be malformed.
        arguments: String,
    },
    /// What a call gave. Each call in a request must have exactly one.
    FunctionCallOutput {
        /// The call that it answers.
        call_id: String,
        /// What the tool gave.
        output: Output,
    },
    /// An item of a type that this version does not know, kept as it came.
    #[serde(untagged)]
    Other(Value),
}

/// Who said a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or what stands for them.
    User,
    /// The model.
    Assistant,
    /// Instructions above the user's, from servers that have no `developer`.
    System,
    /// Instructions of the program, above the user's.
    Developer,
}

/// A piece of a message or of a tool's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text that the model reads.
    InputText {
        /// The text.
        text: String,
    },
    /// An image that the model sees.
    InputImage {
        /// A `data:` URL, or one that the server can fetch.
        image_url: String,
        /// How closely to look: `low`, `high`, `auto`, `original`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Text that the model wrote.
    OutputText {
        /// The text.
        text: String,
    },
    /// The model's words for not answering.
    Refusal {
        /// The text.
        refusal: String,
    },
    /// A piece of a kind that this version does not know, kept as it came.
    #[serde(untagged)]
    Other(Value),
}

/// A piece of reasoning: of its summary, or of its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReasoningText {
    /// A paragraph of the summary.
    SummaryText {
        /// The text.
        text: String,
    },
    /// A paragraph of the reasoning itself.
    ReasoningText {
        /// The text.
        text: String,
    },
    /// A piece of a kind that this version does not know, kept as it came.
    #[serde(untagged)]
    Other(Value),
}

/// What a call gave: text, or parts when there are images in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// Plain text.
    Text(String),
    /// Text and images, in order.
    Parts(Vec<Part>),
}

impl Item {
    /// A message of the user.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::input(Role::User, text)
    }

    /// A message of the program, above the user's.
    #[must_use]
    pub fn developer(text: impl Into<String>) -> Self {
        Self::input(Role::Developer, text)
    }

    /// A message of the model.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Message { role: Role::Assistant, content: vec![Part::OutputText { text: text.into() }] }
    }

    /// A call of the tool `name` with JSON text as its arguments.
    #[must_use]
    pub fn function_call(
        call_id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self::FunctionCall {
            id: None,
            call_id: call_id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }

    /// What the call `call_id` gave, as text.
    #[must_use]
    pub fn output(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::FunctionCallOutput { call_id: call_id.into(), output: Output::Text(text.into()) }
    }

    /// The text of a message, its parts joined without a separator; none for other items and for messages
    /// without text. A refusal counts as text: it is what the model said.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let Self::Message { content, .. } = self else { return None };
        let mut texts = content.iter().filter_map(Part::text).peekable();
        texts.peek()?;
        Some(texts.collect())
    }

    fn input(role: Role, text: impl Into<String>) -> Self {
        Self::Message { role, content: vec![Part::InputText { text: text.into() }] }
    }
}

impl Part {
    /// The text in it, if it is of a kind that has text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText { text } | Self::OutputText { text } => Some(text),
            Self::Refusal { refusal } => Some(refusal),
            Self::InputImage { .. } | Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Item;
    use serde_json::{Value, json};

    /// Reads and writes an item; it must come out as it went in.
    fn round_trip(value: Value) -> Item {
        let item: Item = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&item).unwrap(), value);
        item
    }

    #[test]
    fn known_items_keep_the_shape_of_the_wire() {
        let message = json!({"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"},
            {"type":"refusal","refusal":"b"},{"type":"input_image","image_url":"data:,","detail":"low"}]});
        assert_eq!(round_trip(message).text().as_deref(), Some("ab"));
        round_trip(json!({"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],
            "content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"e"}));
        round_trip(json!({"type":"function_call","id":"fc_1","call_id":"c","name":"n","arguments":"{}"}));
        round_trip(json!({"type":"function_call_output","call_id":"c","output":"text"}));
        round_trip(
            json!({"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"x"}]}),
        );
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let search = round_trip(json!({"type":"web_search_call","id":"ws_1","action":{"type":"search"}}));
        assert!(matches!(search, Item::Other(_)), "{search:?}");
        let odd = json!({"type":"message","role":"user","content":[{"type":"input_audio","data":"AAAA"}]});
        assert_eq!(round_trip(odd).text(), None);
        // A known type without what it must have is kept too: dropping it would lose what the server said.
        assert!(matches!(round_trip(json!({"type":"function_call","name":"n"})), Item::Other(_)));
    }

    #[test]
    fn reasoning_with_nulls_is_read() {
        let value =
            json!({"type":"reasoning","id":"rs_1","summary":[],"content":null,"encrypted_content":null});
        let item: Item = serde_json::from_value(value).unwrap();
        assert!(matches!(item, Item::Reasoning { content: None, encrypted_content: None, .. }), "{item:?}");
    }
}
