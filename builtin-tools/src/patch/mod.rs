//! `apply_patch`: edits files, all of a patch or nothing of it.
//!
//! The way of a patch: [`parse`] reads the text, [`mod@apply`] computes in memory what it makes of the files ([`locate`]
//! finds the place of each chunk, [`document`] takes files apart and puts them together), [`commit`] writes it, and
//! [`diff`] shows it to the user.

mod apply;
mod commit;
mod diff;
pub(crate) mod document;
mod locate;
mod nearest;
mod parse;
#[cfg(test)]
mod properties;
mod syntax;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use rmcp::model::{
    Annotations, CallToolResult, ContentBlock, EmbeddedResource, ResourceContents, Role, Tool,
    ToolAnnotations,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub(crate) use self::apply::PatchError;
use self::apply::{Change, Original};
use self::commit::Disk;
use self::diff::FileDiff;
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::effects::Effects;
use crate::error::ToolError;
use crate::paths;
use crate::schema;

pub(crate) const NAME: &str = "apply_patch";
/// Another name that models use for the argument.
pub(crate) const ALIASES: [(&str, &str); 1] = [("patch", "input")];

const DESCRIPTION: &str = "\
Edit files; all of the patch is applied or none. Format:
*** Begin Patch
*** Add File: PATH
+line
*** Delete File: PATH
*** Update File: PATH
*** Move to: NEW PATH (optional)
@@ enclosing line, e.g. of a class or function (optional; several narrow down)
 context line
-old line
+new line
*** End Patch
Give 3 lines of context around a change; it must fit in one place only. Further changes to a file start with another @@.";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The patch.
    pub(crate) input: String,
}

/// The structured result.
#[derive(Serialize, JsonSchema)]
struct Output<'a> {
    files: &'a [FileSummary],
}

/// What happened to one file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FileSummary {
    path: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    /// Lines.
    added: usize,
    /// Lines.
    removed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Add,
    Update,
    Move,
    Delete,
}

pub(crate) fn tool() -> Tool {
    let annotations =
        ToolAnnotations::with_title("Edit files").read_only(false).destructive(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Params>())
        .with_raw_output_schema(schema::output::<Output<'_>>())
        .with_annotations(annotations)
}

/// A patch that was applied.
pub(crate) struct Applied {
    pub(crate) files: Vec<FileSummary>,
    /// Unified diff, possibly cut.
    pub(crate) diff: String,
}

pub(crate) async fn call(params: Params, call: &Call) -> Answer {
    Ok(apply(call.context().cwd.clone(), params.input, call).await?.result())
}

/// Applies the patch, paths in it being relative to `base`.
pub(crate) async fn apply(base: PathBuf, patch: String, call: &Call) -> Result<Applied, ToolError> {
    let work = call.blocking(move |shared, cancelled| {
        let _one_at_a_time = shared.patching.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(apply_blocking(&shared.context, &base, &patch, cancelled)?)
    });
    work.await
}

fn apply_blocking(
    context: &Context,
    base: &Path,
    patch: &str,
    cancelled: &CancellationToken,
) -> Result<Applied, PatchError> {
    let patch = parse::parse(patch)?;
    let mut disk = Disk::new(&context.policy, base);
    let changes = apply::apply(&patch, base, &mut disk)?;
    let applied = describe(&context.cwd, &changes);
    if cancelled.is_cancelled() {
        return Err(PatchError::Cancelled);
    }
    commit::commit(disk, &changes)?;
    Ok(applied)
}

/// What the changes amount to, for those who look at them afterwards.
fn describe(cwd: &Path, changes: &[Change]) -> Applied {
    let (mut files, mut diff) = (Vec::new(), String::new());
    for change in changes.iter().filter(|change| change.after.is_some() || change.before.is_some()) {
        let moved = moved_here(changes, change);
        if change.after.is_none() && change.moved_away {
            // It is told of where it went to.
            continue;
        }
        let path = paths::display(cwd, &change.path);
        let (old_path, before) = match moved {
            Some((origin, content)) => (paths::display(cwd, origin), Some(content)),
            None => (path.clone(), change.before.as_ref()),
        };
        if let (Some(_), Some(lost), false) = (moved, &change.before, change.moved_away) {
            add(&mut diff, diff::file_diff(&path, &path, Some(lost.bytes()), None));
        }
        let before = before.map(Original::bytes);
        let file = diff::file_diff(&old_path, &path, before, change.after.as_deref());
        let kind = match (moved, before, &change.after) {
            (Some(_), ..) => Kind::Move,
            (_, None, _) => Kind::Add,
            (_, _, None) => Kind::Delete,
            _ => Kind::Update,
        };
        let moved_to = moved.map(|_| path);
        files.push(FileSummary { path: old_path, kind, moved_to, added: file.added, removed: file.removed });
        add(&mut diff, file);
    }
    diff::limit(&mut diff);
    files.sort_by_key(|file| file.kind);
    Applied { files, diff }
}

/// The file whose content came to this path, and what it was.
fn moved_here<'a>(changes: &'a [Change], change: &'a Change) -> Option<(&'a Path, &'a Original)> {
    let origin = change.moved_from.as_ref().filter(|_| change.after.is_some())?;
    let before = changes.iter().find(|change| change.path == *origin)?.before.as_ref()?;
    Some((origin, before))
}

fn add(diff: &mut String, file: FileDiff) {
    if diff.len() <= diff::LONGEST {
        diff.push_str(&file.text);
    }
}

impl Applied {
    /// The files in the words that models know from other implementations of the format.
    pub(crate) fn summary(&self) -> String {
        let mut summary = "Success. Updated the following files:".to_owned();
        for file in &self.files {
            let line = match (file.kind, &file.moved_to) {
                (Kind::Add, _) => format!("\nA {}", file.path),
                (Kind::Delete, _) => format!("\nD {}", file.path),
                (_, Some(target)) => format!("\nM {} -> {target}", file.path),
                (_, None) => format!("\nM {}", file.path),
            };
            summary.push_str(&line);
        }
        summary
    }

    /// The diff, for the user's eyes. Named by its content, so that equal runs give equal results.
    pub(crate) fn resource(&self) -> ContentBlock {
        let mut hasher = DefaultHasher::new();
        self.diff.hash(&mut hasher);
        let uri = format!("codex://diff/{:016x}", hasher.finish());
        let contents = ResourceContents::TextResourceContents {
            uri,
            mime_type: Some("text/x-diff".to_owned()),
            text: self.diff.clone(),
            meta: None,
        };
        let for_user = Annotations::default().with_audience(vec![Role::User]);
        ContentBlock::Resource(EmbeddedResource::new(contents).with_annotations(for_user))
    }

    pub(crate) fn effects(&self) -> Effects<'_> {
        Effects::Patch { files: &self.files, diff: &self.diff }
    }

    fn result(&self) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.summary()), self.resource()]);
        result.structured_content = serde_json::to_value(Output { files: &self.files }).ok();
        self.effects().attach(&mut result);
        result
    }
}
