//! The client that the screens of this house use: any other MCP client could do what it does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_host::{Event, Link, Record};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientCapabilities,
    ClientConfig, ClientRequest, CustomNotification, Implementation, JsonObject, ListToolsResult,
    ProgressNotificationParam, ServerResult,
};
use rmcp::service::{
    ClientCacheConfig, NotificationContext, PeerRequestOptions, RunningService, ServiceError,
};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::api::{EVENT_METHOD, EVENTS_CAPABILITY};

/// How long events may trail behind the result of their call.
const TRAILING: Duration = Duration::from_secs(1);

/// A connection to a server of ours.
pub struct ServerClient {
    service: RunningService<RoleClient, Handler>,
}

/// What a call came to.
#[derive(Debug)]
pub enum Answer {
    /// The tool's result; it may be an error of the tool.
    Result(CallToolResult),
    /// The server refused the request: JSON-RPC code and message.
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// For people.
        message: String,
    },
    /// The caller cancelled.
    Cancelled,
    /// The connection broke.
    Closed,
}

#[derive(Clone, Default)]
struct Handler {
    routes: Arc<Mutex<HashMap<String, Route>>>,
    tools_changed: Arc<Notify>,
}

/// Events of one call on their way to whoever follows it. They may arrive before the call is known here.
struct Route {
    sender: mpsc::UnboundedSender<Record>,
    receiver: Option<mpsc::UnboundedReceiver<Record>>,
}

impl Handler {
    fn route<T>(&self, request_id: &str, with: impl FnOnce(&mut Route) -> T) -> T {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(request_id.to_owned()).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            Route { sender, receiver: Some(receiver) }
        });
        with(route)
    }

    fn end(&self, request_id: &str) {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).remove(request_id);
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.experimental =
            Some([(EVENTS_CAPABILITY.to_owned(), JsonObject::new())].into_iter().collect());
        ClientConfig::new(capabilities, Implementation::new("codex", env!("CARGO_PKG_VERSION")))
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _: NotificationContext<RoleClient>,
    ) {
        if notification.method != EVENT_METHOD {
            return;
        }
        let Some(params) = notification.params else { return };
        let Some(id) = params.pointer("/_meta/requestId").map(Value::to_string) else { return };
        match serde_json::from_value::<Record>(params) {
            Ok(record) => self.route(&id, |route| drop(route.sender.send(record))),
            Err(error) => tracing::warn!("an event that cannot be read: {error}"),
        }
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {}

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tools_changed.notify_one();
    }
}

impl ServerClient {
    pub(crate) async fn connect(link: Link) -> Result<Self, String> {
        let service = Handler::default().serve(link).await.map_err(|error| error.to_string())?;
        service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
        Ok(Self { service })
    }

    /// One page of tools, with the `_meta` that tells which servers are missing.
    ///
    /// # Errors
    /// The server refused or is gone; the text is for people.
    pub async fn list_tools(&self) -> Result<ListToolsResult, String> {
        self.service.peer().list_tools(None).await.map_err(|error| error.to_string())
    }

    /// Resolves when the server says that its tools changed.
    pub async fn tools_changed(&self) {
        self.service.service().tools_changed.notified().await;
    }

    /// Calls a tool and hands every event of its turn to `watch`, in order.
    pub async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        cancel: &CancellationToken,
        mut watch: impl FnMut(&Record),
    ) -> Answer {
        let peer = self.service.peer();
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
            Ok(handle) => handle,
            Err(error) => return answer(Err(error)),
        };
        let id = handle.id.clone();
        let route = json!(id).to_string();
        let handler = self.service.service();
        let receiver = handler.route(&route, |route| route.receiver.take());
        let mut events = InOrder::new(receiver);
        let mut response = std::pin::pin!(handle.await_response());
        let outcome = loop {
            tokio::select! {
                biased;
                record = events.next() => watch(&record),
                outcome = &mut response => break answer(outcome),
                () = cancel.cancelled() => {
                    let params = CancelledNotificationParam::new(Some(id), Some("interrupted".to_owned()));
                    let _ = peer.notify_cancelled(params).await;
                    break Answer::Cancelled;
                }
            }
        };
        // The library may hand over the response before the notifications in front of it.
        if events.begun() {
            let rest = async {
                while !events.ended() {
                    watch(&events.next().await);
                }
            };
            let _ = tokio::time::timeout(TRAILING, rest).await;
        }
        handler.end(&route);
        outcome
    }
}

