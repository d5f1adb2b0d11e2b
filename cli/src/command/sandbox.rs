//! `codex sandbox`: one command, confined as the agent's commands are, with our own standard streams. Nothing of the
//! host is built for it.

mod check;

pub(crate) use self::check::summary;

use std::time::Duration;

use sandbox::{Child, Command, Input, Output, Policy, Signal, SpawnError};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::misconfigured;
use crate::args::{Confined, Debug, Global, Platform, Sandbox};
use crate::assemble::start_folder;
use crate::config::{ConfigError, Home};
use crate::exit::Exit;
use crate::out;
use crate::resolve::{Environment, Flags, Policies};

/// How long a command may take to leave once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn run(global: &Global, options: Sandbox) -> Exit {
    let (system, mut confined) = match options.verb {
        None => (std::env::consts::OS, Confined::default()),
        Some(Platform::Linux(confined)) => ("linux", confined),
        Some(Platform::Macos(confined)) => ("macos", confined),
        Some(Platform::Windows(confined)) => ("windows", confined),
        Some(Platform::Check { json }) => return check::run(global, json),
    };
    confined.full_auto |= options.confined.full_auto;
    confined.log_denials |= options.confined.log_denials;
    confined.command.extend(options.confined.command);
    on(system, global, confined)
}

/// Runs the command by its older names.
pub(crate) fn debug(global: &Global, verb: Debug) -> Exit {
    match verb {
        Debug::Landlock(confined) => on("linux", global, confined),
        Debug::Seatbelt(confined) => on("macos", global, confined),
    }
}

fn on(system: &str, global: &Global, confined: Confined) -> Exit {
    let here = std::env::consts::OS;
    let usage = |problem: &str| {
        out::error(problem);
        Exit::Usage
    };
    if system != here {
        return usage(&format!("the sandbox of {system} is not available on this system, which is {here}"));
    }
    if confined.log_denials && system != "macos" {
        return usage("--log-denials is not available on this system: only macOS keeps a log of denials");
    }
    if confined.full_auto && global.sandbox.as_deref().is_some_and(|mode| mode != "workspace-write") {
        return usage("--full-auto means -s workspace-write; give one of the two");
    }
    let mut words = confined.command.into_iter();
    let Some(program) = words.next() else {
        return usage("a command is missing: codex sandbox -- COMMAND, or codex sandbox check");
    };
    let mut flags = global.flags();
    if confined.full_auto {
        flags.sandbox = Some("workspace-write".to_owned());
    }
    let (policy, env, policies) = match settle(global, flags) {
        Ok(settled) => settled,
        Err(error) => return misconfigured(&error),
    };
    let command = Command {
        program,
        args: words.collect(),
        cwd: policies.start().to_owned(),
        env,
        input: Input::Inherit,
        output: Output::Inherit,
    };
    // One command needs no pool of threads.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(confine(&policy, command)),
        Err(error) => failed(&format!("starting: {error}")),
    }
}

fn settle(global: &Global, flags: Flags) -> Result<(Policy, Environment, Policies), ConfigError> {
    let policies = Policies::read(Home::find()?, flags, start_folder(global.cd.clone())?)?;
    // Whoever tries a command out wants it confined, also where the agent's are not.
    let policies = policies.with_default_mode("read-only")?;
    let (policy, env) = policies.here()?;
    Ok((policy, env, policies))
}

fn failed(problem: &str) -> Exit {
    out::error(problem);
    Exit::Unconfined
}

async fn confine(policy: &Policy, command: Command) -> Exit {
    // Before the command is there: a signal that comes while it starts is for it too.
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(interrupt), Ok(terminate), Ok(hangup)] = signals else {
        return failed("signals cannot be watched");
    };
    match sandbox::spawn(policy, command).await {
        Ok(child) => follow(child, interrupt, terminate, hangup).await,
        Err(error) => {
            out::error(&error);
            match error {
                SpawnError::NotFound { .. } => Exit::Passed(127),
                SpawnError::NotExecutable { .. } | SpawnError::NoInterpreter { .. } => Exit::Passed(126),
                _ => Exit::Unconfined,
            }
        }
    }
}

/// Follows the command to its end. It leads a session of its own, so what a terminal or a shell sends to us is passed
/// on; being asked to leave ends its whole tree.
async fn follow(
    mut child: Child,
    mut interrupt: Signals,
    mut terminate: Signals,
    mut hangup: Signals,
) -> Exit {
    loop {
        tokio::select! {
            exit = child.wait() => return match exit {
                Ok(exit) => Exit::Passed(u8::try_from(exit.code_or_128()).unwrap_or(u8::MAX)),
                Err(error) => failed(&format!("waiting for the command: {error}")),
            },
            Some(()) = interrupt.recv() => child.signal(Signal::Interrupt),
            Some(()) = terminate.recv() => child.terminate(GRACE),
            Some(()) = hangup.recv() => {
                child.signal(Signal::Hangup);
                child.terminate(GRACE);
            }
        }
    }
}
