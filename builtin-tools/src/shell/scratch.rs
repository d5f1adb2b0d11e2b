//! The files that outputs too long for the model go to. Each is for the user and the model to look into for a while, so
//! old ones are removed when a new one is made.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const PREFIX: &str = "output-";
const SUFFIX: &str = ".txt";
/// Files that are kept, and bytes of them.
const FILES: usize = 100;
const BYTES: u64 = 1 << 30;

/// Makes a file in `directory`, which is made too if it is missing. Others of this machine's users can not read it.
pub(crate) fn create(directory: &Path) -> io::Result<(PathBuf, File)> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    remove_old(directory)?;
    let permissions = std::fs::Permissions::from_mode(0o600);
    let file = tempfile::Builder::new()
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .permissions(permissions)
        .tempfile_in(directory)?;
    let (file, path) = file.keep().map_err(|error| error.error)?;
    Ok((path, file))
}

/// Removes the oldest files until there is room for one more. A file that is gone already is no trouble: someone else
/// had the same thought.
fn remove_old(directory: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if ours && let Ok(metadata) = entry.metadata() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
    let (mut bytes, mut kept) = (0, 0);
    for (_, size, path) in files {
        bytes += size;
        kept += 1;
        if (kept >= FILES || bytes > BYTES)
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(%error, "an old output is not removed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn old_files_make_room_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
        for _ in 0..super::FILES + 5 {
            super::create(directory.path()).unwrap();
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), super::FILES + 1);
        assert!(directory.path().join("notes.txt").exists());
    }
}
