//! The MCP Inspector as a client: its command line (`mcp-inspector --cli`) and its page in a browser.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use std::{env, thread};

use serde_json::{Value, json};

use crate::clients::{Clients, text};
use crate::process::{Leader, run};

const LAUNCHER: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web_inspector.mjs");
const DEADLINE: Duration = Duration::from_secs(60);
const BROWSER_DEADLINE: Duration = Duration::from_secs(120);

/// Which generation of MCP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// With `initialize`: revisions up to 2025-11-25.
    Legacy,
    /// Stateless, with `server/discover`: 2026-07-28.
    Modern,
}

impl Era {
    fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// A server as the Inspector starts it. It gives the server nothing of its own environment but `HOME`, `PATH` and
/// the like, and what is named here.
#[derive(Clone, Debug)]
pub struct Target {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// The home of the Inspector and of the server.
    pub home: PathBuf,
    /// What else the server finds in its environment.
    pub env: Vec<(String, String)>,
}

/// What one run of `mcp-inspector --cli` gave.
#[derive(Debug)]
pub struct Answer {
    /// 0 done, 1 error, 2 usage, 3 authorization, 4 unreachable, 5 the tool failed, 6 not portable (`--strict`).
    pub code: i32,
    /// The result on standard output, if there is one.
    pub result: Option<Value>,
    /// The error on standard error, if there is one: `{code, message}`.
    pub error: Option<Value>,
    /// All of standard error.
    pub stderr: String,
}

/// Sends one request to a fresh server: `--method METHOD` and `arguments`, as they are on the command line.
#[must_use]
#[track_caller]
pub fn request(target: &Target, era: Era, method: &str, arguments: &[&str]) -> Answer {
    let mut command = launcher(target);
    command.arg("--cli").args(options(target)).args(["--method", method, "--protocol-era", era.name()]);
    command.args(arguments).args(["--format", "json", "--quiet", "--"]).args(&target.command);
    let output = run(&mut command, b"", DEADLINE);
    let field = |text: &str, key: &str| {
        let value: Value = text.lines().find_map(|line| serde_json::from_str(line).ok())?;
        value.get(key).cloned()
    };
    let code = output.code.unwrap_or_else(|| panic!("the Inspector was killed: {}", output.stderr));
    Answer {
        code,
        result: field(&output.stdout, "result"),
        error: field(&output.stderr, "error"),
        stderr: output.stderr,
    }
}

/// Calls a tool on a fresh server.
#[must_use]
#[track_caller]
pub fn call(target: &Target, era: Era, tool: &str, arguments: &Value) -> Answer {
    request(target, era, "tools/call", &["--tool-name", tool, "--tool-args-json", &arguments.to_string()])
}

fn launcher(target: &Target) -> Command {
    let clients = Clients::get();
    let mut command = Command::new(&clients.node);
    command.arg(clients.script(LAUNCHER)).current_dir(&target.cwd);
    // The Inspector hands PATH and HOME on to the server; everything else of ours stays out.
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.env("HOME", &target.home).env("TMPDIR", &target.home);
    command
}

fn options(target: &Target) -> Vec<OsString> {
    let set = target.env.iter().flat_map(|(name, value)| ["-e".into(), format!("{name}={value}").into()]);
    set.chain(["--cwd".into(), target.cwd.clone().into()]).collect()
}

/// What a person with a browser saw in the web Inspector.
#[derive(Debug)]
pub struct Page {
    /// The names in the list of tools.
    pub tools: Vec<String>,
    /// For each call, the text of the result panel.
    pub results: Vec<String>,
}

/// Opens the web Inspector on a fresh server in headless Chromium, lists the tools and makes `calls` one after
/// the other, each as a person would: pick the tool, type the arguments, press the button.
///
/// # Panics
/// When there is no Chromium, or the page does not come to show what is waited for.
#[must_use]
#[track_caller]
pub fn browse(target: &Target, era: Era, calls: &[(&str, Value)]) -> Page {
    let chromium = find_program(&["chromium", "chromium-browser", "google-chrome"])
        .expect("the tests of the web Inspector need a Chromium; on Debian: apt-get install chromium");
    let clients = Clients::get();
    let web = Web::start(target, era);
    let calls: Vec<Value> =
        calls.iter().map(|(tool, arguments)| json!({"tool": tool, "arguments": arguments})).collect();
    let plan = json!({
        "url": web.url,
        "chromium": text(&chromium),
        "packages": text(&clients.folder),
        "calls": calls,
    });
    let mut driver = Command::new(&clients.node);
    driver.arg(DRIVER).env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    driver.env("HOME", &target.home).env("TMPDIR", &target.home);
    let output = run(&mut driver, plan.to_string().as_bytes(), BROWSER_DEADLINE).expect_code(0);
    let saw: Value = serde_json::from_str(&output.stdout).expect("the driver prints one JSON object");
    let texts = |key: &str| {
        let list = saw[key].as_array().expect("the driver gives a list");
        list.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
    };
    Page { tools: texts("tools"), results: texts("results") }
}

/// A running web Inspector.
struct Web {
    url: String,
    _inspector: Leader,
}

impl Web {
    /// The Inspector takes only fixed ports, so free ones are looked for; if another program takes one first, it
    /// says so and we look again.
    fn start(target: &Target, era: Era) -> Self {
        for _ in 0..5 {
            if let Some(web) = Self::try_start(target, era, free_ports()) {
                return web;
            }
        }
        panic!("the web Inspector found its port taken five times");
    }

    fn try_start(target: &Target, era: Era, [page, sandbox, apps]: [u16; 3]) -> Option<Self> {
        let mut command = launcher(target);
        command.args(options(target)).args(["--protocol-era", era.name(), "--"]).args(&target.command);
        command.env("CLIENT_PORT", page.to_string()).env("MCP_SANDBOX_PORT", sandbox.to_string());
        command.env("MCP_APP_ORIGIN_PORT", apps.to_string()).env("MCP_AUTO_OPEN_ENABLED", "false");
        command.env("MCP_INSPECTOR_API_TOKEN", "street").env("MCP_INSPECTOR_SECRET_STORE", "memory");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut inspector = Leader::spawn(&mut command).expect("the installed Node starts");
        let (sender, lines) = mpsc::channel();
        forward(inspector.child.stdout.take(), sender.clone());
        forward(inspector.child.stderr.take(), sender);
        let url = format!("http://127.0.0.1:{page}");
        let mut said = String::new();
        while let Ok(line) = lines.recv_timeout(DEADLINE) {
            if line.contains("PORT IS IN USE") {
                return None;
            }
            if line.trim().starts_with(&url) {
                return Some(Self {
                    url: format!("{url}/?MCP_INSPECTOR_API_TOKEN=street"),
                    _inspector: inspector,
                });
            }
            said.push_str(&line);
        }
        panic!("the web Inspector did not come up: {said}");
    }
}

/// Sends the lines of a stream on, to its end: a program that nobody reads stops.
fn forward(stream: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    let stream = BufReader::new(stream.expect("the stream is piped"));
    thread::spawn(move || {
        for line in stream.lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}

fn free_ports() -> [u16; 3] {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    // All three at once, else they could be the same.
    let listeners = [listen(), listen(), listen()];
    listeners.map(|listener| listener.local_addr().expect("a bound listener has an address").port())
}

fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| Path::is_file(file))
}
