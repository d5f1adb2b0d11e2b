//! How the outside looks: taken before and after a probe, the same as long as nothing got out.
#![expect(unsafe_code, reason = "the priority for disks can only be asked of the kernel itself")]

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

/// What there is: where it is, and how it looks.
pub(super) type Look = BTreeMap<String, String>;

/// Files and all that is known of them: contents, kinds, modes, owners, links, times. The time of change stands
/// for the rest: attributes, flags, access lists.
pub(super) fn at_tree(path: &Path, look: &mut Look) {
    let Ok(it) = path.symlink_metadata() else { return };
    let content = match it.file_type() {
        kind if kind.is_file() => String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().display().to_string(),
        _ => String::new(),
    };
    let facts = format!(
        "{:o} {}:{} {} bytes, {} links, written {}.{}, changed {}.{}: {content}",
        it.mode(),
        it.uid(),
        it.gid(),
        it.size(),
        it.nlink(),
        it.mtime(),
        it.mtime_nsec(),
        it.ctime(),
        it.ctime_nsec()
    );
    look.insert(path.display().to_string(), facts);
    if it.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            at_tree(&entry.path(), look);
        }
    }
}

/// A process and all that others can change of it.
pub(super) fn at_victim(pid: u32, look: &mut Look) {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(&file(name)).into_owned();
    for name in ["limits", "oom_score_adj", "coredump_filter", "environ"] {
        look.insert(format!("victim {name}"), text(name));
    }
    let status = text("status");
    let lines = status.lines().filter(|line| {
        ["SigPnd", "ShdPnd", "Cpus_allowed", "Uid", "Groups"].iter().any(|start| line.starts_with(start))
    });
    look.insert("victim status".to_owned(), lines.collect());
    // Priority, real-time priority and policy, counted after the name.
    let stat = text("stat");
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let scheduling: Vec<_> = [16, 37, 38].iter().filter_map(|at| fields.get(*at)).collect();
    look.insert("victim scheduling".to_owned(), format!("{scheduling:?}"));
    // SAFETY: plain numbers.
    let disks = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, pid) };
    look.insert("victim disks".to_owned(), disks.to_string());
}
