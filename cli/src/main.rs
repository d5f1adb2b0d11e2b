//! The `codex` binary.
fn main() -> std::process::ExitCode {
    cli::run()
}
