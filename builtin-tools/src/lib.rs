//! The tools a coding agent lives on, as an MCP server in process: shell, patch, files, search, plan.
//!
//! [`BuiltinTools`] is an ordinary `rmcp` server handler. It knows a [`Context`] (where to work, under which policy)
//! and nothing of models, threads or hosts: whatever connects to it is an MCP client. Each tool has its own file with
//! its parameters, its description and its code; `server` is the list of them.
//!
//! A tool that fails answers with a result that says so, in words that help a model to do better. A protocol error is
//! only for a tool that does not exist.

mod arguments;
mod call;
mod content;
mod context;
mod effects;
mod error;
mod file_search;
mod list_dir;
mod patch;
mod paths;
mod plan;
mod progress;
mod read_file;
mod schema;
mod server;
mod shell;

pub use crate::context::{Context, Limits};
pub use crate::server::{BuiltinTools, names};
