//! The folders that belong to the user: found once, at the start, from the environment.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// `$CODEX_HOME`, or `~/.codex`; and what `~` stands for.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    user: Option<PathBuf>,
}

impl Home {
    /// Finds the folder. It need not exist, but what `CODEX_HOME` names must be a folder if it does.
    pub(crate) fn find() -> Result<Self, ConfigError> {
        let folder = match (variable("CODEX_HOME"), variable("HOME")) {
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
        Ok(Self::at(folder))
    }

    /// A folder that stands in for it.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder, user: variable("HOME").filter(|home| home.is_absolute()) }
    }

    /// With another `~`.
    #[cfg(test)]
    pub(crate) fn of_user(self, user: PathBuf) -> Self {
        Self { user: Some(user), ..self }
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

    /// The user's own folder, absolute.
    pub(crate) fn user(&self) -> Option<&Path> {
        self.user.as_deref()
    }

    /// A path as people write it: `~` and `~/…` are below the user's folder. Says what is wrong with one that cannot
    /// be told.
    pub(crate) fn expand(&self, typed: &str) -> Result<PathBuf, String> {
        let Some(rest) = typed.strip_prefix('~') else { return Ok(PathBuf::from(typed)) };
        match self.user() {
            _ if !rest.is_empty() && !rest.starts_with('/') => {
                Err(format!("{typed:?} is not understood; write ~/… or an absolute path"))
            }
            None => Err(format!("{typed:?} needs HOME to be set")),
            Some(user) => Ok(user.join(rest.trim_start_matches('/'))),
        }
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::Home;

    #[test]
    fn a_tilde_is_the_users_folder() {
        let home = Home::at("/c".into()).of_user("/home/me".into());
        let expanded = |typed| home.expand(typed).map(|path| path.display().to_string());
        assert_eq!(expanded("~").as_deref(), Ok("/home/me/"));
        assert_eq!(expanded("~//.ssh").as_deref(), Ok("/home/me/.ssh"));
        assert_eq!(expanded("~/.ssh").as_deref(), Ok("/home/me/.ssh"));
        assert_eq!(expanded("/a/~").as_deref(), Ok("/a/~"));
        assert!(expanded("~you/.ssh").unwrap_err().contains("absolute"));
    }
}
