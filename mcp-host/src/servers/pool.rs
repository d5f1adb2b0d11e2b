//! External servers, shared between threads: started when first needed, all at once, each failing alone.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::Tool;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::catalog::{Entry, entries, prefixes};
use super::connect::{Connection, Lifetime, connect};
use super::spec::ServerSpec;
use crate::settings::Timing;

/// What a server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Switched off in the configuration.
    Disabled,
    /// Not needed yet.
    Idle,
    /// Starting, or shaking hands.
    Starting,
    /// Its tools can be called.
    Ready {
        /// How many it has.
        tools: usize,
    },
    /// It did not start, or ended. The text names its command, how it ended and what it last said.
    Failed {
        /// Complete and for people.
        message: String,
    },
}

/// A server and what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What it is doing.
    pub state: ServerState,
}

#[derive(Clone)]
enum State {
    Idle,
    Starting,
    Ready(Arc<Connection>, Arc<Vec<Entry>>),
    Failed(Arc<str>),
}

struct Slot {
    spec: ServerSpec,
    prefix: String,
    state: watch::Sender<State>,
}

/// All external servers of the configuration.
pub(crate) struct Pool {
    slots: Vec<Arc<Slot>>,
    timing: Timing,
    life: Lifetime,
    /// Grows whenever the catalog changed.
    changed: watch::Sender<u64>,
}

impl Pool {
    /// How long a server's processes have at most to end when the pool shuts down.
    pub(crate) const LAST_GRACE: Duration = Duration::from_millis(300);

    pub(crate) fn new(mut specs: Vec<ServerSpec>, timing: Timing) -> Arc<Self> {
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        let prefixes = prefixes(specs.iter().map(|spec| spec.name.as_str()));
        let slots = specs
            .into_iter()
            .zip(prefixes)
            .map(|(spec, prefix)| Arc::new(Slot { spec, prefix, state: watch::Sender::new(State::Idle) }))
            .collect();
        let life = Lifetime {
            closing: CancellationToken::new(),
            reapers: TaskTracker::new(),
            grace: timing.server_grace,
        };
        Arc::new(Self { slots, timing, life, changed: watch::Sender::new(0) })
    }

    /// Ends every server and waits until their processes are gone, at most so long.
    pub(crate) async fn shut_down(&self, most: Duration) {
        self.life.closing.cancel();
        self.life.reapers.close();
        let _ = tokio::time::timeout(most, self.life.reapers.wait()).await;
    }

    /// Grows whenever a server came, went, or changed its tools.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Starts every server that was not needed before.
    pub(crate) fn start_idle(self: &Arc<Self>) {
        for slot in self.slots.iter().filter(|slot| slot.spec.enabled) {
            self.start(slot, |state| matches!(state, State::Idle));
        }
    }

    /// Waits until no server is starting, at most so long.
    pub(crate) async fn settle(&self, most: Duration) {
        let settled = async {
            for slot in &self.slots {
                let mut state = slot.state.subscribe();
                let _ = state.wait_for(|state| !matches!(state, State::Starting)).await;
            }
        };
        let _ = tokio::time::timeout(most, settled).await;
    }

    /// How long a listing waits for servers that are starting.
    pub(crate) fn list_wait(&self) -> Duration {
        self.timing.list_wait
    }

