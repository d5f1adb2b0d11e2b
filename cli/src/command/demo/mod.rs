//! `codex demo`: the whole loop on a small real project. The model's replies are a script; the server, the client,
//! the tools, the sandbox and git are real, and whether they did their work is checked from outside afterwards.

mod project;

use std::collections::HashMap;

use mcp_server::Answer;
use mcp_server::api::{Event, Record};
use providers::{Item, Role};
use sandbox::Level;
use serde_json::Value;

use self::project::Project;
use super::exec::{indented, summary, text};
use super::{block_on, interrupted_by_signal};
use crate::assemble::House;
use crate::exit::Exit;
use crate::model::Tape;
use crate::out;
use crate::resolve::Flags;

/// What the model says. A script, written by hand; never a recording.
const SCRIPT: &str = include_str!("script.jsonl");
const PROMPT: &str = "The test of this project fails. Find out why, fix it, and show that it passes.";

/// Runs the command.
pub(crate) fn run() -> Exit {
    block_on(async {
        match demo().await {
            Ok(exit) => exit,
            Err(problem) => {
                out::error(format!("demo: {problem}"));
                Exit::Failed
            }
        }
    })
}

async fn demo() -> Result<Exit, String> {
    let project = Project::create().await?;
    introduce(&project);
    let tape = Tape::Script {
        text: SCRIPT,
        places: vec![(project.outside_file().to_string_lossy().into_owned(), "{outside}".to_owned())],
    };
    let flags = Flags {
        config: vec!["model=\"script\"".to_owned(), "mcp_servers={}".to_owned()],
        sandbox: Some("workspace-write".to_owned()),
        approval: Some("never".to_owned()),
        ..Flags::default()
    };
    let house = House::build_in(project.home(), flags, Some(project.folder().to_owned()), Some(tape))
        .map_err(|error| error.to_string())?;
    let client = house.client().await.map_err(|error| error.to_string())?;
    let interrupt = interrupted_by_signal();
    let arguments = [("prompt".to_owned(), Value::from(PROMPT))].into_iter().collect();
    let mut seen = Seen::default();
    let answer = client.call("codex", arguments, &interrupt, |record| seen.note(record)).await;
    match answer {
        Answer::Result(result) if result.is_error != Some(true) => {}
        Answer::Result(result) => return Err(text(&result)),
        Answer::Cancelled => return Ok(Exit::Interrupted),
        other => return Err(format!("{other:?}")),
    }
    conclude(&project, &seen).await
}

fn introduce(project: &Project) {
    out::line(
        "codex demo: the model's replies are a script; everything else is real: an MCP server, an MCP client,",
    );
    out::line(
        "the built-in tools, the sandbox, a temporary git repository. No key, no network, no settings.",
    );
    out::line("");
    out::line(format!("project  {}", project.folder().display()));
    out::line(format!("sandbox  workspace-write, network off; {}", enforced_by()));
    out::line(format!("prompt   {PROMPT}"));
}

/// What this kernel holds the sandbox up with.
fn enforced_by() -> String {
    let probe = sandbox::probe();
    match (probe.level(), probe.landlock_abi()) {
        (Level::Full, Some(abi)) => format!("full level (namespaces, Landlock ABI {abi}, seccomp)"),
        (Level::Reduced, Some(abi)) => format!("reduced level (Landlock ABI {abi}, seccomp)"),
        _ => "which this kernel cannot enforce: commands will be refused".to_owned(),
    }
}

/// What the tools did, as the events tell it.
#[derive(Default)]
struct Seen {
    /// What calls are about, until they end: calls that run together are told one after the other.
    open: HashMap<String, String>,
    /// Exit codes of commands, in order.
    codes: Vec<Option<i64>>,
    diff: Option<String>,
}

impl Seen {
    fn note(&mut self, record: &Record) {
        match &record.event {
            Event::Item { item: Item::Message { role: Role::Assistant, content } } => {
                let said: String = content.iter().filter_map(|part| part.text()).collect();
                out::line(format!("\nmodel    {}", out::plain(&said)));
            }
            Event::CallStarted { call_id, tool, arguments } => {
                self.open.insert(call_id.clone(), format!("→ {} {}", out::plain(tool), summary(arguments)));
            }
            Event::CallFinished { call_id, tool, result, .. } => {
                out::line(self.open.remove(call_id).unwrap_or_default());
                out::line(indented(&text(result)).trim_start_matches('\n'));
                if tool == "shell" {
                    let code =
                        result.structured_content.as_ref().and_then(|content| content.get("exit_code"));
                    self.codes.push(code.and_then(Value::as_i64));
                }
                for block in result.content.iter().filter_map(|block| block.as_resource()) {
                    self.diff = Some(block.get_text());
                    out::line(indented(&block.get_text()).trim_start_matches('\n'));
                }
            }
            Event::Notice { message } => out::line(format!("! {message}")),
            _ => {}
        }
    }
}

/// Looks from outside whether everything was as it was told.
async fn conclude(project: &Project, seen: &Seen) -> Result<Exit, String> {
    let outside_clean = !project.outside_file().exists();
    let failing_first = seen.codes.first().copied().flatten().is_some_and(|code| code != 0);
    let denied = seen.codes.get(1).copied().flatten().is_some_and(|code| code != 0);
    let checks = [
        (failing_first, "the test failed before the patch".to_owned()),
        (
            denied && outside_clean,
            format!("the write to {} was denied, and nothing is there", project.outside_file().display()),
        ),
        (
            seen.diff.as_deref().is_some_and(|diff| diff.contains("+++")),
            "the patch came with a diff".to_owned(),
        ),
        (project.changed_files().await? == "greet.sh", "git sees one changed file, greet.sh".to_owned()),
        (project.test_passes().await?, "the test passes now, run again without the agent".to_owned()),
    ];
    out::line("\nchecked from outside:");
    for (held, claim) in &checks {
        out::line(format!("  {} {claim}", if *held { "✓" } else { "✗" }));
    }
    if checks.iter().all(|(held, _)| *held) {
        out::line("\nNext: codex mcp-server serves this to any MCP client; see the README.");
        return Ok(Exit::Done);
    }
    Err("a tool did not do what it should have; see the list above".to_owned())
}

#[cfg(test)]
mod tests {
    use super::SCRIPT;

    #[test]
    fn the_script_calls_itself_a_script() {
        let header: serde_json::Value = serde_json::from_str(SCRIPT.lines().next().unwrap()).unwrap();
        assert_eq!(header["kind"], "script");
        assert!(!SCRIPT.contains("recording"));
    }
}
