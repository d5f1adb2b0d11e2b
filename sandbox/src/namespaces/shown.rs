//! Which places of this system a command is to see as they are, worked out before there is a fork.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

use super::{RESOLVER, SHARED_MEMORY, c_string, place::Place};
use crate::{error::SpawnError, protected, resolved::Resolved};

/// Links in `/run` that are kept: NixOS has its programs there.
const KEPT_LINKS: [&str; 3] = ["/run/current-system", "/run/booted-system", "/run/opengl-driver"];

/// The writable roots, without those that are there with a wider one.
pub(super) fn writable(resolved: &Resolved<'_>) -> Result<Vec<Place>, SpawnError> {
    let mut places: Vec<Place> = Vec::new();
    for ((path, _), real) in resolved.roots.iter().zip(&resolved.real_roots) {
        let unusable = |source| SpawnError::WritableRoot { path: path.clone(), source };
        places.extend(Place::root(real).map_err(unusable)?);
    }
    places.sort_by(|a, b| a.path().cmp(b.path()));
    places.dedup_by(|a, b| a.path == b.path);
    let all: Vec<PathBuf> = places.iter().map(|place| place.path().to_owned()).collect();
    let covered_between = |outer: &Path, place: &Path| {
        let mut denied = resolved.denied.iter().map(|denied| &denied.real);
        denied.any(|it| it.starts_with(outer) && place.starts_with(it) && place != it)
    };
    places.retain(|place| {
        let place = place.path();
        let with = |outer: &&PathBuf| {
            place != *outer
                && place.starts_with(outer)
                && outer.parent().is_some()
                && !covered_between(outer, place)
        };
        place.parent().is_some() && !all.iter().any(|outer| with(&outer))
    });
    Ok(places)
}

/// What is protected in the writable roots, as far as it is to be seen.
pub(super) fn guards(resolved: &Resolved<'_>) -> Result<protected::Guards, SpawnError> {
    // A command has a shared memory of its own.
    let own = |root: &&PathBuf| root.as_path() == Path::new(SHARED_MEMORY);
    let roots: Vec<PathBuf> = resolved.real_roots.iter().filter(|root| !own(root)).cloned().collect();
    let mut guards = protected::survey(resolved.rules, &roots)?;
    let denied = |place: &Path| {
        let over = |denied: &&Path| place != *denied && place.starts_with(denied);
        let shown = |denied: &Path| {
            resolved.real_roots.iter().any(|root| root.starts_with(denied) && place.starts_with(root))
        };
        let mut denied = resolved.denied.iter().map(|denied| denied.real.as_path()).filter(over);
        denied.any(|denied| !shown(denied))
    };
    guards.retain(|place, _| !denied(place));
    Ok(guards)
}

/// What of the covered places is to be seen all the same, though not to be written.
pub(super) fn kept(cwd: &Path, listed: &[PathBuf], roots: &[Place]) -> Vec<Place> {
    let paths = [Path::new(RESOLVER), cwd].into_iter().chain(listed.iter().map(PathBuf::as_path));
    let mut real: Vec<_> = paths.filter_map(|path| path.canonicalize().ok()).collect();
    real.sort();
    let mut kept: Vec<Place> = Vec::new();
    for path in real {
        let seen = roots.iter().chain(&kept).any(|place| path.starts_with(place.path()));
        kept.extend(Place::new(&path, false).ok().filter(|place| !seen && place.make.is_some()));
    }
    kept
}

pub(super) fn kept_links() -> Vec<(CString, CString)> {
    let links = KEPT_LINKS.into_iter().filter_map(|link| Some((fs::read_link(link).ok()?, link)));
    links
        .filter_map(|(target, link)| Some((c_string(&target).ok()?, c_string(Path::new(link)).ok()?)))
        .collect()
}
