//! `file_search`: finds files by fuzzy parts of their paths.
//!
//! The tree is walked by a few threads, each of which keeps its best matches only, so that memory does not grow with
//! the tree. What Git ignores is left out. Every word of a query must match; where one matches the file's own name it
//! counts more than across directories, which is how people search: by name first, by place second.

mod rank;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ignore::{DirEntry, WalkBuilder, WalkState};
use nucleo_matcher::pattern::Pattern;
use rmcp::model::{CallToolResult, ContentBlock, Tool, ToolAnnotations};
use sandbox::ReadDir;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::rank::Ranker;
use crate::call::{Answer, Call};
use crate::error::ToolError;
use crate::paths;
use crate::schema;

pub(crate) const NAME: &str = "file_search";

const DESCRIPTION: &str =
    "Find files by fuzzy parts of their paths, best first. Leaves out what Git ignores.";

/// Matches that are shown when the call does not say.
const MATCHES: usize = 20;
/// How long the tree is walked; then what was found is what there is.
const TIME: Duration = Duration::from_secs(5);
/// Threads that walk.
const THREADS: usize = 8;
/// Characters of a query that count.
const QUERY: usize = 200;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Words; all must match.
    query: String,
    /// Directory to search, default: the workspace.
    path: Option<String>,
    /// Default 20.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Search names that start with a dot too.
    hidden: Option<bool>,
}

/// The structured result.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    matches: Vec<Match>,
    /// Matches in all, of which the best are listed.
    total: usize,
    /// The whole tree was searched.
    complete: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Match {
    path: String,
    score: u32,
    /// The characters of the path that match, from 0.
    positions: Vec<u32>,
}

pub(crate) fn tool() -> Tool {
    let annotations = ToolAnnotations::with_title("Find files").read_only(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Params>())
        .with_raw_output_schema(schema::output::<Output>())
        .with_annotations(annotations)
}

pub(crate) async fn call(params: Params, call: &Call) -> Answer {
    let search = call.blocking(move |shared, cancelled| {
        let cwd = &shared.context.cwd;
        let root = paths::absolute(cwd, params.path.as_deref().unwrap_or("."))?;
        let tree = shared.context.policy.open_dir_for_read(&root);
        let tree = tree.map_err(|error| ToolError::directory(error, paths::display(cwd, &root)))?;
        Ok(search(cwd, tree, &params, cancelled))
    });
    let output = search.await?;
    let mut result = CallToolResult::success(vec![ContentBlock::text(output.text())]);
    result.structured_content = serde_json::to_value(output).ok();
    Ok(result)
}

impl Output {
    fn text(&self) -> String {
        let mut lines: Vec<String> = self.matches.iter().map(|found| found.path.clone()).collect();
        match self.total - self.matches.len() {
            0 if lines.is_empty() => lines.push("no file matches".to_owned()),
            0 => {}
            more => lines.push(format!("[{more} more match; add words or raise limit]")),
        }
        if !self.complete {
            lines.push(format!("[stopped after {} s; name a path to search less]", TIME.as_secs()));
        }
        lines.join("\n")
    }
}

fn search(cwd: &Path, tree: ReadDir, params: &Params, cancelled: &CancellationToken) -> Output {
    let query: String = params.query.chars().take(QUERY).collect();
    let pattern = rank::pattern(&query);
    let tree = Arc::new(tree);
    let hunt = Hunt {
        cwd,
        root: tree.path(),
        pattern: &pattern,
        limit: params.limit.unwrap_or(MATCHES),
        deadline: Instant::now() + TIME,
        cancelled,
        stopped: AtomicBool::new(false),
        total: AtomicUsize::new(0),
        best: Mutex::default(),
    };
    walk(&tree, params.hidden.unwrap_or(false)).build_parallel().run(|| {
        let mut hunter = Hunter { hunt: &hunt, ranker: Ranker::new(), best: BinaryHeap::new() };
        Box::new(move |entry| hunter.visit(entry))
    });
    let mut best = hunt.best.into_inner().unwrap_or_else(PoisonError::into_inner);
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(hunt.limit);
    let mut ranker = Ranker::new();
    // On the way, a directory may have become a link to one that may not be read.
    let (best, gone): (Vec<_>, Vec<_>) = best.into_iter().partition(|found| tree.contains(&found.beneath));
    let matches = best.into_iter().map(|found| {
        let positions = ranker.positions(&pattern, &found.path.0);
        Match { path: found.path.0, score: found.score, positions }
    });
    Output {
        matches: matches.collect(),
        total: hunt.total.into_inner() - gone.len(),
        complete: !hunt.stopped.into_inner(),
    }
}

