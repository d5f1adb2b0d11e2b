//! Puts changes on disk, all of them or none.
//!
//! Every directory is opened once, beneath a writable root, and held by its descriptor from the first read to the last
//! rename: what a path means cannot change in between. New content goes to temporary files beside their targets first,
//! so that a full disk or a missing permission shows before anything is replaced; then they are renamed over their
//! targets, and should that fail half way, what was done is undone.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use sandbox::{AccessError, Dir, Policy};

use super::apply::{Change, Files, LARGEST, Original, PatchError};
use crate::paths;

/// The files below the writable roots, as seen when each was first opened.
pub(crate) struct Disk<'a> {
    policy: &'a Policy,
    base: &'a Path,
    held: HashMap<PathBuf, Held>,
}

/// Where a file is, or is to be.
struct Held {
    /// `None`: the directory does not exist yet.
    dir: Option<Dir>,
    name: OsString,
    /// What was there. `None`: nothing.
    seen: Option<Stamp>,
}

/// Tells whether a file is still the one that was read.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.len(), changed }
    }
}

impl<'a> Disk<'a> {
    /// `base` is the directory that paths are shown from.
    pub(crate) fn new(policy: &'a Policy, base: &'a Path) -> Self {
        Self { policy, base, held: HashMap::new() }
    }

    fn read(
        &self,
        dir: &Dir,
        name: &OsStr,
        path: &Path,
        metadata: &Metadata,
    ) -> Result<Original, PatchError> {
        if metadata.is_symlink() {
            return Ok(Original::Link(dir.read_link(name)?));
        }
        let file = dir.open_file(name)?;
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|source| AccessError::Io { path: path.to_owned(), source })?;
        if bytes.len() as u64 > LARGEST {
            return Err(PatchError::TooLarge { path: paths::display(self.base, path), size: metadata.len() });
        }
        Ok(Original::File { bytes, mode: metadata.mode() & 0o7777 })
    }
}

impl Files for Disk<'_> {
    fn open(&mut self, path: &Path) -> Result<Option<Original>, PatchError> {
        let (parent, name) = split(self.base, path)?;
        let dir = match self.policy.open_dir_for_write(parent, false) {
            Ok(dir) => Some(dir),
            Err(AccessError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            // What is not allowed is the file, which says more than its directory.
            Err(AccessError::OutsideWritableRoots { roots, mode, .. }) => {
                return Err(
                    AccessError::OutsideWritableRoots { path: paths::clean(path), roots, mode }.into()
                );
            }
            Err(error) => return Err(error.into()),
        };
        dir.as_ref().map_or(Ok(()), |dir| dir.may_change(name))?;
        let metadata = dir.as_ref().map(|dir| dir.metadata(name)).transpose()?.flatten();
        let original = match (&dir, &metadata) {
            (Some(dir), Some(metadata)) => Some(self.read(dir, name, path, metadata)?),
            _ => None,
        };
        let held = Held { dir, name: name.to_owned(), seen: metadata.as_ref().map(Stamp::of) };
        self.held.insert(path.to_owned(), held);
        Ok(original)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        for existing in path.parent().into_iter().flat_map(Path::ancestors) {
            if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
                return real.join(rest);
            }
        }
        path.to_owned()
    }
}

/// The directory and the name of a file.
fn split<'p>(base: &Path, path: &'p Path) -> Result<(&'p Path, &'p OsStr), PatchError> {
    let trailing = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !trailing => Ok((parent, name)),
        _ => Err(PatchError::Directory { path: paths::display(base, path) }),
    }
}

/// Writes the changes. On an error nothing has changed.
pub(crate) fn commit(mut disk: Disk<'_>, changes: &[Change]) -> Result<(), PatchError> {
    let effective = changes.iter().filter(|change| match (&change.before, &change.after) {
        (None, None) => false,
        (Some(before @ Original::File { .. }), Some(after)) => before.bytes() != after.as_slice(),
        _ => true,
    });
    let effective: Vec<&Change> = effective.collect();
    let mut work = Work::default();
    let done = work.prepare(&mut disk, &effective).and_then(|()| work.replace(&disk, &effective));
    match done {
        Ok(()) => work.finish(&disk),
        Err(error) => return Err(work.undo(&disk, error)),
    }
    Ok(())
}

