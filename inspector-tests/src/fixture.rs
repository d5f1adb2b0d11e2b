//! A house to live in for one test: its own home, `CODEX_HOME` and workspace, nothing of the machine's
//! environment but `PATH`, and no process left when it goes.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::clients::{Clients, target_folder, text};
use crate::inspector::Target;
use crate::process::{Output, run, survivors};
use crate::wire::Wire;

const DEADLINE: Duration = Duration::from_secs(60);
/// What the background may take to end processes once the binary has exited.
const LAST_GRACE: Duration = Duration::from_secs(3);

/// The binary with everything it reads, in a folder of its own under `target/`.
#[derive(Debug)]
pub struct House {
    folder: TempDir,
    codex: PathBuf,
    settings: String,
    tables: String,
    env: Vec<(String, String)>,
}

impl House {
    /// A house with an empty git repository as its workspace, where commands may write and nobody is asked.
    ///
    /// # Panics
    /// When it cannot be set up, for instance without `git`.
    #[must_use]
    pub fn new(codex: &str) -> Self {
        let mut house = Self::untouched(codex);
        house.setting(r#"sandbox_mode = "workspace-write""#);
        house.setting(r#"approval_policy = "never""#);
        house
    }

    /// A house as a new user has it: a repository, and no configuration.
    ///
    /// # Panics
    /// When it cannot be set up, for instance without `git`.
    #[must_use]
    pub fn untouched(codex: &str) -> Self {
        let base = target_folder().join("inspector-tests").join("houses");
        fs::create_dir_all(&base).expect("a folder under target/ can be made");
        let folder = TempDir::new_in(base).expect("a folder under target/ can be made");
        let house = Self {
            folder,
            codex: codex.into(),
            settings: String::new(),
            tables: String::new(),
            env: Vec::new(),
        };
        for made in [house.home(), house.codex_home(), house.workspace(), house.path("tmp")] {
            fs::create_dir(made).expect("the new folder is empty");
        }
        let mut git = Command::new("git");
        house.dress(git.args(["init", "--quiet", "--initial-branch=main"]));
        let _ = run(&mut git, b"", DEADLINE).expect_code(0);
        house
    }

    /// Where the binary starts.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.path("workspace")
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// `CODEX_HOME`.
    #[must_use]
    pub fn codex_home(&self) -> PathBuf {
        self.path("codex")
    }

    /// A place in the house's folder, beside the workspace.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the workspace, with its folders.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, path: &str, text: &str) {
        let path = self.workspace().join(path);
        path.parent()
            .map(fs::create_dir_all)
            .expect("the path lies in the workspace")
            .expect("it is a folder");
        fs::write(path, text).expect("the workspace can be written");
    }

    /// The text of a file of the workspace.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        let path = self.workspace().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Makes a named pipe in the workspace, through which a command can tell the test how far it is.
    ///
    /// # Panics
    /// When there is no `mkfifo`.
    pub fn pipe(&self, name: &str) -> Pipe {
        let path = self.workspace().join(name);
        let _ = run(Command::new("mkfifo").arg(&path), b"", DEADLINE).expect_code(0);
        Pipe(path)
    }

    /// Adds a line to the top of `config.toml`.
    pub fn setting(&mut self, line: &str) {
        writeln!(self.settings, "{line}").expect("a String takes any text");
        self.write_config();
    }

    /// Adds a table to `config.toml`.
    pub fn table(&mut self, toml: &str) {
        writeln!(self.tables, "\n{toml}").expect("a String takes any text");
        self.write_config();
    }

    fn write_config(&self) {
        let text = format!("{}{}", self.settings, self.tables);
        fs::write(self.codex_home().join("config.toml"), text).expect("the house can be written");
    }

    /// Adds a variable to the environment of the binary.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Configures the everything server as `every`.
    pub fn with_every(&mut self) {
        let [node, arguments @ ..] = Clients::get().everything();
        self.table(&format!("[mcp_servers.every]\ncommand = {node:?}\nargs = {arguments:?}"));
    }

    /// Has the agent ask the model at `base_url`, which speaks the Responses API.
    pub fn with_model(&mut self, base_url: &str) {
        self.setting(r#"model = "street-model""#);
        self.setting(r#"model_provider = "street""#);
        self.table(&format!(
            "[model_providers.street]\nname = \"Street\"\nbase_url = {base_url:?}\nwire_api = \"responses\""
        ));
    }

    /// The binary with these arguments, in the workspace and in the house's environment.
    #[must_use]
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.codex);
        self.dress(command.args(arguments));
        command
    }

    fn dress(&self, command: &mut Command) {
        command.current_dir(self.workspace()).env_clear();
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("CODEX_HOME", self.codex_home()).env("TMPDIR", self.path("tmp"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// Runs the binary to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[must_use]
    #[track_caller]
    pub fn codex<const N: usize>(&self, arguments: [&str; N]) -> Output {
        run(&mut self.command(arguments), b"", DEADLINE)
    }

    /// Starts `codex mcp-server` with these arguments after it.
    #[must_use]
    pub fn serve<const N: usize>(&self, arguments: [&str; N]) -> Wire {
        let arguments = ["mcp-server"].into_iter().chain(arguments);
        Wire::start(&mut self.command(arguments))
    }

    /// `codex mcp-server` for the Inspector.
    #[must_use]
    pub fn target(&self) -> Target {
        let own = [("CODEX_HOME", self.codex_home()), ("HOME", self.home()), ("TMPDIR", self.path("tmp"))];
        let own = own.iter().map(|(name, path)| ((*name).to_owned(), text(path)));
        Target {
            command: vec![text(&self.codex), "mcp-server".to_owned()],
            cwd: self.workspace(),
            home: self.home(),
            env: own.chain(self.env.clone()).collect(),
        }
    }

    /// What still runs of all that was started in this house.
    #[must_use]
    pub fn survivors(&self, patience: Duration) -> Vec<String> {
        survivors(&format!("HOME={}", text(self.folder.path())), patience)
    }
}

impl Drop for House {
    /// Nothing that was started here may outlive its test.
    fn drop(&mut self) {
        let left = self.survivors(LAST_GRACE);
        if !thread::panicking() {
            assert!(left.is_empty(), "still running: {left:#?}");
        }
    }
}

/// A named pipe in the workspace.
#[derive(Debug)]
pub struct Pipe(PathBuf);

impl Pipe {
    /// What a command writes into the pipe; waits for it.
    ///
    /// # Panics
    /// When nobody writes in time.
    #[track_caller]
    pub fn wait(self) -> String {
        let (sender, written) = mpsc::channel();
        // Opening a pipe waits for its other end, and cannot be told to give up.
        thread::spawn(move || drop(sender.send(fs::read_to_string(self.0))));
        let text = written.recv_timeout(DEADLINE).expect("the command writes into the pipe");
        text.expect("the pipe can be read")
    }
}

/// The files of a folder and of those below it.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) { files_below(&path) } else { vec![path] }
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::House;
    use crate::process::Leader;
    use std::process::Command;

    #[test]
    fn a_house_has_nothing_of_the_machine_but_the_path() {
        let mut house = House::new("/usr/bin/env");
        house.variable("OWN", "value");
        let output = house.codex([]).expect_code(0);
        let mut names: Vec<&str> =
            output.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["CODEX_HOME", "HOME", "OWN", "PATH", "TMPDIR"]);
    }

    #[test]
    #[should_panic(expected = "still running")]
    fn a_house_is_not_left_with_a_program_running_in_it() {
        let _ended_last;
        let house = House::new("unused");
        let mut command = Command::new("sleep");
        house.dress(command.arg("1000"));
        _ended_last = Leader::spawn(&mut command).unwrap();
    }

    #[test]
    fn settings_stand_before_tables_whatever_the_order() {
        let mut house = House::untouched("unused");
        house.table("[mcp_servers.x]\ncommand = \"true\"");
        house.setting("model = \"m\"");
        let text = std::fs::read_to_string(house.codex_home().join("config.toml")).unwrap();
        let config: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(
            (config["model"].as_str(), config["mcp_servers"]["x"]["command"].as_str()),
            (Some("m"), Some("true"))
        );
    }
}