/// A walk over what a person takes for the files of the tree, around what may not be read.
fn walk(tree: &Arc<ReadDir>, hidden: bool) -> WalkBuilder {
    let root = tree.path();
    let in_repository = root.ancestors().any(|directory| directory.join(".git").exists());
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().min(THREADS));
    let mut walk = WalkBuilder::new(root);
    walk.hidden(!hidden)
        .follow_links(false)
        // This one is in the home directory, which is not ours to read.
        .git_global(false)
        // A .gitignore counts before "git init" too, but then not those above: a home directory may hold any.
        .require_git(in_repository)
        .parents(in_repository)
        .threads(threads)
        .filter_entry({
            let tree = Arc::clone(tree);
            move |entry| entry.file_name() != OsStr::new(".git") && !hides(&tree, entry)
        });
    walk
}

/// What may not be read is passed over, and so is all that lies in it.
fn hides(tree: &ReadDir, entry: &DirEntry) -> bool {
    match entry.path().strip_prefix(tree.path()) {
        Ok(beneath) if !beneath.as_os_str().is_empty() => {
            tree.hides(beneath, entry.ino().unwrap_or_default())
        }
        _ => false,
    }
}

/// One search.
struct Hunt<'a> {
    cwd: &'a Path,
    root: &'a Path,
    pattern: &'a Pattern,
    limit: usize,
    deadline: Instant,
    cancelled: &'a CancellationToken,
    /// The search ended before the tree did.
    stopped: AtomicBool,
    /// Matches.
    total: AtomicUsize,
    /// The best matches of each thread that is done.
    best: Mutex<Vec<Found>>,
}

/// A match. The greater one is better.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    score: u32,
    depth: Reverse<usize>,
    length: Reverse<usize>,
    path: Reverse<String>,
    /// The path from the top of the tree.
    beneath: PathBuf,
}

/// One thread of a search.
struct Hunter<'a> {
    hunt: &'a Hunt<'a>,
    ranker: Ranker,
    /// The worst on top.
    best: BinaryHeap<Reverse<Found>>,
}

impl Hunter<'_> {
    fn visit(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        let hunt = self.hunt;
        if hunt.cancelled.is_cancelled() || Instant::now() > hunt.deadline {
            hunt.stopped.store(true, Ordering::Relaxed);
            return WalkState::Quit;
        }
        // What can not be read is not found.
        let Ok(entry) = entry else { return WalkState::Continue };
        if entry.file_type().is_none_or(|kind| kind.is_dir()) {
            return WalkState::Continue;
        }
        let path = paths::display(hunt.cwd, entry.path());
        if let Some(score) = self.ranker.score(hunt.pattern, &path) {
            hunt.total.fetch_add(1, Ordering::Relaxed);
            let (depth, length) = (Reverse(path.matches('/').count()), Reverse(path.len()));
            let beneath = entry.path().strip_prefix(hunt.root).unwrap_or(entry.path()).to_owned();
            self.best.push(Reverse(Found { score, depth, length, path: Reverse(path), beneath }));
            if self.best.len() > hunt.limit {
                self.best.pop();
            }
        }
        WalkState::Continue
    }
}

