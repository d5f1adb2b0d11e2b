//! Ways in: stdin and stdout, or a connection inside this process.

mod intake;
mod stdio;

pub use stdio::{Closed, Flushed, Stdio};

use mcp_host::link;
use rmcp::service::RunningService;
use rmcp::{RoleServer, ServiceExt};

use crate::client::ServerClient;
use crate::server::CodexServer;

/// Serves a connection inside this process and answers the client at its other end. Messages pass as they are:
/// nothing is serialised.
///
/// # Errors
/// The two ends could not agree, which is a fault of ours; the text says why.
pub async fn connect_in_process(server: CodexServer) -> Result<ServerClient, String> {
    let (client_end, server_end) = link();
    let serving = tokio::spawn(async move {
        match server.serve(server_end).await {
            Ok(running) => drop(RunningService::<RoleServer, _>::waiting(running).await),
            Err(error) => tracing::error!("serving in process: {error}"),
        }
    });
    let connected = ServerClient::connect(client_end).await;
    if connected.is_err() {
        serving.abort();
    }
    connected
}
