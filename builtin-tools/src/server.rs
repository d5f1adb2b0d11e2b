//! The MCP server: which tools there are, and which code answers a call.

use std::sync::Arc;

use rmcp::model::Tool;
use rmcp::ServerHandler;

use crate::context::Context;

/// The built-in tools over one [`Context`]. Clones share it.
#[derive(Clone, Debug)]
pub struct BuiltinTools {
    context: Arc<Context>,
}

impl BuiltinTools {
    /// Tools that work in the given context. Nothing is opened or started before the first call.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context: Arc::new(context) }
    }

    /// The tools' descriptions, in the order in which they are listed; the same for every context.
    #[must_use]
    pub fn tools() -> Vec<Tool> {
        names().iter().map(|name| Tool::new(*name, "", Arc::new(serde_json::Map::new()))).collect()
    }
}

impl ServerHandler for BuiltinTools {}

/// The names of the built-in tools.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &["shell", "apply_patch", "read_file", "list_dir", "file_search", "update_plan"]
}
