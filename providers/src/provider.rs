//! The one trait that everything that can answer implements, and how one is made from settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;

use crate::credentials::{Credentials, Secret};
use crate::error::ProviderError;
use crate::event::ModelEvent;
use crate::request::Request;
use crate::responses::Responses;

/// Something that answers requests: a server, a recording, a test's fake.
pub trait Provider: Send + Sync + 'static {
    /// Asks. The stream ends after [`ModelEvent::Completed`] or after its first error; dropping it cancels
    /// the request.
    fn stream(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ProviderError>>;

    /// The provider's name, for people.
    fn name(&self) -> &str;
}

/// All that is needed to reach a model over HTTP.
#[derive(Clone)]
pub struct ProviderSettings {
    /// The key of its table in the configuration.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Where its API begins, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Which API it speaks.
    pub wire_api: WireApi,
    /// Who asks.
    pub credentials: Credentials,
    /// Added to each URL, in order.
    pub query_params: Vec<(String, String)>,
    /// Added to each request; the values may be secrets.
    pub http_headers: Vec<(String, Secret)>,
    /// The proxy to go through; none goes straight. A server on this machine is never reached by a proxy.
    pub proxy: Option<Secret>,
    /// How often a request that was not answered is made again.
    pub request_max_retries: u32,
    /// How often a request whose response broke off is made again.
    pub stream_max_retries: u32,
    /// The first wait before making a request again; each further one is twice as long.
    pub retry_delay: Duration,
    /// How long a server may be silent.
    pub stream_idle_timeout: Duration,
}

/// The API that a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WireApi {
    /// `POST /responses`.
    #[default]
    Responses,
    /// `POST /chat/completions`. Known, but not supported yet.
    Chat,
}

impl fmt::Debug for ProviderSettings {
    /// Leaves out the URL and its parameters, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("id", &self.id)
            .field("wire_api", &self.wire_api)
            .field("credentials", &self.credentials)
            .field("http_headers", &self.http_headers)
            .finish_non_exhaustive()
    }
}

impl ProviderSettings {
    /// A server at `base_url` that wants no key, with the usual limits: 4 repetitions of a request, 5 of a
    /// stream, 200 ms before the first, 300 s of silence.
    #[must_use]
    pub fn new(id: impl Into<String>, base_url: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            base_url: base_url.into(),
            wire_api: WireApi::Responses,
            credentials: Credentials::None,
            query_params: Vec::new(),
            http_headers: Vec::new(),
            proxy: None,
            request_max_retries: 4,
            stream_max_retries: 5,
            retry_delay: Duration::from_millis(200),
            stream_idle_timeout: Duration::from_secs(300),
        }
    }
}

/// Makes a provider that asks over HTTP. It does no I/O: the connection, and even the client, is made by the
/// first request, so that a start that asks nothing costs nothing.
///
/// # Errors
/// [`ProviderError::Settings`] for a URL, header or proxy that cannot work, [`ProviderError::Unsupported`]
/// for a wire that this version does not speak.
pub fn connect(settings: ProviderSettings) -> Result<Arc<dyn Provider>, ProviderError> {
    match settings.wire_api {
        WireApi::Responses => Ok(Arc::new(Responses::new(settings)?)),
        WireApi::Chat => Err(ProviderError::Unsupported {
            what: format!("wire_api = \"chat\" (provider {})", settings.id),
            instead: "use wire_api = \"responses\", which Ollama, LM Studio and vLLM speak too".to_owned(),
        }),
    }
}
