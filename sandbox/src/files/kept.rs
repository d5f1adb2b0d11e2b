//! What stays as it is in the writable roots: the same places that a command finds read-only there.
//!
//! [`protected`](crate::protected) says which these are. A command is kept from them by mounts; here each place
//! that is about to change is compared with them, by what it is and by what it is called. Names are compared
//! as the file systems do that take several spellings for one: letters in either case, and marks that are not
//! ASCII, as good as not there.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    location::{Identity, Location},
    readable::Spot,
};
use crate::{
    error::{AccessError, SpawnError},
    policy::Rules,
    protected::{self, GIT, Guard, OWN},
};

const OF_AGENTS: &str = "what is in .codex and .agents steers agents, and stays as it is";
const OF_GIT: &str = "git runs what a repository's hooks and config say, so those stay as they are, and .git stays \
                      where it is";
const LISTED: &str = "the settings keep it read-only";

/// The places that stay as they are.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<Place>);

#[derive(Debug)]
struct Place {
    spot: Spot,
    /// The root that it lies in, and the way from there.
    root: PathBuf,
    rest: PathBuf,
    /// Whether nothing in it is written; else it only stays where it is.
    whole: bool,
    rule: &'static str,
}

impl Kept {
    pub(crate) fn new(rules: &Rules) -> Result<Self, SpawnError> {
        let roots = rules.writable_roots.iter().filter(|root| root.is_absolute());
        let roots: Vec<PathBuf> = roots.filter_map(|root| root.canonicalize().ok()).collect();
        let guards = protected::survey(rules, &roots)?;
        let mut kept = Self::default();
        for (path, guard) in &guards {
            kept.add(path, !matches!(guard, Guard::Pin(_)), rules, &roots);
        }
        // Where there is no repository a command can make one, and that is told of. A file tool makes none.
        for git in roots.iter().map(|root| root.join(GIT)).filter(|git| !guards.contains_key(git)) {
            kept.add(&git, false, rules, &roots);
            for name in ["hooks", "config", "commondir"] {
                kept.add(&git.join(name), true, rules, &roots);
            }
        }
        Ok(kept)
    }

    fn add(&mut self, path: &Path, whole: bool, rules: &Rules, roots: &[PathBuf]) {
        let holding = roots.iter().filter(|root| path.starts_with(root));
        let Some(root) = holding.max_by_key(|root| root.as_os_str().len()) else { return };
        let Ok(rest) = path.strip_prefix(root) else { return };
        let listed = |listed: &PathBuf| {
            path.starts_with(listed) || listed.canonicalize().is_ok_and(|real| path.starts_with(real))
        };
        let rule = match rest.iter().next() {
            Some(name) if OWN.iter().any(|own| name == *own) => OF_AGENTS,
            _ if rules.protected.iter().any(listed) => LISTED,
            _ => OF_GIT,
        };
        let identity = rustix::fs::lstat(path).ok().as_ref().map(super::location::identity);
        let spot = Spot { path: path.to_owned(), identity };
        self.0.push(Place { spot, root: root.clone(), rest: rest.to_owned(), whole, rule });
    }

    /// Which rule keeps this directory from being written in, if one does.
    pub(crate) fn refuses_in(&self, dir: &Location) -> Option<&'static str> {
        let holds =
            |place: &&Place| place.whole && (place.spot.holds(dir).is_some() || place.leads_to(&dir.path));
        self.0.iter().find(holds).map(|place| place.rule)
    }

    /// Which rule keeps a name in this directory from being made, replaced or removed, if one does. `itself` is what
    /// has that name now.
    pub(crate) fn refuses(
        &self,
        dir: &Location,
        name: &OsStr,
        itself: Option<Identity>,
    ) -> Option<&'static str> {
        let target = dir.path.join(name);
        let is_it = |place: &&Place| {
            itself.is_some() && itself == place.spot.identity
                || place.spot.path == target
                || place.leads_to(&target) && depth(&place.spot.path) == depth(&target)
        };
        self.0.iter().find(is_it).map(|place| place.rule)
    }

    /// The same for a directory that is about to be made, which takes nobody's place.
    pub(crate) fn refuses_new(&self, dir: &Location, name: &OsStr) -> Option<&'static str> {
        let target = dir.path.join(name);
        let is_it = |place: &&Place| place.whole && place.leads_to(&target);
        self.0.iter().find(is_it).map(|place| place.rule).or_else(|| self.refuses_in(dir))
    }
}

impl Place {
    /// Whether this place is a path or above it, whichever way it is spelled.
    fn leads_to(&self, path: &Path) -> bool {
        let Ok(rest) = path.strip_prefix(&self.root) else { return false };
        let mut parts = rest.iter();
        self.rest.iter().all(|kept| parts.next().is_some_and(|part| is_spelling(kept, part)))
    }
}

/// Whether a file system might take one name for the other.
fn is_spelling(kept: &OsStr, name: &OsStr) -> bool {
    let (kept, name) = (kept.as_bytes(), name.as_bytes());
    let ascii = name.iter().filter(|byte| byte.is_ascii());
    kept == name || kept.is_ascii() && ascii.map(u8::to_ascii_lowercase).eq(kept.to_ascii_lowercase())
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

impl From<SpawnError> for AccessError {
    /// A rule that no command could be run under is one that no file is opened under.
    fn from(error: SpawnError) -> Self {
        Self::Unenforceable { why: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::is_spelling;

    #[test]
    fn spellings() {
        let check = |kept: &str, name: &str, is: bool| {
            assert_eq!(is_spelling(kept.as_ref(), name.as_ref()), is, "{kept:?} {name:?}");
        };
        for name in [".git", ".GIT", ".Git", ".g\u{200c}it", "\u{feff}.git"] {
            check(".git", name, true);
        }
        for name in [".gi", ".gitx", "git", ".git~1"] {
            check(".git", name, false);
        }
        check("Ü", "Ü", true);
        check("Ü", "Ä", false);
    }
}
