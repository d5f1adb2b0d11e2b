//! Logs go to stderr, and only there: stdout belongs to the protocol, or to the answer.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging, by `RUST_LOG` (`warn`, `mcp_host=debug,warn` …) where it is set. The library of the protocol
/// logs payloads at `info`, so it is held at `error` unless it is named.
pub(crate) fn start() {
    let default =
        || Targets::new().with_default(tracing::Level::WARN).with_target("rmcp", tracing::Level::ERROR);
    let filter = match std::env::var("RUST_LOG") {
        Ok(set) if !set.is_empty() => set.parse().map_or_else(
            |_| default(),
            |targets: Targets| {
                let named = targets.iter().any(|(target, _)| target.starts_with("rmcp"));
                if named { targets } else { targets.with_target("rmcp", tracing::Level::ERROR) }
            },
        ),
        _ => default(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    drop(tracing_subscriber::registry().with(lines).with(filter).try_init());
}
