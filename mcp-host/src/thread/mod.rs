//! A thread: a conversation, owned by one driver task, with a record on disk.

mod driver;
mod emitter;
mod history;
mod instructions;
mod rollout;

use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub(crate) use driver::{State, open};
pub(crate) use emitter::Emitter;
pub(crate) use history::History;
pub(crate) use rollout::{Rollout, find};
pub use rollout::{Transcript, read_transcript};

use crate::error::HostError;
use crate::event::{Record, TurnOutcome};
use crate::servers::Toolset;
use crate::settings::ThreadSettings;

/// The base instructions a thread runs with.
pub(crate) fn base_instructions(settings: &ThreadSettings) -> &str {
    settings.base_instructions.as_deref().unwrap_or(instructions::BASE)
}

/// The name of a thread: a UUID of version 7, so that names sort by time. Not a secret and not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(uuid::Uuid);

impl ThreadId {
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl std::fmt::Display for ThreadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for ThreadId {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let malformed = |_| HostError::MalformedThreadId { text: text.chars().take(80).collect() };
        uuid::Uuid::try_parse(text).map(Self).map_err(malformed)
    }
}

/// What the driver is asked to do.
pub(crate) enum Order {
    Submit { prompt: String, reply: oneshot::Sender<Accepted> },
    Interrupt { turn_id: String },
}

/// A prompt that was accepted: the turn it is part of, and how to follow it.
#[derive(Debug)]
pub struct Accepted {
    /// The turn.
    pub turn_id: String,
    /// The prompt joined a turn that was already running.
    pub steered: bool,
    /// The thread's events from now on, in order. A watcher that is too slow misses some, sees a gap in their
    /// `seq`, and goes on; the outcome is never missed.
    pub events: broadcast::Receiver<Arc<Record>>,
    /// The outcome, once the turn is over.
    pub outcome: watch::Receiver<Option<TurnOutcome>>,
}

/// A handle to an open thread. Cheap to clone; the thread lives on without it until its turn is over.
#[derive(Clone)]
pub struct Thread {
    id: ThreadId,
    orders: mpsc::Sender<Order>,
    settings: Arc<ThreadSettings>,
    toolset: Arc<Toolset>,
    /// Set once the record exists on disk.
    record: Arc<OnceLock<std::path::PathBuf>>,
}

impl Thread {
    /// The thread's name.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// What it runs with.
    #[must_use]
    pub fn settings(&self) -> &ThreadSettings {
        &self.settings
    }

    /// The tools it offers its model.
    #[must_use]
    pub fn toolset(&self) -> &Arc<Toolset> {
        &self.toolset
    }

    /// The file of its record, once there is one.
    #[must_use]
    pub fn record(&self) -> Option<&std::path::Path> {
        self.record.get().map(std::path::PathBuf::as_path)
    }

    /// Hands the thread a prompt: it begins a turn, or steers the one that is running.
    ///
    /// # Errors
    /// The thread has stopped.
    pub async fn submit(&self, prompt: String) -> Result<Accepted, HostError> {
        let (reply, accepted) = oneshot::channel();
        let stopped = || HostError::Stopped { id: self.id.to_string() };
        self.orders.send(Order::Submit { prompt, reply }).await.map_err(|_| stopped())?;
        accepted.await.map_err(|_| stopped())
    }

    /// Interrupts a turn, if it is still running. Its outcome tells when that is done.
    pub async fn interrupt(&self, turn_id: &str) {
        let _ = self.orders.send(Order::Interrupt { turn_id: turn_id.to_owned() }).await;
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.orders.is_closed()
    }
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread").field("id", &self.id).finish_non_exhaustive()
    }
}
