//! The test dialect of the command line: a home of its own, a command, and what it said.
#![expect(clippy::unwrap_used, reason = "a helper of tests: it fails as a test does")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use providers::testing::FakeModel;
use tempfile::TempDir;

/// A machine with nothing on it: home, settings and workspace are fresh.
pub(crate) struct House {
    root: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl House {
    pub(crate) fn new(config: &str) -> Self {
        // Not in /tmp, which `workspace-write` makes writable.
        let root = tempfile::Builder::new().prefix("codex-test-").tempdir_in("/var/tmp").unwrap();
        let house = Self { root };
        for folder in ["home", "codex", "ws"] {
            std::fs::create_dir(house.root.path().join(folder)).unwrap();
        }
        if !config.is_empty() {
            std::fs::write(house.config(), config).unwrap();
        }
        house
    }

    /// With a model that listens on loopback, and a workspace that may be written.
    pub(crate) fn with_model(model: &FakeModel) -> Self {
        let house = Self::new("");
        let config = format!(
            "model = \"fake-model\"\nmodel_provider = \"fake\"\n\n[model_providers.fake]\nname = \"fake\"\nbase_url = \"{}\"\nenv_key = \"FAKE_API_KEY\"\n\n[projects.\"{}\"]\ntrust_level = \"trusted\"\n",
            model.base_url(),
            house.workspace().display()
        );
        std::fs::write(house.config(), config).unwrap();
        house
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.path().join("codex/config.toml")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.root.path().join("codex/sessions")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("ws")
    }

    /// The command, not yet run. Nothing of the environment is inherited but `PATH`.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root.path().join("home"))
            .env("CODEX_HOME", self.root.path().join("codex"))
            .env("FAKE_API_KEY", "sk-planted-0123456789abcdef")
            .current_dir(self.workspace())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.run_with(words, &[])
    }

    /// The same with more in the environment.
    pub(crate) fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Said {
        said(self.command(words).envs(variables.iter().copied()).output().unwrap())
    }

    /// Every record of a thread, oldest first.
    pub(crate) fn records(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.sessions()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
