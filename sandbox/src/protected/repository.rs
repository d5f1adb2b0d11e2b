//! What git obeys in a repository: its `config`, its `hooks`, and what says where those are.
//!
//! A repository's directory can refer to another one that holds its `config` and `hooks` (`commondir`), and
//! anything that may write such a reference may choose both. So it is protected like them, and where there is
//! none, one that says "here" stands in.

use std::{
    ffi::{CStr, OsString},
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::OsStringExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{Arrival, GIT, Guard, Survey};
use crate::error::SpawnError;

const CONFIG: &str = "config";
const HOOKS: &str = "hooks";
/// Where the other repository is that this one belongs to.
const COMMON: &str = "commondir";
/// That it belongs to none.
const HERE: &CStr = c".";
/// Read if `config` says so.
const CONFIG_OF_WORKTREE: &str = "config.worktree";
/// Where a linked worktree is, for the repository that it belongs to.
const BACK: &str = "gitdir";
/// Repositories of submodules are looked for so deep, and up to so many. Beyond that, none of them is written.
const DEPTH: usize = 3;
const MOST_MODULES: usize = 16;
/// Linked worktrees outside are looked for up to so many. Beyond that, none of their entries is written.
const MOST_WORKTREES: usize = 64;
/// What is read of a reference, and of a `config`, at most.
const MOST_OF_REFERENCE: u64 = 4 << 10;
const MOST_OF_CONFIG: u64 = 1 << 20;

impl Survey<'_> {
    /// Protects the repository of a root, if there is one.
    pub(super) fn repository_at(&mut self, root: &Path) -> Result<(), SpawnError> {
        match self.walk(&root.join(GIT))? {
            Arrival::There(git, kind) if is_foreign(root, &git) => {
                self.guard(&git, Guard::Keep(kind));
                Ok(())
            }
            Arrival::There(git, libc::S_IFDIR) => self.repository(&git),
            Arrival::There(pointer, kind) => {
                self.guard(&pointer, Guard::Keep(kind));
                let text = read(&pointer, MOST_OF_REFERENCE).unwrap_or_default();
                let Some(target) = text.strip_prefix(b"gitdir:") else { return Ok(()) };
                let base = pointer.parent().unwrap_or(root).to_owned();
                match self.walk(&base.join(path(target)))? {
                    Arrival::There(git, libc::S_IFDIR) => self.repository(&git),
                    Arrival::There(..) | Arrival::Barred(_) => Ok(()),
                    // Whoever makes it makes a repository of their own choice.
                    Arrival::Missing(place, _) => {
                        self.guard(&place, Guard::Cover(c""));
                        Ok(())
                    }
                }
            }
            Arrival::Barred(place) => {
                self.guard(&place, Guard::Keep(libc::S_IFDIR));
                Ok(())
            }
            Arrival::Missing(..) => Ok(()),
        }
    }

    /// Protects a repository and those that it is made of.
    fn repository(&mut self, git: &Path) -> Result<(), SpawnError> {
        let reference = git.join(COMMON);
        let common = match read(&reference, MOST_OF_REFERENCE) {
            Some(text) if text != HERE.to_bytes() => git.join(path(&text)),
            _ => return self.main_repository(git),
        };
        // A linked worktree's.
        self.keep(&reference, HERE)?;
        self.keep_config_of_worktree(git, &common)?;
        match self.walk(&common)? {
            Arrival::There(common, libc::S_IFDIR) => self.main_repository(&common),
            Arrival::There(..) | Arrival::Barred(_) => Ok(()),
            Arrival::Missing(place, _) => {
                self.guard(&place, Guard::Cover(c""));
                Ok(())
            }
        }
    }

    fn main_repository(&mut self, git: &Path) -> Result<(), SpawnError> {
        self.own_files(git)?;
        self.modules(&git.join("modules"))?;
        self.worktrees(git, &git.join("worktrees"))
    }

    fn own_files(&mut self, git: &Path) -> Result<(), SpawnError> {
        self.keep(&git.join(HOOKS), c"")?;
        self.keep(&git.join(CONFIG), c"")?;
        self.keep(&git.join(COMMON), HERE)?;
        self.keep_config_of_worktree(git, git)
    }

    fn keep_config_of_worktree(&mut self, git: &Path, common: &Path) -> Result<(), SpawnError> {
        let file = git.join(CONFIG_OF_WORKTREE);
        let config = read(&common.join(CONFIG), MOST_OF_CONFIG).unwrap_or_default();
        let is_read = config.to_ascii_lowercase().windows(14).any(|word| word == b"worktreeconfig");
        if is_read || file.symlink_metadata().is_ok() { self.keep(&file, c"") } else { Ok(()) }
    }

    /// Protects the repositories of the submodules.
    fn modules(&mut self, modules: &Path) -> Result<(), SpawnError> {
        let mut found = Vec::new();
        if find_repositories(modules, DEPTH, &mut found) {
            return found.iter().try_for_each(|git| self.own_files(git));
        }
        self.keep(modules, c"")
    }

    /// Protects what linked worktrees outside the roots are told by their repository. Those inside can be told
    /// anything by their own `.git` file.
    fn worktrees(&mut self, git: &Path, worktrees: &Path) -> Result<(), SpawnError> {
        let entries: Vec<PathBuf> = directories(worktrees).take(MOST_WORKTREES + 1).collect();
        if entries.len() > MOST_WORKTREES {
            return self.keep(worktrees, c"");
        }
        for entry in entries {
            let back = read(&entry.join(BACK), MOST_OF_REFERENCE).unwrap_or_default();
            let place = entry.join(path(&back));
            let place = place.parent().and_then(|place| place.canonicalize().ok());
            // What a root's own `.git` file names is protected as that root's.
            if place.is_some_and(|place| !self.roots.iter().any(|root| place.starts_with(root))) {
                self.keep(&entry.join(COMMON), HERE)?;
                self.keep_config_of_worktree(&entry, git)?;
            }
        }
        Ok(())
    }
}

/// Whether someone else put this into a directory that everyone may write: then it is not followed.
fn is_foreign(root: &Path, git: &Path) -> bool {
    let everyones = root.metadata().is_ok_and(|root| root.mode() & libc::S_ISVTX != 0);
    everyones && git.metadata().is_ok_and(|git| git.uid() != rustix::process::geteuid().as_raw())
}

/// Whether everything was looked at.
fn find_repositories(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> bool {
    for entry in directories(dir) {
        // A repository, to git, has this. What has not can become one.
        if entry.join("HEAD").symlink_metadata().is_ok() || entry.join(CONFIG).symlink_metadata().is_ok() {
            if found.len() == MOST_MODULES {
                return false;
            }
            found.push(entry);
        } else if depth == 1 || !find_repositories(&entry, depth - 1, found) {
            return false;
        }
    }
    true
}

fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// The start of a regular file. Never waits for a writer.
fn read(file: &Path, most: u64) -> Option<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(file).ok()?;
    let mut bytes = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What a reference names.
fn path(text: &[u8]) -> PathBuf {
    let text = text.trim_ascii_start();
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let text = text.get(..end).unwrap_or_default();
    OsString::from_vec(text.to_vec()).into()
}