/// What was done so far, which is what is to be undone.
#[derive(Default)]
struct Work<'a> {
    /// Directories that were made, outermost first.
    made: Vec<PathBuf>,
    /// Temporary files: beside which file, under which name.
    temporary: Vec<(&'a Change, OsString)>,
    /// Files that have their new content.
    replaced: Vec<&'a Change>,
    /// Files that were taken away, and the name they have meanwhile.
    removed: Vec<(&'a Change, OsString)>,
}

impl<'a> Work<'a> {
    fn prepare(&mut self, disk: &mut Disk<'_>, changes: &[&'a Change]) -> Result<(), PatchError> {
        for &change in changes {
            let Some(content) = &change.after else { continue };
            if held(disk, change)?.dir.is_none() {
                let (parent, _) = split(disk.base, &change.path)?;
                let missing = parent.ancestors().take_while(|dir| std::fs::symlink_metadata(dir).is_err());
                let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
                self.made.extend(missing.into_iter().rev());
                let dir = disk.policy.open_dir_for_write(parent, true)?;
                if let Some(held) = disk.held.get_mut(&change.path) {
                    held.dir = Some(dir);
                }
            }
            let (dir, name) = place(disk, change)?;
            let (temporary, file) = dir.create_temp(change.mode)?;
            self.temporary.push((change, temporary));
            let owner = dir.metadata(name)?.map(|metadata| (metadata.uid(), metadata.gid()));
            fill(&file, content, change.mode, owner)
                .map_err(|source| AccessError::Io { path: change.path.clone(), source })?;
        }
        Ok(())
    }

    fn replace(&mut self, disk: &Disk<'_>, changes: &[&'a Change]) -> Result<(), PatchError> {
        for &change in changes {
            let (dir, name) = place(disk, change)?;
            if dir.metadata(name)?.as_ref().map(Stamp::of) != held(disk, change)?.seen {
                return Err(PatchError::Changed { path: paths::display(disk.base, &change.path) });
            }
        }
        while let Some((change, temporary)) = self.temporary.pop() {
            let (dir, name) = place(disk, change)?;
            if let Err(error) = dir.rename(&temporary, dir, name) {
                self.temporary.push((change, temporary));
                return Err(error.into());
            }
            self.replaced.push(change);
        }
        for &change in changes.iter().filter(|change| change.after.is_none()) {
            let (dir, name) = place(disk, change)?;
            let (aside, _) = dir.create_temp(0o600)?;
            if let Err(error) = dir.rename(name, dir, &aside) {
                dir.remove_file(&aside)?;
                // The error names the file that it could not become.
                return Err(match error {
                    AccessError::Io { source, .. } => {
                        AccessError::Io { path: change.path.clone(), source }.into()
                    }
                    other => other.into(),
                });
            }
            self.removed.push((change, aside));
        }
        Ok(())
    }

    /// Everything is in place: lets go of what was only moved aside.
    fn finish(self, disk: &Disk<'_>) {
        for (change, aside) in &self.removed {
            if let Err(error) = place(disk, change).and_then(|(dir, _)| Ok(dir.remove_file(aside)?)) {
                tracing::warn!(%error, "a deleted file is left under a temporary name");
            }
        }
    }

    /// Puts everything back. Returns the error to report.
    fn undo(self, disk: &Disk<'_>, cause: PatchError) -> PatchError {
        let mut failed: Vec<(PathBuf, PatchError)> = Vec::new();
        let mut attempt = |path: &Path, result: Result<(), PatchError>| {
            failed.extend(result.err().map(|error| (path.to_owned(), error)));
        };
        for (change, aside) in &self.removed {
            let back = place(disk, change).and_then(|(dir, name)| Ok(dir.rename(aside, dir, name)?));
            attempt(&change.path, back);
        }
        for change in &self.replaced {
            attempt(&change.path, place(disk, change).and_then(|(dir, name)| restore(dir, name, change)));
        }
        for (change, temporary) in &self.temporary {
            attempt(&change.path, place(disk, change).and_then(|(dir, _)| Ok(dir.remove_file(temporary)?)));
        }
        for made in self.made.iter().rev() {
            let removed = split(disk.base, made).and_then(|(parent, name)| {
                Ok(disk.policy.open_dir_for_write(parent, false)?.remove_dir(name)?)
            });
            // A directory that someone else has put something in meanwhile stays.
            if let Err(error) = removed {
                tracing::debug!(%error, "a directory made for a failed patch stays");
            }
        }
        let Some((_, first)) = failed.first() else { return cause };
        let paths: Vec<_> = failed.iter().map(|(path, _)| paths::display(disk.base, path)).collect();
        PatchError::Rollback {
            cause: cause.to_string(),
            rollback: first.to_string(),
            paths: paths.join(", "),
        }
    }
}

