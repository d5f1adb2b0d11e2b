//! What the tests speak: a fresh workspace, tools over it, and an MCP client that calls them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use builtin_tools::{BuiltinTools, Context, Limits};
use futures::channel::mpsc;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientJsonRpcMessage, ClientRequest, JsonObject,
    ProgressNotificationParam, ProtocolVersion, ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions, RequestHandle,
    RunningService, ServiceError,
};
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use sandbox::{Network, Policy};
use serde_json::Value;
use tempfile::TempDir;

/// No test waits longer than this for something that should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tools over a workspace, and a client connected to them.
pub(crate) struct Tools {
    /// The workspace: a fresh directory, the only one that is writable.
    pub(crate) root: PathBuf,
    pub(crate) client: RunningService<RoleClient, Watcher>,
    _directory: TempDir,
}

/// A client that remembers the progress it was told.
#[derive(Clone, Default)]
pub(crate) struct Watcher {
    progress: Arc<Mutex<Vec<String>>>,
    told: Arc<tokio::sync::Notify>,
}

impl ClientHandler for Watcher {
    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.lock().unwrap().push(params.message.unwrap_or_default());
        self.told.notify_one();
    }
}

impl Tools {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Tools whose context is changed first.
    pub(crate) async fn with(change: impl FnOnce(&mut Context)) -> Self {
        Self::connected(change, ClientLifecycleMode::Initialize).await
    }

    /// Tools for a client that speaks the protocol without a handshake.
    pub(crate) async fn modern() -> Self {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        Self::connected(|_| {}, ClientLifecycleMode::Discover { preferred_versions }).await
    }

    async fn connected(change: impl FnOnce(&mut Context), lifecycle: ClientLifecycleMode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("workspace");
        std::fs::create_dir(&root).unwrap();
        let mut context = Context {
            cwd: root.clone(),
            policy: Policy::workspace_write(vec![root.clone()], Network::Off),
            env: ["PATH", "HOME"]
                .into_iter()
                .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
                .collect(),
            scratch: Some(root.parent().unwrap().join("scratch")),
            limits: Limits { kill_grace: Duration::from_millis(200), ..Limits::default() },
        };
        change(&mut context);
        let (to_server, from_client) = mpsc::channel::<ClientJsonRpcMessage>(64);
        let (to_client, from_server) = mpsc::channel::<ServerJsonRpcMessage>(64);
        let server = BuiltinTools::new(context);
        tokio::spawn(async move {
            if let Ok(server) = server.serve((to_client, from_client)).await {
                _ = server.waiting().await;
            }
        });
        let transport = (to_server, from_server);
        let client = Watcher::default().serve_with_lifecycle(transport, lifecycle).await.unwrap();
        Self { root, client, _directory: directory }
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        let call = self.client.call_tool(params(tool, arguments));
        tokio::time::timeout(PATIENCE, call).await.expect("an answer").expect("a result")
    }

    /// A call that can be cancelled.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params(tool, arguments)));
        self.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap()
    }

    /// The next progress text that `wanted` accepts.
    pub(crate) async fn progress(&self, wanted: impl Fn(&str) -> bool) -> String {
        let watcher = self.client.service();
        let wait = async {
            loop {
                let told = watcher.told.notified();
                if let Some(text) = watcher.progress.lock().unwrap().iter().find(|text| wanted(text)) {
                    return text.clone();
                }
                told.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("progress")
    }

    /// The text of a call's result, with `ERROR ` in front if it is one, and the workspace's path as `ROOT`.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        let mark = if result.is_error == Some(true) { "ERROR " } else { "" };
        format!("{mark}{}", text(&result)).replace(self.root.to_str().unwrap(), "ROOT")
    }
}

/// The text that a model gets.
pub(crate) fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().expect("a text").text
}

pub(crate) fn structured(result: &CallToolResult) -> &Value {
    result.structured_content.as_ref().expect("structured content")
}

/// What a host is told of the effects.
pub(crate) fn effects(result: &CallToolResult) -> Value {
    result.meta.as_ref().and_then(|meta| meta.0.get("codex/effects")).cloned().unwrap_or_default()
}

pub(crate) fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let arguments: JsonObject = serde_json::from_value(arguments).unwrap();
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

/// The error of a call that is refused by protocol.
pub(crate) async fn refused(tools: &Tools, tool: &str) -> ServiceError {
    tools.client.call_tool(CallToolRequestParams::new(tool.to_owned())).await.unwrap_err()
}

pub(crate) async fn finished(handle: RequestHandle<RoleClient>) -> CallToolResult {
    match tokio::time::timeout(PATIENCE, handle.await_response()).await.expect("an answer").expect("a result")
    {
        ServerResult::CallToolResult(result) => result,
        other => panic!("no result of a tool: {other:?}"),
    }
}

/// A pipe in the workspace that a command holds open: its end is the end of the last process that holds it.
pub(crate) struct Lifeline(tokio::task::JoinHandle<String>);

impl Lifeline {
    /// Makes the pipe. A command takes hold of it with `3>NAME`, which waits until this end is open too.
    pub(crate) fn new(tools: &Tools, name: &str) -> Self {
        let path = tools.root.join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self(tokio::task::spawn_blocking(move || std::fs::read_to_string(path).unwrap()))
    }

    pub(crate) fn is_held(&self) -> bool {
        !self.0.is_finished()
    }

    /// What was written into it, once no one holds it any more.
    pub(crate) async fn released(self) -> String {
        tokio::time::timeout(PATIENCE, self.0).await.expect("all processes are gone").unwrap()
    }
}

/// All that is in a directory: each path with what it is.
pub(crate) fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    fn visit(root: &Path, directory: &Path, tree: &mut Vec<(String, Vec<u8>)>) {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                tree.push((format!("{name}/"), Vec::new()));
                visit(root, &path, tree);
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                tree.push((format!("{name}@"), target.as_os_str().as_encoded_bytes().to_vec()));
            } else {
                let executable = if metadata.permissions().mode() & 0o100 != 0 { "*" } else { "" };
                tree.push((format!("{name}{executable}"), std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut tree = Vec::new();
    visit(root, root, &mut tree);
    tree.sort();
    tree
}
