//! What a call did, for a host that keeps track of it: `_meta["codex/effects"]` of a result.
//!
//! A host that trusts this server, because both run in one process, learns from it which files changed, what ran and
//! how the plan stands, without knowing a single tool by name. Everyone else ignores it.

use rmcp::model::{CallToolResult, MetaObject};
use serde::Serialize;

use crate::patch::FileSummary;
use crate::plan::Step;
use crate::shell::CommandLine;

/// The key in a result's `_meta`.
const KEY: &str = "codex/effects";

/// What a call did.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Effects<'a> {
    /// A command ran.
    Command {
        command: &'a CommandLine,
        /// Absent if a signal ended it.
        exit_code: Option<i32>,
    },
    /// Files changed.
    Patch {
        files: &'a [FileSummary],
        /// Unified diff, possibly cut.
        diff: &'a str,
    },
    /// The plan is now this.
    Plan { plan: &'a [Step] },
}

impl Effects<'_> {
    /// Puts the effects on record in `result`.
    pub(crate) fn attach(&self, result: &mut CallToolResult) {
        if let Ok(effects) = serde_json::to_value(self) {
            result.meta.get_or_insert_with(MetaObject::new).0.insert(KEY.to_owned(), effects);
        }
    }
}
