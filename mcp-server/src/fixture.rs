//! The test dialect of this crate: a connection whose client is in the hands of the test.

use std::convert::Infallible;
use std::time::Duration;

use mcp_host::{Event, Record};
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientJsonRpcMessage, Implementation, JsonObject, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::service::{Peer, RequestContext, RunningService, serve_directly};
use rmcp::transport::Transport;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::{EVENT_METHOD, EVENTS_CAPABILITY};

/// A client that asks for events.
pub(crate) struct Client {
    received: mpsc::UnboundedReceiver<ServerJsonRpcMessage>,
    service: RunningService<RoleServer, Mute>,
}

/// A server that does nothing: only its way to the client matters.
struct Mute;

impl ServerHandler for Mute {}

struct Wire {
    sent: mpsc::UnboundedSender<ServerJsonRpcMessage>,
    reads: bool,
}

impl Transport<RoleServer> for Wire {
    type Error = Infallible;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let _ = self.sent.send(item);
        let reads = self.reads;
        async move { if reads { Ok(()) } else { std::future::pending().await } }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        std::future::pending().await
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Client {
    /// A client that takes every message.
    pub(crate) fn reading() -> Self {
        Self::new(true)
    }

    /// A client that does not read: the first message to it never goes through, but the test sees it.
    pub(crate) fn deaf() -> Self {
        Self::new(false)
    }

    fn new(reads: bool) -> Self {
        let (sent, received) = mpsc::unbounded_channel();
        let mut capabilities = ClientCapabilities::default();
        capabilities.experimental =
            Some([(EVENTS_CAPABILITY.to_owned(), JsonObject::new())].into_iter().collect());
        let info = ClientConfig::new(capabilities, Implementation::new("test", "0"));
        let service = serve_directly::<RoleServer, _, _, _, _>(Mute, Wire { sent, reads }, Some(info));
        Self { received, service }
    }

    pub(crate) fn peer(&self) -> Peer<RoleServer> {
        self.service.peer().clone()
    }

    /// A request of this client.
    pub(crate) fn context(&self) -> RequestContext<RoleServer> {
        RequestContext::new(RequestId::Number(1), self.peer())
    }

    /// The next message to the client, as JSON.
    pub(crate) async fn next(&mut self) -> Value {
        json!(in_time(self.received.recv()).await.expect("the connection is gone"))
    }

    /// The numbers of the events that are there.
    pub(crate) fn seqs(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.received.try_recv().ok())
            .map(|message| json!(message))
            .filter(|message| message["method"] == EVENT_METHOD)
            .map(|message| message["params"]["seq"].as_u64().unwrap())
            .collect()
    }
}

/// What a future answers, within a deadline that only a hang meets.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

pub(crate) fn record(seq: u64, turn: &str, event: Event) -> Record {
    Record { seq, thread_id: "thread".to_owned(), turn_id: turn.to_owned(), event }
}
