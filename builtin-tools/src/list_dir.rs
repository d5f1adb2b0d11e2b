//! `list_dir`: what is in a directory, as a tree.
//!
//! Where there is too much to show, the upper levels are shown first: someone who looks around wants to know all
//! neighbours before all cousins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};
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
        list(&shared.context.cwd, &path, &params, cancelled)
    });
    Ok(CallToolResult::success(vec![ContentBlock::text(text.await?)]))
}

/// A directory that is shown.
#[derive(Default)]
struct Listing {
    lines: Vec<Entry>,
    /// Entries that there was no room for.
    left_out: usize,
    /// There are even more.
    more: bool,
    hidden: usize,
}

/// A line of the tree, and the directory below it.
struct Entry {
    text: String,
    directory: Option<PathBuf>,
}

fn list(
    cwd: &Path,
    root: &Path,
    params: &Params,
    cancelled: &CancellationToken,
) -> Result<String, ToolError> {
    let mut room = params.limit.unwrap_or(ENTRIES);
    let mut listings: BTreeMap<PathBuf, Result<Listing, io::Error>> = BTreeMap::new();
    let mut level = vec![root.to_owned()];
    for _ in 0..params.depth.unwrap_or(1) {
        let mut below = Vec::new();
        for directory in level {
            if cancelled.is_cancelled() {
                return Err(ToolError::Cancelled);
            }
            let listing = read(&directory, params.hidden.unwrap_or(false), room);
            if let Ok(listing) = &listing {
                room -= listing.lines.len();
                below.extend(listing.lines.iter().filter_map(|entry| entry.directory.clone()));
            }
            listings.insert(directory, listing);
        }
        level = below;
    }
    let shown_root = paths::display(cwd, root);
    if let Some(Err(_)) = listings.get(root)
        && let Some(Err(source)) = listings.remove(root)
    {
        let file = source.kind() == io::ErrorKind::NotADirectory;
        let advice = if file { "; read_file shows files" } else { "" };
        return Err(ToolError::Io { path: shown_root, source, advice });
    }
    let mut text = format!("{}/", shown_root.trim_end_matches('/'));
    write_tree(&mut text, &listings, root, 1);
    Ok(text)
}

fn read(directory: &Path, hidden: bool, room: usize) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut entries: Vec<DirEntry> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if !hidden && entry.file_name().as_encoded_bytes().starts_with(b".") {
            listing.hidden += 1;
        } else if entries.len() < LOOKED_AT {
            entries.push(entry);
        } else {
            listing.more = true;
            break;
        }
    }
    entries.sort_by_key(DirEntry::file_name);
    listing.left_out = entries.len().saturating_sub(room);
    listing.lines = entries.iter().take(room).map(describe).collect();
    Ok(listing)
}

fn describe(entry: &DirEntry) -> Entry {
    let path = entry.path();
    let name = paths::show(Path::new(&entry.file_name()));
    let kind = entry.file_type().ok();
    let text = match kind {
        Some(kind) if kind.is_dir() => format!("{name}/"),
        Some(kind) if kind.is_symlink() => match std::fs::read_link(&path) {
            Ok(target) => format!("{name}@ -> {}", paths::show(&target)),
            Err(_) => format!("{name}@"),
        },
        Some(kind) if kind.is_file() => match entry.metadata() {
            Ok(metadata) => format!("{name} ({})", content::size(metadata.len())),
            Err(_) => name,
        },
        _ => format!("{name} (neither file nor directory)"),
    };
    let directory = kind.as_ref().is_some_and(FileType::is_dir).then_some(path);
    Entry { text, directory }
}

fn write_tree(
    text: &mut String,
    listings: &BTreeMap<PathBuf, io::Result<Listing>>,
    directory: &Path,
    level: usize,
) {
    let indent = "  ".repeat(level);
    let listing = match listings.get(directory) {
        Some(Ok(listing)) => listing,
        Some(Err(error)) => {
            _ = write!(text, "\n{indent}[{error}]");
            return;
        }
        None => return,
    };
    for entry in &listing.lines {
        _ = write!(text, "\n{indent}{}", entry.text);
        if let Some(directory) = &entry.directory {
            write_tree(text, listings, directory, level + 1);
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
