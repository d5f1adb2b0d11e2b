//! The MCP host: it holds the clients, the consent, the model and the history (which is how MCP itself
//! defines a host).
//!
//! Three rooms: [`thread`](Thread) is a conversation and its record, `turn` the loop from a prompt to its end,
//! `servers` the tools of every MCP server in one catalog. One gate (`approval`) stands in front of every call.
//! The host does not know which tools are built in, prints nothing, and reads no environment: everything it
//! needs comes from the composition root through [`HostParts`].

mod approval;
mod error;
mod event;
mod host;
mod limits;
mod servers;
mod settings;
mod thread;
mod turn;

pub use approval::{ApprovalPolicy, ToolApproval, Verdict};
pub use error::{CallError, ErrorCode, HostError, SettingsError};
pub use event::{Event, Record, TurnOutcome};
pub use host::{Host, HostParts, Places};
pub use limits::SandboxLimits;
pub use servers::{
    CallRequest, Catalog, Entry, InProcess, Link, ProgressSink, ServerSpec, ServerState, ServerStatus,
    ToolContext, Toolset, link,
};
pub use settings::{Overrides, Settings, ThreadSettings, Timing};
pub use thread::{Accepted, Thread, ThreadId, Transcript, read_transcript};
