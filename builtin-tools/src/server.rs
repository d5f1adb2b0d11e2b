//! The MCP server: which tools there are, and which code answers a call.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures::FutureExt;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;

use crate::call::{Answer, Call, Shared};
use crate::context::Context;
use crate::error::ToolError;
use crate::progress::Progress;
use crate::{arguments, file_search, list_dir, patch, plan, read_file, shell};

/// The tools in the order in which they are listed.
const NAMES: [&str; 6] =
    [shell::NAME, patch::NAME, read_file::NAME, list_dir::NAME, file_search::NAME, plan::NAME];

/// Their descriptions never change, so they are made once.
static TOOLS: LazyLock<[Tool; 6]> = LazyLock::new(|| {
    [shell::tool(), patch::tool(), read_file::tool(), list_dir::tool(), file_search::tool(), plan::tool()]
});

/// How long a client may keep the list of tools, in milliseconds.
const TOOLS_TTL: u64 = 3_600_000;

/// The names of the built-in tools.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// The built-in tools over one [`Context`], as an MCP server. Clones share the context.
#[derive(Clone, Debug)]
pub struct BuiltinTools {
    shared: Shared,
}

impl BuiltinTools {
    /// Tools that work in the given context. Nothing is opened or started before the first call.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { shared: Shared::new(context) }
    }

    /// The tools' descriptions, in the order in which they are listed; the same for every context.
    #[must_use]
    pub fn tools() -> Vec<Tool> {
        TOOLS.to_vec()
    }
}

async fn answer(tool: &Tool, arguments: Option<JsonObject>, call: Call) -> Answer {
    match tool.name.as_ref() {
        shell::NAME => shell::call(parse(tool, arguments, &shell::ALIASES)?, call).await,
        patch::NAME => patch::call(parse(tool, arguments, &patch::ALIASES)?, &call).await,
        read_file::NAME => read_file::call(parse(tool, arguments, &[])?, &call).await,
        list_dir::NAME => list_dir::call(parse(tool, arguments, &[])?, &call).await,
        file_search::NAME => file_search::call(parse(tool, arguments, &[])?, &call).await,
        _ => plan::call(&parse(tool, arguments, &[])?),
    }
}

/// A fault of ours is an answer too: without it the caller would wait for ever.
async fn unharmed(answer: impl Future<Output = Answer>) -> Answer {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or(Err(ToolError::Fault))
}

fn parse<T: DeserializeOwned>(
    tool: &Tool,
    arguments: Option<JsonObject>,
    aliases: &[(&str, &str)],
) -> Result<T, ToolError> {
    arguments::parse(arguments, &tool.input_schema, aliases)
}

impl ServerHandler for BuiltinTools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("codex-builtin-tools", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ListToolsResult::with_all_items(Self::tools());
        Ok(tools.with_ttl_ms(TOOLS_TTL).with_cache_scope(CacheScope::Private))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = TOOLS.iter().find(|tool| tool.name == request.name) else {
            let message = format!("unknown tool \"{}\"; the tools are {}", request.name, NAMES.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let (cancelled, progress) = (context.ct.clone(), Progress::of(&context));
        let call = Call { shared: self.shared.clone(), cancelled, progress };
        let answer = tokio::select! {
            // The tool first: one that has something to put in order when it is cancelled does so.
            biased;
            answer = unharmed(answer(tool, request.arguments, call)) => answer,
            () = context.ct.cancelled() => Err(ToolError::Cancelled),
        };
        let failed =
            |error| CallToolResult::error(vec![ContentBlock::text(format!("{}: {error}", tool.name))]);
        let result = answer.unwrap_or_else(failed);
        Ok(result.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{BuiltinTools, names, unharmed};

    #[test]
    fn names_are_those_of_the_tools() {
        let tools = BuiltinTools::tools();
        assert!(tools.iter().map(|tool| tool.name.as_ref()).eq(names().iter().copied()));
    }

    #[tokio::test]
    async fn a_tool_that_panics_answers_with_an_error() {
        let answer = unharmed(async { panic!("a fault planted by a test") }).await;
        assert!(answer.unwrap_err().to_string().contains("fault"));
    }

    #[test]
    fn what_a_model_is_sent_is_small() {
        let tools = BuiltinTools::tools();
        let sent = tools.iter().map(|tool| {
            let tool =
                json!({"name": tool.name, "description": tool.description, "parameters": tool.input_schema});
            tool.to_string().len()
        });
        let (sent, whole) = (sent.sum::<usize>(), json!(tools).to_string().len());
        assert!(sent <= 5 << 10, "{sent} bytes are sent to a model");
        assert!(whole <= 8 << 10, "{whole} bytes are sent to a client");
    }

    #[test]
    fn schemas_are_closed_and_annotations_complete() {
        for tool in BuiltinTools::tools() {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
            let text = json!(tool).to_string();
            for noise in ["$schema", "$defs", "$ref", "\"format\""] {
                assert!(!text.contains(noise), "{} has {noise}", tool.name);
            }
            assert!(!json!(tool.input_schema).to_string().contains("null"), "{}", tool.name);
            let annotations = tool.annotations.unwrap();
            assert!(annotations.title.is_some(), "{}", tool.name);
            assert!(annotations.read_only_hint.is_some(), "{}", tool.name);
            assert_eq!(annotations.open_world_hint, Some(false), "{}", tool.name);
        }
    }
}
