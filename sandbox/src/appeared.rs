//! Protected names that were not there when a command started, and are when it has ended.
//!
//! At the full level that is a repository that the command made, or what someone outside put there meanwhile.
//! At the reduced level nothing keeps a command from making any of them, so whoever would obey what they hold
//! asks here first.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use crate::{
    policy::Policy,
    protected::{self, GIT, OWN},
};

/// What is looked for in a repository, besides hooks.
const OF_GIT: [&str; 2] = ["config", "commondir"];
/// How many hooks are looked at. Git knows fewer than thirty.
const MOST_HOOKS: usize = 1000;

/// What was missing at one moment.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    missing: Vec<PathBuf>,
    /// The `.git` of roots that had none.
    unborn: Vec<PathBuf>,
    /// Directories of hooks, and the hooks that were in them.
    hooks: Vec<(PathBuf, BTreeSet<OsString>)>,
}

impl Watch {
    /// Looks at the roots of a policy. `open` says that nothing keeps a command from changing what is there,
    /// so that this counts too.
    pub(crate) fn new(policy: &Policy, open: bool) -> Self {
        let mut watch = Self::default();
        for root in policy.writable_roots() {
            watch.missing.extend(OWN.map(|name| root.join(name)));
            let git = root.join(GIT);
            watch.missing.extend(OF_GIT.map(|name| git.join(name)));
            let hooks = git.join("hooks");
            if open || !is_there(&hooks) {
                let present = active(&hooks).collect();
                watch.hooks.push((hooks, present));
            }
            if !is_there(&git) {
                watch.unborn.push(git);
            }
        }
        watch.missing.extend(policy.rules().into_iter().flat_map(|rules| rules.protected.clone()));
        watch.missing.retain(|path| !is_there(path));
        watch
    }

    /// What of it is there now.
    pub(crate) fn appeared(&self) -> Vec<PathBuf> {
        // One that is a directory is told by what it holds.
        let pointers = self.unborn.iter().filter(|git| is_there(git) && !git.is_dir());
        let mut appeared: Vec<PathBuf> = self.missing.iter().filter(|path| is_there(path)).cloned().collect();
        appeared.extend(pointers.cloned());
        for (dir, present) in &self.hooks {
            appeared.extend(active(dir).filter(|name| !present.contains(name)).map(|name| dir.join(name)));
        }
        appeared
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| !protected::is_stand_in(it.mode(), it.len()))
}

/// The hooks that git would run.
fn active(dir: &Path) -> impl Iterator<Item = OsString> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.take(MOST_HOOKS).filter(|name| !name.as_bytes().ends_with(b".sample"))
}
