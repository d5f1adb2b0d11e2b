//! The host: opens and resumes threads, and lends tools to whoever calls them directly.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

use crate::error::{HostError, SettingsError};
use crate::servers::{InProcess, Pool, ServerSpec, ToolContext, Toolset};
use crate::settings::{Overrides, Settings, ThreadSettings, Timing};
use crate::thread::{self, Remembered, Thread, ThreadId, Transcript};

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
    /// Those that are open, and some that were.
    threads: Mutex<HashMap<ThreadId, Remembered>>,
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
        let thread = thread::open(&self.0.places.sessions, settings, overrides, toolset)?;
        self.remember(&thread);
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
        let known = self.threads().get(&id).map(|known| (known.open(), known.gone().clone()));
        match known {
            Some((Some(open), _)) => return Ok(open),
            // Its driver is on its way out and lets go of the record.
            Some((None, gone)) => gone.cancelled().await,
            None => {}
        }
        let sessions = self.0.places.sessions.clone();
        let taken = tokio::task::spawn_blocking(move || thread::take(&sessions, id)).await;
        let (rollout, transcript) = taken.map_err(|_| HostError::Stopped { id: id.to_string() })??;
        let settings = self.resumed_settings(&transcript)?;
        let toolset = self.toolset_for(&settings);
        let thread = thread::start(id, rollout, transcript, settings, toolset);
        self.remember(&thread);
        Ok(thread)
    }

    /// A thread goes on with what it was opened with; a sandbox above today's ceiling is not had back.
    fn resumed_settings(&self, transcript: &Transcript) -> Result<ThreadSettings, SettingsError> {
        let mut config = transcript.config.clone();
        // The mode that it ran with is on record by itself.
        config.remove("sandbox_mode");
        if let Some(provider) = &transcript.provider {
            config.insert("model_provider".to_owned(), provider.as_str().into());
        }
        let mut overrides = Overrides {
            model: transcript.model.clone(),
            profile: transcript.profile.clone(),
            cwd: transcript.cwd.clone(),
            approval_policy: transcript.approval.clone(),
            sandbox: transcript.sandbox.clone(),
            config,
            base_instructions: transcript.base_instructions.clone(),
            developer_instructions: transcript.developer_instructions.clone(),
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

    /// Interrupts every turn that is running and waits until their ends are on record, at most so long.
    pub async fn interrupt_all(&self, most: Duration) {
        let open: Vec<Thread> = self.threads().values().filter_map(Remembered::open).collect();
        let stopped = futures::future::join_all(open.iter().map(Thread::stop));
        if tokio::time::timeout(most, stopped).await.is_err() {
            tracing::warn!("some turns did not end within {most:?}");
        }
    }

    /// Interrupts every turn, then ends the external servers and waits for their processes: in all at most so
    /// long, except that servers always have the 300 ms after which they are killed.
    pub async fn shut_down(&self, most: Duration) {
        let begun = Instant::now();
        self.interrupt_all(most).await;
        self.0.pool.shut_down(most.saturating_sub(begun.elapsed()).max(Pool::LAST_GRACE)).await;
    }

    /// Remembers an open thread, and forgets those that are gone.
    fn remember(&self, thread: &Thread) {
        let mut threads = self.threads();
        threads.retain(|_, known| !known.gone().is_cancelled());
        threads.insert(thread.id(), thread.remember());
    }

    fn toolset_for(&self, settings: &ThreadSettings) -> Arc<Toolset> {
        let context = ToolContext {
            cwd: settings.cwd.clone(),
            policy: settings.policy.clone(),
            env: settings.env.clone(),
            approval: settings.approval,
        };
        Arc::new(Toolset::new(context, &self.0.in_process, Arc::clone(&self.0.pool)))
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, HashMap<ThreadId, Remembered>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("threads", &self.threads().len()).finish_non_exhaustive()
    }
}
