//! What a patch makes of the files: all of it computed in memory, before anything is written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sandbox::AccessError;

use super::document::{Document, EncodingError};
use super::locate::{Misplaced, locate};
use super::syntax::{Action, Chunk, Patch};
use crate::paths::{self, PathError};

/// The largest file that is patched, in bytes. Old and new content are in memory together.
pub(crate) const LARGEST: u64 = 64 << 20;
/// Places of an ambiguous chunk that are listed.
const LISTED: usize = 8;

/// Where files come from.
pub(crate) trait Files {
    /// The file that is to be changed, or `None` if nothing has this path.
    fn open(&mut self, path: &Path) -> Result<Option<Original>, PatchError>;
    /// The path by which a file is known, however it is spelt.
    fn identity(&self, path: &Path) -> PathBuf;
}

/// What stands at a path before the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    File {
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link, and where it points.
    Link(PathBuf),
}

impl Original {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::File { bytes, .. } => bytes,
            Self::Link(target) => target.as_os_str().as_encoded_bytes(),
        }
    }
}

/// What happens to one path.
#[derive(Debug)]
pub(crate) struct Change {
    /// Absolute, as spelt where it was first named.
    pub(crate) path: PathBuf,
    pub(crate) before: Option<Original>,
    /// The new content; `None` removes the file.
    pub(crate) after: Option<Vec<u8>>,
    /// The permission bits of the new file.
    pub(crate) mode: u32,
    /// The file whose content, changed or not, came here.
    pub(crate) moved_from: Option<PathBuf>,
    /// Its content went elsewhere.
    pub(crate) moved_away: bool,
}

/// Why a patch was not applied. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error(transparent)]
    Parse(#[from] super::parse::ParseError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("{path} is a directory, not a file")]
    Directory { path: String },
    #[error("{path} does not exist")]
    Missing { path: String },
    #[error("{path} does not exist; to create it, use *** Add File: {path}")]
    NothingToUpdate { path: String },
    #[error("{path} is {size} bytes long, more than the {LARGEST} that can be patched; use a shell command")]
    TooLarge { path: String, size: u64 },
    #[error("{path} is read-only (mode {mode:o}); make it writable first, if it is meant to change")]
    ReadOnly { path: String, mode: u32 },
    #[error("{path} is a symbolic link to {target}; patch that file instead")]
    Link { path: String, target: String },
    #[error("{path} changed while the patch was being applied; read it again")]
    Changed { path: String },
    #[error("{path} {source}")]
    Encoding { path: String, source: EncodingError },
    #[error("{0}")]
    Misplaced(String),
    #[error("cancelled")]
    Cancelled,
    /// It failed, and then putting things back failed as well: the only case in which something stays changed.
    #[error("{cause}; then putting the files back failed too ({rollback}), look at {paths}")]
    Rollback { cause: String, rollback: String, paths: String },
}

/// What the patch makes of the files, in the order in which it names them.
pub(crate) fn apply(
    patch: &Patch<'_>,
    base: &Path,
    files: &mut dyn Files,
) -> Result<Vec<Change>, PatchError> {
    let mut workspace = Workspace { base, files, known: HashMap::new(), changes: Vec::new() };
    for section in &patch.sections {
        match &section.action {
            Action::Add { lines, final_newline } => workspace.add(section.path, lines, *final_newline)?,
            Action::Delete => workspace.delete(section.path)?,
            Action::Update { move_to, chunks } => workspace.update(section.path, *move_to, chunks)?,
        }
    }
    Ok(workspace.changes)
}

/// The files as the sections so far leave them.
struct Workspace<'a> {
    base: &'a Path,
    files: &'a mut dyn Files,
    /// The index in the changes of each file named so far, by its identity.
    known: HashMap<PathBuf, usize>,
    changes: Vec<Change>,
}

