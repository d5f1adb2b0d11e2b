//! One request follows one turn: events out, the outcome back. The turn is the thread's; cancelling the request
//! interrupts it, and what was done until then stays on record.

use std::time::Duration;

use mcp_host::{Accepted, Thread, TurnOutcome};
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::service::RequestContext;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::publish::{HEARTBEAT, Publisher};

/// How long an interrupted turn may take to put its end on record before the request stops waiting for it.
const WIND_DOWN: Duration = Duration::from_secs(2);

/// Follows the turn to its end and answers the one result of the request.
pub(crate) async fn follow(
    thread: &Thread,
    mut accepted: Accepted,
    context: &RequestContext<RoleServer>,
    end_of_input: &CancellationToken,
) -> CallToolResult {
    let mut publisher = Publisher::new(context);
    publisher.beat().await;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    let mut outcome = accepted.outcome.clone();
    let ended = loop {
        let record = tokio::select! {
            biased;
            () = context.ct.cancelled() => break None,
            () = end_of_input.cancelled() => break None,
            record = accepted.events.recv() => record,
            // Events come first, so that none is left behind when the outcome is there.
            done = decided(&mut outcome) => break done,
            _ = heartbeat.tick(), if publisher.wants_progress() => {
                publisher.beat().await;
                continue;
            }
        };
        match record {
            Ok(record) => publisher.publish(&record).await,
            // Missed some: the next one shows the gap in its number.
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "watcher too slow"),
            Err(RecvError::Closed) => break accepted.outcome.borrow().clone(),
        }
    };
    let ended = match ended {
        None => interrupt(thread, &mut accepted).await,
        outcome => outcome,
    };
    result(thread, &accepted, ended)
}

/// The outcome, once there is one.
async fn decided(outcome: &mut watch::Receiver<Option<TurnOutcome>>) -> Option<TurnOutcome> {
    outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
}

async fn interrupt(thread: &Thread, accepted: &mut Accepted) -> Option<TurnOutcome> {
    thread.interrupt(&accepted.turn_id).await;
    tokio::time::timeout(WIND_DOWN, decided(&mut accepted.outcome)).await.ok().flatten()
}

fn result(thread: &Thread, accepted: &Accepted, outcome: Option<TurnOutcome>) -> CallToolResult {
    let id = thread.id().to_string();
    let (status, text, error) = match outcome {
        Some(TurnOutcome::Completed { text }) => ("completed", text, None),
        Some(TurnOutcome::Failed { code, message }) => ("failed", message, Some(code)),
        Some(TurnOutcome::Interrupted) => {
            ("interrupted", "interrupted; continue with `codex-reply` and the same threadId".to_owned(), None)
        }
        None => {
            ("failed", "the turn ended without an outcome".to_owned(), Some(mcp_host::ErrorCode::Internal))
        }
    };
    let mut structured =
        json!({"threadId": id, "content": text, "status": status, "turnId": accepted.turn_id});
    if accepted.steered {
        structured["steered"] = true.into();
    }
    if let Some(code) = error {
        structured["error"] = json!({"code": code});
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(structured);
    result.is_error = (status != "completed").then_some(true);
    result
}
