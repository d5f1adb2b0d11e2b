//! Starts one external server and talks it through the handshake. When that fails, the reason names the server,
//! its command, how it ended and the last lines it wrote to stderr.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::Tool;
use rmcp::service::{ClientCacheConfig, ServiceExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use sandbox::{Child, Command, Input, Output, Policy};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{Client, HostClient};
use super::spec::ServerSpec;

/// Lines of a server's stderr that are kept for messages.
const STDERR_LINES: usize = 20;
/// Bytes of one such line.
const STDERR_LINE: usize = 400;
/// The longest message that a server may send, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// A server that came up.
pub(crate) struct Started {
    connection: Connection,
    tools: Vec<Tool>,
    ended: oneshot::Receiver<String>,
}

impl Started {
    /// The connection, the server's tools, and what resolves with a description when its process ended.
    pub(crate) fn split(self) -> (Arc<Connection>, Vec<Tool>, oneshot::Receiver<String>) {
        (Arc::new(self.connection), self.tools, self.ended)
    }
}

/// The connection to a running server.
pub(crate) struct Connection {
    pub(crate) client: Client,
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
#[error("server {name:?} ({command}) did not start: {reason}{}", stderr_note(.stderr))]
pub(crate) struct ConnectError {
    name: String,
    command: String,
    reason: String,
    stderr: Vec<String>,
}

fn stderr_note(lines: &[String]) -> String {
    if lines.is_empty() {
        String::new()
    } else {
        format!("\nits last lines on stderr:\n  {}", lines.join("\n  "))
    }
}

/// The last lines of a server's stderr. Drained always, or the server would block on a full pipe.
#[derive(Clone, Default)]
struct StderrTail(Arc<Mutex<VecDeque<String>>>);

impl StderrTail {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(&line[..line.len().min(STDERR_LINE)]);
        let text: String = text.trim_end().chars().filter(|c| !c.is_control()).collect();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == STDERR_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// Reads until the end; a line longer than what is kept costs no memory.
    async fn drain(self, stderr: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while let Ok(chunk) = reader.fill_buf().await {
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |at| at + 1);
            let room = STDERR_LINE.saturating_sub(line.len()).min(taken);
            line.extend_from_slice(&chunk[..room]);
            reader.consume(taken);
            if end.is_some() {
                self.push(&std::mem::take(&mut line));
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
    }
}

/// Starts the server, shakes hands and lists its tools, all within the spec's start-up time.
pub(crate) async fn connect(spec: &ServerSpec, life: &Lifetime) -> Result<Started, ConnectError> {
    let tail = StderrTail::default();
    let failed = |reason: String, stderr: Vec<String>| ConnectError {
        name: spec.name.clone(),
        command: spec.command_line(),
        reason,
        stderr,
    };
    let command = Command {
        program: spec.command.clone().into(),
        args: spec.args.iter().map(Into::into).collect(),
        cwd: spec.cwd.clone(),
        env: spec.env.clone(),
        input: Input::Pipe,
        output: Output::Separate,
    };
    let mut child =
        sandbox::spawn(&Policy::FullAccess, command).await.map_err(|e| failed(e.to_string(), Vec::new()))?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("its pipes are missing".to_owned(), Vec::new()));
    };
    let draining = tokio::spawn(tail.clone().drain(stderr));
    let stop = CancellationToken::new();
    let process = Process(stop.clone());
    let (ended_tx, mut ended) = oneshot::channel();
    life.reapers.spawn(reap(child, stop, life.grace, ended_tx));

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
    let reason = match tokio::time::timeout(spec.startup_timeout, starting).await {
        Ok(Ok((client, tools))) => {
            return Ok(Started { connection: Connection { client, _process: process }, tools, ended });
        }
        Ok(Err(reason)) => reason,
        Err(_) => format!(
            "no answer within {} s; give it more with startup_timeout_sec under [mcp_servers.{}]",
            spec.startup_timeout.as_secs_f64(),
            spec.name
        ),
    };
    // A server that died says more by how it ended than by the broken connection. Its end may be a moment away.
    let ending = tokio::time::timeout(Duration::from_millis(500), &mut ended).await;
    let reason = match ending {
        Ok(Ok(ending)) => ending,
        _ => reason,
    };
    let _ = tokio::time::timeout(Duration::from_millis(200), draining).await;
    Err(failed(reason, tail.lines()))
}

/// Owns the process until it is gone.
async fn reap(mut child: Child, stop: CancellationToken, grace: Duration, ended: oneshot::Sender<String>) {
    let exit = tokio::select! {
        exit = child.wait() => exit,
        () = stop.cancelled() => {
            // Its stdin is closed by now: a well-behaved server is already leaving.
            match tokio::time::timeout(grace / 4, child.wait()).await {
                Ok(exit) => exit,
                Err(_) => {
                    child.terminate(grace);
                    child.wait().await
                }
            }
        }
    };
    let text = match exit {
        Ok(sandbox::Exit::Code(code)) => format!("it exited with code {code}"),
        Ok(sandbox::Exit::Signal(signal)) => format!("it was ended by signal {signal}"),
        Err(error) => format!("waiting for it failed: {error}"),
    };
    let _ = ended.send(text);
}
