//! `shell`: runs a command in the sandbox and tells how it went.

mod denial;
mod intercept;
mod output;
mod report;
mod run;
mod scratch;
mod terminal;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rmcp::model::{Tool, ToolAnnotations};
use sandbox::{Child, Command, Input, SpawnError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::output::Output;
use self::report::{Finished, Report};
use crate::call::{Answer, Call};
use crate::error::ToolError;
use crate::patch;
use crate::paths::{self, PathError};
use crate::schema;

pub(crate) const NAME: &str = "shell";
/// Another name that models use for an argument.
pub(crate) const ALIASES: [(&str, &str); 1] = [("timeout", "timeout_ms")];

const DESCRIPTION: &str = "\
Run a command in the sandbox, without standard input. What it leaves running ends with it. Output that is too long is \
cut in the middle.";

/// What reads a script, and what does where the first is not installed.
const BASH: &str = "bash";
const SH: &str = "sh";

/// Bytes that count as one token.
const TOKEN: usize = 4;
/// How much of a command is shown while it has no output, in characters.
const SHOWN: usize = 120;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A script for bash -c, or a program and its arguments.
    command: CommandLine,
    /// Directory to run in (default: the workspace).
    workdir: Option<String>,
    /// Default 120000.
    #[schemars(range(min = 1))]
    timeout_ms: Option<u64>,
    /// Variables to add to the environment.
    env: Option<BTreeMap<String, String>>,
}

/// What is run.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum CommandLine {
    Script(String),
    Argv(Vec<String>),
}

pub(crate) fn tool() -> Tool {
    let annotations =
        ToolAnnotations::with_title("Run a command").read_only(false).destructive(true).open_world(false);
    Tool::new(NAME, DESCRIPTION, schema::input::<Params>())
        .with_raw_output_schema(schema::output::<Report>())
        .with_annotations(annotations)
}

pub(crate) async fn call(params: Params, call: Call) -> Answer {
    match intercept::patch_call(&params.command) {
        Some(patch_call) => {
            let start = Instant::now();
            let base = directory(&call, params.workdir.as_deref())?;
            let base =
                patch_call.directory.map_or(Ok(base.clone()), |inner| paths::absolute(&base, &inner))?;
            let applied = patch::apply(base, patch_call.patch, &call).await?;
            Ok(report::patch_result(&applied, start.elapsed()))
        }
        None => run(&params, call).await,
    }
}

async fn run(params: &Params, mut call: Call) -> Answer {
    let limits = call.context().limits.clone();
    let timeout = params.timeout_ms.map_or(limits.shell_timeout, Duration::from_millis);
    if timeout > limits.max_timeout {
        let most = limits.max_timeout.as_millis();
        return Err(ToolError::Arguments(format!("\"timeout_ms\" can be at most {most}")));
    }
    let progress = call.progress.take();
    let reporter =
        progress.map(|progress| progress.start(params.command.excerpt(), limits.progress_interval));
    let start = Instant::now();
    let child = spawn(params, &call).await?;
    let budget = limits.output_tokens.saturating_mul(TOKEN);
    let mut output = Output::new(budget, call.context().scratch.as_deref(), limits.scratch_bytes);
    let ended = run::follow(child, &mut output, timeout, &limits, &call.cancelled, reporter.as_ref()).await;
    if let Some(reporter) = reporter {
        reporter.stop().await;
    }
    let ended = ended.map_err(ToolError::Wait)?;
    if ended.cancelled {
        return Err(ToolError::Cancelled);
    }
    let duration = start.elapsed();
    let workdir = directory(&call, params.workdir.as_deref())?;
    let output = output.finish();
    let finished = Finished { command: &params.command, workdir, ended, duration, timeout, output };
    Ok(finished.result(call.context()))
}

fn directory(call: &Call, workdir: Option<&str>) -> Result<PathBuf, PathError> {
    let cwd = &call.context().cwd;
    workdir.map_or_else(|| Ok(cwd.clone()), |workdir| paths::absolute(cwd, workdir))
}

async fn spawn(params: &Params, call: &Call) -> Result<Child, ToolError> {
    let (program, args): (&str, Vec<OsString>) = match &params.command {
        CommandLine::Script(script) => (BASH, vec!["-c".into(), script.into()]),
        CommandLine::Argv(argv) => match argv.split_first() {
            Some((program, args)) if !program.is_empty() => (program, args.iter().map(Into::into).collect()),
            _ => {
                let wrong = "the command is empty; give a script, or a program and its arguments";
                return Err(ToolError::Arguments(wrong.to_owned()));
            }
        },
    };
    let mut command = Command {
        program: program.into(),
        args,
        cwd: directory(call, params.workdir.as_deref())?,
        env: environment(&call.context().env, params.env.as_ref())?,
        input: Input::Null,
        output: sandbox::Output::Merged,
    };
    let policy = &call.context().policy;
    match (&params.command, sandbox::spawn(policy, command.clone()).await) {
        (CommandLine::Script(_), Err(SpawnError::NotFound { .. })) => {
            command.program = SH.into();
            Ok(sandbox::spawn(policy, command).await?)
        }
        (_, spawned) => Ok(spawned?),
    }
}

fn environment(
    base: &[(OsString, OsString)],
    added: Option<&BTreeMap<String, String>>,
) -> Result<Vec<(OsString, OsString)>, ToolError> {
    let Some(added) = added else { return Ok(base.to_vec()) };
    if let Some(name) = added.keys().find(|name| name.is_empty() || name.contains('=')) {
        let wrong = format!("\"env\": \"{name}\" can not be the name of a variable");
        return Err(ToolError::Arguments(wrong));
    }
    let kept = base.iter().filter(|(name, _)| name.to_str().is_none_or(|name| !added.contains_key(name)));
    let added = added.iter().map(|(name, value)| (name.into(), value.into()));
    Ok(kept.cloned().chain(added).collect())
}

impl CommandLine {
    /// Enough to recognise it by.
    fn excerpt(&self) -> String {
        let line = match self {
            Self::Script(script) => script.trim().lines().next().unwrap_or_default().to_owned(),
            Self::Argv(argv) => argv.join(" "),
        };
        let plain: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
        format!("$ {plain}")
    }
}
