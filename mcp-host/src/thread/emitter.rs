//! Gives every event of a thread its number, records it, and hands it to whoever watches.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::{Rollout, ThreadId};
use crate::event::{Event, Record};
use crate::settings::ThreadSettings;
use providers::Item;

/// Events that a watcher may lag behind before it misses some.
const BACKLOG: usize = 4_096;

/// Shared by the turn and by the calls it runs at once; the lock is held for one line of the record.
pub(crate) struct Emitter {
    thread_id: String,
    watchers: broadcast::Sender<Arc<Record>>,
    inner: Mutex<Inner>,
}

struct Inner {
    seq: u64,
    turn_id: String,
    rollout: Rollout,
    /// The first failure to write; the turn ends with it, since nothing may be done unrecorded.
    broken: Option<String>,
}

impl Emitter {
    pub(crate) fn new(id: ThreadId, rollout: Rollout, seq: u64) -> Self {
        let inner = Inner { seq, turn_id: String::new(), rollout, broken: None };
        Self {
            thread_id: id.to_string(),
            watchers: broadcast::Sender::new(BACKLOG),
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Record>> {
        self.watchers.subscribe()
    }

    /// Enters a turn: events belong to it from now on, and what it runs with is on record.
    pub(crate) fn enter(&self, turn_id: &str, settings: &ThreadSettings) {
        let mut inner = self.lock();
        turn_id.clone_into(&mut inner.turn_id);
        let written = inner.rollout.turn_context(turn_id, settings);
        inner.note(written);
    }

    /// Numbers, records and publishes one event.
    pub(crate) fn emit(&self, event: Event) {
        let mut inner = self.lock();
        inner.seq += 1;
        let record = Record {
            seq: inner.seq,
            thread_id: self.thread_id.clone(),
            turn_id: inner.turn_id.clone(),
            event,
        };
        // Items have lines of their own, written before they are published.
        if record.event.is_recorded() && !matches!(record.event, Event::Item { .. }) {
            let written = inner.rollout.event(&record);
            inner.note(written);
        }
        let _ = self.watchers.send(Arc::new(record));
    }

    /// Records an item of the transcript, then publishes it.
    pub(crate) fn item(&self, item: &Item) {
        {
            let mut inner = self.lock();
            let written = inner.rollout.item(item);
            inner.note(written);
        }
        self.emit(Event::Item { item: item.clone() });
    }

    /// Why the record could not be written, if it could not.
    pub(crate) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// Lets other processes write the record; nothing is written to it here any more.
    pub(crate) fn release(&self) {
        self.lock().rollout.unlock();
    }

    /// From now on every write to the record fails.
    #[cfg(test)]
    pub(crate) fn fill_disk(&self) {
        self.lock().rollout.fill_disk();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            self.broken.get_or_insert_with(|| format!("writing {}: {error}", self.rollout.path().display()));
        }
    }
}
