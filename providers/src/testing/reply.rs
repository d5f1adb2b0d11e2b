//! The answers that a fake model gives, and how they look on the wire.

use serde_json::{Value, json};

/// One answer. It is made by one of the constructors and bent by the other methods.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) body: Body,
    /// How many bytes go into each chunk; none sends it all at once.
    pub(super) chunk: Option<usize>,
    /// Where the connection is cut.
    pub(super) cut: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A response of the model.
    Response { items: Vec<Said>, usage: Option<Value> },
    /// A stream that is sent as it is.
    Sse(String),
    /// Any other answer.
    Status { status: u16, headers: Vec<(String, String)>, body: String },
    /// The beginning of a response, then nothing.
    Stall,
    /// No answer, and the connection stays.
    Silence,
    /// The connection is closed without an answer.
    Hangup,
}

#[derive(Clone, Debug)]
pub(super) enum Said {
    Text { text: String, deltas: usize },
    Reasoning(String),
    Call { name: String, arguments: String },
}

impl Reply {
    /// A message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::response(vec![Said::Text { text: text.into(), deltas: 1 }])
    }

    /// Calls of tools, each with its arguments. A text among the arguments is taken as it is: it may be no JSON.
    #[must_use]
    pub fn calls<N: Into<String>>(calls: impl IntoIterator<Item = (N, Value)>) -> Self {
        Self::response(Vec::new()).with_calls(calls)
    }

    /// An answer with that status, for example `Reply::status(429, [("retry-after", "1")], "{}")`.
    #[must_use]
    pub fn status<'a>(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: impl Into<String>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self::of(Body::Status { status, headers, body: body.into() })
    }

    /// An event stream as it is, to be ended by the end of the answer.
    #[must_use]
    pub fn raw_sse(stream: impl Into<String>) -> Self {
        Self::of(Body::Sse(stream.into()))
    }

    /// The head of an answer and its first event, then silence until the client goes or the model is dropped.
    #[must_use]
    pub fn stall() -> Self {
        Self::of(Body::Stall)
    }

    /// No answer at all until the client goes or the model is dropped.
    #[must_use]
    pub fn silence() -> Self {
        Self::of(Body::Silence)
    }

    /// No answer: the connection is closed once the request is read.
    #[must_use]
    pub fn hangup() -> Self {
        Self::of(Body::Hangup)
    }

    /// The same answer, cut off after that many bytes of its body, without a proper end.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// The same answer, sent in pieces of that many bytes, each a chunk and a write of its own.
    #[must_use]
    pub fn chunks(mut self, bytes: usize) -> Self {
        self.chunk = Some(bytes.max(1));
        self
    }

    /// The same answer, its texts split into that many deltas (fewer for a text that has fewer characters).
    #[must_use]
    pub fn deltas(mut self, count: usize) -> Self {
        self.each_item(|said| {
            if let Said::Text { deltas, .. } = said {
                *deltas = count.max(1);
            }
        });
        self
    }

    /// The same answer, with reasoning before it.
    #[must_use]
    pub fn with_reasoning(mut self, text: impl Into<String>) -> Self {
        if let Body::Response { items, .. } = &mut self.body {
            items.insert(0, Said::Reasoning(text.into()));
        }
        self
    }

    /// The same answer, with calls after it.
    #[must_use]
    pub fn with_calls<N: Into<String>>(mut self, calls: impl IntoIterator<Item = (N, Value)>) -> Self {
        if let Body::Response { items, .. } = &mut self.body {
            items.extend(calls.into_iter().map(|(name, arguments)| Said::Call {
                name: name.into(),
                arguments: match arguments {
                    Value::String(text) => text,
                    other => other.to_string(),
                },
            }));
        }
        self
    }

    /// The same answer, with what it cost, in the wire's form.
    #[must_use]
    pub fn with_usage(mut self, cost: Value) -> Self {
        if let Body::Response { usage, .. } = &mut self.body {
            *usage = Some(cost);
        }
        self
    }

    fn response(items: Vec<Said>) -> Self {
        let usage = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 15});
        Self::of(Body::Response { items, usage: Some(usage) })
    }

    fn of(body: Body) -> Self {
        Self { body, chunk: None, cut: None }
    }

    fn each_item(&mut self, change: impl FnMut(&mut Said)) {
        if let Body::Response { items, .. } = &mut self.body {
            items.iter_mut().for_each(change);
        }
    }
}

/// The event stream of the n-th response.
pub(super) fn stream(items: &[Said], usage: Option<&Value>, n: usize) -> String {
    let mut stream = String::new();
    let response = format!("resp_{n:032}");
    event(
        &mut stream,
        "response.created",
        json!({"response": {"id": response, "status": "in_progress", "output": []}}),
    );
    let mut output = Vec::new();
    for (index, said) in items.iter().enumerate() {
        // Ids have the form and the length of real ones, so that what recognises those is tested.
        let id = format!("{:032}", n * 1000 + index);
        let item = match said {
            Said::Text { text, deltas } => {
                let open =
                    json!({"type": "message", "id": format!("msg_{id}"), "role": "assistant", "content": []});
                event(
                    &mut stream,
                    "response.output_item.added",
                    json!({"output_index": index, "item": open}),
                );
                for piece in split(text, *deltas) {
                    event(
                        &mut stream,
                        "response.output_text.delta",
                        json!({"output_index": index, "content_index": 0,
                        "item_id": format!("msg_{id}"), "delta": piece}),
                    );
                }
                json!({"type": "message", "id": format!("msg_{id}"), "status": "completed", "role": "assistant",
                    "content": [{"type": "output_text", "text": text, "annotations": []}]})
            }
            Said::Reasoning(text) => {
                event(
                    &mut stream,
                    "response.reasoning_summary_text.delta",
                    json!({"output_index": index,
                    "summary_index": 0, "item_id": format!("rs_{id}"), "delta": text}),
                );
                json!({"type": "reasoning", "id": format!("rs_{id}"), "encrypted_content": "ZmFrZQ==",
                    "summary": [{"type": "summary_text", "text": text}]})
            }
            Said::Call { name, arguments } => {
                json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
                    "name": name, "arguments": arguments, "status": "completed"})
            }
        };
        event(&mut stream, "response.output_item.done", json!({"output_index": index, "item": item}));
        output.push(item);
    }
    let response = json!({"id": response, "status": "completed", "output": output, "usage": usage});
    event(&mut stream, "response.completed", json!({"response": response}));
    stream
}

/// The beginning of a response that goes no further.
pub(super) fn beginning(n: usize) -> String {
    let mut stream = String::new();
    event(&mut stream, "response.created", json!({"response": {"id": format!("resp_{n:032}")}}));
    stream
}

fn event(stream: &mut String, kind: &str, mut data: Value) {
    data["type"] = kind.into();
    stream.push_str(&format!("event: {kind}\ndata: {data}\n\n"));
}

/// The text in at most `count` pieces of as equal a length as can be.
fn split(text: &str, count: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let count = count.min(chars.len()).max(1);
    (0..count)
        .map(|at| chars[at * chars.len() / count..(at + 1) * chars.len() / count].iter().collect())
        .collect()
}
