//! The demo's project: a temporary git repository with a failing test, and a folder outside that the policy does
//! not make writable.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::{Command, Exit, Input, Output, Policy};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::config::Home;

const GREET: &str = "#!/bin/sh\n# Greets everybody named on the command line.\nfor name in $*; do\n  echo \"Hello, $name!\"\ndone\n";
const TEST: &str = "#!/bin/sh\n# A name may have a space in it.\nexpected='Hello, Ada Lovelace!'\n\
                    actual=$(sh ./greet.sh 'Ada Lovelace')\n\
                    if [ \"$actual\" = \"$expected\" ]; then echo 'ok: one greeting for each name'; else\n  \
                    echo \"expected: $expected\"\n  echo \"actual:   $actual\"\n  exit 1\nfi\n";

/// Folders are removed when it is dropped.
pub(super) struct Project {
    folder: PathBuf,
    home: PathBuf,
    outside: TempDir,
    _root: TempDir,
}

impl Project {
    pub(super) async fn create() -> Result<Self, String> {
        let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let root = tempfile::Builder::new()
            .prefix("codex-demo-")
            .tempdir()
            .map_err(|e| failed("a temporary folder", e))?;
        let real = root.path().canonicalize().map_err(|e| failed("the temporary folder", e))?;
        let (folder, home) = (real.join("project"), real.join("home"));
        let outside = outside_folder()?;
        for path in [&folder, &home] {
            std::fs::create_dir(path).map_err(|e| failed("a folder of the demo", e))?;
        }
        for (name, text) in [("greet.sh", GREET), ("test.sh", TEST)] {
            std::fs::write(folder.join(name), text).map_err(|e| failed(name, e))?;
        }
        let project = Self { folder, home, outside, _root: root };
        for arguments in
            [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "A greeter with a failing test"]]
        {
            let (exit, output) = project.git(arguments).await?;
            if !exit.success() {
                return Err(format!("git {}: {output}", arguments.join(" ")));
            }
        }
        Ok(project)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Settings, sessions and login of nobody.
    pub(super) fn home(&self) -> Home {
        Home::at(self.home.clone())
    }

    /// What the agent will try to write, and must not.
    pub(super) fn outside_file(&self) -> PathBuf {
        self.outside.path().join("escaped.txt")
    }

    pub(super) async fn changed_files(&self) -> Result<String, String> {
        Ok(self.git(&["diff", "--name-only"]).await?.1.trim().to_owned())
    }

    pub(super) async fn test_passes(&self) -> Result<bool, String> {
        let (exit, _) = self.run("sh", &["test.sh"]).await?;
        Ok(exit.success())
    }

    async fn git(&self, arguments: &[&str]) -> Result<(Exit, String), String> {
        let fixed = [
            "-c",
            "user.name=codex demo",
            "-c",
            "user.email=demo@localhost",
            "-c",
            "core.hooksPath=/dev/null",
        ];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().collect();
        self.run("git", &all).await
    }

    /// Runs a program of the demo itself, outside the agent's sandbox and with an environment of its own.
    async fn run(&self, program: &str, arguments: &[&str]) -> Result<(Exit, String), String> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let set = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let mut child = sandbox::spawn(
            &Policy::FullAccess,
            Command {
                program: program.into(),
                args: arguments.iter().map(OsString::from).collect(),
                cwd: self.folder.clone(),
                env: vec![
                    (OsString::from("PATH"), path),
                    (OsString::from("HOME"), self.home.clone().into_os_string()),
                    set("GIT_CONFIG_GLOBAL", "/dev/null"),
                    set("GIT_CONFIG_NOSYSTEM", "1"),
                    set("LC_ALL", "C"),
                ],
                input: Input::Null,
                output: Output::Merged,
            },
        )
        .await
        .map_err(|error| error.to_string())?;
        let mut output = String::new();
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_string(&mut output).await.map_err(|error| format!("{program}: {error}"))?;
        }
        let exit = child.wait().await.map_err(|error| format!("{program}: {error}"))?;
        Ok((exit, output))
    }
}

/// A fresh folder below none of those that `workspace-write` makes writable: not in `/tmp`, not in `$TMPDIR`.
fn outside_folder() -> Result<TempDir, String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let writable: Vec<PathBuf> = [Some(PathBuf::from("/tmp")), Some(std::env::temp_dir())]
        .into_iter()
        .flatten()
        .filter_map(|p| p.canonicalize().ok())
        .collect();
    let places = [Some(PathBuf::from("/var/tmp")), home, std::env::current_dir().ok()];
    for place in places.into_iter().flatten().filter_map(|place| place.canonicalize().ok()) {
        if writable.iter().any(|root| place.starts_with(root)) {
            continue;
        }
        if let Ok(folder) = tempfile::Builder::new().prefix("codex-demo-outside-").tempdir_in(&place) {
            return Ok(folder);
        }
    }
    Err("no folder outside the temporary ones can be written to; run the demo with a writable HOME"
        .to_owned())
}
