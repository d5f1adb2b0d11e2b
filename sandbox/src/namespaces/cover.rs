//! What a command must not read is covered: a directory by one that is empty, anything else by an empty file,
//! and nobody may open either, since a command has no capability to walk past a mode.
//!
//! Where a writable root lies beneath a covered directory, its cover has the way to it, to be walked and not
//! to be listed. Where a covered path lies in a writable root, the way to it is pinned: each directory and link
//! on it becomes a mount, which can not be renamed or removed, so that the path leads there for the next
//! command too.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use libc::{c_int, c_long};

use super::{
    RUN, SHARED_MEMORY, c_string,
    mount::{NO_EXEC, NO_SUID_DEV, READ_ONLY, attach, attributes, close, copy, make_dir, make_file},
    place::{Below, Make, Place, find},
};
use crate::{denied::Denied, error::Stage, resolved::Resolved, syscall::errno};

/// Where covers are made: a directory in the command's own `/dev`, before its shared memory is mounted on it.
const WORKSHOP: &CStr = c"/dev/shm";
/// A cover's name in the workshop.
const DIR: &CStr = c"dir";
const FILE: &CStr = c"file";

/// What a mode lets its owner do: nothing, or pass through.
const CLOSED: c_long = 0;
const PASSABLE: c_long = 0o111;

/// What is laid over the finished view.
#[derive(Debug, Default)]
pub(super) struct Covers {
    /// Directories to be made in the workshop: covers with a way through.
    passages: Vec<CString>,
    /// In this order: what is wider comes first.
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    path: CString,
    /// Device and inode; without, it need not be there either.
    identity: Option<(u64, u64)>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Itself, to be a mount.
    Pin,
    /// This cover in the workshop.
    Cover(CString),
    /// This one of the places.
    Place(usize),
}

/// What is laid at one path. A place is a mount, and needs no pin.
#[derive(Default)]
struct Stack {
    pin: Option<(u64, u64)>,
    place: Option<usize>,
    cover: Option<(CString, Option<(u64, u64)>)>,
}

impl Covers {
    /// Covers for what must not be read. Tells those of the places that lie beneath one.
    pub(super) fn new(resolved: &Resolved<'_>, places: &mut Vec<Place>, run: bool) -> io::Result<Self> {
        // What is shown though nobody asked for it gives way.
        places.retain(|place| {
            place.writable || !resolved.denied.iter().any(|it| place.path().starts_with(&it.real))
        });
        let ground = Ground::new(resolved, places, run);
        let mut stacks: BTreeMap<&Path, Stack> = BTreeMap::new();
        for denied in &ground.denied {
            let cover = if denied.is_dir { DIR } else { FILE };
            stacks.entry(&denied.real).or_default().cover = Some((cover.to_owned(), ground.identity(denied)));
        }
        let mut passages = Vec::new();
        for (index, path) in ground.places.iter().enumerate() {
            let mut outer = ground.denied.iter().enumerate().rev();
            let outer = outer.find(|(_, it)| path.starts_with(&it.real) && *path != it.real);
            let (Some((number, outer)), Some(place)) = (outer, places.get_mut(index)) else { continue };
            let name = number.to_string();
            let passage = Path::new(SHARED_MEMORY).join(&name);
            let beneath = path.strip_prefix(&outer.real).unwrap_or(path);
            let mut way: Vec<_> = beneath.ancestors().map(|it| c_string(&passage.join(it))).collect();
            way.reverse();
            passages.extend(way.into_iter().collect::<io::Result<Vec<_>>>()?);
            if let Some(Stack { cover: Some((cover, _)), .. }) = stacks.get_mut(outer.real.as_path()) {
                *cover = CString::new(name)?;
            }
            place.make = Some(Make { below: Below::Denied, parents: Vec::new() });
            stacks.entry(path).or_default().place = Some(index);
        }
        let pins = ground.pins()?;
        for (path, identity) in &pins {
            stacks.entry(path).or_default().pin = Some(*identity);
        }
        let mut layers = Vec::new();
        for (path, stack) in stacks {
            stack.flatten(c_string(path)?, &mut layers);
        }
        Ok(Self { passages, layers })
    }

    /// Makes the covers. Returns the place where they are.
    ///
    /// # Safety
    /// Only in the forked process that makes a command's view, while the workshop is in its own `/dev`.
    pub(super) unsafe fn make(&self) -> Result<c_int, Stage> {
        if self.layers.is_empty() {
            return Ok(-1);
        }
        // SAFETY: as the caller promises.
        unsafe {
            make_dir(c"/dev/shm/dir", CLOSED)?;
            make_file(c"/dev/shm/file", CLOSED)?;
            for passage in &self.passages {
                make_dir(passage, PASSABLE)?;
            }
            find(WORKSHOP, None)
        }
    }