impl Workspace<'_> {
    /// The index of the file in the changes.
    fn enter(&mut self, given: &str) -> Result<usize, PatchError> {
        let path = paths::absolute(self.base, given)?;
        let identity = self.files.identity(&path);
        if let Some(known) = self.known.get(&identity) {
            return Ok(*known);
        }
        let before = self.files.open(&path)?;
        let (after, mode) = match &before {
            Some(Original::File { bytes, mode }) => (Some(bytes.clone()), *mode),
            Some(Original::Link(_)) => (Some(Vec::new()), 0),
            None => (None, 0o644),
        };
        self.known.insert(identity, self.changes.len());
        self.changes.push(Change { path, before, after, mode, moved_from: None, moved_away: false });
        Ok(self.changes.len() - 1)
    }

    /// The same for a file that gets new content.
    fn enter_for_writing(&mut self, given: &str) -> Result<usize, PatchError> {
        let index = self.enter(given)?;
        let change = &self.changes[index];
        match &change.before {
            Some(Original::Link(target)) if change.after.is_some() => {
                Err(PatchError::Link { path: self.name(&change.path), target: paths::show(target) })
            }
            Some(Original::File { mode, .. }) if mode & 0o222 == 0 => {
                Err(PatchError::ReadOnly { path: self.name(&change.path), mode: mode & 0o7777 })
            }
            _ => Ok(index),
        }
    }

    fn name(&self, path: &Path) -> String {
        paths::display(self.base, path)
    }

    fn add(&mut self, given: &str, lines: &[&str], final_newline: bool) -> Result<(), PatchError> {
        let index = self.enter_for_writing(given)?;
        let mut text = lines.join("\n");
        if final_newline && !lines.is_empty() {
            text.push('\n');
        }
        self.changes[index].after = Some(text.into_bytes());
        Ok(())
    }

    fn delete(&mut self, given: &str) -> Result<(), PatchError> {
        let index = self.enter(given)?;
        if self.changes[index].after.take().is_none() {
            return Err(PatchError::Missing { path: self.name(&self.changes[index].path) });
        }
        // What was moved here first is gone where it came from.
        let origin = self.changes[index].moved_from.take();
        for change in self.changes.iter_mut().filter(|change| Some(&change.path) == origin.as_ref()) {
            change.moved_away = false;
        }
        Ok(())
    }

    fn update(&mut self, given: &str, move_to: Option<&str>, chunks: &[Chunk<'_>]) -> Result<(), PatchError> {
        let from = self.enter_for_writing(given)?;
        let name = self.name(&self.changes[from].path);
        let Some(bytes) = self.changes[from].after.take() else {
            return Err(PatchError::NothingToUpdate { path: name });
        };
        let bytes = if chunks.is_empty() { bytes } else { rewrite(&name, &bytes, chunks)? };
        let Some(target) = move_to else {
            self.changes[from].after = Some(bytes);
            return Ok(());
        };
        let to = self.enter_for_writing(target)?;
        if to != from {
            let source = &mut self.changes[from];
            source.moved_away = true;
            let (mode, origin) =
                (source.mode, source.moved_from.take().unwrap_or_else(|| source.path.clone()));
            let target = &mut self.changes[to];
            target.mode = mode;
            // It may come back to where it started.
            target.moved_away &= target.path != origin;
            target.moved_from = (target.path != origin).then_some(origin);
        }
        self.changes[to].after = Some(bytes);
        Ok(())
    }
}

fn rewrite(name: &str, bytes: &[u8], chunks: &[Chunk<'_>]) -> Result<Vec<u8>, PatchError> {
    let encoding = |source| PatchError::Encoding { path: name.to_owned(), source };
    let document = Document::read(bytes).map_err(encoding)?;
    let lines = document.texts();
    let places =
        locate(&lines, chunks).map_err(|why| PatchError::Misplaced(explain(name, &lines, chunks, why)))?;
    let placed: Vec<_> = places.into_iter().zip(chunks).collect();
    document.rewrite(&placed).map_err(encoding)
}

/// Why a chunk has no place, and what to do about it.
fn explain(name: &str, lines: &[Cow<'_, str>], chunks: &[Chunk<'_>], why: Misplaced) -> String {
    let chunk = |index: usize| format!("{name}: chunk {} (patch line {})", index + 1, chunks[index].line);
    let excerpt =
        |at: usize| lines.get(at).map_or("", |line| line.trim()).chars().take(120).collect::<String>();
    match why {
        Misplaced::NoAnchor { chunk: index, anchor, nearest } => {
            let near = nearest
                .map(|at| format!("; the nearest line is {}: {}", at + 1, excerpt(at)))
                .unwrap_or_default();
            format!("{}: no line is \"@@ {anchor}\"{near}", chunk(index))
        }
        Misplaced::NotFound { chunk: index, nearest: Some(nearest) } => {
            let from = nearest.at + 1;
            format!(
                "{} does not match the file; the nearest lines start at {from}:\n{}",
                chunk(index),
                nearest.shown
            )
        }
        Misplaced::NotFound { chunk: index, nearest: None } => {
            format!(
                "{} does not match the file, and nothing in it is similar; read the file again",
                chunk(index)
            )
        }
        Misplaced::OutOfOrder { chunk: index, at } => {
            format!(
                "{} matches at line {}, above the chunk before it; put chunks in the file's order",
                chunk(index),
                at + 1
            )
        }
        Misplaced::Applied { chunk: index, at } => {
            format!(
                "{} does not match the file, which has its new lines already, at line {}",
                chunk(index),
                at + 1
            )
        }
        Misplaced::Ambiguous { chunk: index, at } => {
            let listed = at.iter().take(LISTED).map(|at| format!("\n  {}: {}", at + 1, excerpt(*at)));
            let more = at
                .len()
                .checked_sub(LISTED + 1)
                .map(|more| format!("\n  and {} more", more + 1))
                .unwrap_or_default();
            format!(
                "{} fits in {} places; add context lines, or name an enclosing line with \"@@ …\":{}{more}",
                chunk(index),
                at.len(),
                listed.collect::<String>()
            )
        }
    }
}
