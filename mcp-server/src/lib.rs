//! Shows the host to any MCP client, and decides nothing.
//!
//! [`CodexServer`] answers both eras of the protocol: with `initialize` (2024-11-05 to 2025-11-25) and stateless
//! (2026-07-28). A turn belongs to its thread; a request only attaches to it (`attach`), and what happens in the
//! turn leaves as progress, or as events for clients that ask for them (`publish`).

pub mod api;
mod attach;
mod changes;
mod client;
mod direct;
#[cfg(test)]
mod fixture;
mod publish;
mod server;
mod tools;
mod transport;

pub use client::{Answer, ServerClient};
pub use server::{CodexServer, Expose};
pub use transport::{Closed, Flushed, Stdio, connect_in_process};
