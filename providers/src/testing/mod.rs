//! A fake model on loopback that speaks the real wire, for the tests of this crate and of every one above.
//!
//! ```no_run
//! # async fn doc() {
//! use providers::testing::{FakeModel, Reply};
//! use serde_json::json;
//!
//! let model = FakeModel::steps([Reply::calls([("shell", json!({"command": ["true"]}))]), Reply::text("done")]).await;
//! let url = model.base_url();
//! # }
//! ```
//!
//! It is a small HTTP/1.1 server of its own: it can do what a proper one would not, such as falling silent
//! or hanging up in the middle of an event.

mod reply;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use reply::Reply;

/// A request that the fake model got.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The path and the query.
    pub target: String,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl Recorded {
    /// The value of the first header of that name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// A model server whose answers a test decides. It ends when it is dropped.
pub struct FakeModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

type Script = dyn Fn(&Value, usize) -> Reply + Send + Sync;

/// What the connections share.
struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Recorded>>,
    connections: watch::Sender<Connections>,
}

#[derive(Clone, Copy, Default)]
struct Connections {
    opened: usize,
    open: usize,
}

impl FakeModel {
    /// Starts a model that answers the n-th request (from 0), whose body it is shown, as `script` says.
    ///
    /// # Panics
    /// If no port on loopback can be had.
    #[expect(clippy::expect_used, reason = "without a port there is no test; a test's support may stop it")]
    pub async fn start(script: impl Fn(&Value, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("the address of a bound socket");
        let connections = watch::Sender::new(Connections::default());
        let shared = Arc::new(Shared { script: Box::new(script), requests: Mutex::default(), connections });
        let accepting = tokio::spawn(server::accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Starts a model that gives these answers in turn. A request beyond the last one is refused with status 400
    /// and a message that says so.
    ///
    /// # Panics
    /// As [`FakeModel::start`].
    pub async fn steps(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::start(move |_, n| {
            let beyond = || {
                let message = format!("the fake model has {} answers and was asked once more", replies.len());
                Reply::status(400, [], serde_json::json!({"error": {"message": message}}).to_string())
            };
            replies.get(n).cloned().unwrap_or_else(beyond)
        })
        .await
    }

    /// What a provider's `base_url` is to be.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests().clone()
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.borrow().opened
    }

    /// Waits until at least `count` requests have come.
    pub async fn asked(&self, count: usize) {
        let mut changes = self.shared.connections.subscribe();
        // Requests are noted before the connections are touched, so none is missed.
        while self.shared.requests().len() < count && changes.changed().await.is_ok() {}
    }

    /// Waits until no client is connected: they have all hung up.
    pub async fn left(&self) {
        let _ = self.shared.connections.subscribe().wait_for(|connections| connections.open == 0).await;
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self) {
        self.connections.send_modify(|connections| {
            connections.opened += 1;
            connections.open += 1;
        });
    }

    fn disconnected(&self) {
        self.connections.send_modify(|connections| connections.open -= 1);
    }

    /// Notes a request and asks the script for its answer.
    fn answer(&self, request: Recorded) -> (usize, Reply) {
        let body = request.body.clone();
        let n = {
            let mut requests = self.requests();
            requests.push(request);
            requests.len() - 1
        };
        self.connections.send_modify(|_| ());
        (n, (self.script)(&body, n))
    }
}
