//! `list_dir`: what is in a directory, as a tree.
//!
//! Where there is too much to show, the upper levels are shown first: someone who looks around wants to know all
//! neighbours before all cousins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};
use sandbox::{AccessError, Entry, EntryKind, Policy, ReadDir};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::call::{Answer, Call};
use crate::content;
use crate::error::ToolError;
use crate::paths;
use crate::schema;

pub(crate) const NAME: &str = "list_dir";

const DESCRIPTION: &str =
    "List a directory as a tree: name/ is a directory, name@ a link; files with their sizes.";

/// Entries that are shown when the call does not say.
const ENTRIES: usize = 200;
/// Entries of one directory that are looked at.
const LOOKED_AT: usize = 100_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Default: the workspace.
    path: Option<String>,
    /// Levels, default 1.
    #[schemars(range(min = 1, max = 5))]
    depth: Option<usize>,
    /// Entries, default 200.
    #[schemars(range(min = 1, max = 5000))]
    limit: Option<usize>,
    /// Show names that start with a dot.
    hidden: Option<bool>,
}

pub(crate) fn tool() -> Tool {
    let annotations = ToolAnnotations::with_title("List a directory").read_only(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Params>()).with_annotations(annotations)
}

pub(crate) async fn call(params: Params, call: &Call) -> Answer {
    let text = call.blocking(move |shared, cancelled| {
        let path = paths::absolute(&shared.context.cwd, params.path.as_deref().unwrap_or("."))?;
        list(&shared.context.policy, &shared.context.cwd, &path, &params, cancelled)
    });
    Ok(CallToolResult::success(vec![ContentBlock::text(text.await?)]))
}

/// A directory that is shown.
#[derive(Default)]
struct Listing {
    lines: Vec<Line>,
    /// Entries that there was no room for.
    left_out: usize,
    /// There are even more.
    more: bool,
    hidden: usize,
}

/// A line of the tree, and the directory below it.
struct Line {
    text: String,
    directory: Option<OsString>,
}

/// Directories of one level: each with its path and itself, if it can be read.
type Level = Vec<(PathBuf, Result<ReadDir, AccessError>)>;

fn list(
    policy: &Policy,
    cwd: &Path,
    root: &Path,
    params: &Params,
    cancelled: &CancellationToken,
) -> Result<String, ToolError> {
    let mut room = params.limit.unwrap_or(ENTRIES);
    let mut listings: BTreeMap<PathBuf, Result<Listing, AccessError>> = BTreeMap::new();
    let mut level: Level = vec![(root.to_owned(), policy.open_dir_for_read(root))];
    for _ in 0..params.depth.unwrap_or(1) {
        let mut below = Level::new();
        for (path, directory) in level {
            if cancelled.is_cancelled() {
                return Err(ToolError::Cancelled);
            }
            let listing = directory.and_then(|directory| {
                let listing = read(&directory, params.hidden.unwrap_or(false), room)?;
                let names = listing.lines.iter().filter_map(|line| line.directory.as_ref());
                below.extend(names.map(|name| (path.join(name), directory.open_dir(name))));
                Ok(listing)
            });
            room -= listing.as_ref().map_or(0, |listing| listing.lines.len());
            listings.insert(path, listing);
        }
        level = below;
    }
    let shown_root = paths::display(cwd, root);
    if let Some(Err(_)) = listings.get(root)
        && let Some(Err(error)) = listings.remove(root)
    {
        return Err(ToolError::directory(error, shown_root));
    }
    let mut text = format!("{}/", shown_root.trim_end_matches('/'));
    write_tree(&mut text, &listings, root, 1);
    Ok(text)
}

fn read(directory: &ReadDir, hidden: bool, room: usize) -> Result<Listing, AccessError> {
    let mut listing = Listing::default();
    let mut entries: Vec<Entry> = Vec::new();
    for entry in directory.entries()? {
        let entry = entry?;
        if !hidden && entry.name.as_encoded_bytes().starts_with(b".") {
            listing.hidden += 1;
        } else if entries.len() < LOOKED_AT {
            entries.push(entry);
        } else {
            listing.more = true;
            break;
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    listing.left_out = entries.len().saturating_sub(room);
    listing.lines = entries.into_iter().take(room).map(|entry| describe(directory, entry)).collect();
    Ok(listing)
}

fn describe(directory: &ReadDir, entry: Entry) -> Line {
    let name = paths::show(Path::new(&entry.name));
    let text = match entry.kind {
        EntryKind::Directory => format!("{name}/"),
        EntryKind::Link => match directory.read_link(&entry.name) {
            Ok(target) => format!("{name}@ -> {}", paths::show(&target)),
            Err(_) => format!("{name}@"),
        },
        EntryKind::File => match directory.metadata(&entry.name) {
            Ok(metadata) => format!("{name} ({})", content::size(metadata.len())),
            Err(_) => name,
        },
        _ => format!("{name} (neither file nor directory)"),
    };
    Line { text, directory: (entry.kind == EntryKind::Directory).then_some(entry.name) }
}

fn write_tree(
    text: &mut String,
    listings: &BTreeMap<PathBuf, Result<Listing, AccessError>>,
    directory: &Path,
    level: usize,
) {
    let indent = "  ".repeat(level);
    let listing = match listings.get(directory) {
        Some(Ok(listing)) => listing,
        Some(Err(error)) => {
            _ = write!(text, "\n{indent}[{}]", why(error));
            return;
        }
        None => return,
    };
    for entry in &listing.lines {
        _ = write!(text, "\n{indent}{}", entry.text);
        if let Some(name) = &entry.directory {
            write_tree(text, listings, &directory.join(name), level + 1);
        }
    }
    let mut notes = Vec::new();
    if listing.left_out > 0 {
        let more = if listing.more { " or more" } else { "" };
        notes.push(format!("{}{more} not shown, raise limit to see them", listing.left_out));
    }
    if listing.hidden > 0 {
        notes.push(format!("{} hidden", listing.hidden));
    }
    if notes.is_empty() && listing.lines.is_empty() {
        notes.push("empty".to_owned());
    }
    if !notes.is_empty() {
        _ = write!(text, "\n{indent}[{}]", notes.join("; "));
    }
}

/// The reason alone: which directory it is about stands above it.
fn why(error: &AccessError) -> String {
    match error {
        AccessError::Io { source, .. } => source.to_string(),
        AccessError::Denied { rule, .. } => format!("may not be read: {rule}"),
        other => other.to_string(),
    }
}
