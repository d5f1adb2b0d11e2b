//! The dialect of this crate's tests: a command line in, how it ended and what it printed out.
#![cfg(target_os = "linux")]

mod appeared;
mod commands;
mod compatibility;
mod denial;
mod escape;
mod file_rules;
mod files;
mod lifecycle;
mod network;
mod protected;
mod reading;
mod terminal;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use tokio::io::AsyncReadExt;

use crate::{
    Child, Command, Exit, Input, Network, Output, Policy, SpawnError,
    plan::{self, Plan},
    probe,
    spawn::{self, spawn},
};

/// `sh -c SCRIPT` in `/`, with a plain `PATH`, no input, and all output on one pipe.
fn sh(script: &str) -> Command {
    program("sh", &["-c", script])
}

fn program(program: &str, args: &[&str]) -> Command {
    Command {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        cwd: "/".into(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into())],
        input: Input::Null,
        output: Output::Merged,
    }
}

fn within(dir: &Path, mut command: Command) -> Command {
    command.cwd = dir.to_owned();
    command
}

fn with(name: &str, value: impl Into<OsString>, mut command: Command) -> Command {
    command.env.push((name.into(), value.into()));
    command
}

fn writable(root: impl Into<PathBuf>) -> Policy {
    Policy::workspace_write(vec![root.into()], Network::Off)
}

async fn run(policy: &Policy, command: Command) -> (Exit, String) {
    finish(spawn(policy, command).await.expect("the command starts")).await
}

/// What it printed and how it ended.
async fn finish(mut child: Child) -> (Exit, String) {
    let mut text = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut text).await.expect("readable");
    (child.wait().await.expect("a status"), String::from_utf8_lossy(&text).into_owned())
}

/// The message with which a command is refused.
async fn refusal(policy: &Policy, command: Command) -> String {
    spawn(policy, command).await.expect_err("refused").to_string()
}

type Weaken = fn(&mut Plan);

/// Nothing is taken away.
fn nothing(_: &mut Plan) {}

/// The level of a system that refuses namespaces.
fn reduced(plan: &mut Plan) {
    let (policy, cwd) = &plan.origin;
    plan.confinement = plan::confine(policy, cwd, &probe().reduced()).expect("it can be kept at that level");
}

/// The message with which a command is refused on a system that refuses namespaces.
fn reduced_refusal(policy: &Policy) -> String {
    match plan::confine(policy, Path::new("/"), &probe().reduced()) {
        Ok(_) => panic!("not refused"),
        Err(refusal) => refusal.to_string(),
    }
}

/// What is tested here is meant to be the full level, unless the machine is known to have only another.
#[test]
fn the_level_is_the_expected_one() {
    let expected = std::env::var("EXPECTED_SANDBOX_LEVEL").unwrap_or("full".to_owned());
    assert_eq!(probe().level().to_string(), expected, "{}", probe());
}

/// Starts a command under a plan from which something was taken away: so each layer is seen to count.
async fn spawn_weakened(
    policy: &Policy,
    command: Command,
    weaken: impl FnOnce(&mut Plan),
) -> Result<Child, SpawnError> {
    let (mut plan, pipes, search) = plan::plan(policy, command)?;
    weaken(&mut plan);
    spawn::run(policy, plan, pipes, search).await
}
