//! The host as an MCP client: one connection to one server, in process or outside, and calls through it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientCapabilities,
    ClientConfig, ClientRequest, ContentBlock, CustomResult, Implementation, JsonObject, ListToolsRequest,
    PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ProtocolVersion, ServerCapabilities,
    ServerConfig, ServerResult, Tool,
};
use rmcp::service::{
    NotificationContext, Peer, PeerRequestOptions, RunningService, ServiceError, serve_directly,
};
use rmcp::{ClientHandler, RoleClient};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::spec::Link;

/// Most tools that one server may list, over all pages; the rest is left out.
const MAX_TOOLS: usize = 2_000;
/// Most pages of one listing, against a cursor that never ends.
const MAX_PAGES: usize = 100;

/// Takes the progress of one call: a short text for people, and how far it is.
pub type ProgressSink = Arc<dyn Fn(&ProgressNotificationParam) + Send + Sync>;

/// The handler on our end of a connection.
#[derive(Clone, Default)]
pub(crate) struct HostClient {
    calls: Arc<Mutex<HashMap<ProgressToken, Progress>>>,
    tools_changed: Arc<Notify>,
}

/// Where the progress of one call goes.
#[derive(Clone)]
struct Progress {
    sink: Option<ProgressSink>,
    /// Told of each sign of progress.
    seen: Arc<Notify>,
}

impl ClientHandler for HostClient {
    fn get_info(&self) -> ClientConfig {
        let mut me = Implementation::new("codex-mcp-client", env!("CARGO_PKG_VERSION"));
        me.title = Some("Codex".to_owned());
        ClientConfig::new(ClientCapabilities::default(), me)
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let call = self.lock_calls().get(&params.progress_token).cloned();
        if let Some(call) = call {
            call.seen.notify_one();
            if let Some(sink) = call.sink {
                sink(&params);
            }
        }
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tools_changed.notify_one();
    }
}

impl HostClient {
    fn lock_calls(&self) -> std::sync::MutexGuard<'_, HashMap<ProgressToken, Progress>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A live connection to one server. Dropping it closes the connection.
pub(crate) struct Client {
    service: RunningService<RoleClient, HostClient>,
}

/// A call that got no result from its server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("interrupted")]
    Interrupted,
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the connection is closed")]
    Closed,
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Connects to a server in this process. The handshake is left out: both ends are ours.
    pub(crate) fn in_process(link: Link) -> Self {
        let server = ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_protocol_version(ProtocolVersion::V_2025_11_25);
        Self { service: serve_directly(HostClient::default(), link, Some(server.into())) }
    }

    pub(crate) fn new(service: RunningService<RoleClient, HostClient>) -> Self {
        Self { service }
    }

    /// Resolves when the server says that its tools changed.
    pub(crate) async fn tools_changed(&self) {
        self.service.service().tools_changed.notified().await;
    }

    /// All tools, over all pages. One that is malformed is left out, and the others stay.
    pub(crate) async fn list_tools(&self, timeout: Duration) -> Result<Vec<Tool>, LinkError> {
        let listing = async {
            let mut tools = Vec::new();
            let mut cursor = None;
            for _ in 0..MAX_PAGES {
                let params = PaginatedRequestParams::default().with_cursor(cursor);
                let request = ListToolsRequest { params: Some(params), ..ListToolsRequest::default() };
                let request = ClientRequest::ListToolsRequest(request);
                let page = self.service.peer().send_request(request).await.map_err(refused)?;
                cursor = listed(page, &mut tools)?;
                if cursor.is_none() || tools.len() >= MAX_TOOLS {
                    break;
                }
            }
            tools.truncate(MAX_TOOLS);
            Ok(tools)
        };
        tokio::time::timeout(timeout, listing).await.unwrap_or(Err(LinkError::TimedOut(timeout)))
    }

    /// One call. `timeout` counts from the last sign of progress; `None` leaves it to the tool.
    pub(crate) async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        cancel: &CancellationToken,
        progress: Option<ProgressSink>,
        timeout: Option<Duration>,
    ) -> Result<CallToolResult, LinkError> {
        let peer = self.service.peer();
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let seen = Arc::new(Notify::new());
        // The library's own timer waits until its cancellation is sent, which a server that does not read prevents.
        let silence = silence(timeout, &seen);
        tokio::pin!(silence);
        let handle = tokio::select! {
            biased;
            handle = peer.send_cancellable_request(request, PeerRequestOptions::no_options()) => {
                handle.map_err(refused)?
            }
            () = cancel.cancelled() => return Err(LinkError::Interrupted),
            after = &mut silence => return Err(LinkError::TimedOut(after)),
        };
        let _watched =
            self.watch(handle.progress_token.clone(), Progress { sink: progress, seen: seen.clone() });
        let id = handle.id.clone();
        let (reason, ended) = tokio::select! {
            biased;
            response = handle.await_response() => return response.map_err(refused).and_then(call_result),
            () = cancel.cancelled() => ("interrupted", LinkError::Interrupted),
            after = &mut silence => ("request timeout", LinkError::TimedOut(after)),
        };
        let reason = Some(reason.to_owned());
        tell_cancelled(peer, CancelledNotificationParam::new(Some(id), reason)).await;
        Err(ended)
    }

    fn watch(&self, token: ProgressToken, progress: Progress) -> Watched {
        let client = self.service.service().clone();
        client.lock_calls().insert(token.clone(), progress);
        Watched { client, token }
    }
}

