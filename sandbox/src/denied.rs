//! Where the paths of `deny_read` lie on this system, and what leads to them.
//!
//! A denied path stands for what is found by it now. Its links are followed here, one by one, and kept in
//! mind: if one lies where the command can write, it could be made to lead elsewhere, and the next command
//! would find what it stood for uncovered.
#![cfg(target_os = "linux")]

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use crate::{
    error::{SpawnError, Stage},
    mounts::Mounts,
};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// What must not be read.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    /// As the policy names it.
    pub(crate) named: PathBuf,
    /// Where it lies, without links.
    pub(crate) real: PathBuf,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) is_dir: bool,
    /// The links that led there, each where it lies itself, with its own identity.
    pub(crate) links: Vec<(PathBuf, (u64, u64))>,
}

/// Those that exist, widest first. `roots` are the writable roots, without links.
pub(crate) fn resolve(named: &[PathBuf], roots: &[PathBuf]) -> Result<Vec<Denied>, SpawnError> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mounts =
        Mounts::of_this_process().map_err(|source| SpawnError::Setup { stage: Stage::Mounts, source })?;
    let mut denied = Vec::with_capacity(named.len());
    for path in named {
        if !path.is_absolute() {
            return Err(unenforceable(path, "is not an absolute path", "name it from the root on"));
        }
        match follow(path) {
            Ok(found) if found.real.parent().is_none() => {
                let hint = "name the directories that are to be hidden";
                return Err(unenforceable(path, "is the root, beneath which everything lies", hint));
            }
            Ok(found) => {
                denied.extend(other_names(&found, &mounts));
                denied.push(found);
            }
            Err((place, source)) if !is_hidden_anyway(&place, &source, roots) => {
                let what = format!("can not be looked for: {}: {source}", place.display());
                return Err(unenforceable(path, &what, "let this user search the directories above it"));
            }
            Err(_) => {}
        }
    }
    denied.sort_by(|a, b| a.real.cmp(&b.real));
    Ok(denied)
}

/// The same, and what lies beneath it, by its other names.
fn other_names(found: &Denied, mounts: &Mounts) -> Vec<Denied> {
    let names = mounts.elsewhere(&found.real).into_iter().filter_map(|(name, here)| {
        let (there, here) = (fs::symlink_metadata(&name).ok()?, fs::symlink_metadata(here).ok()?);
        let (real, is_dir, identity) = (name, there.is_dir(), identity(&there));
        let same = identity == self::identity(&here);
        same.then(|| Denied { named: found.named.clone(), real, identity, is_dir, links: Vec::new() })
    });
    names.collect()
}

/// Whether what can not be found here can not be found by a command either: it does not exist, or it lies
/// beneath a directory that is closed to this user, who can not open it.
fn is_hidden_anyway(place: &Path, source: &io::Error, roots: &[PathBuf]) -> bool {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => true,
        Some(libc::EACCES) => !roots.iter().any(|root| place.starts_with(root)),
        _ => false,
    }
}

fn unenforceable(path: &Path, why: &str, hint: &'static str) -> SpawnError {
    SpawnError::Unenforceable { what: format!("{}, which deny_read names, {why}", path.display()), hint }
}

/// Goes the way of a path as the kernel would. An error comes with the place where it happened.
fn follow(path: &Path) -> Result<Denied, (PathBuf, io::Error)> {
    let mut real = PathBuf::from("/");
    let mut links = Vec::new();
    let mut rest = reversed(path);
    while let Some(part) = rest.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(part);
        let here = |source| (real.clone(), source);
        let metadata = fs::symlink_metadata(&next).map_err(here)?;
        if !metadata.is_symlink() {
            real = next;
            continue;
        }
        if links.len() == MOST_LINKS {
            return Err((next, io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let target = fs::read_link(&next).map_err(here)?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        rest.extend(reversed(&target));
        links.push((next, identity(&metadata)));
    }
    let metadata = fs::symlink_metadata(&real).map_err(|source| (real.clone(), source))?;
    let (identity, is_dir) = (identity(&metadata), metadata.is_dir());
    Ok(Denied { named: path.to_owned(), real, identity, is_dir, links })
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The names of a path, the last one first.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let mut parts: Vec<_> = parts.map(|part| part.as_os_str().to_owned()).collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::PathBuf};

    use super::resolve;

    /// Where `named` lies, in a directory with the given links, and the links passed.
    fn found(links: &[(&str, &str)], named: &str) -> Vec<String> {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        fs::write(base.join("a/b/file"), "").unwrap();
        for (link, target) in links {
            symlink(target.replace("BASE", base.to_str().unwrap()), base.join(link)).unwrap();
        }
        let denied = resolve(&[base.join(named)], &[]).unwrap();
        let paths = denied.into_iter().flat_map(|it| {
            [it.real].into_iter().chain(it.links.into_iter().map(|(path, _)| path)).collect::<Vec<_>>()
        });
        paths.map(|path| path.strip_prefix(&base).unwrap().display().to_string()).collect()
    }

    #[test]
    fn links_are_followed_and_named() {
        assert_eq!(found(&[], "a/b/file"), ["a/b/file"]);
        assert_eq!(found(&[("l", "a/b")], "l/file"), ["a/b/file", "l"]);
        assert_eq!(found(&[("l", "BASE/m"), ("m", "a/../a")], "l/b"), ["a/b", "l", "m"]);
        assert_eq!(found(&[("a/up", "..")], "a/up/a/b"), ["a/b", "a/up"]);
    }

    #[test]
    fn what_does_not_exist_is_left_out() {
        for (link, target) in [("l", "nothing"), ("l", "l"), ("l", "a/b/file/x")] {
            assert_eq!(found(&[(link, target)], "l"), [""; 0]);
        }
        assert_eq!(found(&[], "a/c"), [""; 0]);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let refusal = |path: &str| resolve(&[PathBuf::from(path)], &[]).unwrap_err().to_string();
        let start = "the sandbox can not be enforced here: ";
        assert!(
            refusal("x/y").starts_with(&format!("{start}x/y, which deny_read names, is not an absolute"))
        );
        assert!(refusal("/").starts_with(&format!("{start}/, which deny_read names, is the root")));
        assert!(
            refusal("/usr/..").starts_with(&format!("{start}/usr/.., which deny_read names, is the root"))
        );
    }
}
