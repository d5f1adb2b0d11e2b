//! The MCP server: what it lists and whom it asks. It decides nothing.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use mcp_host::{CallError, CallRequest, Host, Overrides, ServerState, Thread, Toolset};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
    ErrorCode, Implementation, ListToolsResult, MetaObject, PaginatedRequestParams, ResultType,
    ServerCapabilities, ServerConfig, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::api::SERVERS_META;
use crate::{attach, changes, direct, tools};

/// Which tools a client sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expose {
    /// The agent, the built-in tools and those of the configured servers.
    #[default]
    All,
    /// The agent alone.
    Agent,
}

/// The server of one connection. Connections share the host.
#[derive(Clone)]
pub struct CodexServer(Arc<Inner>);

struct Inner {
    host: Host,
    expose: Expose,
    toolset: Arc<Toolset>,
    /// The threads this connection spoke to, for a `codex-reply` that names none.
    spoken_to: Mutex<SpokenTo>,
    end_of_input: CancellationToken,
    /// The client is being told of changes.
    announcing: AtomicBool,
}

/// One process may serve several conversations at once: with more than one thread, none is guessed.
#[derive(Debug, Default)]
enum SpokenTo {
    #[default]
    Nobody,
    One(String),
    Several,
}

impl SpokenTo {
    fn note(&mut self, id: String) {
        *self = match std::mem::take(self) {
            Self::Nobody => Self::One(id),
            Self::One(known) if known == id => Self::One(id),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    /// The thread that is meant without being named.
    fn only(&self) -> Result<String, String> {
        let why = match self {
            Self::One(id) => return Ok(id.clone()),
            Self::Nobody => "is missing",
            Self::Several => "is missing, and this connection has more than one thread",
        };
        Err(format!(
            "argument `threadId` {why}: give the threadId from the structuredContent of a `codex` result"
        ))
    }
}

const INSTRUCTIONS: &str = "\
Codex is a coding agent. `codex` starts a session in a folder and answers when the task is done; its result has a \
threadId, with which `codex-reply` goes on in the same session. The other tools are the agent's own, for calling \
them directly: commands and patches run in the sandbox of this server.";

impl CodexServer {
    /// A server for one connection. When `end_of_input` is cancelled, the turns of the connection are interrupted.
    ///
    /// # Errors
    /// The host's own settings do not resolve.
    pub fn new(
        host: Host,
        expose: Expose,
        end_of_input: CancellationToken,
    ) -> Result<Self, mcp_host::SettingsError> {
        let toolset = host.toolset()?;
        Ok(Self(Arc::new(Inner {
            host,
            expose,
            toolset,
            spoken_to: Mutex::default(),
            end_of_input,
            announcing: AtomicBool::new(false),
        })))
    }

    async fn listing(&self) -> ListToolsResult {
        let mut all = tools::agent_tools();
        let mut meta = MetaObject::default();
        if self.0.expose == Expose::All {
            let catalog = self.0.toolset.catalog().await;
            all.extend(
                catalog
                    .entries
                    .into_iter()
                    .map(|entry| entry.tool)
                    .filter(|t| !tools::is_agent_tool(&t.name)),
            );
            let mut starting = Vec::new();
            let mut failed = Vec::new();
            for server in catalog.servers {
                match server.state {
                    ServerState::Starting | ServerState::Idle => starting.push(server.name),
                    ServerState::Failed { message } => {
                        failed.push(json!({"name": server.name, "message": message}))
                    }
                    ServerState::Ready { .. } | ServerState::Disabled => {}
                }
            }
            if !starting.is_empty() || !failed.is_empty() {
                meta.insert(SERVERS_META.to_owned(), json!({"starting": starting, "failed": failed}));
            }
        }
        let mut result = ListToolsResult::with_all_items(all);
        if !meta.is_empty() {
            result.meta = Some(meta);
        }
        result
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        match request.name.as_ref() {
            tools::CODEX => Ok(self.start(request, context).await.unwrap_or_else(failed)),
            tools::CODEX_REPLY => Ok(self.reply(request, context).await.unwrap_or_else(failed)),
            _ if self.0.expose == Expose::Agent => {
                let message =
                    format!("unknown tool {:?}; this server was started with --expose agent", request.name);
                Err(ErrorData::invalid_params(message, None))
            }
            _ => self.call_directly(request, context).await,
        }
    }

    async fn start(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, String> {
        let arguments = tools::start_arguments(request.arguments)?;
        let thread = self.open(&arguments.overrides)?;
        self.prompt(&thread, arguments.prompt, context).await
    }

    fn open(&self, overrides: &Overrides) -> Result<Thread, String> {
        self.0.host.open(overrides).map_err(|error| error.to_string())
    }

    async fn reply(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, String> {
        let arguments = tools::reply_arguments(request.arguments)?;
        let id = match arguments.thread_id {
            Some(id) => id,
            None => self.spoken_to().only()?,
        };
        let thread = self.0.host.resume(&id).await.map_err(|error| error.to_string())?;
        self.prompt(&thread, arguments.prompt, context).await
    }

    async fn prompt(
        &self,
        thread: &Thread,
        prompt: String,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, String> {
        self.spoken_to().note(thread.id().to_string());
        let accepted = thread.submit(prompt).await.map_err(|error| error.to_string())?;
        Ok(attach::follow(thread, accepted, context, &self.0.end_of_input).await)
    }

    async fn call_directly(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let cancel = context.ct.child_token();
        let to = context.meta.get_progress_token().map(|token| (context.peer.clone(), token));
        let (progress, updates) = direct::progress();
        let call = self.0.toolset.call(CallRequest {
            name: request.name.to_string(),
            arguments: request.arguments.unwrap_or_default(),
            cancel: cancel.clone(),
            progress: to.is_some().then(|| -> mcp_host::ProgressSink {
                // Progress is a courtesy: what a slow client has no room for is dropped.
                Arc::new(move |update| drop(progress.try_send(update.clone())))
            }),
        });
        let outcome = direct::run(call, updates, to, &cancel, &self.0.end_of_input).await;
        match outcome {
            Ok(result) => Ok(result),
            Err(CallError::Interrupted) => Ok(failed("interrupted".to_owned())),
            Err(error) => Err(ErrorData::invalid_params(error.to_string(), None)),
        }
    }

    fn spoken_to(&self) -> std::sync::MutexGuard<'_, SpokenTo> {
        self.0.spoken_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a client of the older era whenever the catalog changed.
    async fn announce_changes(self, peer: Peer<RoleServer>) {
        let announcing = changes::announce(self.0.toolset.changes(), || peer.notify_tool_list_changed());
        self.0.end_of_input.run_until_cancelled(announcing).await;
    }
}

impl ServerHandler for CodexServer {
    fn get_info(&self) -> ServerConfig {
        let mut me = Implementation::new("codex-mcp-server", env!("CARGO_PKG_VERSION"));
        me.title = Some("Codex".to_owned());
        ServerConfig::new(capabilities(self.0.expose)).with_server_info(me).with_instructions(INSTRUCTIONS)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        // A client may say it again and again; it is told once.
        if self.0.expose == Expose::All && !self.0.announcing.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().announce_changes(context.peer));
        }
    }

    fn accepted_subscription_filter(&self, wanted: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(wanted.supported_by(&capabilities(self.0.expose)))
    }

    /// The newer era's way to hear of changes.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let announcing = async {
            match self.0.expose {
                Expose::All => {
                    let tell = || context.sink().notify_tool_list_changed();
                    changes::announce(self.0.toolset.changes(), tell).await;
                }
                Expose::Agent => std::future::pending().await,
            }
        };
        tokio::select! {
            () = context.cancelled() => {}
            () = self.0.end_of_input.cancelled() => {}
            () = announcing => {}
        }
        Ok(())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(self.listing().await)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        // A fault of ours must not leave the client without an answer.
        match AssertUnwindSafe(self.call(request, &context)).catch_unwind().await {
            Ok(Ok(mut result)) => {
                // A server of the older era leaves it out; ours says it wherever the newer era wants it.
                result.result_type = Some(ResultType::COMPLETE);
                Ok(CallToolResponse::Complete(result))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ErrorData::internal_error(
                format!("a fault in the server ended the call of {name:?}"),
                None,
            )),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // A request of a known method lands here when its parameters do not fit.
        if KNOWN_METHODS.contains(&request.method.as_str()) {
            let message = format!("the parameters of {:?} do not fit its schema", request.method);
            return Err(ErrorData::invalid_params(message, None));
        }
        let message = format!("method not found: {}", request.method);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, Some(json!({"method": request.method}))))
    }
}

