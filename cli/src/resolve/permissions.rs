//! `sandbox_permissions`, the list that older versions had in place of `sandbox_mode`: each entry allows one thing,
//! and what is not listed is not allowed.

use std::path::PathBuf;

use super::limits::Mode;
use crate::config::{ConfigError, Home, Origin};

const FOLDER: &str = "disk-write-folder=";

/// Which files may be read and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// All may be read; else only the system's own files and the folders here.
    pub(super) read_everything: bool,
    pub(super) cwd: bool,
    pub(super) slash_tmp: bool,
    pub(super) tmpdir: bool,
    pub(super) folders: Vec<PathBuf>,
}

/// What the list allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) reach: Reach,
    pub(super) network: bool,
    write_everything: bool,
}

impl Permissions {
    pub(super) fn parse(entries: &[String], origin: &Origin, home: &Home) -> Result<Self, ConfigError> {
        let wrong = |problem: String| ConfigError::new(origin, "sandbox_permissions", problem);
        let mut listed = Self::default();
        for entry in entries {
            match entry.as_str() {
                "disk-full-read-access" => listed.reach.read_everything = true,
                "disk-full-write-access" => listed.write_everything = true,
                "disk-write-cwd" => listed.reach.cwd = true,
                "disk-write-platform-global-temp-folder" => listed.reach.slash_tmp = true,
                "disk-write-platform-user-temp-folder" => listed.reach.tmpdir = true,
                "network-full-access" => listed.network = true,
                other => {
                    let Some(typed) = other.strip_prefix(FOLDER) else { return Err(wrong(unknown(other))) };
                    let folder = home.expand(typed).map_err(wrong)?;
                    if !folder.is_absolute() {
                        return Err(wrong(format!("{other:?}: the folder is not absolute")));
                    }
                    listed.reach.folders.push(folder);
                }
            }
        }
        if listed.write_everything && !(listed.reach.read_everything && listed.network) {
            return Err(wrong(format!(
                "disk-full-write-access leaves nothing for a sandbox to do, so it goes only with \
                 disk-full-read-access and network-full-access; to write some folders, list {FOLDER}/PATH"
            )));
        }
        Ok(listed)
    }

    /// The mode that it comes to.
    pub(super) fn mode(&self) -> Mode {
        if self.write_everything {
            Mode::FullAccess
        } else if self.reach.cwd
            || self.reach.slash_tmp
            || self.reach.tmpdir
            || !self.reach.folders.is_empty()
        {
            Mode::WorkspaceWrite
        } else {
            Mode::ReadOnly
        }
    }
}

fn unknown(entry: &str) -> String {
    format!(
        "unknown permission {entry:?}; allowed: disk-full-read-access, disk-write-cwd, \
         disk-write-platform-user-temp-folder, disk-write-platform-global-temp-folder, {FOLDER}/PATH, \
         disk-full-write-access, network-full-access"
    )
}
