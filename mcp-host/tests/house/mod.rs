//! The test dialect of the host: a model that replies by a list, a small server in process, prompts in, outcomes
//! and records out.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests: it fails as a test does")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_host::{
    Accepted, ApprovalPolicy, Host, HostParts, InProcess, Overrides, Places, ServerSpec, Settings,
    SettingsError, ThreadSettings, Timing, TurnOutcome, link,
};
use providers::ProviderSettings;
use providers::testing::{FakeModel, Reply};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ContentBlock,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::{RequestContext, serve_directly};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tempfile::TempDir;

/// A host with a fake model and the server [`Bench`].
pub(crate) struct House {
    pub(crate) model: FakeModel,
    pub(crate) host: Host,
    pub(crate) folder: TempDir,
}

/// Answers the same settings with what a caller asks for; knows the provider `fake` and the one named in
/// `private`.
struct Fixed {
    settings: ThreadSettings,
    private: Option<&'static str>,
}

impl Settings for Fixed {
    fn resolve(&self, overrides: &Overrides) -> Result<ThreadSettings, SettingsError> {
        let mut settings = self.settings.clone();
        if let Some(id) = overrides.config.get("model_provider").and_then(Value::as_str) {
            if id != "fake" && Some(id) != self.private {
                return Err(SettingsError::new("model_provider", format!("unknown provider {id:?}")));
            }
            id.clone_into(&mut settings.provider_id);
        }
        if let Some(name) = &overrides.approval_policy {
            settings.approval = ApprovalPolicy::parse(name).unwrap();
        }
        settings.reasoning_effort =
            overrides.config.get("model_reasoning_effort").and_then(Value::as_str).map(str::to_owned);
        settings.base_instructions = overrides.base_instructions.clone();
        settings.developer_instructions = overrides.developer_instructions.clone();
        Ok(settings)
    }
}

impl House {
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, Vec::new(), 50).await
    }

    pub(crate) async fn with(
        replies: impl IntoIterator<Item = Reply>,
        servers: Vec<ServerSpec>,
        max_calls: usize,
    ) -> Self {
        let model = FakeModel::steps(replies).await;
        let folder = tempfile::tempdir().unwrap();
        let host = host(&model, folder.path().to_owned(), servers, max_calls, Some("private"));
        Self { model, host, folder }
    }

    /// Another process's view: the same folder and model, nothing in memory.
    pub(crate) fn restarted(&mut self) {
        self.host = host(&self.model, self.folder.path().to_owned(), Vec::new(), 50, Some("private"));
    }

    /// As [`House::restarted`], with the provider `private` gone from the configuration.
    pub(crate) fn reconfigured(&mut self) {
        self.host = host(&self.model, self.folder.path().to_owned(), Vec::new(), 50, None);
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.folder.path().join("sessions")
    }

    /// The input of the n-th request to the model, as JSON.
    pub(crate) fn input(&self, n: usize) -> Vec<Value> {
        self.model.requests()[n].body["input"].as_array().unwrap().clone()
    }
}

fn host(
    model: &FakeModel,
    folder: PathBuf,
    servers: Vec<ServerSpec>,
    max_calls: usize,
    private: Option<&'static str>,
) -> Host {
    let provider = providers::connect(ProviderSettings {
        request_max_retries: 0,
        stream_max_retries: 0,
        stream_idle_timeout: Duration::from_secs(30),
        ..ProviderSettings::new("fake", model.base_url())
    })
    .unwrap();
    let settings = ThreadSettings {
        model: "fake-model".to_owned(),
        provider_id: "fake".to_owned(),
        provider,
        cwd: folder.clone(),
        policy: sandbox::Policy::read_only(),
        approval: ApprovalPolicy::Never,
        env: Vec::new(),
        base_instructions: None,
        developer_instructions: None,
        reasoning_effort: None,
        store: true,
        max_calls,
    };
    Host::new(HostParts {
        settings: Arc::new(Fixed { settings, private }),
        servers,
        in_process: vec![InProcess { prefix: String::new(), make: Arc::new(|_| serve_bench()) }],
        places: Places { sessions: folder.join("sessions") },
        timing: Timing { list_wait: Duration::from_secs(10), server_grace: Duration::from_secs(10) },
    })
}

/// The outcome of a turn, within a deadline that only a hang meets.
pub(crate) async fn outcome(accepted: &mut Accepted) -> TurnOutcome {
    let ended =
        tokio::time::timeout(Duration::from_secs(20), accepted.outcome.wait_for(Option::is_some)).await;
    ended.expect("the turn hangs").unwrap().clone().unwrap()
}

/// An external server, run by `sh`.
pub(crate) fn shell_server(name: &str, script: &str) -> ServerSpec {
    ServerSpec {
        name: name.to_owned(),
        command: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        cwd: std::env::temp_dir(),
        enabled: true,
        startup_timeout: Duration::from_secs(10),
        tool_timeout: Duration::from_secs(10),
        approval: mcp_host::ToolApproval::Unset,
    }
}

/// A server with three tools: one that answers, one that never does, one that panics.
#[derive(Clone)]
struct Bench;

fn serve_bench() -> mcp_host::Link {
    let (host_end, server_end) = link();
    let host = ClientConfig::new(ClientCapabilities::default(), Implementation::new("host", "0"));
    let serving = serve_directly::<RoleServer, _, _, _, _>(Bench, server_end, Some(host));
    tokio::spawn(async move { serving.waiting().await });
    host_end
}

impl ServerHandler for Bench {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str| Tool::new(name, name, Arc::new(serde_json::Map::new()));
        let reads = ToolAnnotations::new().read_only(true);
        Ok(ListToolsResult::with_all_items(vec![
            tool("echo").with_annotations(reads),
            tool("hang"),
            tool("fail"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match request.name.as_ref() {
            "echo" => {
                let text = request.arguments.unwrap_or_default().get("text").cloned().unwrap_or_default();
                let text = text.as_str().unwrap_or("nothing").to_owned();
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
            "fail" => Ok(CallToolResult::error(vec![ContentBlock::text("it is broken")]).into()),
            _ => {
                context.ct.cancelled().await;
                Err(ErrorData::internal_error("cancelled", None))
            }
        }
    }
}