impl Drop for Hunter<'_> {
    fn drop(&mut self) {
        let mut best = self.hunt.best.lock().unwrap_or_else(PoisonError::into_inner);
        best.extend(self.best.drain().map(|Reverse(found)| found));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sandbox::{Policy, ReadDir};
    use tokio_util::sync::CancellationToken;

    use super::{Params, search};

    /// What a query finds in a tree of empty files, best first.
    fn check(files: &[(&str, &str)], query: &str, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        assert_eq!(find(dir.path(), query, false), expected, "{query}");
    }

    fn tree(root: &Path) -> ReadDir {
        Policy::read_only().open_dir_for_read(root).unwrap()
    }

    fn find(root: &Path, query: &str, hidden: bool) -> Vec<String> {
        let params = Params { query: query.to_owned(), path: None, limit: Some(5), hidden: Some(hidden) };
        let output = search(root, tree(root), &params, &CancellationToken::new());
        output.matches.into_iter().map(|found| found.path).collect()
    }

    #[test]
    fn people_search_by_name_first() {
        let files = [
            "src/main.rs",
            "src/domain.rs",
            "maintenance/old/irs.txt",
            "src/server/mod.rs",
            "src/client/mod.rs",
            "cli/src/args.rs",
            "cli/src/largs.rs",
            "docs/arguments.md",
            "Makefile",
            "README.md",
        ];
        let files = files.map(|path| (path, ""));
        check(&files, "main", &["src/main.rs", "src/domain.rs", "maintenance/old/irs.txt"]);
        check(&files, "mod server", &["src/server/mod.rs"]);
        check(&files, "server/mod", &["src/server/mod.rs"]);
        check(&files, "args", &["cli/src/args.rs", "docs/arguments.md", "cli/src/largs.rs"]);
        check(&files, "cli args", &["cli/src/args.rs", "cli/src/largs.rs"]);
        check(&files, "readme", &["README.md"]);
        check(&files, "make", &["Makefile"]);
        check(&files, "xyz", &[]);
    }

    #[test]
    fn the_shallower_and_shorter_of_equals_comes_first() {
        check(
            &[("a/b/x.rs", ""), ("a/x.rs", ""), ("x.rs", ""), ("x.rs.bak", "")],
            "x.rs",
            &["x.rs", "a/x.rs", "a/b/x.rs", "x.rs.bak"],
        );
        check(&[("b.txt", ""), ("a.txt", "")], "", &["a.txt", "b.txt"]);
    }

    #[test]
    fn what_git_ignores_is_left_out() {
        let ignored =
            [(".gitignore", "built\n*.log\n"), ("built/x", ""), ("x.log", ""), ("a/x", ""), (".hid/x", "")];
        check(&ignored, "x", &["a/x"]);
        let dir = tempfile::tempdir().unwrap();
        for directory in [".git", ".hid", "sub"] {
            std::fs::create_dir(dir.path().join(directory)).unwrap();
        }
        std::fs::write(dir.path().join(".gitignore"), "*.log").unwrap();
        for file in [".git/x", ".hid/x", "sub/x", "sub/x.log"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        assert_eq!(find(dir.path(), "x", true), ["sub/x", ".hid/x"]);
        assert_eq!(find(&dir.path().join("sub"), "x", false), ["x"]);
    }

    #[test]
    fn positions_are_characters_of_the_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("grün")).unwrap();
        std::fs::write(dir.path().join("grün/main.rs"), "").unwrap();
        let params = Params { query: "mn gr".to_owned(), path: None, limit: None, hidden: None };
        let output = search(dir.path(), tree(dir.path()), &params, &CancellationToken::new());
        assert_eq!(output.matches[0].positions, [0, 1, 5, 8]);
    }

    #[test]
    fn a_cancelled_search_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "").unwrap();
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let params = Params { query: "x".to_owned(), path: None, limit: None, hidden: None };
        let output = search(dir.path(), tree(dir.path()), &params, &cancelled);
        assert!(!output.complete && output.matches.is_empty());
    }
}
