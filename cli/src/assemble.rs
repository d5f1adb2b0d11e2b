//! The composition root: configuration to house. Nowhere else do all the crates meet.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use builtin_tools::{BuiltinTools, Context, Limits};
use mcp_host::{Host, HostParts, InProcess, Link, Places, ServerSpec, Timing, ToolContext, link};
use mcp_server::{CodexServer, Expose, ServerClient, connect_in_process};
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::{RoleServer, serve_directly};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Home, ServerTable};
use crate::model::Tape;
use crate::resolve::{Flags, Resolver};

/// A host, wired, and what its doors need.
pub(crate) struct House {
    pub(crate) host: Host,
    /// Cancelled when the client is gone or the person interrupts: running turns end.
    pub(crate) end: CancellationToken,
}

impl House {
    /// Reads the configuration and wires the host. Starts no process and opens no connection.
    pub(crate) fn build(flags: Flags, cwd: Option<PathBuf>, tape: Option<Tape>) -> Result<Self, ConfigError> {
        Self::build_in(Home::find()?, flags, cwd, tape)
    }

    /// The same with a given folder of settings.
    pub(crate) fn build_in(
        home: Home,
        flags: Flags,
        cwd: Option<PathBuf>,
        tape: Option<Tape>,
    ) -> Result<Self, ConfigError> {
        let start = start_folder(cwd)?;
        let resolver = Resolver::new(home, flags, start, tape)?;
        for warning in resolver.unknown_keys() {
            tracing::warn!("{warning}");
        }
        let servers = resolver.servers()?.into_iter().map(|table| spec(table, &resolver)).collect();
        let places = Places { sessions: resolver.home().sessions() };
        let scratch = resolver.home().folder().join("tmp");
        let built_in = InProcess {
            prefix: String::new(),
            make: Arc::new(move |context| serve_built_in(context, scratch.clone())),
        };
        let parts = HostParts {
            settings: Arc::new(resolver),
            servers,
            in_process: vec![built_in],
            places,
            timing: Timing::default(),
        };
        Ok(Self { host: Host::new(parts), end: CancellationToken::new() })
    }

    /// A server for one connection.
    pub(crate) fn server(&self, expose: Expose) -> Result<CodexServer, ConfigError> {
        CodexServer::new(self.host.clone(), expose, self.end.clone())
            .map_err(|error| ConfigError::general(error.to_string()))
    }

    /// A client of that server, in this process.
    pub(crate) async fn client(&self) -> Result<ServerClient, ConfigError> {
        connect_in_process(self.server(Expose::All)?).await.map_err(ConfigError::general)
    }
}

/// The folder named by `-C`, or the one that we are in.
pub(crate) fn start_folder(cwd: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let here = std::env::current_dir().map_err(|error| {
        ConfigError::general(format!("the current folder cannot be read: {error}; change to one that exists"))
    })?;
    let Some(cwd) = cwd else { return Ok(here) };
    let path = here.join(&cwd);
    let real = path
        .canonicalize()
        .map_err(|error| ConfigError::general(format!("-C {}: {error}", cwd.display())))?;
    if real.is_dir() {
        Ok(real)
    } else {
        Err(ConfigError::general(format!("-C {}: not a folder", cwd.display())))
    }
}

/// An instance of the built-in tools for one context, and the host's end of the connection to it.
fn serve_built_in(context: &ToolContext, scratch: PathBuf) -> Link {
    let tools = BuiltinTools::new(Context {
        cwd: context.cwd.clone(),
        policy: context.policy.clone(),
        env: context.env.clone(),
        scratch: Some(scratch),
        limits: Limits::default(),
    });
    let (host_end, server_end) = link();
    let host = ClientConfig::new(
        ClientCapabilities::default(),
        Implementation::new("codex-mcp-client", env!("CARGO_PKG_VERSION")),
    )
    .with_protocol_version(ProtocolVersion::V_2025_11_25);
    let serving = serve_directly::<RoleServer, _, _, _, _>(tools, server_end, Some(host));
    tokio::spawn(async move { serving.waiting().await });
    host_end
}

fn spec(table: ServerTable, resolver: &Resolver) -> ServerSpec {
    ServerSpec {
        env: server_environment(&table),
        cwd: table.cwd.map_or_else(|| resolver.start().to_owned(), |cwd| resolver.start().join(cwd)),
        name: table.name,
        command: table.command,
        args: table.args,
        enabled: table.enabled,
        startup_timeout: table.startup_timeout,
        tool_timeout: table.tool_timeout,
        approval: table.approval,
    }
}

/// What every external server gets of our environment: what programs need to start, find their files and reach
/// the network. Everything else must be named in its table.
const SERVER_VARIABLES: [&str; 28] = [
    "HOME",
    "LOGNAME",
    "USER",
    "PATH",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "TMPDIR",
    "TEMP",
    "TMP",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

fn server_environment(table: &ServerTable) -> Vec<(OsString, OsString)> {
    let ours = SERVER_VARIABLES.iter().copied().chain(table.env_vars.iter().map(String::as_str));
    let mut env: Vec<(OsString, OsString)> = ours
        .filter(|name| !table.env.contains_key(*name))
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect();
    env.extend(table.env.iter().map(|(name, value)| (name.into(), value.into())));
    env
}
