//! The one task that owns a thread: it takes prompts and interruptions, and runs one turn at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Accepted, Emitter, Handle, History, Order, Rollout, Thread, ThreadId, Transcript, instructions};
use crate::error::{ErrorCode, HostError};
use crate::event::{Event, TurnOutcome};
use crate::servers::Toolset;
use crate::settings::{Overrides, ThreadSettings};
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

/// Opens a new thread, with a record below `sessions`, and starts its driver.
pub(crate) fn open(
    sessions: &Path,
    settings: ThreadSettings,
    asked: &Overrides,
    toolset: Arc<Toolset>,
) -> Result<Thread, HostError> {
    let id = ThreadId::new();
    let rollout = Rollout::create(sessions, id, &settings, asked)
        .map_err(|source| HostError::Record { path: sessions.to_owned(), source })?;
    Ok(start(id, rollout, Transcript::default(), settings, toolset))
}

/// Starts the driver of a thread whose record is ours to write; `transcript` is what the record says so far.
pub(crate) fn start(
    id: ThreadId,
    rollout: Rollout,
    transcript: Transcript,
    settings: ThreadSettings,
    toolset: Arc<Toolset>,
) -> Thread {
    let record = rollout.path().to_owned();
    let history = History::new(transcript.items);
    let emitter = Arc::new(Emitter::new(id, rollout, transcript.last_seq));
    let settings = Arc::new(settings);
    let mut state = State { id, settings, history, emitter, toolset };
    prepare(&mut state);
    launch(state, record)
}

fn launch(state: State, record: PathBuf) -> Thread {
    let (id, settings, toolset) = (state.id, Arc::clone(&state.settings), Arc::clone(&state.toolset));
    let (orders, inbox) = mpsc::channel(64);
    let gone = CancellationToken::new();
    let leaving = gone.clone().drop_guard();
    tokio::spawn(async move {
        // Dropped last, also when a turn panics.
        let _leaving = leaving;
        drive(state, inbox).await;
    });
    Thread(Arc::new(Handle { id, orders, settings, toolset, record, gone }))
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

/// Ends when nobody holds the thread, or when its record cannot be written: whoever resumes it then starts from
/// what is on record.
async fn drive(mut state: State, mut inbox: mpsc::Receiver<Order>) {
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Submit { thread, prompt, reply } => {
                let turn = Running::begin(&state, thread, prompt, reply);
                run_turn(&mut state, turn, &mut inbox).await;
            }
            Order::Interrupt { turn_id } => tracing::debug!("turn {turn_id} is over already"),
            Order::Stop { ended } => drop(ended),
        }
        if state.emitter.broken().is_some() {
            break;
        }
    }
    state.emitter.release();
}

/// The turn that is running, as the driver sees it from outside.
struct Running {
    id: String,
    prompt: String,
    cancel: CancellationToken,
    outcome: watch::Sender<Option<TurnOutcome>>,
    /// Keeps the thread open: whoever resumes it meets this turn.
    _thread: Thread,
}

