//! The binary under test: `codex` itself, built here so that the tests can name it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
