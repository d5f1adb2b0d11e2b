//! Takes the events of calls off the wire, in the order in which the server sent them.
//!
//! The library hands each notification to a task of its own, so that their order is lost, and may hand over a
//! response before the notifications in front of it. Here they are still in a row: whoever has the response of a
//! call has all its events too.

use std::collections::HashMap;

use mcp_host::Record;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, CustomNotification, GetExtensions, GetMeta, JsonRpcMessage,
    RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::transport::Transport;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::api::{EVENT_METHOD, REQUEST_ID};

/// Put into a request's extensions, gets the events of that request. It never leaves this process.
#[derive(Clone)]
pub(super) struct Watcher(pub(super) mpsc::UnboundedSender<Record>);

/// A transport, and who watches which request on it.
pub(super) struct Tap<T> {
    inner: T,
    watchers: HashMap<RequestId, Watcher>,
}

impl<T> Tap<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, watchers: HashMap::new() }
    }

    fn event(&self, event: CustomNotification) {
        let id = event.get_meta().get(REQUEST_ID).and_then(|id| RequestId::deserialize(id).ok());
        let Some(watcher) = id.and_then(|id| self.watchers.get(&id)) else { return };
        match serde_json::from_value(event.params.unwrap_or_default()) {
            // Who does not listen any more has cancelled, or will be answered.
            Ok(record) => drop(watcher.0.send(record)),
            Err(error) => tracing::warn!("an event that cannot be read: {error}"),
        }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Tap<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        mut item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        match &mut item {
            JsonRpcMessage::Request(message) => {
                if let Some(watcher) = message.request.extensions_mut().remove::<Watcher>() {
                    self.watchers.insert(message.id.clone(), watcher);
                }
            }
            // A cancelled request gets no response.
            JsonRpcMessage::Notification(message) => {
                if let ClientNotification::CancelledNotification(cancelled) = &message.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.watchers.remove(id);
                }
            }
            _ => {}
        }
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let message = self.inner.receive().await?;
            let answered = match &message {
                JsonRpcMessage::Response(response) => Some(&response.id),
                JsonRpcMessage::Error(error) => error.id.as_ref(),
                _ => None,
            };
            if let Some(id) = answered {
                self.watchers.remove(id);
            }
            match message {
                JsonRpcMessage::Notification(notification) => match notification.notification {
                    ServerNotification::CustomNotification(custom) if custom.method == EVENT_METHOD => {
                        self.event(custom);
                    }
                    other => return Some(ServerJsonRpcMessage::notification(other)),
                },
                message => return Some(message),
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.inner.close()
    }
}
