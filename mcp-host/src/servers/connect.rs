//! Starts one external server and talks it through the handshake. When that fails, the reason names the server,
//! its command, how it ended and the last lines it wrote to stderr.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::Tool;
use rmcp::service::{ClientCacheConfig, ServiceExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use sandbox::{Child, Command, Input, Output, Policy};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{Client, HostClient};
use super::pool::Pool;
use super::spec::ServerSpec;
use super::stderr::StderrTail;

/// The longest message that a server may send, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// A server that came up.
pub(crate) struct Started {
    connection: Connection,
    tools: Vec<Tool>,
    end: End,
}

impl Started {
    /// The connection, the server's tools, and what knows of its end.
    pub(crate) fn split(self) -> (Arc<Connection>, Vec<Tool>, End) {
        (Arc::new(self.connection), self.tools, self.end)
    }
}

/// The end of a server's process, and what it last said.
pub(crate) struct End {
    ended: oneshot::Receiver<String>,
    tail: StderrTail,
    draining: JoinHandle<()>,
}

impl End {
    /// Resolves with how the process ended.
    pub(crate) async fn ended(&mut self) -> String {
        (&mut self.ended).await.unwrap_or_else(|_| "it was stopped".to_owned())
    }

    /// What it last said, as the end of a message.
    pub(crate) async fn last_words(self) -> String {
        // Something that it started may hold its stderr open.
        let _ = tokio::time::timeout(Duration::from_millis(100), self.draining).await;
        self.tail.note()
    }

    /// What it said until now, as the end of a message.
    pub(crate) fn words_so_far(&self) -> String {
        self.tail.note()
    }
}

/// The connection to a running server.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Told when a call finds the connection broken while the process lives.
    pub(crate) broken: Notify,
    /// Ends the process when dropped: stdin is closed, then TERM, then KILL.
    _process: Process,
}

/// What all servers of a pool share about their ends.
#[derive(Clone)]
pub(crate) struct Lifetime {
    /// Cancelled when the pool shuts down.
    pub(crate) closing: CancellationToken,
    /// One task for each process that is not gone yet.
    pub(crate) reapers: TaskTracker,
    /// How long a process may take to end once asked.
    pub(crate) grace: Duration,
}

/// Asks the reaper to end the process.
struct Process(CancellationToken);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The server did not come up; the text is complete and for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("server {name:?} ({command}) did not start: {reason}{last_words}")]
pub(crate) struct ConnectError {
    name: String,
    command: String,
    reason: String,
    last_words: String,
}

/// Starts the server, shakes hands and lists its tools, all within the spec's start-up time.
pub(crate) async fn connect(spec: &ServerSpec, life: &Lifetime) -> Result<Started, ConnectError> {
    let failed = |reason: String, last_words: String| ConnectError {
        name: spec.name.clone(),
        command: spec.command_line(),
        reason,
        last_words,
    };
    let command = Command {
        program: spec.command.clone().into(),
        args: spec.args.iter().map(Into::into).collect(),
        cwd: spec.cwd.clone(),
        env: spec.env.clone(),
        input: Input::Pipe,
        output: Output::Separate,
    };
    let mut child = sandbox::spawn(&Policy::FullAccess, command)
        .await
        .map_err(|e| failed(e.to_string(), String::new()))?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("its pipes are missing".to_owned(), String::new()));
    };
    let tail = StderrTail::of(spec);
    let draining = tokio::spawn(tail.clone().drain(stderr));
    let stop = CancellationToken::new();
    let process = Process(stop.clone());
    let (ended_tx, ended) = oneshot::channel();
    let mut end = End { ended, tail, draining };
    life.reapers.spawn(reap(child, stop, life.clone(), ended_tx));

    // Our giving up closes stdin, which makes a server leave: with this it stays, and an end is its own.
    let held = stdin.as_fd().try_clone_to_owned();
    let transport =
        AsyncRwTransport::<RoleClient, _, _>::new(stdout, stdin).with_max_line_length(MAX_MESSAGE);
    let starting = async {
        let service = HostClient::default().serve(transport).await.map_err(|e| e.to_string())?;
        service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
        let client = Client::new(service);
        let tools =
            client.list_tools(spec.startup_timeout).await.map_err(|e| format!("listing its tools: {e}"))?;
        Ok::<_, String>((client, tools))
    };
    let (reason, patience) = match tokio::time::timeout(spec.startup_timeout, starting).await {
        Ok(Ok((client, tools))) => {
            let connection = Connection { client, broken: Notify::new(), _process: process };
            return Ok(Started { connection, tools, end });
        }
        // A server that died says more by how it ended than by the broken connection, and may need a moment.
        Ok(Err(reason)) => (reason, Duration::from_millis(500)),
        Err(_) => {
            let reason = format!(
                "no answer within {} s; give it more with startup_timeout_sec under [mcp_servers.{}]",
                spec.startup_timeout.as_secs_f64(),
                spec.name
            );
            (reason, Duration::ZERO)
        }
    };
    let ending = tokio::time::timeout(patience, &mut end.ended).await;
    drop(held);
    let reason = ending.ok().and_then(Result::ok).unwrap_or(reason);
    Err(failed(reason, end.last_words().await))
}

/// Owns the process until it is gone.
async fn reap(mut child: Child, stop: CancellationToken, life: Lifetime, ended: oneshot::Sender<String>) {
    let exit = tokio::select! {
        exit = child.wait() => exit,
        () = stop.cancelled() => leave(&mut child, &life).await,
        () = life.closing.cancelled() => leave(&mut child, &life).await,
    };
    let text = match exit {
        Ok(sandbox::Exit::Code(code)) => format!("it exited with code {code}"),
        Ok(sandbox::Exit::Signal(signal)) => format!("it was ended by signal {signal}"),
        Err(error) => format!("waiting for it failed: {error}"),
    };
    let _ = ended.send(text);
}

/// Waits for a process to leave, then asks it to, then kills it. Its stdin is closed by now: a well-behaved one is
/// already leaving.
async fn leave(child: &mut Child, life: &Lifetime) -> std::io::Result<sandbox::Exit> {
    if let Some(exit) =
        life.closing.run_until_cancelled(tokio::time::timeout(life.grace / 4, child.wait())).await
    {
        if let Ok(exit) = exit {
            return exit;
        }
        child.terminate(life.grace);
        if let Some(exit) = life.closing.run_until_cancelled(child.wait()).await {
            return exit;
        }
    }
    // The pool shuts down, and somebody waits for it.
    let grace = life.grace.min(Pool::LAST_GRACE * 2 / 3);
    if let Ok(exit) = tokio::time::timeout(grace / 4, child.wait()).await {
        return exit;
    }
    child.terminate(grace);
    child.wait().await
}