/// Methods whose parameters have a schema.
const KNOWN_METHODS: [&str; 6] =
    ["initialize", "server/discover", "tools/call", "tools/list", "resources/read", "prompts/get"];

/// The agent alone never changes.
fn capabilities(expose: Expose) -> ServerCapabilities {
    let builder = ServerCapabilities::builder().enable_tools();
    match expose {
        Expose::All => builder.enable_tool_list_changed().build(),
        Expose::Agent => builder.build(),
    }
}

fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

#[cfg(test)]
mod tests {
    use super::{Expose, SpokenTo, capabilities};
    use rmcp::model::SubscriptionFilter;
    use serde_json::json;

    #[test]
    fn a_reply_that_names_no_thread_is_never_sent_to_a_guessed_one() {
        let mut spoken_to = SpokenTo::default();
        assert!(spoken_to.only().unwrap_err().contains("`threadId` is missing"));
        spoken_to.note("a".to_owned());
        spoken_to.note("a".to_owned());
        assert_eq!(spoken_to.only().as_deref(), Ok("a"));
        spoken_to.note("b".to_owned());
        spoken_to.note("b".to_owned());
        assert!(spoken_to.only().unwrap_err().contains("more than one thread"));
    }

    #[test]
    fn the_agent_alone_announces_no_changes_to_either_era() {
        let wanted: SubscriptionFilter = serde_json::from_value(json!({"toolsListChanged": true})).unwrap();
        for (expose, announces) in [(Expose::All, Some(true)), (Expose::Agent, None)] {
            let capabilities = capabilities(expose);
            assert_eq!(capabilities.tools.as_ref().unwrap().list_changed, announces);
            assert_eq!(wanted.supported_by(&capabilities).tools_list_changed, announces);
        }
    }
}
