//! Progress of a long call, for a client that asked for it.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A client that has heard nothing for this long may think that nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Whom to tell about one call.
pub(crate) struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
}

impl Progress {
    /// `None` if the client did not ask.
    pub(crate) fn of(request: &RequestContext<RoleServer>) -> Option<Self> {
        let token = request.meta.get_progress_token()?;
        Some(Self { peer: request.peer.clone(), token })
    }

    /// Sends `first` now, and whatever is reported after it, the newest text at most once per `interval`. A client that
    /// takes its time holds up nothing but these notifications.
    pub(crate) fn start(self, first: String, interval: Duration) -> Reporter {
        let (texts, receiver) = watch::channel(first);
        let task = AbortOnDropHandle::new(tokio::spawn(self.send(receiver, interval)));
        Reporter { texts, task }
    }

    async fn send(self, mut texts: watch::Receiver<String>, interval: Duration) {
        let mut count = 0.0;
        loop {
            count += 1.0;
            let text = texts.borrow_and_update().clone();
            let progress = ProgressNotificationParam::new(self.token.clone(), count).with_message(text);
            if self.peer.notify_progress(progress).await.is_err() {
                return;
            }
            tokio::time::sleep(interval).await;
            if let Ok(Err(_closed)) = tokio::time::timeout(HEARTBEAT, texts.changed()).await {
                return;
            }
        }
    }
}

/// Takes texts to send. Dropping it ends the notifications.
pub(crate) struct Reporter {
    texts: watch::Sender<String>,
    task: AbortOnDropHandle<()>,
}

impl Reporter {
    pub(crate) fn report(&self, text: String) {
        self.texts.send_if_modified(|last| {
            let new = *last != text;
            *last = text;
            new
        });
    }

    /// Ends the notifications; none is sent after this.
    pub(crate) async fn stop(self) {
        self.task.abort();
        // An aborted task ends at its next pause, which is all there is to wait for.
        _ = self.task.await;
    }
}
