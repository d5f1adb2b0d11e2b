//! The host: opens and resumes threads, and lends tools to whoever calls them directly.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::error::{HostError, SettingsError};
use crate::servers::{InProcess, Pool, ServerSpec, ToolContext, Toolset};
use crate::settings::{Overrides, Settings, ThreadSettings, Timing};
use crate::thread::{self, Thread, ThreadId, Transcript};

/// Where the host keeps what outlives it.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the threads' records.
    pub sessions: PathBuf,
}

/// Everything that a host is made of; the composition root puts it together.
pub struct HostParts {
    /// Answers what a thread runs with.
    pub settings: Arc<dyn Settings>,
    /// External servers.
    pub servers: Vec<ServerSpec>,
    /// Servers that live in this process.
    pub in_process: Vec<InProcess>,
    /// Where records go.
    pub places: Places,
    /// Periods.
    pub timing: Timing,
}

/// The host. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    settings: Arc<dyn Settings>,
    in_process: Vec<InProcess>,
    pool: Arc<Pool>,
    places: Places,
    threads: Mutex<HashMap<ThreadId, Thread>>,
    /// Held while a thread is loaded from its record, so that it is loaded once.
    loading: AsyncMutex<()>,
}

impl Host {
    /// A host over its parts. Starts nothing and reads nothing: servers start when first needed.
    #[must_use]
    pub fn new(parts: HostParts) -> Self {
        Self(Arc::new(Inner {
            settings: parts.settings,
            in_process: parts.in_process,
            pool: Pool::new(parts.servers, parts.timing),
            places: parts.places,
            threads: Mutex::default(),
            loading: AsyncMutex::default(),
        }))
    }

    /// Opens a new thread.
    ///
    /// # Errors
    /// The overrides ask for what cannot be had, or the record cannot be created.
    pub fn open(&self, overrides: &Overrides) -> Result<Thread, HostError> {
        let settings = self.0.settings.resolve(overrides)?;
        let toolset = self.toolset_for(&settings);
        let thread = thread::open(&self.0.places.sessions, settings, toolset, None)?;
        self.threads().insert(thread.id(), thread.clone());
        Ok(thread)
    }

    /// A thread by its name: the open one, or the one on disk, which goes on where it works and with its model.
    ///
    /// # Errors
    /// There is no such thread, its record cannot be read, another process has it open, or another program
    /// wrote it.
    pub async fn resume(&self, id: &str) -> Result<Thread, HostError> {
        let id: ThreadId = id.parse()?;
        let _loading = self.0.loading.lock().await;
        if let Some(open) = self.threads().get(&id).filter(|thread| thread.is_open()) {
            return Ok(open.clone());
        }
        let sessions = self.0.places.sessions.clone();
        let found = tokio::task::spawn_blocking(move || {
            let Some(path) = thread::find(&sessions, id) else {
                return Err(HostError::UnknownThread { id: id.to_string(), searched: sessions });
            };
            let transcript = thread::read_transcript(&path);
            transcript.map(|t| (path.clone(), t)).map_err(|source| HostError::Record { path, source })
        })
        .await;
        let (path, transcript) = found.map_err(|_| HostError::Stopped { id: id.to_string() })??;
        if !transcript.own {
            return Err(HostError::Foreign { id: id.to_string(), path });
        }
        let settings = self.resumed_settings(&transcript)?;
        let toolset = self.toolset_for(&settings);
        let thread = thread::open(&self.0.places.sessions, settings, toolset, Some((&path, transcript)))?;
        self.threads().insert(id, thread.clone());
        Ok(thread)
    }

    /// A thread goes on with its own folder, model and sandbox; a sandbox above today's ceiling is not had back.
    fn resumed_settings(&self, transcript: &Transcript) -> Result<ThreadSettings, SettingsError> {
        let mut overrides = Overrides {
            cwd: transcript.cwd.clone(),
            model: transcript.model.clone(),
            sandbox: transcript.sandbox.clone(),
            ..Overrides::default()
        };
        self.0.settings.resolve(&overrides).or_else(|_| {
            overrides.sandbox = None;
            self.0.settings.resolve(&overrides)
        })
    }

    /// The tools, for somebody who calls them without a thread: in the server's own folder and policy.
    ///
    /// # Errors
    /// The configuration does not resolve.
    pub fn toolset(&self) -> Result<Arc<Toolset>, SettingsError> {
        let settings = self.0.settings.resolve(&Overrides::default())?;
        Ok(self.toolset_for(&settings))
    }

    /// Ends the external servers and waits for their processes, at most so long. Turns are interrupted by whoever
    /// attached to them.
    pub async fn shut_down(&self, most: std::time::Duration) {
        self.0.pool.shut_down(most).await;
    }

    fn toolset_for(&self, settings: &ThreadSettings) -> Arc<Toolset> {
        let context = ToolContext {
            cwd: settings.cwd.clone(),
            policy: settings.policy.clone(),
            env: settings.env.clone(),
        };
        Arc::new(Toolset::new(context, &self.0.in_process, Arc::clone(&self.0.pool)))
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, HashMap<ThreadId, Thread>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("threads", &self.threads().len()).finish_non_exhaustive()
    }
}
