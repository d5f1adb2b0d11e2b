//! The folders that belong to the user: found once, at the start, from the environment.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// `$CODEX_HOME`, or `~/.codex`.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

impl Home {
    /// Finds the folder. It need not exist, but what `CODEX_HOME` names must be a folder if it does.
    pub(crate) fn find() -> Result<Self, ConfigError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = match (set("CODEX_HOME"), set("HOME")) {
            (Some(folder), _) if folder.exists() && !folder.is_dir() => {
                let problem = format!("CODEX_HOME names {}, which is not a folder", folder.display());
                return Err(ConfigError::general(problem));
            }
            (Some(folder), _) => std::path::absolute(&folder).unwrap_or(folder),
            (None, Some(home)) => home.join(".codex"),
            (None, None) => {
                let problem =
                    "neither CODEX_HOME nor HOME is set; set CODEX_HOME to a folder for codex's own files";
                return Err(ConfigError::general(problem));
            }
        };
        Ok(Self { folder })
    }

    /// A folder that stands in for it.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.folder.join("sessions")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
