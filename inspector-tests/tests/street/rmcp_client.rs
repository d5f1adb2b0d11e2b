//! The official Rust client lists and calls every tool, in both eras, as `cases/*.toml` say: all steps of a case
//! over one connection.

use std::fs::File;
use std::future::Future;
use std::process::Stdio;
use std::time::Duration;

use inspector_tests::case::{Case, Cases, Request};
use inspector_tests::fixture::House;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::CODEX;
use crate::fake_model::Model;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_list_of_tools_legacy() {
    play_all("server", &legacy());
}

#[test]
fn the_list_of_tools_modern() {
    play_all("server", &modern());
}

#[test]
fn builtin_tools_legacy() {
    play_all("builtin", &legacy());
}

#[test]
fn builtin_tools_modern() {
    play_all("builtin", &modern());
}

#[test]
fn external_tools_legacy() {
    play_all("external", &legacy());
}

#[test]
fn external_tools_modern() {
    play_all("external", &modern());
}

#[test]
fn the_agent_legacy() {
    play_all("agent", &legacy());
}

#[test]
fn the_agent_modern() {
    play_all("agent", &modern());
}

/// A client that does not know the era in advance finds the newest.
#[test]
fn a_client_that_probes_finds_the_modern_era() {
    let house = House::new(CODEX);
    let runtime = Runtime::new().unwrap();
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let client = Client::connect(
        &runtime,
        &house,
        &ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
    );
    let peer = client.send(Request::Method("initialize")).unwrap();
    client.close();
    assert_eq!(peer["protocolVersion"], "2026-07-28", "{peer}");
}

fn legacy() -> ClientLifecycleMode {
    ClientLifecycleMode::Initialize
}

fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

fn play_all(file: &str, lifecycle: &ClientLifecycleMode) {
    let cases = Cases::read(file);
    let play = |case: &Case| play(case, cases.every, lifecycle).err();
    let failures: Vec<String> = cases.case.iter().filter_map(play).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

fn play(case: &Case, every: bool, lifecycle: &ClientLifecycleMode) -> Result<(), String> {
    let mut house = case.furnish(CODEX, every);
    let _model = Model::in_house(&mut house, &case.model);
    let runtime = Runtime::new().unwrap();
    let client = Client::connect(&runtime, &house, lifecycle);
    let played = case.play(&house, |request| client.send(request));
    client.close();
    played
}

struct Client<'a> {
    runtime: &'a Runtime,
    service: RunningService<RoleClient, ()>,
    server: Child,
}

impl<'a> Client<'a> {
    fn connect(runtime: &'a Runtime, house: &House, lifecycle: &ClientLifecycleMode) -> Self {
        let mut command = Command::from(house.command(["mcp-server"]));
        // Beside the workspace: there to be read when a test fails.
        let log = File::create(house.path("stderr")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        in_time(runtime, async {
            let mut server = command.spawn().unwrap();
            let streams = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
            let service = ().serve_with_lifecycle(streams, lifecycle.clone()).await.unwrap();
            Self { runtime, service, server }
        })
    }

    fn send(&self, request: Request<'_>) -> Result<Value, String> {
        in_time(self.runtime, async {
            let peer = self.service.peer();
            match request {
                Request::Call(tool, arguments) => {
                    let arguments = arguments.as_object().cloned().unwrap_or_default();
                    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
                    self.service.call_tool(params).await.map(|result| json!(result))
                }
                Request::Method("tools/list") => peer.list_tools(None).await.map(|result| json!(result)),
                Request::Method("initialize") => Ok(json!(peer.peer_info())),
                Request::Method(other) => return Err(format!("this client does not send {other}")),
            }
            .map_err(|error| error.to_string())
        })
    }

    /// The server ends when its client leaves.
    fn close(mut self) {
        in_time(self.runtime, async {
            self.service.cancel().await.unwrap();
            let status = self.server.wait().await.unwrap();
            assert_eq!(status.code(), Some(0));
        });
    }
}

fn in_time<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    runtime.block_on(async { timeout(DEADLINE, work).await.expect("the server answers in time") })
}
