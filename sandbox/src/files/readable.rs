//! What a file tool may read: what a command may, under the same rules.

use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::PROC_SUPER_MAGIC;

use super::location::{self, Identity, Location, identity};
use crate::{
    denied::{self, Denied},
    error::AccessError,
    landlock,
    policy::{Read, Rules},
};

const DENIED: &str = "[sandbox] deny_read covers it";
pub(super) const OF_PROCESSES: &str =
    "what /proc knows of processes is not for a file tool; a command sees its own there";

/// What of the rules is about reading, with its places found.
#[derive(Debug)]
pub(crate) struct Readable {
    denied: Vec<Denied>,
    /// The writable roots: in a denied place, they are seen all the same.
    roots: Vec<Spot>,
    /// What may be read besides the roots, if that is not everything.
    listed: Option<Vec<Spot>>,
}

#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) identity: Option<Identity>,
}

impl Spot {
    /// Where this leads now, if it leads anywhere.
    pub(crate) fn find(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let stat = rustix::fs::lstat(&path).ok();
        Some(Self { path, identity: stat.as_ref().map(identity) })
    }

    /// How many levels below this a place lies.
    pub(crate) fn holds(&self, place: &Location) -> Option<usize> {
        place.below(&self.path, self.identity)
    }
}

impl Readable {
    /// The rule that only some places may be read.
    pub(crate) const NOT_LISTED: &str =
        "only the system's own files, the writable roots and the folders that the settings name may be";

    /// Nothing is kept from full access.
    pub(crate) fn everything() -> Self {
        Self { denied: Vec::new(), roots: Vec::new(), listed: None }
    }

    pub(crate) fn new(rules: &Rules) -> Result<Self, AccessError> {
        let absolute = |path: &&PathBuf| path.is_absolute();
        let roots: Vec<Spot> =
            rules.writable_roots.iter().filter(absolute).filter_map(|root| Spot::find(root)).collect();
        let names: Vec<PathBuf> = roots.iter().map(|root| root.path.clone()).collect();
        let denied = denied::resolve(&rules.deny_read, &names)?;
        let listed = match &rules.read {
            Read::Everything => None,
            Read::Only(listed) => {
                let system = landlock::SYSTEM.iter().map(Path::new);
                let listed = listed.iter().filter(absolute).map(PathBuf::as_path);
                Some(system.chain(listed).filter_map(Spot::find).collect())
            }
        };
        Ok(Self { denied, roots, listed })
    }

    /// Whether there is nothing to judge.
    pub(crate) fn is_everything(&self) -> bool {
        self.denied.is_empty() && self.listed.is_none()
    }

    /// Which rule keeps this place from being read, if one does.
    pub(crate) fn refuses(&self, place: &Location) -> Option<&'static str> {
        let root = self.roots.iter().filter_map(|root| root.holds(place)).min();
        // Of a root and a denied place that both hold it, the closer one counts.
        let closer_root = |denied: usize| root.is_some_and(|root| root < denied);
        let mut denied = self.denied.iter().filter_map(|it| place.below(&it.real, Some(it.identity)));
        if denied.any(|denied| !closer_root(denied)) {
            return Some(DENIED);
        }
        let listed = self.listed.as_ref()?;
        let may = root.is_some() || listed.iter().any(|spot| spot.holds(place).is_some());
        (!may).then_some(Self::NOT_LISTED)
    }

    /// Whether something in a directory that may be read can be one that may not, going by its name and its number:
    /// a look that costs no system call.
    pub(crate) fn may_refuse(&self, path: &Path, inode: u64) -> bool {
        self.denied.iter().any(|denied| denied.identity.1 == inode || denied.real == path)
    }
}

/// Whether this is about a process, or only root may know it: what our own process finds there, a command can not.
pub(crate) fn is_of_processes(found: &OwnedFd) -> io::Result<bool> {
    if rustix::fs::fstatfs(found)?.f_type != PROC_SUPER_MAGIC {
        return Ok(false);
    }
    let private = rustix::fs::fstat(found)?.st_mode & 0o004 == 0;
    let is_number = |part: &OsStr| part.as_bytes().iter().all(u8::is_ascii_digit);
    Ok(private || location::name(found)?.iter().any(is_number))
}
