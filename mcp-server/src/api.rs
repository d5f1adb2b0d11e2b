//! All that a client of the server may name: the events it can follow, and the keys under which the server says
//! more than MCP has fields for.

pub use mcp_host::{ErrorCode, Event, Record, SandboxLimits, TurnOutcome};

/// The notification that carries a [`Record`], sent between the request and the response of the call it belongs
/// to. Its parameters are the record's fields, with `_meta.requestId`.
pub const EVENT_METHOD: &str = "codex/event";

/// In the `_meta` of an [`EVENT_METHOD`] notification: the id of the request it belongs to.
pub const REQUEST_ID: &str = "requestId";

/// A client that declares this under `capabilities.experimental` gets [`EVENT_METHOD`] notifications.
pub const EVENTS_CAPABILITY: &str = "codex/events";

/// In the `_meta` of `tools/list`: the servers whose tools are missing, `{"starting": [NAME], "failed": [{"name",
/// "message"}]}`.
pub const SERVERS_META: &str = "codex/servers";

/// In the `_meta` of a result: `true` if the call was denied by policy rather than failed.
pub const DENIED_META: &str = "codex/denied";
