//! One request follows one turn: events out, the outcome back. The turn is the thread's; cancelling the request
//! interrupts it, and what was done until then stays on record.

use std::time::Duration;

use mcp_host::{Accepted, Event, Thread, TurnOutcome};
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
    let publisher = Publisher::new(context);
    let ended = match attend(publisher, &mut accepted, &context.ct, end_of_input).await {
        None => interrupt(thread, &mut accepted).await,
        outcome => outcome,
    };
    result(thread, &accepted, ended)
}

/// Publishes the turn until it is over, or until nobody wants it any more; then there is no outcome.
async fn attend(
    publisher: Publisher,
    accepted: &mut Accepted,
    cancelled: &CancellationToken,
    end_of_input: &CancellationToken,
) -> Option<TurnOutcome> {
    tokio::select! {
        biased;
        () = cancelled.cancelled() => None,
        () = end_of_input.cancelled() => None,
        // A client that does not read holds this up in the middle of a message: it must hold up nothing else.
        outcome = publish(publisher, accepted) => outcome,
    }
}

async fn publish(mut publisher: Publisher, accepted: &mut Accepted) -> Option<TurnOutcome> {
    publisher.beat().await;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        let record = tokio::select! {
            biased;
            record = accepted.events.recv() => record,
            // Events come first, so that none is left behind when the outcome is there.
            outcome = decided(&mut accepted.outcome) => return outcome,
            _ = heartbeat.tick(), if publisher.wants_progress() => {
                publisher.beat().await;
                continue;
            }
        };
        match record {
            // The thread is in its next turn already: the end of this one was among the missed.
            Ok(record) if record.turn_id != accepted.turn_id => break,
            Ok(record) => {
                publisher.publish(&record).await;
                if matches!(record.event, Event::TurnEnded { .. }) {
                    break;
                }
            }
            // Missed some: the next one shows the gap in its number.
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "watcher too slow"),
            Err(RecvError::Closed) => break,
        }
    }
    decided(&mut accepted.outcome).await
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

#[cfg(test)]
mod tests {
    use super::attend;
    use crate::fixture::{Client, in_time, record};
    use crate::publish::Publisher;
    use mcp_host::{Accepted, Event, Record, TurnOutcome};
    use std::sync::Arc;
    use tokio::sync::{broadcast, watch};
    use tokio_util::sync::CancellationToken;

    /// A turn called "this", with an outcome as given and these events so far.
    struct Turn {
        events: broadcast::Sender<Arc<Record>>,
        outcome: watch::Sender<Option<TurnOutcome>>,
        accepted: Accepted,
    }

    fn turn(backlog: usize, outcome: Option<TurnOutcome>, so_far: &[Record]) -> Turn {
        let events = broadcast::Sender::new(backlog);
        let outcome = watch::Sender::new(outcome);
        let accepted = Accepted {
            turn_id: "this".to_owned(),
            steered: false,
            events: events.subscribe(),
            outcome: outcome.subscribe(),
        };
        for record in so_far {
            events.send(Arc::new(record.clone())).unwrap();
        }
        Turn { events, outcome, accepted }
    }

    fn done() -> TurnOutcome {
        TurnOutcome::Completed { text: "done".to_owned() }
    }

    fn text(seq: u64, turn: &str) -> Record {
        record(seq, turn, Event::TextDelta { text: "x".to_owned() })
    }

    async fn attended(turn: &mut Turn, client: &Client) -> Option<TurnOutcome> {
        let never = CancellationToken::new();
        in_time(attend(Publisher::new(&client.context()), &mut turn.accepted, &never, &never)).await
    }

    #[tokio::test]
    async fn a_slow_reader_gets_no_events_of_the_next_turn() {
        let ended = record(2, "this", Event::TurnEnded { outcome: done() });
        let mut client = Client::reading();
        let mut turn = turn(8, Some(done()), &[text(1, "this"), ended, text(3, "next"), text(4, "next")]);
        assert_eq!(attended(&mut turn, &client).await, Some(done()));
        assert_eq!(client.seqs(), [1, 2]);
    }

    #[tokio::test]
    async fn a_slow_reader_that_missed_the_end_is_answered_before_the_next_turn_ends() {
        let so_far = [text(1, "this"), text(2, "this"), text(3, "next"), text(4, "next")];
        let mut client = Client::reading();
        let mut turn = turn(2, Some(done()), &so_far);
        assert_eq!(attended(&mut turn, &client).await, Some(done()));
        assert_eq!(client.seqs(), [0_u64; 0]);
        drop(turn.events);
    }

    #[tokio::test]
    async fn a_cancelled_request_gives_way_though_its_client_does_not_read() {
        for end_of_input in [false, true] {
            let mut client = Client::deaf();
            let (cancelled, end) = (CancellationToken::new(), CancellationToken::new());
            let mut turn = turn(8, None, &[text(1, "this"), text(2, "this")]);
            let publisher = Publisher::new(&client.context());
            let attending = attend(publisher, &mut turn.accepted, &cancelled, &end);
            let client_side = async {
                // It is on its way, where it stays.
                client.next().await;
                if end_of_input { end.cancel() } else { cancelled.cancel() }
            };
            let (outcome, ()) = in_time(async { tokio::join!(attending, client_side) }).await;
            assert_eq!(outcome, None);
            drop(turn.outcome);
        }
    }
}
