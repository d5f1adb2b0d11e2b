//! The one task that owns a thread: it takes prompts and interruptions, and runs one turn at a time.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Accepted, Emitter, History, Order, Rollout, Thread, ThreadId, Transcript, instructions};
use crate::error::{ErrorCode, HostError};
use crate::event::{Event, TurnOutcome};
use crate::servers::Toolset;
use crate::settings::ThreadSettings;
use crate::turn;

/// What a turn works on. Owned by the driver; a turn borrows it.
pub(crate) struct State {
    pub(crate) id: ThreadId,
    pub(crate) settings: Arc<ThreadSettings>,
    pub(crate) history: History,
    pub(crate) emitter: Arc<Emitter>,
    pub(crate) toolset: Arc<Toolset>,
}

impl State {
    /// Puts an item into the history and on record.
    pub(crate) fn append(&mut self, item: providers::Item) {
        self.emitter.item(&item);
        self.history.push(item);
    }
}

/// Opens a thread, new or from its record, and starts its driver.
pub(crate) fn open(
    sessions: &Path,
    settings: ThreadSettings,
    toolset: Arc<Toolset>,
    from: Option<(&Path, Transcript)>,
) -> Result<Thread, HostError> {
    let settings = Arc::new(settings);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| HostError::Record { path, source }
    };
    let (id, rollout, history, seq) = match from {
        None => {
            let id = ThreadId::new();
            let rollout = Rollout::create(sessions, id, &settings).map_err(failed(sessions))?;
            (id, rollout, History::default(), 0)
        }
        Some((path, transcript)) => {
            let id = transcript.id.parse()?;
            let rollout = Rollout::append(path).map_err(|source| match source.kind() {
                std::io::ErrorKind::WouldBlock => HostError::Busy { id: transcript.id.clone() },
                _ => failed(path)(source),
            })?;
            (id, rollout, History::new(transcript.items), transcript.last_seq)
        }
    };
    let record = OnceLock::new();
    let _ = record.set(rollout.path().to_owned());
    let emitter = Arc::new(Emitter::new(id, rollout, seq));
    let mut state =
        State { id, settings: Arc::clone(&settings), history, emitter, toolset: Arc::clone(&toolset) };
    prepare(&mut state);
    let (orders, inbox) = mpsc::channel(64);
    tokio::spawn(drive(state, inbox));
    Ok(Thread { id, orders, settings, toolset, record: Arc::new(record) })
}

/// Gives a new thread its opening items, and a resumed one the outputs its calls never got.
fn prepare(state: &mut State) {
    if state.history.items().is_empty() {
        for item in instructions::opening(&state.settings) {
            state.append(item);
        }
    }
    for output in state.history.closing_outputs() {
        state.append(output);
    }
}

async fn drive(mut state: State, mut inbox: mpsc::Receiver<Order>) {
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Submit { prompt, reply } => {
                let turn = Running::begin(&state, prompt, reply);
                run_turn(&mut state, turn, &mut inbox).await;
            }
            Order::Interrupt { turn_id } => tracing::debug!("turn {turn_id} is over already"),
        }
    }
}

/// The turn that is running, as the driver sees it from outside.
struct Running {
    id: String,
    prompt: String,
    cancel: CancellationToken,
    outcome: watch::Sender<Option<TurnOutcome>>,
}

impl Running {
    fn begin(state: &State, prompt: String, reply: tokio::sync::oneshot::Sender<Accepted>) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        state.emitter.enter(&id, &state.settings);
        let turn = Self { id, prompt, cancel: CancellationToken::new(), outcome: watch::Sender::new(None) };
        // Before the first event, so that its watcher sees all of them.
        turn.accept(state.emitter.watch(), reply, false);
        turn
    }

    fn accept(
        &self,
        events: tokio::sync::broadcast::Receiver<Arc<crate::event::Record>>,
        reply: tokio::sync::oneshot::Sender<Accepted>,
        steered: bool,
    ) {
        let accepted =
            Accepted { turn_id: self.id.clone(), steered, events, outcome: self.outcome.subscribe() };
        // Whoever asked may have gone; the turn is the thread's, not theirs.
        let _ = reply.send(accepted);
    }
}

async fn run_turn(state: &mut State, turn: Running, inbox: &mut mpsc::Receiver<Order>) {
    let emitter = Arc::clone(&state.emitter);
    let (steer, steering) = mpsc::unbounded_channel();
    let outcome = {
        let running = turn::run(state, &turn.id, turn.prompt.clone(), turn.cancel.clone(), steering);
        tokio::pin!(running);
        let mut open = true;
        loop {
            tokio::select! {
                outcome = &mut running => break outcome,
                order = inbox.recv(), if open => match order {
                    Some(Order::Submit { prompt, reply }) => {
                        turn.accept(emitter.watch(), reply, true);
                        let _ = steer.send(prompt);
                    }
                    Some(Order::Interrupt { turn_id }) if turn_id == turn.id => turn.cancel.cancel(),
                    Some(Order::Interrupt { .. }) => {}
                    // Nobody holds the thread any more; its turn still ends as it should.
                    None => open = false,
                },
            }
        }
    };
    let outcome = match emitter.broken() {
        Some(message) if !matches!(outcome, TurnOutcome::Interrupted) => {
            TurnOutcome::Failed { code: ErrorCode::Storage, message }
        }
        _ => outcome,
    };
    emitter.emit(Event::TurnEnded { outcome: outcome.clone() });
    turn.outcome.send_replace(Some(outcome));
}
