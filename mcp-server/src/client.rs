//! The client that the screens of this house use: any other MCP client could do what it does.

mod tap;

use std::sync::Arc;

use mcp_host::{Link, Record};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientCapabilities,
    ClientConfig, ClientRequest, Implementation, JsonObject, ListToolsResult, ProgressNotificationParam,
    ServerResult,
};
use rmcp::service::{
    ClientCacheConfig, NotificationContext, PeerRequestOptions, RunningService, ServiceError,
};
use rmcp::transport::IntoTransport;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::api::EVENTS_CAPABILITY;
use tap::{Tap, Watcher};

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
    tools_changed: Arc<Notify>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.experimental =
            Some([(EVENTS_CAPABILITY.to_owned(), JsonObject::new())].into_iter().collect());
        ClientConfig::new(capabilities, Implementation::new("codex", env!("CARGO_PKG_VERSION")))
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {}

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tools_changed.notify_one();
    }
}

impl ServerClient {
    pub(crate) async fn connect(link: Link) -> Result<Self, String> {
        let service = Handler::default()
            .serve(Tap::new(link.into_transport()))
            .await
            .map_err(|error| error.to_string())?;
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
        let (watcher, mut events) = mpsc::unbounded_channel();
        let mut request = CallToolRequest::new(params);
        request.extensions.insert(Watcher(watcher));
        let request = ClientRequest::CallToolRequest(request);
        let handle = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
            Ok(handle) => handle,
            Err(error) => return answer(Err(error)),
        };
        let id = handle.id.clone();
        let mut response = std::pin::pin!(handle.await_response());
        let outcome = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    let params = CancelledNotificationParam::new(Some(id), Some("interrupted".to_owned()));
                    let _ = peer.notify_cancelled(params).await;
                    break Answer::Cancelled;
                }
                Some(record) = events.recv() => watch(&record),
                outcome = &mut response => break answer(outcome),
            }
        };
        // What came in front of the response, or of the cancellation, is here by now; nothing else will come.
        while let Ok(record) = events.try_recv() {
            watch(&record);
        }
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

#[cfg(test)]
mod tests {
    use super::{Answer, ServerClient};
    use crate::api::EVENT_METHOD;
    use crate::fixture::{in_time, record};
    use futures::channel::mpsc::{Receiver, Sender};
    use futures::{SinkExt, StreamExt};
    use mcp_host::{Event, Record, TurnOutcome, link};
    use rmcp::model::{ClientJsonRpcMessage, JsonObject, ServerJsonRpcMessage};
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    /// The server's end of a connection, in the hands of the test.
    struct Server {
        out: Sender<ServerJsonRpcMessage>,
        input: Receiver<ClientJsonRpcMessage>,
    }

    impl Server {
        async fn send(&mut self, message: Value) {
            self.out.send(serde_json::from_value(message).unwrap()).await.unwrap();
        }

        /// The next message of that method.
        async fn next(&mut self, method: &str) -> Value {
            loop {
                let message = json!(self.input.next().await.expect("the client is gone"));
                if message["method"] == method {
                    return message;
                }
            }
        }

        async fn event(&mut self, request: &Value, record: Record) {
            let mut params = json!(record);
            params["_meta"] = json!({"requestId": request["id"]});
            self.send(json!({"jsonrpc": "2.0", "method": EVENT_METHOD, "params": params})).await;
        }

        async fn answer(&mut self, request: &Value) {
            let result = json!({"content": [], "isError": false});
            self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
        }
    }

    async fn connected() -> (ServerClient, Server) {
        let (client_end, (out, input)) = link();
        let mut server = Server { out, input };
        let shaking = async {
            let hello = server.next("initialize").await;
            let result = json!({
                "protocolVersion": hello["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "0"},
            });
            server.send(json!({"jsonrpc": "2.0", "id": hello["id"], "result": result})).await;
        };
        let (client, ()) = in_time(async { tokio::join!(ServerClient::connect(client_end), shaking) }).await;
        (client.unwrap(), server)
    }

    fn delta(seq: u64) -> Record {
        record(seq, "turn", Event::TextDelta { text: "x".to_owned() })
    }

    fn ended(seq: u64) -> Record {
        record(seq, "turn", Event::TurnEnded { outcome: TurnOutcome::Completed { text: String::new() } })
    }

    /// What a watcher sees of a call in which the server sends these events, then the response.
    async fn seen(records: Vec<Record>) -> Vec<u64> {
        let (client, mut server) = connected().await;
        let mut seen = Vec::new();
        let never = CancellationToken::new();
        let call = client.call("codex", JsonObject::new(), &never, |record| seen.push(record.seq));
        let serving = async {
            let request = server.next("tools/call").await;
            for record in records {
                server.event(&request, record).await;
            }
            server.answer(&request).await;
        };
        let (answer, ()) = in_time(async { tokio::join!(call, serving) }).await;
        assert!(matches!(answer, Answer::Result(_)), "{answer:?}");
        seen
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn events_come_in_the_order_of_the_server_and_before_the_answer() {
        let records: Vec<Record> = (6..5_006).map(delta).chain([ended(5_006)]).collect();
        assert_eq!(seen(records).await, (6..=5_006).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn after_a_gap_events_go_on_and_none_is_dropped_at_the_end() {
        let records = vec![delta(1), delta(2), delta(900), delta(901), ended(902)];
        assert_eq!(seen(records).await, [1, 2, 900, 901, 902]);
    }

    #[tokio::test]
    async fn a_steering_reply_sees_events_whatever_its_first_one_is() {
        let steered = record(41, "turn", Event::Steered { prompt: "more".to_owned() });
        assert_eq!(seen(vec![delta(40), steered, delta(42)]).await, [40, 41, 42]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_call_ends_at_once_though_its_turn_has_not() {
        let (client, mut server) = connected().await;
        let cancel = CancellationToken::new();
        let mut seen = Vec::new();
        let begun = tokio::time::Instant::now();
        let call = client.call("codex", JsonObject::new(), &cancel, |record| seen.push(record.seq));
        let serving = async {
            let request = server.next("tools/call").await;
            server.event(&request, delta(1)).await;
            cancel.cancel();
            let cancelled = server.next("notifications/cancelled").await;
            assert_eq!(cancelled["params"]["requestId"], request["id"]);
        };
        let (answer, ()) = tokio::join!(call, serving);
        assert!(matches!(answer, Answer::Cancelled), "{answer:?}");
        assert_eq!(begun.elapsed(), std::time::Duration::ZERO, "the clock only moves when all wait for it");
    }
}