fn held<'d>(disk: &'d Disk<'_>, change: &Change) -> Result<&'d Held, PatchError> {
    let missing = || PatchError::Changed { path: paths::display(disk.base, &change.path) };
    disk.held.get(&change.path).ok_or_else(missing)
}

fn place<'d>(disk: &'d Disk<'_>, change: &Change) -> Result<(&'d Dir, &'d OsStr), PatchError> {
    let missing = || PatchError::Changed { path: paths::display(disk.base, &change.path) };
    let held = held(disk, change)?;
    Ok((held.dir.as_ref().ok_or_else(missing)?, &held.name))
}

/// Gives a temporary file its content. A file keeps its owner where that can be had, which only root has to care for.
fn fill(mut file: &File, content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    let metadata = file.metadata()?;
    if let Some((user, group)) = owner.filter(|owner| *owner != (metadata.uid(), metadata.gid()))
        && fchown(file, Some(user), Some(group)).is_ok()
    {
        // A change of owner takes away the set-user-id bits.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    file.write_all(content)
}

/// Gives a replaced file its old content back, or takes a new one away.
fn restore(dir: &Dir, name: &OsStr, change: &Change) -> Result<(), PatchError> {
    let Some(Original::File { bytes, mode }) = &change.before else { return Ok(dir.remove_file(name)?) };
    let owner = dir.metadata(name)?.map(|metadata| (metadata.uid(), metadata.gid()));
    let (temporary, file) = dir.create_temp(*mode)?;
    fill(&file, bytes, *mode, owner)
        .map_err(|source| AccessError::Io { path: change.path.clone(), source })?;
    Ok(dir.rename(&temporary, dir, name)?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use sandbox::{Network, Policy};

    use super::super::apply::{Change, Files as _, Original};
    use super::{Disk, commit};

    /// Applies, to a fresh directory, changes that the test spoils, and tells the error and what is there afterwards.
    fn check(names: &[(&str, Option<&str>)], spoil: fn(&Path, &mut Vec<Change>), expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::write(root.join("replaced"), "old").unwrap();
        std::fs::set_permissions(root.join("replaced"), Permissions::from_mode(0o750)).unwrap();
        std::fs::write(root.join("removed"), "gone?").unwrap();
        let policy = Policy::workspace_write(vec![root.to_owned()], Network::Off);
        let mut disk = Disk::new(&policy, root);
        let changes = names.iter().map(|(name, after)| {
            let path = root.join(name);
            let before = disk.open(&path).unwrap();
            let mode = if let Some(Original::File { mode, .. }) = &before { *mode } else { 0o644 };
            let after = after.map(|text| text.as_bytes().to_vec());
            Change { path, before, after, mode, moved_from: None, moved_away: false }
        });
        let mut changes: Vec<Change> = changes.collect();
        spoil(root, &mut changes);
        let mut told = vec![match commit(disk, &changes) {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string().replace(&root.display().to_string(), "ROOT"),
        }];
        told.extend(tree(root));
        assert_eq!(told, expected);
    }

    const CHANGES: [(&str, Option<&str>); 3] =
        [("replaced", Some("new")), ("deep/er/new", Some("x")), ("removed", None)];

    #[test]
    fn all_changes_are_made() {
        check(&CHANGES, |_, _| {}, &["done", "deep 755 (dir)", "replaced 750 new"]);
    }

    #[test]
    fn a_file_that_changed_meanwhile_stops_everything() {
        let error = "removed changed while the patch was being applied; read it again";
        let spoil =
            |root: &Path, _: &mut Vec<Change>| std::fs::write(root.join("removed"), "changed").unwrap();
        check(&CHANGES, spoil, &[error, "removed 644 changed", "replaced 750 old"]);
    }

    /// The last step fails after all others have been made.
    #[test]
    fn what_was_done_is_undone() {
        let names = [CHANGES[0], CHANGES[1], CHANGES[2], ("missing", None)];
        // Pretending that there was something makes the removal of nothing a step.
        let spoil = |_: &Path, changes: &mut Vec<Change>| {
            changes[3].before = Some(Original::File { bytes: Vec::new(), mode: 0o644 });
        };
        let error = "ROOT/missing: No such file or directory (os error 2)";
        check(&names, spoil, &[error, "removed 644 gone?", "replaced 750 old"]);
    }

    fn tree(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let content =
                if path.is_dir() { "(dir)".to_owned() } else { std::fs::read_to_string(&path).unwrap() };
            format!("{} {mode:o} {content}", path.file_name().unwrap().display())
        });
        let mut tree: Vec<String> = entries.collect();
        tree.sort();
        tree
    }
}
