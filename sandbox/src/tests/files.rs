//! File access of our own process: outside is outside, however it is spelled.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::writable;
use crate::{AccessError, Dir, Network, Policy};

pub(super) struct Tree {
    _base: tempfile::TempDir,
    pub(super) root: PathBuf,
    pub(super) outside: PathBuf,
}

pub(super) fn tree() -> Tree {
    let base = tempfile::tempdir().unwrap();
    let (root, outside) = (base.path().join("root"), base.path().join("root-evil"));
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    Tree { _base: base, root, outside }
}

impl Tree {
    /// `ok`, or the kind of error, of opening `path` (below the base) for writing.
    fn open(&self, path: &str, create: bool) -> &'static str {
        let path = self.root.parent().unwrap().join(path);
        verdict(&writable(&self.root).open_dir_for_write(&path, create))
    }
}

pub(super) fn verdict<T>(result: &Result<T, AccessError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(AccessError::OutsideWritableRoots { .. }) => "outside",
        Err(AccessError::NotRegular { kind, .. }) => kind,
        Err(AccessError::Protected { .. }) => "protected",
        Err(AccessError::Denied { .. }) => "denied",
        Err(AccessError::Symlink { .. }) => "link",
        Err(AccessError::Relative { .. }) => "relative",
        Err(AccessError::Io { source, .. }) => match source.kind() {
            std::io::ErrorKind::NotFound => "missing",
            std::io::ErrorKind::NotADirectory => "not a directory",
            std::io::ErrorKind::InvalidInput => "invalid",
            _ => "io",
        },
        Err(_) => "else",
    }
}

pub(super) fn write(dir: &Dir, name: &str, text: &str) {
    let (temp, mut file) = dir.create_temp(0o640).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    dir.rename(&temp, dir, OsStr::new(name)).unwrap();
}

#[test]
fn only_what_lies_beneath_a_root_is_writable() {
    let tree = tree();
    symlink(&tree.outside, tree.root.join("out")).unwrap();
    symlink("../root-evil", tree.root.join("out-relative")).unwrap();
    symlink("sub", tree.root.join("in-relative")).unwrap();
    symlink(tree.root.join("sub"), tree.root.join("in-absolute")).unwrap();
    symlink("/no/such/place", tree.root.join("dangling")).unwrap();
    fs::write(tree.root.join("file"), "").unwrap();
    for (path, expected) in [
        ("root", "ok"),
        ("root/", "ok"),
        ("root//sub", "ok"),
        ("root/sub/..", "ok"),
        ("root/in-relative", "ok"),
        ("root/in-absolute", "ok"),
        ("root/missing", "missing"),
        ("root/file", "not a directory"),
        ("root-evil", "outside"),
        ("root-evil/sub", "outside"),
        ("root/..", "outside"),
        ("root/../root-evil", "outside"),
        ("root/sub/../../root-evil/sub", "outside"),
        ("root/out", "outside"),
        ("root/out/sub", "outside"),
        ("root/out-relative/sub", "outside"),
        ("", "outside"),
    ] {
        assert_eq!(tree.open(path, false), expected, "{path}");
    }
    assert_ne!(tree.open("root/dangling", true), "ok");
    assert_ne!(tree.open("root/out/new", true), "ok");
    assert!(!tree.outside.join("new").exists());
    let policy = writable(&tree.root);
    let through_proc = Path::new("/proc/self/root").join(tree.outside.strip_prefix("/").unwrap());
    assert_eq!(verdict(&policy.open_dir_for_write(&through_proc, false)), "outside");
    assert_eq!(verdict(&policy.open_dir_for_write(Path::new("root/sub"), false)), "relative");
}

#[test]
fn missing_directories_are_made_beneath_the_root_only() {
    let tree = tree();
    assert_eq!(tree.open("root/a/b/c", false), "missing");
    assert_eq!(tree.open("root/a/b/c", true), "ok");
    assert!(tree.root.join("a/b/c").is_dir());
    assert_ne!(tree.open("root/x/../../root-evil/made", true), "ok");
    assert_ne!(tree.open("root-evil/made", true), "ok");
    assert!(!tree.outside.join("made").exists());
}

#[test]
fn a_root_may_go_by_another_name() {
    let tree = tree();
    let alias = tree.root.parent().unwrap().join("alias");
    symlink(&tree.root, &alias).unwrap();
    for (root, path) in
        [(&alias, tree.root.join("sub")), (&tree.root, alias.join("sub")), (&alias, alias.join("sub"))]
    {
        assert_eq!(verdict(&writable(root).open_dir_for_write(&path, false)), "ok", "{root:?} {path:?}");
    }
}

#[test]
fn a_link_that_comes_later_leads_nowhere() {
    let tree = tree();
    let dir = writable(&tree.root).open_dir_for_write(&tree.root.join("sub"), false).unwrap();
    fs::rename(tree.root.join("sub"), tree.root.join("moved")).unwrap();
    symlink(tree.outside.join("sub"), tree.root.join("sub")).unwrap();
    write(&dir, "file", "new");
    assert_eq!(fs::read_to_string(tree.root.join("moved/file")).unwrap(), "new");
    assert!(!tree.outside.join("sub/file").exists());
}