impl Running {
    fn begin(state: &State, thread: Thread, prompt: String, reply: oneshot::Sender<Accepted>) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        state.emitter.enter(&id, &state.settings);
        let (cancel, outcome) = (CancellationToken::new(), watch::Sender::new(None));
        let turn = Self { id, prompt, cancel, outcome, _thread: thread };
        // Before the first event, so that its watcher sees all of them.
        turn.accept(state.emitter.watch(), reply, false);
        turn
    }

    fn accept(
        &self,
        events: tokio::sync::broadcast::Receiver<Arc<crate::event::Record>>,
        reply: oneshot::Sender<Accepted>,
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
    let mut stopping = Vec::new();
    let outcome = {
        let running = turn::run(state, &turn.id, turn.prompt.clone(), turn.cancel.clone(), steering);
        tokio::pin!(running);
        let mut open = true;
        loop {
            tokio::select! {
                outcome = &mut running => break outcome,
                order = inbox.recv(), if open => match order {
                    Some(Order::Submit { prompt, reply, .. }) => {
                        turn.accept(emitter.watch(), reply, true);
                        let _ = steer.send(prompt);
                    }
                    Some(Order::Interrupt { turn_id }) if turn_id == turn.id => turn.cancel.cancel(),
                    Some(Order::Interrupt { .. }) => {}
                    Some(Order::Stop { ended }) => {
                        turn.cancel.cancel();
                        stopping.push(ended);
                    }
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
    if emitter.broken().is_some() {
        // Before the outcome is known, so that whoever goes on after it starts from the record.
        inbox.close();
    }
    turn.outcome.send_replace(Some(outcome));
}

#[cfg(test)]
mod tests {
    use super::{Rollout, State, ThreadId, launch};
    use crate::approval::ApprovalPolicy;
    use crate::servers::{Pool, ToolContext, Toolset};
    use crate::settings::{Overrides, ThreadSettings, Timing};
    use crate::thread::{Emitter, History, read_transcript, take};
    use crate::{ErrorCode, Event, TurnOutcome};
    use providers::testing::{FakeModel, Reply};
    use std::path::Path;
    use std::sync::{Arc, OnceLock};

    fn settings(model: &FakeModel, cwd: &Path) -> ThreadSettings {
        let provider =
            providers::connect(providers::ProviderSettings::new("fake", model.base_url())).unwrap();
        ThreadSettings {
            model: "fake-model".to_owned(),
            provider_id: "fake".to_owned(),
            provider,
            cwd: cwd.to_owned(),
            policy: sandbox::Policy::read_only(),
            approval: ApprovalPolicy::Never,
            env: Vec::new(),
            base_instructions: None,
            developer_instructions: None,
            reasoning_effort: None,
            store: true,
            max_calls: 10,
        }
    }

    #[tokio::test]
    async fn on_a_full_disk_no_call_runs_and_the_thread_starts_over_from_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let emitter: Arc<OnceLock<Arc<Emitter>>> = Arc::default();
        let disk = Arc::clone(&emitter);
        let model = FakeModel::start(move |_, _| {
            disk.get().unwrap().fill_disk();
            Reply::calls([("touch", serde_json::json!({}))])
        })
        .await;
        let settings = settings(&model, folder.path());
        let id = ThreadId::new();
        let rollout = Rollout::create(folder.path(), id, &settings, &Overrides::default()).unwrap();
        let record = rollout.path().to_owned();
        let context = ToolContext {
            cwd: settings.cwd.clone(),
            policy: settings.policy.clone(),
            env: Vec::new(),
            approval: settings.approval,
        };
        let toolset = Arc::new(Toolset::new(context, &[], Pool::new(Vec::new(), Timing::default())));
        let state = State {
            id,
            settings: Arc::new(settings),
            history: History::default(),
            emitter: Arc::clone(emitter.get_or_init(|| Arc::new(Emitter::new(id, rollout, 0)))),
            toolset,
        };
        let thread = launch(state, record.clone());
        let mut turn = thread.submit("begin".to_owned()).await.unwrap();
        let outcome = turn.outcome.wait_for(Option::is_some).await.unwrap().clone();
        assert!(matches!(outcome, Some(TurnOutcome::Failed { code: ErrorCode::Storage, .. })), "{outcome:?}");
        while let Ok(event) = turn.events.try_recv() {
            assert!(!matches!(event.event, Event::CallStarted { .. }), "the unrecorded call ran");
        }
        // With space back, resuming it takes what is on record.
        assert!(thread.remember().open().is_none(), "it takes no more prompts");
        thread.remember().gone().cancelled().await;
        let (_, transcript) = take(folder.path(), id).unwrap();
        assert_eq!(transcript.items.last().and_then(providers::Item::text).as_deref(), Some("begin"));
        assert_eq!(read_transcript(&record).unwrap().skipped, 0);
    }
}
