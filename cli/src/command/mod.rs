//! One file for each verb.

pub(crate) mod demo;
pub(crate) mod exec;
pub(crate) mod mcp;
pub(crate) mod mcp_server;
pub(crate) mod sandbox;
pub(crate) mod tool;

use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::out;

/// Runs a command's future to its end on a fresh runtime.
fn block_on(future: impl Future<Output = Exit>) -> Exit {
    match crate::runtime() {
        Ok(runtime) => {
            let exit = runtime.block_on(future);
            // Work that does not end by itself must not hold the program: it is on record, and its processes
            // end with us.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            out::error(format!("starting: {error}"));
            Exit::Failed
        }
    }
}

/// A configuration that does not work.
fn misconfigured(error: &crate::config::ConfigError) -> Exit {
    out::error(error);
    Exit::Usage
}

/// A token that Ctrl-C cancels, and TERM and HUP as well; a second signal ends the program at once.
fn interrupted_by_signal() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let Ok(mut signals) = signal(kind) else { continue };
        let cancelled = token.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if cancelled.is_cancelled() {
                    std::process::exit(Exit::Interrupted.code().into());
                }
                cancelled.cancel();
            }
        });
    }
    token
}