/// Resolves with `timeout` once it has passed without a sign of progress; never, if there is none.
async fn silence(timeout: Option<Duration>, seen: &Notify) -> Duration {
    let Some(timeout) = timeout else { return std::future::pending().await };
    while tokio::time::timeout(timeout, seen.notified()).await.is_ok() {}
    timeout
}

/// Tells the server, without letting a server that does not read hold us up.
async fn tell_cancelled(peer: &Peer<RoleClient>, params: CancelledNotificationParam) {
    let _ = tokio::time::timeout(Duration::from_millis(50), peer.notify_cancelled(params)).await;
}

/// Takes a call's progress until it is dropped.
struct Watched {
    client: HostClient,
    token: ProgressToken,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.client.lock_calls().remove(&self.token);
    }
}

fn refused(error: ServiceError) -> LinkError {
    match error {
        ServiceError::Timeout { timeout } => LinkError::TimedOut(timeout),
        ServiceError::TransportClosed | ServiceError::TransportSend(_) => LinkError::Closed,
        ServiceError::McpError(error) => LinkError::Refused(error.message.into_owned()),
        other => LinkError::Refused(other.to_string()),
    }
}

/// Adds the tools of one page and answers the cursor of the next.
fn listed(page: ServerResult, tools: &mut Vec<Tool>) -> Result<Option<String>, LinkError> {
    let mut page = match page {
        ServerResult::ListToolsResult(page) => {
            tools.extend(page.tools);
            return Ok(page.next_cursor);
        }
        ServerResult::CustomResult(CustomResult(page)) => page,
        _ => return Err(LinkError::Refused("the answer is no list of tools".to_owned())),
    };
    let Some(Value::Array(page_tools)) = page.get_mut("tools").map(Value::take) else {
        return Err(LinkError::Refused("the answer is no list of tools".to_owned()));
    };
    for tool in page_tools {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        match serde_json::from_value(tool) {
            Ok(tool) => tools.push(tool),
            Err(error) => tracing::warn!("a malformed tool {name:?} is left out: {error}"),
        }
    }
    Ok(page.get("nextCursor").and_then(Value::as_str).map(str::to_owned))
}

/// A call's result, also one that the typed model does not know in full.
fn call_result(result: ServerResult) -> Result<CallToolResult, LinkError> {
    match result {
        ServerResult::CallToolResult(result) => Ok(result),
        ServerResult::CustomResult(CustomResult(value)) => Ok(lenient(value)),
        ServerResult::InputRequiredResult(_) => {
            Err(LinkError::Refused("the tool asks for input, which cannot be passed on here".to_owned()))
        }
        other => Ok(lenient(serde_json::to_value(other).unwrap_or_default())),
    }
}

/// Reads a result block by block: what is not understood is kept as JSON text, never a failed call.
fn lenient(value: Value) -> CallToolResult {
    let Value::Object(mut fields) = value else {
        return CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    };
    let blocks = match fields.remove("content") {
        Some(Value::Array(blocks)) => blocks,
        Some(other) => vec![other],
        None => Vec::new(),
    };
    let content = blocks
        .into_iter()
        .map(|block| {
            serde_json::from_value(block.clone()).unwrap_or_else(|_| ContentBlock::text(block.to_string()))
        })
        .collect();
    let mut result = CallToolResult::success(content);
    result.is_error = fields.get("isError").and_then(Value::as_bool);
    result.structured_content = fields.remove("structuredContent");
    result.meta = fields.remove("_meta").and_then(|meta| serde_json::from_value(meta).ok());
    result
}

#[cfg(test)]
mod tests {
    use super::lenient;
    use serde_json::json;

    #[test]
    fn an_unknown_content_block_is_kept_as_text_beside_the_known_ones() {
        let result = lenient(json!({
            "content": [{"type": "text", "text": "seen"}, {"type": "hologram", "data": 1}],
            "isError": true,
            "structuredContent": {"n": 1}
        }));
        let texts: Vec<_> = result.content.iter().map(|b| b.as_text().unwrap().text.clone()).collect();
        assert_eq!(texts, ["seen", r#"{"type":"hologram","data":1}"#]);
        assert_eq!(result.is_error, Some(true));
        assert_eq!(result.structured_content, Some(json!({"n": 1})));
    }
}
