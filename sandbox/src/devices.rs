//! The nodes of the kinds of devices that a policy opens.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::policy::Device;

/// A device as it was found.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) path: PathBuf,
    /// Opened to be named, not to be used.
    pub(crate) fd: OwnedFd,
}

/// Those of these kinds that there are. None is no error: a machine may have no graphics card.
pub(crate) fn nodes(kinds: &[Device]) -> Vec<Node> {
    let mut paths = Vec::new();
    for kind in kinds {
        match kind {
            Device::Nvidia => {
                let ours = |path: &PathBuf| name_starts_with(path, "nvidia");
                for path in listed("/dev").into_iter().filter(ours) {
                    // nvidia-caps and the like hold the nodes of parts of a card.
                    paths.extend(listed(&path));
                    paths.push(path);
                }
                paths.push("/dev/dxg".into());
            }
            Device::Dri => {
                paths.extend(listed("/dev/dri"));
                paths.push("/dev/kfd".into());
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths.into_iter().filter_map(node).collect()
}

fn listed(dir: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn name_starts_with(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

/// If it is a character device: nothing else is opened by its name.
fn node(path: PathBuf) -> Option<Node> {
    let fd = rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd).ok()?.st_mode);
    (kind == FileType::CharacterDevice).then_some(Node { path, fd })
}
