//! The catalog as one context sees it (a thread, or a connection that calls tools directly), and the one `call`
//! that everything goes through.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::catalog::{Catalog, Entry};
use super::client::{Client, LinkError, ProgressSink};
use super::pool::Pool;
use super::spec::{InProcess, ToolContext};
use crate::approval::{self, ToolApproval, Verdict};
use crate::error::CallError;

/// One call of a tool.
pub struct CallRequest {
    /// The tool's name in the catalog.
    pub name: String,
    /// Its arguments.
    pub arguments: JsonObject,
    /// Ends the call; it then answers [`CallError::Interrupted`] and the server is told.
    pub cancel: CancellationToken,
    /// Takes the tool's progress.
    pub progress: Option<ProgressSink>,
}

/// The tools of one context. In-process servers are made on first use, one instance for each context; external
/// servers are shared.
pub struct Toolset {
    context: ToolContext,
    in_process: Vec<Local>,
    pool: Arc<Pool>,
}

struct Local {
    spec: InProcess,
    running: OnceCell<(Client, Vec<Entry>)>,
}

/// How long an in-process server may take to list its tools; it needs microseconds.
const LOCAL_LIST: Duration = Duration::from_secs(10);

impl Toolset {
    pub(crate) fn new(context: ToolContext, in_process: &[InProcess], pool: Arc<Pool>) -> Self {
        let in_process =
            in_process.iter().map(|spec| Local { spec: spec.clone(), running: OnceCell::new() }).collect();
        Self { context, in_process, pool }
    }

    /// Where its in-process tools work.
    #[must_use]
    pub fn context(&self) -> &ToolContext {
        &self.context
    }

    /// Grows whenever the catalog changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.pool.changes()
    }

    /// All tools. Starts servers that were not needed before and waits a few seconds for them; what is not
    /// there by then is left out, stands in [`Catalog::servers`] as starting, and shows up by
    /// [`Toolset::changes`].
    pub async fn catalog(&self) -> Catalog {
        self.pool.start_idle();
        let mut entries = self.local_entries().await;
        self.pool.settle(self.pool.list_wait()).await;
        entries.extend(self.pool.entries());
        Catalog { entries, servers: self.pool.status() }
    }

    /// Calls a tool through the gate. A tool that fails, a server that is gone and a call that is denied answer
    /// with a result that says so, for a model to read.
    ///
    /// # Errors
    /// There is no such tool, or the caller cancelled. Nothing else: a server that did not start is a result.
    pub async fn call(&self, request: CallRequest) -> Result<CallToolResult, CallError> {
        let entry = match self.find(&request.name, &request.cancel).await {
            Err(CallError::Server { message }) => return Ok(failed(message)),
            found => found?,
        };
        if let Verdict::Deny(text) = approval::decide(&entry, self.context.approval) {
            return Ok(denied(text));
        }
        let outcome = match &entry.server {
            None => self.call_local(&entry, request).await,
            Some(server) => self.call_server(server, &entry, request).await,
        };
        match outcome {
            Ok(result) => Ok(result),
            Err(LinkError::Interrupted) => Err(CallError::Interrupted),
            Err(error) => Ok(failed(format!("{}: {error}", entry.tool.name))),
        }
    }

    async fn find(&self, name: &str, cancel: &CancellationToken) -> Result<Entry, CallError> {
        let mut entries = self.local_entries().await;
        if let Some(entry) = entries.iter().find(|entry| entry.tool.name == name) {
            return Ok(entry.clone());
        }
        let known = |pool: &Pool| pool.entries().into_iter().find(|entry| entry.tool.name == name);
        if let Some(entry) = known(&self.pool) {
            return Ok(entry);
        }
        // It may belong to a server that nobody needed yet, or that ended.
        if let Some(server) = self.pool.owner(name) {
            let connected = tokio::select! {
                () = cancel.cancelled() => return Err(CallError::Interrupted),
                connected = self.pool.connection(&server) => connected,
            };
            match connected {
                Err(message) => return Err(CallError::Server { message }),
                Ok(_) => {
                    if let Some(entry) = known(&self.pool) {
                        return Ok(entry);
                    }
                }
            }
        }
        entries.extend(self.pool.entries());
        let catalog = Catalog { entries, servers: Vec::new() };
        Err(CallError::UnknownTool { name: name.to_owned(), nearest: catalog.nearest(name) })
    }

    async fn call_local(&self, entry: &Entry, request: CallRequest) -> Result<CallToolResult, LinkError> {
        for local in &self.in_process {
            let Ok((client, entries)) = self.running(local).await else { continue };
            if entries.iter().any(|own| own.tool.name == entry.tool.name) {
                return client
                    .call(&entry.raw_name, request.arguments, &request.cancel, request.progress, None)
                    .await;
            }
        }
        Err(LinkError::Closed)
    }

    async fn call_server(
        &self,
        server: &str,
        entry: &Entry,
        request: CallRequest,
    ) -> Result<CallToolResult, LinkError> {
        let connecting = self.pool.connection(server);
        let (connection, spec) = tokio::select! {
            () = request.cancel.cancelled() => return Err(LinkError::Interrupted),
            connection = connecting => connection.map_err(LinkError::Refused)?,
        };
        let timeout = Some(spec.tool_timeout);
        let result = connection
            .client
            .call(&entry.raw_name, request.arguments, &request.cancel, request.progress, timeout)
            .await;
        match result {
            Err(LinkError::Closed) => {
                connection.broken.notify_one();
                Err(LinkError::Refused(format!(
                    "server {server:?} ({}) ended during the call; calling again starts it anew",
                    spec.command_line()
                )))
            }
            Err(LinkError::TimedOut(after)) => Err(LinkError::Refused(format!(
                "no answer and no progress within {} s; give it more with tool_timeout_sec under [mcp_servers.{server}]",
                after.as_secs_f64()
            ))),
            other => other,
        }
    }

    async fn local_entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        for local in &self.in_process {
            match self.running(local).await {
                Ok((_, entries)) => all.extend(entries.iter().cloned()),
                Err(error) => tracing::error!("in-process server {:?}: {error}", local.spec.prefix),
            }
        }
        all
    }

    async fn running<'a>(&self, local: &'a Local) -> Result<&'a (Client, Vec<Entry>), LinkError> {
        local
            .running
            .get_or_try_init(|| async {
                let client = Client::in_process((local.spec.make)(&self.context));
                let tools = client.list_tools(LOCAL_LIST).await?;
                let entries = tools
                    .into_iter()
                    .map(|mut tool| {
                        let raw_name = tool.name.to_string();
                        tool.name = format!("{}{raw_name}", local.spec.prefix).into();
                        Entry { tool, server: None, raw_name, approval: ToolApproval::Unset }
                    })
                    .collect();
                Ok((client, entries))
            })
            .await
    }
}

impl std::fmt::Debug for Toolset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toolset").field("context", &self.context.cwd).finish_non_exhaustive()
    }
}

fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// Marked, so that a program can tell a refusal by policy from a failure (exit code 3 of `codex tool call`).
fn denied(text: String) -> CallToolResult {
    let mut result = failed(text);
    let mut meta = rmcp::model::MetaObject::default();
    meta.insert("codex/denied".to_owned(), true.into());
    result.meta = Some(meta);
    result
}
