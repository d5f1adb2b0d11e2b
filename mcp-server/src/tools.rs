//! The two agent tools, `codex` and `codex-reply`: their exact contract (titles, argument names, output schema)
//! is what clients of the original command rely on.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_host::Overrides;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

pub(crate) const CODEX: &str = "codex";
pub(crate) const CODEX_REPLY: &str = "codex-reply";

/// Whether a name is an agent tool's, which no other tool may take.
pub(crate) fn is_agent_tool(name: &str) -> bool {
    name == CODEX || name == CODEX_REPLY
}

/// Both tools as listed.
pub(crate) fn agent_tools() -> Vec<Tool> {
    let codex = json!({
        "type": "object",
        "properties": {
            "prompt": {"type": "string", "description": "The task, or the question, to begin the session with."},
            "model": {"type": "string", "description": "Model to use instead of the configured one."},
            "profile": {"type": "string", "description": "Profile of config.toml to take settings from."},
            "cwd": {"type": "string", "description":
                "Working directory of the session. A relative path counts from the server's working directory."},
            "approval-policy": {"type": "string", "enum": mcp_host::ApprovalPolicy::NAMES, "description":
                "When to ask before commands run."},
            "sandbox": {"type": "string", "enum": ["read-only", "workspace-write", "danger-full-access"],
                "description": "What commands may do. Never more than the person who started the server allowed."},
            "config": {"type": "object", "additionalProperties": true, "description":
                "Settings that override config.toml for this session, by their dotted names."},
            "base-instructions": {"type": "string", "description": "Instructions to use instead of the default ones."},
            "developer-instructions": {"type": "string", "description": "Added as a developer message."},
            "compact-prompt": {"type": "string", "description": "Prompt for compacting the conversation. Accepted; has no effect yet."}
        },
        "required": ["prompt"]
    });
    let reply = json!({
        "type": "object",
        "properties": {
            "prompt": {"type": "string", "description": "What to say next in the session."},
            "threadId": {"type": "string", "description":
                "The session's thread id, from the structuredContent of an earlier result. May be left out \
                 while the connection has one session."},
            "conversationId": {"type": "string", "description": "Older name of threadId."}
        },
        "required": ["prompt"]
    });
    vec![
        agent_tool(
            CODEX,
            "Codex",
            "Run a Codex session: an agent that works on a task with tools in a sandbox.",
            codex,
        ),
        agent_tool(
            CODEX_REPLY,
            "Codex Reply",
            "Continue a Codex session, by its thread id and a prompt.",
            reply,
        ),
    ]
}

fn agent_tool(name: &'static str, title: &str, description: &'static str, input: Value) -> Tool {
    let output = json!({
        "type": "object",
        "properties": {"threadId": {"type": "string"}, "content": {"type": "string"}},
        "required": ["threadId", "content"]
    });
    Tool::new(name, description, object(input))
        .with_title(title)
        .with_raw_output_schema(object(output))
        .with_annotations(ToolAnnotations::new().destructive(true).open_world(true))
}

fn object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

/// The arguments of `codex`.
#[derive(Debug)]
pub(crate) struct StartArguments {
    pub(crate) prompt: String,
    pub(crate) overrides: Overrides,
}

/// The arguments of `codex-reply`.
#[derive(Debug)]
pub(crate) struct ReplyArguments {
    pub(crate) prompt: String,
    /// `None`: the last thread of this connection.
    pub(crate) thread_id: Option<String>,
}

/// Arguments by name, whichever way the name is spelled: `approval-policy`, `approvalPolicy`, `approval_policy`.
struct Arguments(JsonObject);

impl Arguments {
    fn new(arguments: Option<JsonObject>) -> Self {
        Self(arguments.unwrap_or_default().into_iter().map(|(name, value)| (kebab(&name), value)).collect())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("argument `{name}` must be a string, not {}", kind(&other))),
        }
    }

    fn prompt(&mut self, tool: &str) -> Result<String, String> {
        match self.text("prompt")? {
            Some(prompt) if !prompt.trim().is_empty() => Ok(prompt),
            Some(_) => Err("argument `prompt` is empty; say what to do".to_owned()),
            None => Err(format!(
                "argument `prompt` is missing: call `{tool}` with {{\"prompt\": \"what to do\"}}"
            )),
        }
    }
}

/// Reads the arguments of `codex`; unknown ones are tolerated, since clients of other versions send them.
pub(crate) fn start_arguments(arguments: Option<JsonObject>) -> Result<StartArguments, String> {
    let mut arguments = Arguments::new(arguments);
    let prompt = arguments.prompt(CODEX)?;
    let config = match arguments.0.remove("config") {
        None | Some(Value::Null) => JsonObject::new(),
        Some(Value::Object(config)) => config,
        Some(other) => return Err(format!("argument `config` must be an object, not {}", kind(&other))),
    };
    let overrides = Overrides {
        model: arguments.text("model")?,
        profile: arguments.text("profile")?,
        cwd: arguments.text("cwd")?.map(PathBuf::from),
        approval_policy: arguments.text("approval-policy")?,
        sandbox: arguments.text("sandbox")?,
        base_instructions: arguments.text("base-instructions")?,
        developer_instructions: arguments.text("developer-instructions")?,
        config,
    };
    Ok(StartArguments { prompt, overrides })
}

/// Reads the arguments of `codex-reply`.
pub(crate) fn reply_arguments(arguments: Option<JsonObject>) -> Result<ReplyArguments, String> {
    let mut arguments = Arguments::new(arguments);
    let prompt = arguments.prompt(CODEX_REPLY)?;
    let older = arguments.text("conversation-id")?;
    let thread_id = arguments.text("thread-id")?.or(older);
    Ok(ReplyArguments { prompt, thread_id })
}

fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        match c {
            '_' => kebab.push('-'),
            c if c.is_ascii_uppercase() => {
                kebab.push('-');
                kebab.push(c.to_ascii_lowercase());
            }
            c => kebab.push(c),
        }
    }
    kebab
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::{reply_arguments, start_arguments};
    use serde_json::{Value, json};

    fn object(value: Value) -> Option<serde_json::Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn names_are_read_in_every_spelling() {
        for name in ["approval-policy", "approvalPolicy", "approval_policy"] {
            let start = start_arguments(object(json!({"prompt": "x", name: "never", "unknown": 1}))).unwrap();
            assert_eq!(start.overrides.approval_policy.as_deref(), Some("never"), "{name}");
        }
        for name in ["threadId", "thread_id", "conversationId"] {
            let reply = reply_arguments(object(json!({"prompt": "x", name: "t"}))).unwrap();
            assert_eq!(reply.thread_id.as_deref(), Some("t"), "{name}");
        }
        let both = json!({"prompt": "x", "threadId": "new", "conversationId": "old"});
        assert_eq!(reply_arguments(object(both)).unwrap().thread_id.as_deref(), Some("new"));
    }

    #[test]
    fn wrong_arguments_are_named() {
        let error = |value| start_arguments(object(value)).unwrap_err();
        assert!(error(json!({})).contains("`prompt` is missing"));
        assert!(error(json!({"prompt": " "})).contains("empty"));
        assert!(error(json!({"prompt": "x", "cwd": 3})).contains("`cwd` must be a string, not a number"));
        assert!(error(json!({"prompt": "x", "config": []})).contains("`config` must be an object"));
    }
}
