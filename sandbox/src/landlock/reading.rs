//! What may be read, where that is less than everything: because a policy names what may be, or because it
//! names what may not be and nothing else keeps that.
//!
//! Landlock only knows what is allowed, and what is allowed for a directory is allowed for all that lies
//! beneath it. So to except a path, all that lies beside it is allowed, and beside each directory above it;
//! those directories themselves can then not be listed.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use ::landlock::{AccessFs, BitFlags, PathBeneath, RulesetCreated, RulesetCreatedAttr, make_bitflags};
use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags},
    io::Errno,
};

use super::building;
use crate::{
    denied::Denied, error::SpawnError, layers::Otherwise, namespaces::RESOLVER, policy::Read,
    resolved::Resolved,
};

/// To read a file, to list a directory, to execute a program.
pub(crate) const READABLE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute});
/// Of these, what there is to do with something that is no directory.
const OF_FILES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | Execute});

/// The system's own files. Links are followed.
pub(crate) const SYSTEM: [&str; 15] = [
    "/bin",
    "/sbin",
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    RESOLVER,
    "/nix/store",
    "/run/current-system/sw",
    "/run/opengl-driver",
    "/proc",
    "/sys",
    "/dev",
];

/// What can be done about a path that can not be denied.
const HINT: &str = "move it, or take it out of [sandbox] deny_read";

/// How many rules are made, at most, to except what is denied.
const MOST_RULES: usize = 4096;

/// What may be read.
pub(crate) struct Reading<'a> {
    tops: Vec<PathBuf>,
    denied: &'a [Denied],
}

impl<'a> Reading<'a> {
    /// What may be read apart from the writable roots, if that is not everything. `open` says why nothing but
    /// Landlock keeps what is denied, if that is so.
    pub(crate) fn new(
        resolved: &'a Resolved<'_>,
        open: Option<String>,
        otherwise: Otherwise,
    ) -> Result<Option<Self>, SpawnError> {
        let denied = if open.is_some() { resolved.denied.as_slice() } else { &[] };
        for denied in denied {
            if let Some(root) = resolved.real_roots.iter().find(|root| denied.real.starts_with(root)) {
                let (path, root) = (denied.named.display(), root.display());
                let why = format!("lies in the writable root {root}, of which landlock can except nothing");
                let open = open.as_deref().unwrap_or_default();
                otherwise.open(format!("{path}, which deny_read names, {why}, and {open}"), HINT)?;
            }
        }
        let tops = match &resolved.rules.read {
            Read::Everything if denied.is_empty() => return Ok(None),
            Read::Everything => vec!["/".into()],
            Read::Only(listed) => {
                SYSTEM.into_iter().map(PathBuf::from).chain(listed.iter().cloned()).collect()
            }
        };
        if let Some(top) = tops.iter().find(|top: &&PathBuf| !top.is_absolute()) {
            return Err(SpawnError::Unenforceable {
                what: format!("{}, which may be read, is not an absolute path", top.display()),
                hint: "name it from the root on",
            });
        }
        Ok(Some(Self { tops, denied }))
    }

    /// Adds the rules that it takes.
    pub(super) fn grant(&self, rules: &mut RulesetCreated) -> Result<(), SpawnError> {
        let mut granting = Granting { rules, denied: self.denied, left: MOST_RULES };
        for top in &self.tops {
            // What does not exist can not be read either.
            let Ok(fd) = open(CWD, top, OFlags::empty()) else { continue };
            let Ok(real) = top.canonicalize() else { continue };
            granting.grant(&fd, &real)?;
        }
        Ok(())
    }
}

struct Granting<'a> {
    rules: &'a mut RulesetCreated,
    denied: &'a [Denied],
    /// How many rules may still be made.
    left: usize,
}

impl Granting<'_> {
    /// Allows to read what was found at a path that has no links, around what is denied.
    fn grant(&mut self, found: &OwnedFd, path: &Path) -> Result<(), SpawnError> {
        let stat = rustix::fs::fstat(found).map_err(building)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_it = |it: &Denied| path.starts_with(&it.real) || (stat.st_dev, stat.st_ino) == it.identity;
        // A link opens nothing: where it leads, that is judged.
        if kind == FileType::Symlink || self.denied.iter().any(is_it) {
            return Ok(());
        }
        match self.denied.iter().find(|denied| denied.real.starts_with(path)) {
            Some(denied) => self.grant_within(found, path, denied),
            None => {
                let rights = if kind == FileType::Directory { READABLE } else { OF_FILES };
                self.rules.add_rule(PathBeneath::new(found, rights)).map_err(building)?;
                Ok(())
            }
        }
    }

    /// Allows to read what lies in a directory, but not the directory.
    fn grant_within(&mut self, dir: &OwnedFd, path: &Path, denied: &Denied) -> Result<(), SpawnError> {
        let unlistable = |errno: Errno| {
            let path = path.display();
            denied_can_not_be_kept(denied, &format!("lies in {path}, which can not be listed: {errno}"))
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(dir, ".", flags, Mode::empty()).map_err(unlistable)?;
        for entry in Dir::new(listed).map_err(unlistable)? {
            let entry = entry.map_err(unlistable)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                denied_can_not_be_kept(denied, &format!("lies among more than {MOST_RULES} others"))
            })?;
            let name = Path::new(OsStr::from_bytes(name));
            // What is gone by now is not missed.
            if let Ok(found) = open(dir, name, OFlags::NOFOLLOW) {
                self.grant(&found, &path.join(name))?;
            }
        }
        Ok(())
    }
}

fn open(dir: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())
}

fn denied_can_not_be_kept(denied: &Denied, why: &str) -> SpawnError {
    SpawnError::Unenforceable {
        what: format!("{}, which deny_read names, {why}", denied.named.display()),
        hint: HINT,
    }
}