    /// The server whose prefix a tool's name bears.
    pub(crate) fn owner(&self, tool: &str) -> Option<String> {
        let (prefix, _) = tool.split_once("__")?;
        self.slots.iter().find(|slot| slot.prefix == prefix).map(|slot| slot.spec.name.clone())
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        for slot in &self.slots {
            if let State::Ready(_, entries) = &*slot.state.borrow() {
                all.extend(entries.iter().cloned());
            }
        }
        all
    }

    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        self.slots
            .iter()
            .map(|slot| ServerStatus { name: slot.spec.name.clone(), state: slot.shown() })
            .collect()
    }

    /// The connection to a server, started anew if it had ended; the error is its text for people.
    pub(crate) async fn connection(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<(Arc<Connection>, ServerSpec), String> {
        let Some(slot) = self.slots.iter().find(|slot| slot.spec.name == name) else {
            return Err(format!("no server {name:?} is configured"));
        };
        if !slot.spec.enabled {
            return Err(format!(
                "server {name:?} is disabled; set enabled = true under [mcp_servers.{name}]"
            ));
        }
        if self.life.closing.is_cancelled() {
            return Err(format!("server {name:?} is shutting down"));
        }
        self.start(slot, |state| !matches!(state, State::Starting | State::Ready(..)));
        let mut state = slot.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting | State::Idle)).await;
        match settled.as_deref() {
            Ok(State::Ready(connection, _)) => Ok((connection.clone(), slot.spec.clone())),
            Ok(State::Failed(message)) => Err(message.to_string()),
            _ => Err(format!("server {name:?} is shutting down")),
        }
    }

    fn start(self: &Arc<Self>, slot: &Arc<Slot>, when: impl Fn(&State) -> bool) {
        if self.life.closing.is_cancelled() {
            return;
        }
        let begun = slot.state.send_if_modified(|state| {
            let begin = when(state);
            if begin {
                *state = State::Starting;
            }
            begin
        });
        if begun {
            tokio::spawn(run(Arc::clone(slot), self.changed.clone(), self.life.clone()));
        }
    }
}

impl Slot {
    fn shown(&self) -> ServerState {
        if !self.spec.enabled {
            return ServerState::Disabled;
        }
        match &*self.state.borrow() {
            State::Idle => ServerState::Idle,
            State::Starting => ServerState::Starting,
            State::Ready(_, entries) => ServerState::Ready { tools: entries.len() },
            State::Failed(message) => ServerState::Failed { message: message.to_string() },
        }
    }

    fn ready(&self, connection: &Arc<Connection>, tools: Vec<Tool>) {
        let entries = entries(&self.spec.name, &self.prefix, tools, self.spec.approval);
        self.state.send_replace(State::Ready(Arc::clone(connection), Arc::new(entries)));
    }

    /// Whether these are the tools that it has already.
    fn has(&self, tools: &[Tool]) -> bool {
        let entries = entries(&self.spec.name, &self.prefix, tools.to_vec(), self.spec.approval);
        let State::Ready(_, known) = &*self.state.borrow() else { return false };
        known.iter().map(|entry| &entry.tool).eq(entries.iter().map(|entry| &entry.tool))
    }
}

/// One life of a server, from its start to its end.
async fn run(slot: Arc<Slot>, changed: watch::Sender<u64>, life: Lifetime) {
    let message = match life.closing.run_until_cancelled(live(&slot, &changed, &life)).await {
        Some(message) => message,
        None => format!("server {:?} was stopped", slot.spec.name),
    };
    if !life.closing.is_cancelled() {
        tracing::warn!("{message}");
    }
    slot.state.send_replace(State::Failed(message.into()));
    changed.send_modify(|count| *count += 1);
}

/// The least time between two listings that a server asks for by saying that its tools changed.
const RELIST: Duration = Duration::from_secs(1);

/// Starts the server and keeps its tools current; answers why it ended.
async fn live(slot: &Slot, changed: &watch::Sender<u64>, life: &Lifetime) -> String {
    let connection = match connect(&slot.spec, life).await {
        Ok(connection) => connection,
        Err(error) => return error.to_string(),
    };
    let (connection, tools, mut end) = connection.split();
    slot.ready(&connection, tools);
    changed.send_modify(|count| *count += 1);
    let named = format!("server {:?} ({})", slot.spec.name, slot.spec.command_line());
    let mut next_listing = Instant::now();
    loop {
        let wanted = async {
            connection.client.tools_changed().await;
            tokio::time::sleep_until(next_listing).await;
        };
        tokio::select! {
            ending = end.ended() => return format!("{named} ended: {ending}{}", end.last_words().await),
            () = connection.broken.notified() => {
                return format!("{named} closed its connection{}", end.words_so_far());
            }
            () = wanted => {
                next_listing = Instant::now() + RELIST;
                match connection.client.list_tools(slot.spec.startup_timeout).await {
                    Ok(tools) if slot.has(&tools) => {}
                    Ok(tools) => {
                        slot.ready(&connection, tools);
                        changed.send_modify(|count| *count += 1);
                    }
                    Err(error) => tracing::warn!("{named}: listing its tools again: {error}"),
                }
            }
        }
    }
}