    /// Lays what there is to be laid over the finished view.
    ///
    /// # Safety
    /// As for [`make`](Self::make), which gave the `workshop`.
    pub(super) unsafe fn lay(&self, workshop: c_int, places: &[Place]) -> Result<(), Stage> {
        // SAFETY: as the caller promises.
        unsafe {
            for layer in &self.layers {
                match &layer.what {
                    What::Place(index) => {
                        if let Some(place) = places.get(*index) {
                            place.lay()?;
                        }
                    }
                    What::Pin => {
                        let found = find(&layer.path, layer.identity)?;
                        let itself = copy(found, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)?;
                        attach(itself, found, c"")?;
                        close(itself);
                        close(found);
                    }
                    What::Cover(name) => layer.cover(workshop, name)?,
                }
            }
            Ok(())
        }
    }
}

impl Layer {
    unsafe fn cover(&self, workshop: c_int, name: &CStr) -> Result<(), Stage> {
        const ATTRIBUTES: u64 = READ_ONLY | NO_SUID_DEV | NO_EXEC;
        // SAFETY: as for `Covers::lay`.
        unsafe {
            let found = match find(&self.path, self.identity) {
                // The command's own `/proc` and `/dev` do not have everything.
                Err(_) if self.identity.is_none() && errno() == libc::ENOENT => return Ok(()),
                found => found?,
            };
            let cover = copy(workshop, name, 0)?;
            attributes(cover, c"", ATTRIBUTES, libc::AT_EMPTY_PATH)?;
            attach(cover, found, c"")?;
            close(cover);
            close(found);
            Ok(())
        }
    }
}

impl Stack {
    fn flatten(self, path: CString, layers: &mut Vec<Layer>) {
        let layer = |identity, what| Layer { path: path.clone(), identity, what };
        layers.extend(match (self.place, self.pin) {
            (Some(place), _) => Some(layer(None, What::Place(place))),
            (None, Some(identity)) => Some(layer(Some(identity), What::Pin)),
            (None, None) => None,
        });
        layers.extend(self.cover.map(|(cover, identity)| layer(identity, What::Cover(cover))));
    }
}

/// What lies where.
struct Ground<'a> {
    /// Those whose covers are seen.
    denied: Vec<&'a Denied>,
    places: Vec<PathBuf>,
    roots: &'a [PathBuf],
}

impl<'a> Ground<'a> {
    fn new(resolved: &'a Resolved<'_>, places: &[Place], run: bool) -> Self {
        let places: Vec<PathBuf> = places.iter().map(|place| place.path().to_owned()).collect();
        let mut ground = Self { denied: Vec::new(), places, roots: &resolved.real_roots };
        for denied in &resolved.denied {
            let path = denied.real.as_path();
            // Of these, a command sees nothing but places.
            let empty = (run && path.starts_with(RUN)) || path.starts_with(SHARED_MEMORY);
            // A wider one covers it too, unless a place shows it again.
            let covered = ground.denied.iter().any(|wider| {
                let shown = |place: &PathBuf| {
                    path.starts_with(place) && place.starts_with(&wider.real) && *place != wider.real
                };
                path.starts_with(&wider.real) && !ground.places.iter().any(shown)
            });
            if !covered && (!empty || ground.in_place(path)) {
                ground.denied.push(denied);
            }
        }
        ground
    }

    fn in_place(&self, path: &Path) -> bool {
        self.places.iter().any(|place| path.starts_with(place))
    }

    /// Whether a command has something of its own there.
    fn is_own(&self, path: &Path) -> bool {
        ["/proc", "/dev", RUN].into_iter().any(|own| path.starts_with(own)) && !self.in_place(path)
    }

    fn identity(&self, denied: &Denied) -> Option<(u64, u64)> {
        (!self.is_own(&denied.real)).then_some(denied.identity)
    }

    /// All that leads through a writable root to what is denied, as far as a command could change it.
    fn pins(&self) -> io::Result<BTreeMap<PathBuf, (u64, u64)>> {
        let mut pins = BTreeMap::new();
        for denied in self.denied.iter().filter(|it| !self.is_own(&it.real)) {
            let links = denied.links.iter().filter(|(link, _)| !self.is_own(link));
            for (path, identity) in links.map(|(link, id)| (link, Some(*id))).chain([(&denied.real, None)]) {
                let Some(way) = self.way(path) else { continue };
                if let (Some(identity), true) = (identity, self.can_change(path)) {
                    pins.insert(path.clone(), identity);
                }
                for dir in way {
                    let metadata = fs::symlink_metadata(dir)?;
                    pins.insert(dir.to_owned(), (metadata.dev(), metadata.ino()));
                }
            }
        }
        Ok(pins)
    }

    /// The directories above a path, up to the next mount, that a command could change. `None` if a cover
    /// hides all of it.
    fn way<'p>(&self, path: &'p Path) -> Option<Vec<&'p Path>> {
        let mut way = Vec::new();
        for dir in path.ancestors().skip(1) {
            if self.places.iter().any(|place| place == dir) {
                break;
            }
            if self.denied.iter().any(|denied| denied.real == dir) {
                return None;
            }
            if self.can_change(dir) {
                way.push(dir);
            }
        }
        Some(way)
    }

    fn can_change(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root) && path != root)
    }
}
