//! What is let in from the wire: whole messages of the protocol, each request id once, and no more requests at a
//! time than can be answered. What is not let in gets the error that the protocol has for it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use serde_json::Value;
use tokio::sync::Notify;

/// Requests that may be unanswered; what comes beyond them is held back.
pub(super) const MAX_OPEN: usize = 256;
/// Requests are held back, so that a cancellation behind them is seen, until so many bytes of them wait.
pub(super) const MAX_HELD: usize = 1 << 20;

/// Requests without an answer so far: those that the server has, and those that are held back.
#[derive(Default)]
pub(super) struct Unanswered {
    ids: Mutex<HashSet<RequestId>>,
    /// Told whenever there is one less.
    freed: Notify,
}

impl Unanswered {
    /// Notes an answer, and says whether one was due. To be called before it can be read: the client may use its
    /// id anew from then on.
    pub(super) fn answered(&self, id: &RequestId) -> bool {
        let open = self.ids().remove(id);
        if open {
            self.freed.notify_one();
        }
        open
    }

    /// Resolves once a request was answered since the last time. Cancel safe.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a line.
pub(super) enum Taken {
    /// A message for the server.
    Message(Box<ClientJsonRpcMessage>),
    /// An error for the client.
    Refused(Box<ServerJsonRpcMessage>),
    /// Nothing for anybody, at least for now.
    Nothing,
}

/// The way in.
#[derive(Default)]
pub(super) struct Intake {
    /// A request was seen: from now on notifications make sense.
    opened: bool,
    held: VecDeque<(RequestId, usize, ClientJsonRpcMessage)>,
    held_bytes: usize,
}

impl Intake {
    /// Whether requests wait for others to be answered.
    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether no more may wait.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= MAX_HELD
    }

    /// A request that was held back and whose time has come.
    pub(super) fn next_held(&mut self, unanswered: &Unanswered) -> Option<ClientJsonRpcMessage> {
        if unanswered.ids().len() - self.held.len() >= MAX_OPEN {
            return None;
        }
        let (_, bytes, message) = self.held.pop_front()?;
        self.held_bytes -= bytes;
        Some(message)
    }

    /// Takes a line in.
    pub(super) fn take(&mut self, line: &[u8], unanswered: &Unanswered) -> Taken {
        match decode(line) {
            Ok(Some(message)) => self.admit(message, line.len(), unanswered),
            Ok(None) => Taken::Nothing,
            Err(refusal) => Taken::Refused(refusal),
        }
    }

    fn admit(&mut self, message: ClientJsonRpcMessage, bytes: usize, unanswered: &Unanswered) -> Taken {
        match &message {
            JsonRpcMessage::Request(request) => {
                let id = request.id.clone();
                let mut ids = unanswered.ids();
                if !ids.insert(id.clone()) {
                    // Under its id the client would take the refusal for the answer to the first.
                    let text =
                        format!("the id {} belongs to a request that is not answered yet", quoted(&id));
                    return Taken::Refused(refusal(ErrorCode::INVALID_REQUEST, text, None));
                }
                self.opened |= !matches!(request.request, ClientRequest::PingRequest(_));
                if self.held.is_empty() && ids.len() <= MAX_OPEN {
                    return Taken::Message(Box::new(message));
                }
                self.held_bytes += bytes;
                self.held.push_back((id, bytes, message));
                Taken::Nothing
            }
            // Before the first request nothing else means anything, and the library would give up on it.
            _ if !self.opened => Taken::Nothing,
            JsonRpcMessage::Notification(notification) => {
                let cancelled = match &notification.notification {
                    ClientNotification::CancelledNotification(n) => n.params.request_id.as_ref(),
                    _ => None,
                };
                if cancelled.is_some_and(|id| self.cancel(id, unanswered)) {
                    return Taken::Nothing;
                }
                Taken::Message(Box::new(message))
            }
            _ => Taken::Message(Box::new(message)),
        }
    }

    /// A cancelled request gets no answer. True if the server has not seen it yet, and never will.
    fn cancel(&mut self, id: &RequestId, unanswered: &Unanswered) -> bool {
        if !unanswered.answered(id) {
            return false;
        }
        let Some(at) = self.held.iter().position(|(held, ..)| held == id) else { return false };
        if let Some((_, bytes, _)) = self.held.remove(at) {
            self.held_bytes -= bytes;
        }
        true
    }
}

/// An error for the client.
pub(super) fn refusal(code: ErrorCode, message: String, id: Option<RequestId>) -> Box<ServerJsonRpcMessage> {
    Box::new(ServerJsonRpcMessage::error(ErrorData::new(code, message, None), id))
}

