//! The `codex` command: reads what was typed and what is configured, wires the house, opens a door. It holds no
//! agent, tool or protocol logic of its own.

mod args;
mod assemble;
mod command;
mod config;
mod exit;
mod logging;
mod model;
mod out;
mod resolve;
mod secrets;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use exit::Exit;

/// Runs the program with this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and the version go to stdout and are no error; clap knows which is which.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    logging::start();
    let exit = dispatch(arguments);
    if exit == Exit::Done && out::lost() {
        out::error("stdout could not be written");
        return Exit::Failed.into();
    }
    exit.into()
}

fn dispatch(arguments: Arguments) -> Exit {
    let global = arguments.global;
    match arguments.command {
        Some(Command::McpServer(options)) => command::mcp_server::run(&global, &options),
        Some(Command::Exec(options)) => command::exec::run(&global, options),
        Some(Command::Tool { verb }) => command::tool::run(&global, verb),
        Some(Command::Sandbox(options)) => command::sandbox::run(&global, options),
        Some(Command::Debug { verb }) => command::sandbox::debug(&global, verb),
        Some(Command::Demo) if global.is_set() => {
            out::error("`codex demo` takes no settings: it brings its own");
            Exit::Usage
        }
        Some(Command::Demo) => command::demo::run(),
        Some(Command::Mcp { verb }) => command::mcp::run(&global, verb),
        None => other(&arguments.prompt),
    }
}

/// Commands that are planned and not there yet. They say so, instead of being taken for a prompt.
const LATER: [&str; 19] = [
    "app-server",
    "apply",
    "archive",
    "cloud",
    "completion",
    "config",
    "delete",
    "doctor",
    "features",
    "fork",
    "login",
    "logout",
    "plugin",
    "remote-control",
    "resume",
    "review",
    "sessions",
    "unarchive",
    "update",
];

/// Words that are no command. A lone word is a mistake, never a prompt; a text with a space is a prompt, and so is
/// what follows `--`.
fn other(words: &[String]) -> Exit {
    let Some(first) = words.first() else { return no_screen(&[]) };
    let escaped = std::env::args_os().any(|word| word == "--");
    if escaped || first.contains(char::is_whitespace) {
        return no_screen(words);
    }
    if LATER.contains(&first.as_str()) {
        out::error(format!("`codex {first}` is not in this version yet"));
        return Exit::Usage;
    }
    let commands = Arguments::command();
    let names: Vec<&str> =
        commands.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
    let near = names.iter().find(|name| name.starts_with(first.as_str()) || first.starts_with(**name));
    let hint = near.map_or_else(
        || format!("the commands are {}", names.join(", ")),
        |near| format!("did you mean `codex {near}`?"),
    );
    out::error(format!("unknown command {first:?}; {hint}"));
    out::note(format!("For a prompt of one word, write: codex exec -- {first}"));
    Exit::Usage
}

/// The interactive screen, which is not there yet.
fn no_screen(prompt: &[String]) -> Exit {
    if prompt.is_empty() {
        out::note(Arguments::command().render_help().to_string());
        out::error("the interactive screen is not in this version yet; give one of the commands above");
    } else {
        out::error(
            "the interactive screen is not in this version yet; run the prompt with: codex exec \"…\"",
        );
    }
    Exit::Usage
}

/// A runtime for a command that works with the host. Two threads serve: one may be busy while the other answers.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("codex").enable_all().build()
}
