//! Edits config.toml as a person would: everything else in the file stays byte for byte.

use std::io::Write;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, value};

use super::{ConfigError, Layers};

/// config.toml, open for editing.
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// The file as it was.
    text: String,
    document: DocumentMut,
}

impl ConfigFile {
    /// Reads the file; a missing one is an empty one.
    pub(crate) fn open(path: PathBuf) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigError::general(format!("{}: {error}", path.display()))),
        };
        // For the message with the line.
        Layers::default().add_text(&path, &text)?;
        let document =
            text.parse().map_err(|e: toml_edit::TomlError| ConfigError::general(e.message().to_owned()))?;
        Ok(Self { path, text, document })
    }

    /// Adds a server, or gives the one of that name another command; what else is set for it stays. Answers whether
    /// there was one.
    pub(crate) fn set_server(
        &mut self,
        name: &str,
        command: &str,
        args: &[String],
        env: &[(String, String)],
    ) -> Result<bool, ConfigError> {
        let set = |table: &mut dyn TableLike| {
            table.insert("command", value(command));
            let _ = (table.remove("args"), table.remove("env"));
            if !args.is_empty() {
                table.insert("args", value(args.iter().map(String::as_str).collect::<Array>()));
            }
            if !env.is_empty() {
                let env = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<InlineTable>();
                table.insert("env", value(env));
            }
        };
        let servers = self.document.entry("mcp_servers").or_insert_with(|| {
            let mut servers = Table::new();
            servers.set_implicit(true);
            Item::Table(servers)
        });
        let Some(servers) = servers.as_table_like_mut() else {
            let problem = "`mcp_servers` is a value where the tables [mcp_servers.NAME] belong";
            return Err(ConfigError::general(format!("{}: {problem}", self.path.display())));
        };
        if let Some(old) = servers.get_mut(name).and_then(Item::as_table_like_mut) {
            set(old);
            return Ok(true);
        }
        let mut table = Table::new();
        set(&mut table);
        table.decor_mut().set_prefix(if self.text.trim().is_empty() { "" } else { "\n" });
        servers.insert(name, Item::Table(table));
        Ok(false)
    }

    /// Removes a server; answers whether there was one. Comments above its table are the person's and stay.
    pub(crate) fn remove_server(&mut self, name: &str) -> bool {
        let Some(servers) = self.document.get_mut("mcp_servers").and_then(Item::as_table_like_mut) else {
            return false;
        };
        let Some(removed) = servers.remove(name) else { return false };
        let implicit =
            |item: &Item| item.as_table().is_some_and(|table| table.is_implicit() && table.is_empty());
        if self.document.get("mcp_servers").is_some_and(implicit) {
            self.document.remove("mcp_servers");
        }
        let above = removed.as_table().and_then(|table| table.decor().prefix()?.as_str());
        if let Some(above) = above.filter(|above| above.contains('#')) {
            let trailing = self.document.trailing().as_str().unwrap_or_default();
            let kept = format!("{}\n{trailing}", above.trim_end());
            self.document.set_trailing(kept);
        }
        true
    }

    /// Writes the file beside itself and puts it in place in one step, for the user alone. A file that became
    /// empty is removed: it was made by adding what is gone now.
    pub(crate) fn save(self) -> Result<(), ConfigError> {
        let failed = |path: &Path, error: std::io::Error| {
            ConfigError::general(format!("writing {}: {error}", path.display()))
        };
        // A linked file stays a link.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let text = self.document.to_string();
        if text == self.text {
            return Ok(());
        }
        if text.is_empty() {
            return std::fs::remove_file(&path).map_err(|error| failed(&path, error));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(folder, error))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
        written.map_err(|error| failed(&path, error))?;
        if let Ok(meta) = std::fs::metadata(&path) {
            let _ = file.as_file().set_permissions(meta.permissions());
        }
        file.persist(&path).map_err(|error| failed(&path, error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ConfigFile;
    use std::path::Path;

    fn edit(path: &Path, with: impl FnOnce(&mut ConfigFile)) {
        let mut file = ConfigFile::open(path.to_owned()).unwrap();
        with(&mut file);
        file.save().unwrap();
    }

    #[test]
    fn adding_and_removing_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let files = [
            "# mine\nmodel = \"o3\" # the good one\n\n[mcp_servers.a]   # odd   spacing\ncommand='x'\n\n# end\n",
            "model=\"o3\"\n",
            "[mcp_servers.a]\ncommand = \"x\"\n[profiles.p]\nmodel = \"m\"\n",
            "[mcp_servers]\n# none yet\n",
        ];
        for text in files {
            std::fs::write(&path, text).unwrap();
            edit(&path, |file| {
                assert!(
                    !file
                        .set_server("every", "npx", &["-y".to_owned()], &[("K".to_owned(), "v".to_owned())])
                        .unwrap()
                )
            });
            let added = std::fs::read_to_string(&path).unwrap();
            assert!(
                added.contains(
                    "[mcp_servers.every]\ncommand = \"npx\"\nargs = [\"-y\"]\nenv = { K = \"v\" }\n"
                ),
                "{added}"
            );
            edit(&path, |file| assert!(file.remove_server("every")));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn without_a_file_adding_makes_one_and_removing_takes_it_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home").join("config.toml");
        edit(&path, |file| assert!(!file.set_server("every", "npx", &[], &[]).unwrap()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[mcp_servers.every]\ncommand = \"npx\"\n");
        edit(&path, |file| assert!(!file.remove_server("other")));
        edit(&path, |file| assert!(file.remove_server("every")));
        assert!(!path.exists());
    }

    #[test]
    fn a_linked_file_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("config.toml"));
        std::fs::write(&real, "model = \"o3\"\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        edit(&link, |file| assert!(!file.set_server("a", "x", &[], &[]).unwrap()));
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("mcp_servers.a"));
    }

    #[test]
    fn another_command_for_a_server_leaves_what_else_is_set_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[mcp_servers.a]\ncommand = \"x\" # old\nargs = [\"1\"]\nenabled = false\n")
            .unwrap();
        edit(&path, |file| assert!(file.set_server("a", "y", &[], &[]).unwrap()));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("command = \"y\"") && text.contains("enabled = false"), "{text}");
        assert!(!text.contains("args"), "{text}");
    }

    #[test]
    fn removing_the_last_server_keeps_the_notes_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "# my notes\n\n# about a\n[mcp_servers.a]\ncommand = \"x\"\n").unwrap();
        edit(&path, |file| assert!(file.remove_server("a")));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# my notes\n\n# about a\n");
    }

    #[test]
    fn a_value_where_the_servers_belong_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "mcp_servers = 3\n").unwrap();
        let mut file = ConfigFile::open(path).unwrap();
        assert!(file.set_server("a", "y", &[], &[]).unwrap_err().to_string().contains("[mcp_servers.NAME]"));
    }
}
