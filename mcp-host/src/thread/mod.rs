//! A thread: a conversation, owned by one driver task, with a record on disk.

mod driver;
mod emitter;
mod history;
mod instructions;
mod rollout;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Weak};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use driver::{State, open, start};
pub(crate) use emitter::Emitter;
pub(crate) use history::History;
pub(crate) use rollout::{Rollout, take};
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
    /// Holds the thread, which stays open until the turn is over.
    Submit {
        thread: Thread,
        prompt: String,
        reply: oneshot::Sender<Accepted>,
    },
    Interrupt {
        turn_id: String,
    },
    /// Interrupts whatever turn is running; `ended` is dropped when its end is on record.
    Stop {
        ended: oneshot::Sender<()>,
    },
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

/// A handle to an open thread. Cheap to clone. Without any, the thread is unloaded once its turn is over, and
/// resuming it reads its record.
#[derive(Clone)]
pub struct Thread(Arc<Handle>);

struct Handle {
    id: ThreadId,
    orders: mpsc::Sender<Order>,
    settings: Arc<ThreadSettings>,
    toolset: Arc<Toolset>,
    record: PathBuf,
    /// Cancelled when the driver is gone and the record is free.
    gone: CancellationToken,
}

/// A thread as the host remembers it, which does not keep it open.
pub(crate) struct Remembered {
    handle: Weak<Handle>,
    gone: CancellationToken,
}

impl Remembered {
    /// The thread, if it takes prompts.
    pub(crate) fn open(&self) -> Option<Thread> {
        self.handle.upgrade().map(Thread).filter(|thread| !thread.0.orders.is_closed())
    }

    /// Cancelled when the driver is gone and the record is free.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }
}

impl Thread {
    /// The thread's name.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        self.0.id
    }

    /// What it runs with.
    #[must_use]
    pub fn settings(&self) -> &ThreadSettings {
        &self.0.settings
    }

    /// The tools it offers its model.
    #[must_use]
    pub fn toolset(&self) -> &Arc<Toolset> {
        &self.0.toolset
    }

    /// The file of its record, once there is one.
    #[must_use]
    pub fn record(&self) -> Option<&Path> {
        Some(&self.0.record)
    }

    /// Hands the thread a prompt: it begins a turn, or steers the one that is running.
    ///
    /// # Errors
    /// The thread has stopped.
    pub async fn submit(&self, prompt: String) -> Result<Accepted, HostError> {
        let (reply, accepted) = oneshot::channel();
        let stopped = || HostError::Stopped { id: self.0.id.to_string() };
        let thread = self.clone();
        self.0.orders.send(Order::Submit { thread, prompt, reply }).await.map_err(|_| stopped())?;
        accepted.await.map_err(|_| stopped())
    }

    /// Interrupts a turn, if it is still running. Its outcome tells when that is done.
    pub async fn interrupt(&self, turn_id: &str) {
        let _ = self.0.orders.send(Order::Interrupt { turn_id: turn_id.to_owned() }).await;
    }

    /// Interrupts the turn that is running, if any, and waits until its end is on record.
    pub(crate) async fn stop(&self) {
        let (ended, over) = oneshot::channel();
        if self.0.orders.send(Order::Stop { ended }).await.is_ok() {
            let _ = over.await;
        }
    }

    pub(crate) fn remember(&self) -> Remembered {
        Remembered { handle: Arc::downgrade(&self.0), gone: self.0.gone.clone() }
    }
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread").field("id", &self.0.id).finish_non_exhaustive()
    }
}
