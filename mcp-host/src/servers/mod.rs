//! The tools of every MCP server, in process and outside, in one catalog behind one `call`.

mod catalog;
mod client;
mod connect;
mod pool;
mod spec;
mod stderr;
mod toolset;

pub use catalog::{Catalog, Entry};
pub use client::ProgressSink;
pub use pool::{ServerState, ServerStatus};
pub use spec::{InProcess, Link, ServerSpec, ToolContext, link};
pub use toolset::{CallRequest, Toolset};

pub(crate) use pool::Pool;
