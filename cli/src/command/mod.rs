//! One file for each verb.

pub(crate) mod demo;
pub(crate) mod exec;
pub(crate) mod mcp;
pub(crate) mod mcp_server;
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

/// A token that Ctrl-C cancels; a second Ctrl-C ends the program at once.
fn interrupted_by_ctrl_c() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if cancelled.is_cancelled() {
                std::process::exit(Exit::Interrupted.code().into());
            }
            cancelled.cancel();
        }
    });
    token
}