impl std::fmt::Debug for ServerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerClient").finish_non_exhaustive()
    }
}

fn answer(outcome: Result<ServerResult, ServiceError>) -> Answer {
    match outcome {
        Ok(ServerResult::CallToolResult(result)) => Answer::Result(result),
        Ok(other) => Answer::Refused { code: 0, message: format!("an answer of another kind: {other:?}") },
        Err(ServiceError::McpError(error)) => {
            Answer::Refused { code: error.code.0, message: error.message.into_owned() }
        }
        Err(ServiceError::Cancelled { .. }) => Answer::Cancelled,
        Err(_) => Answer::Closed,
    }
}

/// Puts events back into the order of their `seq`: the library handles each notification in a task of its own.
struct InOrder {
    receiver: Option<mpsc::UnboundedReceiver<Record>>,
    waiting: BTreeMap<u64, Record>,
    next: Option<u64>,
    ended: bool,
}

/// Events that may wait for one that is missing; beyond it the missing one is given up.
const MAX_WAITING: usize = 8_192;

impl InOrder {
    fn new(receiver: Option<mpsc::UnboundedReceiver<Record>>) -> Self {
        Self { receiver, waiting: BTreeMap::new(), next: None, ended: false }
    }

    fn begun(&self) -> bool {
        self.next.is_some() || !self.waiting.is_empty()
    }

    fn ended(&self) -> bool {
        self.ended
    }

    /// The next event; pending for ever when there is none. Cancel safe.
    async fn next(&mut self) -> Record {
        loop {
            if let Some(record) = self.ready() {
                self.ended |= matches!(record.event, Event::TurnEnded { .. });
                return record;
            }
            match &mut self.receiver {
                Some(receiver) => match receiver.recv().await {
                    Some(record) => drop(self.waiting.insert(record.seq, record)),
                    None => self.receiver = None,
                },
                None => std::future::pending().await,
            }
        }
    }

    fn ready(&mut self) -> Option<Record> {
        let (seq, record) = self.waiting.first_key_value()?;
        // A turn's first event tells where its numbers begin.
        let first =
            self.next.is_none() && matches!(record.event, Event::TurnStarted { .. } | Event::Steered { .. });
        let due = self.next == Some(*seq) || first || self.waiting.len() > MAX_WAITING;
        if !due {
            return None;
        }
        self.next = Some(seq + 1);
        self.waiting.pop_first().map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use super::InOrder;
    use mcp_host::{Event, Record, TurnOutcome};
    use tokio::sync::mpsc;

    fn record(seq: u64, event: Event) -> Record {
        Record { seq, thread_id: String::new(), turn_id: String::new(), event }
    }

    #[tokio::test]
    async fn events_come_out_in_the_order_of_their_numbers() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let text = |text: &str| Event::TextDelta { text: text.to_owned() };
        let started = Event::TurnStarted { prompt: String::new(), model: String::new() };
        let ended = Event::TurnEnded { outcome: TurnOutcome::Interrupted };
        for record in [
            record(9, text("c")),
            record(8, text("b")),
            record(6, started),
            record(10, ended),
            record(7, text("a")),
        ] {
            sender.send(record).unwrap();
        }
        let mut events = InOrder::new(Some(receiver));
        let mut seen = Vec::new();
        while !events.ended() {
            seen.push(events.next().await.seq);
        }
        assert_eq!(seen, [6, 7, 8, 9, 10]);
    }
}
