//! One request calls one tool, without a thread: its progress out, its result back.

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Progress that waits for the client; what a tool reports beyond it is dropped.
const WAITING: usize = 16;

/// Progress on its way from a tool to the client.
pub(crate) fn progress() -> (mpsc::Sender<ProgressNotificationParam>, Updates) {
    let (sender, updates) = mpsc::channel(WAITING);
    (sender, Updates(updates))
}

pub(crate) struct Updates(mpsc::Receiver<ProgressNotificationParam>);

/// Runs a call to its end and passes its progress on meanwhile. Both the client's cancellation and the end of the
/// input cancel the call; a client that does not read holds up the progress alone.
pub(crate) async fn run<T>(
    call: impl Future<Output = T>,
    updates: Updates,
    to: Option<(Peer<RoleServer>, ProgressToken)>,
    cancel: &CancellationToken,
    end_of_input: &CancellationToken,
) -> T {
    let finished = CancellationToken::new();
    let relay = relay(updates, to, &finished);
    tokio::pin!(call, relay);
    let mut relaying = true;
    let outcome = loop {
        tokio::select! {
            outcome = &mut call => break outcome,
            () = end_of_input.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
            () = &mut relay, if relaying => relaying = false,
        }
    };
    finished.cancel();
    if relaying {
        // What was reported before the result goes out before it.
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = end_of_input.cancelled() => {}
            () = relay => {}
        }
    }
    outcome
}

async fn relay(
    Updates(mut updates): Updates,
    to: Option<(Peer<RoleServer>, ProgressToken)>,
    finished: &CancellationToken,
) {
    let Some((peer, token)) = to else { return };
    loop {
        let update = tokio::select! {
            biased;
            update = updates.recv() => update,
            () = finished.cancelled() => None,
        };
        let Some(mut update) = update else { return };
        update.progress_token = token.clone();
        if peer.notify_progress(update).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WAITING, progress, run};
    use crate::fixture::{Client, in_time};
    use rmcp::model::{NumberOrString, ProgressNotificationParam, ProgressToken};
    use tokio_util::sync::CancellationToken;

    fn token(text: &str) -> ProgressToken {
        ProgressToken(NumberOrString::String(text.into()))
    }

    fn update(progress: f64) -> ProgressNotificationParam {
        ProgressNotificationParam::new(token("the host's"), progress)
    }

    #[tokio::test]
    async fn progress_goes_out_before_the_result_under_the_client_s_token() {
        let mut client = Client::reading();
        let (sender, updates) = progress();
        let never = CancellationToken::new();
        let call = async {
            for n in [1.0, 2.0] {
                sender.try_send(update(n)).unwrap();
            }
            "result"
        };
        let to = Some((client.peer(), token("the client's")));
        assert_eq!(in_time(run(call, updates, to, &never, &never)).await, "result");
        for n in [1.0, 2.0] {
            let message = client.next().await;
            assert_eq!(message["params"]["progress"], n);
            assert_eq!(message["params"]["progressToken"], "the client's");
        }
    }

    #[tokio::test]
    async fn a_cancelled_call_ends_though_its_client_does_not_read_its_progress() {
        for end_of_input in [false, true] {
            let mut client = Client::deaf();
            let (sender, updates) = progress();
            let (cancel, end) = (CancellationToken::new(), CancellationToken::new());
            sender.try_send(update(1.0)).unwrap();
            let to = Some((client.peer(), token("t")));
            let tool = cancel.clone();
            let call = async move {
                tool.cancelled().await;
                "interrupted"
            };
            let running = run(call, updates, to, &cancel, &end);
            let client_side = async {
                // It is on its way, where it stays.
                client.next().await;
                if end_of_input { end.cancel() } else { cancel.cancel() }
            };
            let (outcome, ()) = in_time(async { tokio::join!(running, client_side) }).await;
            assert_eq!(outcome, "interrupted");
        }
    }

    #[tokio::test]
    async fn a_tool_goes_on_though_its_client_does_not_read_its_progress() {
        let mut client = Client::deaf();
        let (sender, updates) = progress();
        let (never, end) = (CancellationToken::new(), CancellationToken::new());
        sender.try_send(update(1.0)).unwrap();
        let to = Some((client.peer(), token("t")));
        let call = async {
            client.next().await;
            // The message is stuck by now, and yet the tool is polled. Its result waits behind the message.
            end.cancel();
            "result"
        };
        assert_eq!(in_time(run(call, updates, to, &never, &end)).await, "result");
    }

    #[test]
    fn a_flood_of_progress_that_nobody_takes_is_bounded() {
        let (sender, _updates) = progress();
        let taken = (0..1_000).filter(|_| sender.try_send(update(1.0)).is_ok()).count();
        assert_eq!(taken, WAITING);
    }
}
