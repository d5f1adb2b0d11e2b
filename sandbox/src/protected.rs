//! Names in the writable roots that no command may write, or bring into being: what is in them is obeyed by
//! programs outside, codex and git among them.
//!
//! Here it is worked out which places that makes of them: links are followed, and so are git's own pointers
//! to other directories. What is done there, at the [full level](crate::Level::Full), is the part of
//! [`namespaces`](crate::namespaces). A name is only protected if every directory that leads to it stays where
//! it is, so each one of those below a root is pinned; otherwise `mv .git x` would leave the protection with
//! `x`, and the name free.
//!
//! Left open, and for the user to know: repositories deeper in a workspace, other than its submodules, and
//! files of the workspace that git was told to obey (`core.hooksPath`, `include.path`).
#![cfg(target_os = "linux")]

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::{CStr, OsString},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

mod repository;

use crate::{error::SpawnError, policy::Rules};

/// Directories that belong to codex, at the top of each root.
pub(crate) const OWN: [&str; 2] = [".codex", ".agents"];
/// Where a repository says what it is, at the top of each root.
pub(crate) const GIT: &str = ".git";
/// The permissions of what stands in for something missing, less what a umask takes. Nobody gives a file just
/// these, so one that was left behind is known by them.
pub(crate) const TELLTALE: u32 = 0o1444;
/// How many missing names are protected at most: a supervisor keeps two descriptors for each.
pub(crate) const MOST_STAND_INS: usize = 64;
/// How many links are followed on the way to a name at most.
const MOST_LINKS: usize = 16;

/// What is done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It stays where it is, and is as writable as it was.
    Pin(Kind),
    /// It stays where it is, and nothing in it is written.
    Keep(Kind),
    /// It is not there, and does not come to be: a file that says this, which means as much to its readers as
    /// none, stands in for it as long as a command runs. (A directory costs ten times as much on some systems.)
    Cover(&'static CStr),
}

/// What kind of file something is: the `S_IFMT` bits of its mode.
pub(crate) type Kind = u32;

/// The places and what is done there. Those that lead to a place come before it.
pub(crate) type Guards = BTreeMap<PathBuf, Guard>;

/// Works out the places for these roots, which are named without links.
pub(crate) fn survey(rules: &Rules, roots: &[PathBuf]) -> Result<Guards, SpawnError> {
    let mut survey = Survey { roots, guards: Guards::new() };
    for root in roots {
        for name in OWN {
            survey.keep(&root.join(name), c"")?;
        }
        survey.repository_at(root)?;
    }
    for path in rules.protected.iter().filter(|path| path.is_absolute()) {
        survey.keep(path, c"")?;
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        for root in roots.iter().filter(|root| root.starts_with(&real)) {
            survey.guard(root, Guard::Keep(libc::S_IFDIR));
        }
    }
    survey.finish()
}

/// Whether a file of this mode and length stands in for a missing name, for a command that runs or was cut off.
pub(crate) fn is_stand_in(mode: u32, length: u64) -> bool {
    /// What a umask does not take away, and what a stand-in does not have.
    const TOLD_BY: u32 = libc::S_IFMT | 0o1333;
    mode & TOLD_BY == libc::S_IFREG | TELLTALE & TOLD_BY && length <= 1
}

struct Survey<'a> {
    roots: &'a [PathBuf],
    guards: Guards,
}

/// Where a path leads.
enum Arrival {
    There(PathBuf, Kind),
    /// The first name on the way that does not exist, and whether it is the last.
    Missing(PathBuf, bool),
    /// A place beyond which we can not look, and so no command can go.
    Barred(PathBuf),
}

impl Survey<'_> {
    /// Protects a name, with something to stand in for it if it does not exist.
    fn keep(&mut self, path: &Path, stand_in: &'static CStr) -> Result<(), SpawnError> {
        match self.walk(path)? {
            Arrival::There(place, kind) => self.guard(&place, Guard::Keep(kind)),
            Arrival::Missing(place, true) => self.guard(&place, Guard::Cover(stand_in)),
            Arrival::Missing(place, false) => self.guard(&place, Guard::Cover(c"")),
            Arrival::Barred(place) => self.guard(&place, Guard::Keep(libc::S_IFDIR)),
        }
        Ok(())
    }

    /// Follows a path to its end, and pins what it leads through.
    fn walk(&mut self, path: &Path) -> Result<Arrival, SpawnError> {
        let mut at = PathBuf::from("/");
        let mut rest = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let metadata = match fs::symlink_metadata(&next) {
                // Nothing that is worth keeping, whoever left it.
                Ok(metadata) if is_stand_in(metadata.mode(), metadata.len()) => {
                    return Ok(Arrival::Missing(next, rest.is_empty()));
                }
                Ok(metadata) => metadata,
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::NotFound => Ok(Arrival::Missing(next, rest.is_empty())),
                        io::ErrorKind::PermissionDenied => Ok(Arrival::Barred(at)),
                        _ => Err(refusal(path, &error.to_string())),
                    };
                }
            };
            let kind = metadata.mode() & libc::S_IFMT;
            if kind == libc::S_IFLNK {
                links += 1;
                if links > MOST_LINKS {
                    return Err(refusal(path, "it leads through too many links"));
                }
                self.guard(&next, Guard::Pin(kind));
                let target = fs::read_link(&next).map_err(|error| refusal(path, &error.to_string()))?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let behind = std::mem::replace(&mut rest, names(&target));
                rest.extend(behind);
            } else if rest.is_empty() || kind != libc::S_IFDIR {
                return Ok(Arrival::There(next, kind));
            } else {
                self.guard(&next, Guard::Pin(kind));
                at = next;
            }
        }
        Ok(Arrival::There(at, libc::S_IFDIR))
    }

    /// Has this done at a place, unless nobody can write there anyway.
    fn guard(&mut self, place: &Path, guard: Guard) {
        let is_root = || self.roots.iter().any(|root| root == place);
        let writable = self.roots.iter().any(|root| place != root && place.starts_with(root));
        if writable || matches!(guard, Guard::Keep(_)) && is_root() {
            let present = self.guards.entry(place.to_owned()).or_insert(guard);
            if matches!(guard, Guard::Keep(_)) {
                *present = guard;
            }
        }
    }

    /// Nothing needs to be done in what is not written as a whole.
    fn finish(mut self) -> Result<Guards, SpawnError> {
        let mut kept: Option<PathBuf> = None;
        self.guards.retain(|place, guard| {
            if kept.as_ref().is_some_and(|kept| place.starts_with(kept)) {
                return false;
            }
            if matches!(guard, Guard::Keep(_)) {
                kept = Some(place.clone());
            }
            true
        });
        let missing = self.guards.values().filter(|guard| matches!(guard, Guard::Cover(_))).count();
        if missing > MOST_STAND_INS {
            return Err(SpawnError::Unenforceable {
                what: format!("{missing} protected paths do not exist, and at most {MOST_STAND_INS} may"),
                hint: "create them, or protect fewer",
            });
        }
        Ok(self.guards)
    }
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> VecDeque<OsString> {
    let named = path.components().filter(|it| matches!(it, Component::Normal(_) | Component::ParentDir));
    named.map(|it| it.as_os_str().to_owned()).collect()
}

fn refusal(path: &Path, why: &str) -> SpawnError {
    SpawnError::Unenforceable {
        what: format!("{} can not be protected: {why}", path.display()),
        hint: "make it a plain file or directory, or remove it",
    }
}
