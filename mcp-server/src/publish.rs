//! What happens in a turn, on its way to the client: short progress for everybody who gave a token, whole events
//! for those who asked for them.

use std::time::{Duration, Instant};

use mcp_host::{Event, Record};
use rmcp::RoleServer;
use rmcp::model::{
    CustomNotification, GetMeta, ProgressNotificationParam, ProgressToken, ServerNotification,
};
use rmcp::service::{Peer, RequestContext};
use serde_json::Value;

use crate::api::{EVENT_METHOD, EVENTS_CAPABILITY, REQUEST_ID};

/// The least time between two progress messages.
const PACE: Duration = Duration::from_millis(500);
/// After so long a silence a message is repeated, so that clients with a time-out see life.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Characters of a progress message.
const MESSAGE: usize = 120;

/// Publishes one turn to one request.
pub(crate) struct Publisher {
    peer: Peer<RoleServer>,
    request_id: Value,
    token: Option<ProgressToken>,
    events: bool,
    sent: u64,
    last: Option<Instant>,
    /// What is going on, and since when.
    doing: String,
    since: Instant,
    stale: bool,
}

impl Publisher {
    pub(crate) fn new(context: &RequestContext<RoleServer>) -> Self {
        let events = context
            .client_capabilities()
            .and_then(|capabilities| capabilities.experimental)
            .is_some_and(|experimental| experimental.contains_key(EVENTS_CAPABILITY));
        Self {
            peer: context.peer.clone(),
            request_id: serde_json::to_value(&context.id).unwrap_or_default(),
            token: context.meta.get_progress_token(),
            events,
            sent: 0,
            last: None,
            doing: "starting".to_owned(),
            since: Instant::now(),
            stale: true,
        }
    }

    /// Whether somebody wants heartbeats.
    pub(crate) fn wants_progress(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) async fn publish(&mut self, record: &Record) {
        if self.events {
            self.event(record).await;
        }
        if self.token.is_none() {
            return;
        }
        if let Some(doing) = doing(&record.event) {
            if doing != self.doing {
                self.since = Instant::now();
                self.doing = doing;
                self.stale = true;
            }
            if self.stale && self.last.is_none_or(|last| last.elapsed() >= PACE) {
                self.progress().await;
            }
        }
    }

    /// Called at every heartbeat: says what is going on, if nothing was said for a while.
    pub(crate) async fn beat(&mut self) {
        if self.last.is_none_or(|last| last.elapsed() >= PACE) {
            self.progress().await;
        }
    }

    async fn event(&self, record: &Record) {
        let Ok(params) = serde_json::to_value(record) else { return };
        let mut notification = CustomNotification::new(EVENT_METHOD, Some(params));
        notification.get_meta_mut().insert(REQUEST_ID.to_owned(), self.request_id.clone());
        let _ = self.peer.send_notification(ServerNotification::CustomNotification(notification)).await;
    }

    async fn progress(&mut self) {
        let Some(token) = &self.token else { return };
        self.sent += 1;
        self.last = Some(Instant::now());
        self.stale = false;
        let seconds = self.since.elapsed().as_secs();
        let text = if seconds > 0 { format!("{}, {seconds} s", self.doing) } else { self.doing.clone() };
        #[expect(clippy::cast_precision_loss, reason = "a count of messages stays far below 2^52")]
        let params = ProgressNotificationParam::new(token.clone(), self.sent as f64).with_message(text);
        let _ = self.peer.notify_progress(params).await;
    }
}

/// What a person would say is going on after an event.
fn doing(event: &Event) -> Option<String> {
    let text = match event {
        Event::TurnStarted { .. } | Event::CallFinished { .. } | Event::Steered { .. } => {
            "thinking".to_owned()
        }
        Event::TextDelta { .. } => "answering".to_owned(),
        Event::CallStarted { tool, arguments, .. } => match arguments.get("command") {
            Some(command) => format!("running {}", command_text(command)),
            None => format!("calling {tool}"),
        },
        Event::Notice { message } => message.clone(),
        _ => return None,
    };
    // From a model or a server: one line of plain text, whatever it holds.
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE).collect();
    Some(plain)
}

fn command_text(command: &Value) -> String {
    match command {
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => "a command".to_owned(),
    }
}
