//! The agent: from a prompt to its end. Ask the model; run what it calls for; ask again.

mod calls;
mod output;
mod sampling;

use providers::{Item, ProviderError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::ErrorCode;
use crate::event::{Event, TurnOutcome};
use crate::limits::SandboxLimits;
use crate::servers::Catalog;
use crate::thread::State;

/// Why a turn ended before the model was done.
pub(crate) enum Stop {
    Interrupted,
    Failed { code: ErrorCode, message: String },
}

impl From<ProviderError> for Stop {
    fn from(error: ProviderError) -> Self {
        Self::Failed { code: ErrorCode::from(&error), message: error.to_string() }
    }
}

/// Runs one turn. Never fails to end: every await inside gives way to `cancel`.
pub(crate) async fn run(
    state: &mut State,
    turn_id: &str,
    prompt: String,
    cancel: CancellationToken,
    mut steering: mpsc::UnboundedReceiver<String>,
) -> TurnOutcome {
    let model = state.settings.model.clone();
    let sandbox = Some(SandboxLimits::of(&state.settings.policy));
    state.emitter.emit(Event::TurnStarted { prompt: prompt.clone(), model, sandbox });
    let begin = state.history.items().len();
    state.append(Item::user(&prompt));
    let ended = converse(state, turn_id, &cancel, &mut steering).await;
    // A prompt that was accepted is kept, whether or not there is still a request to send it in.
    take_steering(state, &mut steering);
    match ended {
        Ok(()) => TurnOutcome::Completed { text: state.history.last_answer(begin) },
        Err(Stop::Interrupted) => TurnOutcome::Interrupted,
        Err(Stop::Failed { code, message }) => TurnOutcome::Failed { code, message },
    }
}

async fn converse(
    state: &mut State,
    turn_id: &str,
    cancel: &CancellationToken,
    steering: &mut mpsc::UnboundedReceiver<String>,
) -> Result<(), Stop> {
    // The list of tools is frozen for the turn: it stands at the head of the provider's prompt cache.
    let catalog = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(Stop::Interrupted),
        catalog = state.toolset.catalog() => catalog,
    };
    notice_missing(state, &catalog);
    let mut made = 0;
    loop {
        recorded(state)?;
        let response = sampling::sample(state, &catalog, turn_id, cancel).await?;
        let mut calls = Vec::new();
        for item in response {
            if let Item::FunctionCall { call_id, name, arguments, .. } = &item {
                calls.push(calls::Call::new(call_id, name, arguments));
            }
            state.append(item);
        }
        made += calls.len();
        recorded(state)?;
        let over = made > state.settings.max_calls;
        let done = calls.is_empty();
        for output in calls::run(state, &catalog, calls, over, cancel).await {
            state.append(output);
        }
        if cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        if over {
            let most = state.settings.max_calls;
            let message =
                format!("the turn asked for more than {most} tool calls; say `continue` to go on with it");
            return Err(Stop::Failed { code: ErrorCode::Limit, message });
        }
        let steered = take_steering(state, steering);
        if done && !steered {
            return Ok(());
        }
    }
}

/// Nothing goes on that could not be recorded: no request is sent and no call is run.
fn recorded(state: &State) -> Result<(), Stop> {
    match state.emitter.broken() {
        Some(message) => Err(Stop::Failed { code: ErrorCode::Storage, message }),
        None => Ok(()),
    }
}

/// Prompts that came in while the turn was running join it before the next request.
fn take_steering(state: &mut State, steering: &mut mpsc::UnboundedReceiver<String>) -> bool {
    let mut any = false;
    while let Ok(prompt) = steering.try_recv() {
        state.emitter.emit(Event::Steered { prompt: prompt.clone() });
        state.append(Item::user(&prompt));
        any = true;
    }
    any
}

fn notice_missing(state: &State, catalog: &Catalog) {
    for server in &catalog.servers {
        let message = match &server.state {
            crate::servers::ServerState::Failed { message } => message.clone(),
            crate::servers::ServerState::Starting => {
                format!("server {:?} is still starting; its tools are not in this turn", server.name)
            }
            _ => continue,
        };
        state.emitter.emit(Event::Notice { message });
    }
}
