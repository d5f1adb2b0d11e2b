//! The house as its users meet it: the binary, under real clients. One program, so that it is linked once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the code of tests: what goes wrong here is a failed test, and has to say where"
)]

mod commands;
mod fake_model;
mod inspector;
mod published;
mod rmcp_client;
mod stdio;
mod threads;
mod web_inspector;

/// The binary under test.
const CODEX: &str = env!("CARGO_BIN_EXE_codex-under-test");
