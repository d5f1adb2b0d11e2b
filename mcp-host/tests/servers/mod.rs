//! External servers that misbehave: what is said of them, and that nothing hangs on them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: they fail as a test does"
)]

use std::time::Duration;

use crate::house::{House, shell_server};
use mcp_host::{CallRequest, Overrides, ServerSpec, ServerState, Toolset};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// A server as a shell script: answers the handshake, lists `tools`, and does `listed` after a listing and `called` at
/// a call, where `$id` is the request's id.
fn scripted(tools: &str, listed: &str, called: &str) -> ServerSpec {
    let hello = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}"#;
    let script = format!(
        r#"n=0
say() {{ printf '%s\n' "$1"; }}
answer() {{ say '{{"jsonrpc":"2.0","id":'$id',"result":'"$1"'}}'; }}
while read -r line; do
  case "$line" in *'"id":'*) id=${{line#*'"id":'}}; id=${{id%%[,\}}]*}};; *) continue;; esac
  case "$line" in
    *'"initialize"'*) answer '{hello}';;
    *'"tools/list"'*) n=$((n+1)); answer '{{"tools":[{tools}]}}'; {listed};;
    *'"tools/call"'*) {called};;
    *) answer '{{}}';;
  esac
done"#
    );
    shell_server("s", &script)
}

const TOOL: &str = r#"{"name":"t","inputSchema":{"type":"object"}}"#;

fn request(argument: String) -> CallRequest {
    let arguments = json!({"text": argument}).as_object().unwrap().clone();
    CallRequest { name: "s__t".to_owned(), arguments, cancel: CancellationToken::new(), progress: None }
}

/// What a call answers, as text.
async fn called(toolset: &Toolset, argument: &str) -> String {
    let answer = toolset.call(request(argument.to_owned()));
    let result =
        tokio::time::timeout(Duration::from_secs(20), answer).await.expect("the call hangs").unwrap();
    result.content[0].as_text().unwrap().text.clone()
}

async fn house(spec: ServerSpec) -> House {
    House::with([], vec![spec], 50).await
}

/// Why the server is not there.
async fn failure(spec: ServerSpec) -> String {
    let house = house(spec).await;
    let catalog = house.host.toolset().unwrap().catalog().await;
    match &catalog.servers[0].state {
        ServerState::Failed { message } => message.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_stopped_reading_meets_the_time_out() {
    let mut spec = scripted(TOOL, "exec sleep 1000", "");
    spec.tool_timeout = Duration::from_millis(200);
    let house = house(spec).await;
    let toolset = house.host.toolset().unwrap();
    let text = called(&toolset, &"x".repeat(100_000)).await;
    assert!(text.contains("no answer and no progress within 0.2 s"), "{text}");
    house.host.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_told_of_by_the_time_out_and_not_by_the_end_we_caused() {
    let mut spec = shell_server("s", "cat >/dev/null");
    spec.startup_timeout = Duration::from_millis(200);
    let message = failure(spec).await;
    assert!(message.contains("startup_timeout_sec") && !message.contains("exited"), "{message}");
}

#[tokio::test]
async fn a_malformed_tool_does_not_take_the_others_away() {
    let house = house(scripted(&format!(r#"{{"name":"bad","inputSchema":7}},{TOOL},{{}}"#), ":", ":")).await;
    let catalog = house.host.toolset().unwrap().catalog().await;
    assert!(catalog.get("s__t").is_some(), "{:?}", catalog.servers);
    assert_eq!(catalog.servers[0].state, ServerState::Ready { tools: 1 });
}

#[tokio::test]
async fn secrets_of_a_server_are_in_no_message() {
    let mut spec = shell_server("s", "echo using $TOKEN >&2; exit 3");
    spec.env.push(("TOKEN".into(), "planted-secret".into()));
    spec.args.push("--api-key=planted-secret".to_owned());
    let message = failure(spec).await;
    assert!(message.contains("using ***") && message.contains("exited with code 3"), "{message}");
    assert!(!message.contains("planted"), "{message}");
}

#[tokio::test]
async fn a_server_that_ends_later_is_told_of_with_its_last_words() {
    let house = house(scripted(TOOL, ":", "echo out of memory >&2; exit 5")).await;
    let toolset = house.host.toolset().unwrap();
    toolset.catalog().await;
    let mut changes = toolset.changes();
    called(&toolset, "").await;
    let failed = loop {
        let known = toolset.catalog().await.servers.remove(0).state;
        if let ServerState::Failed { message } = known {
            break message;
        }
        tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.expect("no change").unwrap();
    };
    assert!(failed.contains("out of memory"), "{failed}");
}

#[tokio::test]
async fn a_server_that_always_says_its_list_changed_is_listed_seldom_and_changes_nothing() {
    let changed = r#"say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'"#;
    let count = r#"answer '{"content":[{"type":"text","text":"'$n'"}]}'"#;
    let house = house(scripted(TOOL, changed, count)).await;
    let toolset = house.host.toolset().unwrap();
    toolset.catalog().await;
    let changes = toolset.changes();
    for _ in 0..100 {
        called(&toolset, "").await;
    }
    let listings: u32 = called(&toolset, "").await.parse().unwrap();
    assert!(listings <= 5, "{listings} listings");
    assert!(!changes.has_changed().unwrap(), "the list was the same each time");
}

#[tokio::test]
async fn after_shutting_down_nothing_starts_and_nothing_waits() {
    let house = house(scripted(TOOL, ":", ":")).await;
    let toolset = house.host.open(&Overrides::default()).unwrap().toolset().clone();
    house.host.shut_down(Duration::from_secs(5)).await;
    let text = called(&toolset, "").await;
    assert!(text.contains("shutting down"), "{text}");
}

#[tokio::test]
async fn a_stubborn_server_is_gone_when_shutting_down_is_over() {
    let house = house(scripted(TOOL, "trap '' TERM; while :; do sleep 1000; done", ":")).await;
    let toolset = house.host.toolset().unwrap();
    toolset.catalog().await;
    let begun = std::time::Instant::now();
    house.host.shut_down(Duration::from_secs(20)).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
