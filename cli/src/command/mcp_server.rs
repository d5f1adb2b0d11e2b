//! `codex mcp-server`: serves one MCP client on stdin and stdout.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use mcp_server::{Expose, Stdio};
use rmcp::ServiceExt;
use tokio_util::sync::CancellationToken;

use super::{block_on, misconfigured};
use crate::args::{Exposed, Global, McpServer};
use crate::assemble::House;
use crate::exit::Exit;
use crate::out;

/// What is left running at the end of input gets so long to end.
const WIND_DOWN: Duration = Duration::from_millis(300);

/// Runs the command.
pub(crate) fn run(global: &Global, options: &McpServer) -> Exit {
    let house = match House::build(global.flags(), global.cd.clone(), None) {
        Ok(house) => house,
        Err(error) => return misconfigured(&error),
    };
    let (input, output) = match take_stdio() {
        Ok(files) => files,
        Err(error) => {
            out::error(format!("taking over stdin and stdout: {error}"));
            return Exit::Failed;
        }
    };
    let expose = match options.expose {
        Exposed::All => Expose::All,
        Exposed::Agent => Expose::Agent,
    };
    block_on(serve(house, expose, input, output))
}

/// Takes the client's two files for the protocol alone: whatever else in this process, or a child of it, reads
/// stdin finds its end, and what it writes to stdout lands on stderr.
fn take_stdio() -> std::io::Result<(File, File)> {
    let input = rustix::io::dup(std::io::stdin().as_fd())?;
    let output = rustix::io::dup(std::io::stdout().as_fd())?;
    for file in [&input, &output] {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC)?;
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok((input.into(), output.into()))
}

async fn serve(house: House, expose: Expose, input: File, output: File) -> Exit {
    let server = match house.server(expose) {
        Ok(server) => server,
        Err(error) => return misconfigured(&error),
    };
    let (stdio, flushed) = match Stdio::new(input, output, house.end.clone()) {
        Ok(stdio) => stdio,
        Err(error) => {
            out::error(format!("starting to serve: {error}"));
            return Exit::Failed;
        }
    };
    let interrupted = end_on_signal(house.end.clone());
    // Also before the handshake: a client that says nothing must not keep a signal waiting. The end of the input is no
    // reason to leave: what was said before it is still to be answered.
    let served = tokio::select! {
        served = server.serve(stdio) => Some(served),
        () = interrupted.cancelled() => None,
    };
    let exit = match served {
        None => Exit::Done,
        Some(Ok(running)) => {
            let ended = running.waiting();
            tokio::pin!(ended);
            tokio::select! {
                _ = &mut ended => {}
                () = after_end(&house.end) => {}
            }
            Exit::Done
        }
        // A client that leaves before it said anything is no error.
        Some(Err(error)) => {
            tracing::debug!("ended before the handshake: {error}");
            Exit::Done
        }
    };
    house.host.shut_down(WIND_DOWN).await;
    let _ = tokio::time::timeout(WIND_DOWN, flushed.wait()).await;
    if interrupted.is_cancelled() { Exit::Interrupted } else { exit }
}

/// Resolves when everything had its time to end after the client left.
async fn after_end(end: &CancellationToken) {
    end.cancelled().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
}

/// TERM and INT end the server as the end of input does.
fn end_on_signal(end: CancellationToken) -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = CancellationToken::new();
    let noted = interrupted.clone();
    if let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            noted.cancel();
            end.cancel();
        });
    }
    interrupted
}
