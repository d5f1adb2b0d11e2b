//! The tools a coding agent lives on, as an MCP server in process: shell, patch, files, search, plan.

mod context;
mod server;

pub use crate::context::{Context, Limits};
pub use crate::server::{BuiltinTools, names};
