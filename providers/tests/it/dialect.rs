//! The small language of these tests: a provider is asked and its stream comes back as lines of text.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use providers::testing::FakeModel;
use providers::{Item, ModelEvent, Provider, ProviderError, ProviderSettings, Request, connect};

/// A request that says `text`.
pub(crate) fn request(text: &str) -> Request {
    Request {
        model: "m".into(),
        instructions: String::new(),
        input: vec![Item::user(text)],
        tools: vec![],
        parallel_tool_calls: true,
        reasoning_effort: None,
        reasoning_summary: None,
        output_schema: None,
        prompt_cache_key: None,
        store: false,
    }
}

/// The fake model as a provider that does not wait between repetitions.
pub(crate) fn provider(model: &FakeModel, change: impl FnOnce(&mut ProviderSettings)) -> Arc<dyn Provider> {
    let mut settings = ProviderSettings::new("fake", model.base_url());
    settings.retry_delay = Duration::ZERO;
    change(&mut settings);
    connect(settings).unwrap()
}

/// As [`provider`], but a failure is reported at once.
pub(crate) fn once(model: &FakeModel) -> Arc<dyn Provider> {
    provider(model, |settings| (settings.request_max_retries, settings.stream_max_retries) = (0, 0))
}

/// What the provider makes of a request, as events.
pub(crate) async fn events(
    provider: &dyn Provider,
    request: Request,
) -> Vec<Result<ModelEvent, ProviderError>> {
    provider.stream(request).collect().await
}

/// What the provider makes of a request, a line for each event.
pub(crate) async fn lines(provider: &dyn Provider, request: Request) -> String {
    events(provider, request).await.iter().map(line).collect()
}

/// What the provider makes of a plain request.
pub(crate) async fn ask(provider: &dyn Provider) -> String {
    lines(provider, request("go")).await
}

fn line(event: &Result<ModelEvent, ProviderError>) -> String {
    match event {
        Ok(ModelEvent::Started { response_id }) => format!("started {response_id}\n"),
        Ok(ModelEvent::TextDelta { text }) => format!("text {text:?}\n"),
        Ok(ModelEvent::ReasoningDelta { text }) => format!("reasoning {text:?}\n"),
        Ok(ModelEvent::ItemDone(item)) => format!("item {}\n", serde_json::to_string(item).unwrap()),
        Ok(ModelEvent::Completed { response_id, usage }) => {
            let cost = usage.map(|u| {
                let (read, cached) = (u.input_tokens, u.cached_input_tokens);
                let (written, thought, total) = (u.output_tokens, u.reasoning_tokens, u.total_tokens);
                format!(" in={read} cached={cached} out={written} reasoning={thought} total={total}")
            });
            format!("completed {}{}\n", response_id.as_deref().unwrap_or("-"), cost.unwrap_or_default())
        }
        Ok(ModelEvent::Retrying { attempt, limit, reason, .. }) => {
            format!("retrying {attempt}/{limit}: {reason}\n")
        }
        Ok(other) => format!("{other:?}\n"),
        Err(error) => format!("error {error}\n"),
    }
}