/// A message, or nothing if it was a notification that makes no sense, or the error to answer.
fn decode(line: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Box<ServerJsonRpcMessage>> {
    let invalid = |text: String, id| refusal(ErrorCode::INVALID_REQUEST, text, id);
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| refusal(ErrorCode::PARSE_ERROR, format!("not valid JSON: {error}"), None))?;
    let Value::Object(fields) = &value else {
        let what =
            if value.is_array() { "batches are not part of MCP" } else { "a message is a JSON object" };
        return Err(invalid(what.to_owned(), None));
    };
    let method = fields.get("method").and_then(Value::as_str).map(str::to_owned);
    let named = method.as_ref().map(|method| format!(" {method:?}")).unwrap_or_default();
    let id = fields.get("id").map(|id| serde_json::from_value::<RequestId>(id.clone()));
    // An error may answer a message whose id could not be read; a request has an id or is none.
    if method.is_some() && matches!(id, Some(Err(_))) {
        let text = format!("the id of request{named} must be a string or an integer of 64 bits");
        return Err(invalid(text, None));
    }
    let id = id.and_then(Result::ok);
    match serde_json::from_value(value) {
        Ok(message) => Ok(Some(message)),
        // A notification gets no answer, not even a wrong one.
        Err(_) if id.is_none() && method.is_some() => Ok(None),
        Err(error) => Err(invalid(format!("not a JSON-RPC 2.0 request{named} of MCP: {error}"), id)),
    }
}

/// An id as the client wrote it, but not at any length.
fn quoted(id: &RequestId) -> String {
    match id {
        RequestId::Number(number) => number.to_string(),
        RequestId::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Intake, MAX_HELD, MAX_OPEN, Taken, Unanswered};
    use rmcp::model::RequestId;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Door {
        intake: Intake,
        unanswered: Unanswered,
    }

    impl Door {
        /// What becomes of a line: the message or the refusal as JSON, or null.
        fn take(&mut self, line: &str) -> Value {
            match self.intake.take(line.as_bytes(), &self.unanswered) {
                Taken::Message(message) => json!(message),
                Taken::Refused(refusal) => json!(refusal),
                Taken::Nothing => Value::Null,
            }
        }

        fn ask(&mut self, id: u64) -> Value {
            self.take(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#))
        }

        fn cancel(&mut self, id: u64) -> Value {
            let method = "notifications/cancelled";
            let message = json!({"jsonrpc": "2.0", "method": method, "params": {"requestId": id}});
            self.take(&message.to_string())
        }

        fn answer(&self, id: i64) {
            self.unanswered.answered(&RequestId::Number(id));
        }

        fn next_held(&mut self) -> Value {
            self.intake
                .next_held(&self.unanswered)
                .map_or(Value::Null, |message| json!(message)["id"].clone())
        }
    }

    #[test]
    fn an_id_that_is_none_is_refused_without_one() {
        for id in ["null", "1.5", "true", "{}", "[]", "9223372036854775808"] {
            let mut door = Door::default();
            let refused = door.take(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#));
            assert_eq!(refused["error"]["code"], -32600, "{id}: {refused}");
            assert!(refused["id"].is_null(), "{refused}");
        }
        let mut door = Door::default();
        door.ask(1);
        let answer = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}"#;
        assert_eq!(door.take(answer)["error"]["message"], "what?", "an answer may have none");
    }

    #[test]
    fn an_id_in_use_is_refused_and_free_again_after_its_answer() {
        let mut door = Door::default();
        assert_eq!(door.ask(7)["id"], 7);
        let refused = door.ask(7);
        assert_eq!(refused["error"]["code"], -32600, "{refused}");
        assert!(refused["id"].is_null(), "it must not pass for the answer to the first: {refused}");
        door.answer(7);
        assert_eq!(door.ask(7)["id"], 7);
        door.cancel(7);
        assert_eq!(door.ask(7)["id"], 7, "a cancelled request gets no answer to wait for");
    }

    #[test]
    fn requests_beyond_the_limit_wait_while_notifications_pass() {
        let mut door = Door::default();
        let open = MAX_OPEN as u64;
        for id in 0..open {
            assert_eq!(door.ask(id)["id"], id);
        }
        for id in open..open + 3 {
            assert_eq!(door.ask(id), Value::Null, "held back");
        }
        assert_eq!(door.next_held(), Value::Null);
        assert_eq!(door.cancel(open), Value::Null, "the server never heard of it");
        assert_eq!(door.next_held(), Value::Null);
        assert_eq!(door.cancel(3)["method"], "notifications/cancelled");
        assert_eq!(door.next_held(), open + 1);
        assert_eq!(door.next_held(), Value::Null);
        assert_eq!(door.ask(open + 3), Value::Null, "in order, behind those that wait");
        door.answer(4);
        assert_eq!(door.next_held(), open + 2);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut door = Door::default();
        let mut id = 0;
        while !door.intake.is_full() {
            door.ask(id);
            id += 1;
            assert!(id < 1_000_000, "never full");
        }
        assert!(door.intake.held_bytes < MAX_HELD + 100);
        for id in 0..id {
            door.answer(i64::try_from(id).unwrap());
            door.next_held();
        }
        assert_eq!(door.intake.held_bytes, 0);
    }
}
