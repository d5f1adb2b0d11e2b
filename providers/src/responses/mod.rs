//! The Responses API: `POST /responses`, answered by server-sent events.

mod decode;
mod wire;

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use crate::error::ProviderError;
use crate::event::ModelEvent;
use crate::exchange::exchange;
use crate::http::Endpoint;
use crate::provider::{Provider, ProviderSettings};
use crate::request::Request;
use crate::retry::Budget;

/// A server that speaks the Responses API.
pub(crate) struct Responses {
    name: String,
    endpoint: Arc<Endpoint>,
    budget: Budget,
}

impl Responses {
    /// # Errors
    /// [`ProviderError::Settings`] for settings that cannot work.
    pub(crate) fn new(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let endpoint = Arc::new(Endpoint::new(&settings, "responses")?);
        let budget =
            Budget::new(settings.request_max_retries, settings.stream_max_retries, settings.retry_delay);
        Ok(Self { name: settings.name, endpoint, budget })
    }
}

impl Provider for Responses {
    fn stream(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ProviderError>> {
        match wire::body(&request) {
            Ok(body) => exchange(
                Arc::clone(&self.endpoint),
                body,
                self.budget.clone(),
                decode::ResponseDecoder::default,
            ),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