#[test]
fn a_directory_swapped_for_a_link_again_and_again_never_leads_outside() {
    let tree = tree();
    symlink(&tree.outside, tree.root.join("link")).unwrap();
    let (sub, link) = (tree.root.join("sub"), tree.root.join("link"));
    let done = std::sync::atomic::AtomicBool::new(false);
    let policy = writable(&tree.root);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let dir = rustix::fs::CWD;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::renameat_with(dir, &sub, dir, &link, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut opened = 0;
        for _ in 0..5_000 {
            if let Ok(dir) = policy.open_dir_for_write(&sub, true) {
                write(&dir, "swapped", "x");
                opened += 1;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(opened > 0, "some of them meet the directory");
    });
    let found = fs::read_dir(&tree.outside).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(found.filter(|name| name != "file" && name != "sub").collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_file_is_replaced_not_written_through() {
    let tree = tree();
    symlink(tree.outside.join("file"), tree.root.join("link")).unwrap();
    fs::hard_link(tree.outside.join("file"), tree.root.join("hard")).unwrap();
    let dir = writable(&tree.root).open_dir_for_write(&tree.root, false).unwrap();
    assert_eq!(verdict(&dir.open_file(OsStr::new("link"))), "link");
    assert!(dir.metadata(OsStr::new("link")).unwrap().unwrap().is_symlink());
    write(&dir, "link", "new");
    write(&dir, "hard", "new");
    assert_eq!(fs::read_to_string(tree.outside.join("file")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(tree.root.join("hard")).unwrap(), "new");
    assert_eq!(fs::metadata(tree.root.join("hard")).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn names_are_single_names() {
    let tree = tree();
    symlink(&tree.outside, tree.root.join("out")).unwrap();
    let dir = writable(&tree.root).open_dir_for_write(&tree.root, false).unwrap();
    for name in ["", ".", "..", "out/file", "/etc/passwd", "sub/", "../root-evil/file", "a\0b"] {
        let name = OsStr::new(name);
        assert_eq!(verdict(&dir.open_file(name)), "invalid", "{name:?}");
        assert_eq!(verdict(&dir.remove_file(name)), "invalid", "{name:?}");
        assert_eq!(verdict(&dir.rename(OsStr::new("out"), &dir, name)), "invalid", "{name:?}");
    }
    assert!(tree.outside.join("file").exists());
}

#[test]
fn a_directory_takes_and_gives() {
    let tree = tree();
    let dir = writable(&tree.root).open_dir_for_write(&tree.root, false).unwrap();
    let name = OsStr::new("file");
    assert!(dir.metadata(name).unwrap().is_none());
    write(&dir, "file", "text");
    let mut text = String::new();
    dir.open_file(name).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    dir.sync().unwrap();
    dir.remove_file(name).unwrap();
    dir.remove_dir(OsStr::new("sub")).unwrap();
    assert_eq!(verdict(&dir.remove_file(name)), "missing");
    assert_eq!(fs::read_dir(&tree.root).unwrap().count(), 0);
}

#[test]
fn only_regular_files_are_read_and_nothing_hangs() {
    let tree = tree();
    let fifo = tree.root.join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let socket = tree.root.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let policy = Policy::read_only();
    assert_eq!(verdict(&policy.open_read(&tree.outside.join("file"))), "ok");
    for (path, expected) in [
        (fifo.as_path(), "a named pipe"),
        (&tree.root, "a directory"),
        (Path::new("/dev/zero"), "a device"),
        (&socket, "a socket"),
        (Path::new("/no/such/file"), "missing"),
        (Path::new("relative"), "relative"),
    ] {
        assert_eq!(verdict(&policy.open_read(path)), expected, "{path:?}");
    }
    let dir = writable(&tree.root).open_dir_for_write(&tree.root, false).unwrap();
    assert_eq!(verdict(&dir.open_file(OsStr::new("fifo"))), "a named pipe");
    assert_eq!(verdict(&dir.open_file(OsStr::new("sub"))), "a directory");
    assert_eq!(verdict(&dir.open_file(OsStr::new("socket"))), "a socket or a device");
}

#[test]
fn full_access_writes_anywhere_and_read_only_nowhere() {
    let tree = tree();
    symlink(&tree.outside, tree.root.join("out")).unwrap();
    for path in [tree.outside.clone(), tree.root.join("out/sub"), PathBuf::from("/")] {
        assert_eq!(verdict(&Policy::FullAccess.open_dir_for_write(&path, false)), "ok", "{path:?}");
        assert_eq!(verdict(&Policy::read_only().open_dir_for_write(&path, false)), "outside", "{path:?}");
    }
}

#[test]
fn a_refusal_says_what_would_allow_it() {
    let refusal =
        |policy: &Policy| policy.open_dir_for_write(Path::new("/etc"), false).unwrap_err().to_string();
    assert_eq!(
        refusal(&Policy::read_only()),
        "/etc may not be written: nothing is writable (sandbox_mode is read-only); \
         sandbox_mode = \"workspace-write\" makes the workspace writable"
    );
    let roots = ["/ws", "/tmp/x"];
    assert_eq!(
        refusal(&Policy::workspace_write(roots, Network::On)),
        "/etc is outside the writable roots (sandbox_mode is workspace-write; writable: /ws, /tmp/x); \
         add its directory with --add-dir or [sandbox_workspace_write] writable_roots"
    );
}
