//! How a command went, for models and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock};
use sandbox::{Denial, Exit};
use schemars::JsonSchema;
use serde::Serialize;

use super::CommandLine;
use super::denial::DenialReport;
use super::output::Captured;
use super::run::Ended;
use crate::context::Context;
use crate::effects::Effects;
use crate::patch::Applied;
use crate::paths;

/// The structured result.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Null if a signal ended it.
    exit_code: Option<i32>,
    signal: Option<i32>,
    duration_ms: u64,
    timed_out: bool,
    truncated: bool,
    /// Standard output and error as they came, without terminal commands.
    output: String,
    /// The whole output, if it was truncated.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_file: Option<String>,
    /// What the sandbox refused, if that is why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<DenialReport>,
    /// Files that other programs obey, and that came into being while it ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    appeared: Vec<String>,
}

/// A command that came to its end, whichever.
pub(crate) struct Finished<'a> {
    pub(crate) command: &'a CommandLine,
    /// The directory that it started in.
    pub(crate) workdir: PathBuf,
    pub(crate) ended: Ended,
    pub(crate) duration: Duration,
    /// The time that it had.
    pub(crate) timeout: Duration,
    pub(crate) output: Captured,
}

impl Finished<'_> {
    /// A command that fails is a result like any other; one that was not allowed to end is an error.
    pub(crate) fn result(self, context: &Context) -> CallToolResult {
        let (exit, timed_out) = (self.ended.exit, self.ended.timed_out);
        let exited = exit.filter(|_| !timed_out);
        let denial = exited
            .and_then(|exit| Denial::recognise(&context.policy, &self.workdir, exit, &self.output.text));
        let content = vec![ContentBlock::text(self.text(context, denial.as_ref()))];
        let (exit_code, signal) = match exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let report = Report {
            exit_code,
            signal,
            duration_ms: milliseconds(self.duration),
            timed_out,
            truncated: self.output.truncated,
            output: self.output.text,
            output_file: self.output.file.map(|path| paths::show(&path)),
            appeared: self.ended.appeared.iter().map(|path| paths::show(path)).collect(),
            denial: denial.map(|denial| DenialReport::new(&denial, &context.policy)),
        };
        let failed = timed_out || exit.is_none();
        let mut result =
            if failed { CallToolResult::error(content) } else { CallToolResult::success(content) };
        result.structured_content = serde_json::to_value(report).ok();
        Effects::Command { command: self.command, exit_code }.attach(&mut result);
        result
    }

    /// How it ended in one line, then its output, then what should be known besides.
    fn text(&self, context: &Context, denial: Option<&Denial>) -> String {
        let seconds = self.duration.as_secs_f64();
        let mut text = match self.ended.exit {
            _ if self.ended.timed_out => format!(
                "timed out after {} s and was ended; a larger timeout_ms gives it more time (at most {})",
                self.timeout.as_secs_f64(),
                context.limits.max_timeout.as_millis()
            ),
            Some(Exit::Code(code)) => format!("exit code {code} ({seconds:.2} s)"),
            Some(Exit::Signal(signal)) => {
                format!("ended by signal {signal}{} ({seconds:.2} s)", signal_name(signal))
            }
            None => "it does not end, not even when killed".to_owned(),
        };
        let output = self.output.text.trim_end_matches('\n');
        text.push_str(if output.is_empty() { ", no output" } else { "\n" });
        text.push_str(output);
        if self.ended.left_running && !self.ended.timed_out {
            text.push_str("\n[what it left running in the background was ended]");
        }
        if !self.ended.appeared.is_empty() {
            let names = self.ended.appeared.iter().map(|path| paths::display(&context.cwd, path));
            let names = names.collect::<Vec<_>>().join(", ");
            _ = write!(
                text,
                "\n[new, and obeyed by programs outside the sandbox: {names}; the user is to know before one runs]"
            );
        }
        if let Some(denial) = denial {
            _ = write!(text, "\nsandbox: {denial}");
        }
        text
    }
}

/// The result of a patch that was given as a command: that of a command which did what the patch says.
pub(crate) fn patch_result(applied: &Applied, duration: Duration) -> CallToolResult {
    let report = Report {
        exit_code: Some(0),
        duration_ms: milliseconds(duration),
        output: applied.summary(),
        ..Report::default()
    };
    let content = vec![ContentBlock::text(applied.summary()), applied.resource()];
    let mut result = CallToolResult::success(content);
    result.structured_content = serde_json::to_value(report).ok();
    applied.effects().attach(&mut result);
    result
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => " (SIGHUP)",
        libc::SIGINT => " (SIGINT)",
        libc::SIGQUIT => " (SIGQUIT)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGXCPU => " (SIGXCPU)",
        libc::SIGSYS => " (SIGSYS)",
        _ => "",
    }
}
