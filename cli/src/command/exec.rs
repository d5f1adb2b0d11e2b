//! `codex exec`: one task without a screen. Progress goes to stderr, the answer alone to stdout.

use std::io::{IsTerminal, Read};
use std::path::Path;

use mcp_server::Answer;
use mcp_server::api::{ErrorCode, Event, Record};
use rmcp::model::CallToolResult;
use serde_json::Value;

use super::{block_on, interrupted_by_signal, misconfigured};
use crate::args::{Exec, Global};
use crate::assemble::House;
use crate::config::Home;
use crate::exit::Exit;
use crate::model::Tape;
use crate::out;

/// Lines of a tool's output that are shown while it works.
const SHOWN_LINES: usize = 12;

/// Runs the command.
pub(crate) fn run(global: &Global, options: Exec) -> Exit {
    let prompt = match prompt(options.prompt) {
        Ok(prompt) => prompt,
        Err(problem) => {
            out::error(problem);
            return Exit::Usage;
        }
    };
    let tape = match (options.record, options.replay) {
        (Some(file), _) => Some(Tape::Record(file)),
        (None, Some(file)) => Some(Tape::Replay(file)),
        (None, None) => None,
    };
    let mut flags = global.flags();
    // Nobody is there to be asked.
    if flags.approval.replace("never".to_owned()).is_some_and(|asked| asked != "never") {
        out::error("exec asks nobody: -a takes only `never` here");
        return Exit::Usage;
    }
    match House::build(flags, global.cd.clone(), tape) {
        Ok(house) => block_on(exec(house, prompt)),
        Err(error) => misconfigured(&error),
    }
}

fn prompt(given: Option<String>) -> Result<String, String> {
    const MOST: u64 = 16 << 20;
    let missing = "a prompt is missing: codex exec \"what to do\", or pipe it in";
    let from_stdin = match given.as_deref() {
        Some("-") => true,
        Some(_) => false,
        None if std::io::stdin().is_terminal() => return Err(missing.to_owned()),
        None => true,
    };
    let text = if from_stdin {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MOST).read_to_string(&mut text);
        read.map_err(|error| format!("reading the prompt from stdin: {error}"))?;
        text
    } else {
        given.unwrap_or_default()
    };
    if text.trim().is_empty() { Err(missing.to_owned()) } else { Ok(text) }
}

async fn exec(house: House, prompt: String) -> Exit {
    let client = match house.client().await {
        Ok(client) => client,
        Err(error) => return misconfigured(&error),
    };
    let interrupt = interrupted_by_signal();
    let arguments = [("prompt".to_owned(), Value::from(prompt))].into_iter().collect();
    let home = Home::find().ok();
    let home = home.as_ref().and_then(Home::user);
    let answer = client.call("codex", arguments, &interrupt, |record| show(record, home)).await;
    let exit = conclude(answer);
    house.host.shut_down(std::time::Duration::from_millis(300)).await;
    exit
}

fn conclude(answer: Answer) -> Exit {
    match answer {
        Answer::Result(result) if result.is_error != Some(true) => {
            out::line(text(&result));
            Exit::Done
        }
        Answer::Result(result) => {
            out::error(text(&result));
            failure(&result).map_or(Exit::Failed, Exit::from)
        }
        Answer::Refused { message, .. } => {
            out::error(message);
            Exit::Failed
        }
        Answer::Cancelled => {
            out::error("interrupted");
            Exit::Interrupted
        }
        Answer::Closed => {
            out::error("the server ended; this is a fault of codex itself");
            Exit::Failed
        }
    }
}

/// The kind of failure that a result of the agent tells of.
fn failure(result: &CallToolResult) -> Option<ErrorCode> {
    let code = result.structured_content.as_ref()?.pointer("/error/code")?;
    serde_json::from_value(code.clone()).ok()
}

/// The text of a result, for people.
pub(crate) fn text(result: &CallToolResult) -> String {
    let texts: Vec<&str> =
        result.content.iter().filter_map(|block| Some(block.as_text()?.text.as_str())).collect();
    out::plain(&texts.join("\n"))
}

/// Says on stderr what goes on.
fn show(record: &Record, home: Option<&Path>) {
    match &record.event {
        Event::TurnStarted { model, sandbox, .. } => {
            out::note(format!("thread {} · {model}", record.thread_id));
            if let Some(limits) = sandbox {
                out::note(out::plain(&format!("sandbox {}", super::sandbox::summary(limits, home))));
            }
        }
        Event::CallStarted { tool, arguments, .. } => {
            out::note(format!("→ {} {}", out::plain(tool), summary(arguments)))
        }
        Event::CallFinished { tool, result, duration_ms, .. } => {
            let mark = if result.is_error == Some(true) { '✗' } else { '✓' };
            out::note(format!("{mark} {}, {duration_ms} ms{}", out::plain(tool), indented(&text(result))));
        }
        Event::Notice { message } => out::note(format!("! {}", out::plain(message))),
        Event::TokenUsage { usage } => {
            out::note(format!("· {} tokens in, {} out", usage.input_tokens, usage.output_tokens));
        }
        _ => {}
    }
}

/// The arguments of a call in one line: a command as it is typed, anything else by name.
pub(crate) fn summary(arguments: &Value) -> String {
    let words = |words: &[Value]| words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let text = match (arguments.get("command"), arguments) {
        (Some(Value::String(command)), _) => command.clone(),
        (Some(Value::Array(command)), _) => words(command),
        (_, Value::Object(fields)) => {
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", one_line(&shown(value), 60)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        (_, other) => other.to_string(),
    };
    one_line(&text, 160)
}

/// The first line of a text, at most so many characters, and a mark where something was cut.
fn one_line(text: &str, width: usize) -> String {
    let text = out::plain(text);
    let line = text.lines().next().unwrap_or_default();
    let cut = line.char_indices().nth(width).map_or(line.len(), |(at, _)| at);
    let mark = if cut < text.trim_end().len() { "…" } else { "" };
    format!("{}{mark}", &line[..cut])
}

/// The first lines of an output, below the line that says how it ended.
pub(crate) fn indented(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let mut shown: String = lines.iter().take(SHOWN_LINES).map(|line| format!("\n    {line}")).collect();
    if lines.len() > SHOWN_LINES {
        shown.push_str(&format!("\n    … {} more lines", lines.len() - SHOWN_LINES));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::summary;
    use serde_json::json;

    #[test]
    fn arguments_are_shown_in_one_line() {
        for (arguments, expected) in [
            (json!({"command": ["sh", "-c", "ls"]}), "sh -c ls"),
            (json!({"command": "echo a\necho b"}), "echo a…"),
            (json!({"path": "a.rs", "limit": 3}), "path=a.rs limit=3"),
            (json!({"input": "*** Begin Patch\n*** End Patch\n"}), "input=*** Begin Patch…"),
            (json!({}), ""),
            (json!("not an object"), "\"not an object\""),
        ] {
            assert_eq!(summary(&arguments), expected);
        }
    }
}
