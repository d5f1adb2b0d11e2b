//! One endpoint of a model server: makes the client when it is first needed, sends a request, and turns
//! whatever is not an event stream into an error that people can act on.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;

use crate::cassette::Redactor;
use crate::credentials::{Credentials, Secret};
use crate::error::{ProviderError, is_overflow};
use crate::provider::ProviderSettings;
use crate::retry::retry_after;

/// How much of an error's body is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How many characters of a server's words are kept.
const MAX_MESSAGE_CHARS: usize = 1000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where requests go, with everything that does not change from one to the next. It
/// has no `Debug` form: a URL may hold a key.
pub(crate) struct Endpoint {
    provider: String,
    url: Url,
    headers: HeaderMap,
    missing_key: Option<ProviderError>,
    proxy: Option<Secret>,
    redactor: Redactor,
    idle: Duration,
    client: OnceLock<Client>,
}

/// A request that brought no event stream.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ProviderError,
    /// The wait that the server asks for.
    pub(crate) retry_after: Option<Duration>,
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self { error, retry_after: None }
    }
}

impl Endpoint {
    /// Checks the settings and puts them together; `path` is added to the base URL.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] for a URL or a header that cannot be sent.
    pub(crate) fn new(settings: &ProviderSettings, path: &str) -> Result<Self, ProviderError> {
        let redactor = Redactor::new(secrets(settings));
        let missing_key = match &settings.credentials {
            Credentials::Missing { variable, instructions } => Some(ProviderError::MissingKey {
                provider: settings.name.clone(),
                variable: variable.clone(),
                instructions: instructions.clone(),
            }),
            Credentials::None | Credentials::Bearer(_) => None,
        };
        Ok(Self {
            provider: settings.id.clone(),
            url: endpoint_url(settings, path)?,
            headers: headers(settings)?,
            missing_key,
            proxy: settings.proxy.clone(),
            redactor,
            idle: settings.stream_idle_timeout,
            client: OnceLock::new(),
        })
    }

    /// A request with this JSON body, which can be sent more than once.
    ///
    /// # Errors
    /// [`ProviderError::MissingKey`]; [`ProviderError::Settings`] if no client can be made.
    pub(crate) fn post(&self, body: Vec<u8>) -> Result<RequestBuilder, ProviderError> {
        if let Some(error) = &self.missing_key {
            return Err(error.clone());
        }
        Ok(self.client()?.post(self.url.clone()).headers(self.headers.clone()).body(body))
    }

    /// Sends it and waits for the head of the answer.
    ///
    /// # Errors
    /// Whatever is not a successful answer that may hold events.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = match tokio::time::timeout(self.idle, request.send()).await {
            Err(_) => return Err(self.silent().into()),
            Ok(Err(error)) => return Err(self.unreachable(&error).into()),
            Ok(Ok(response)) => response,
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let kind = header("content-type").unwrap_or_default().to_ascii_lowercase();
        if !response.status().is_success() {
            let retry_after = retry_after(header("retry-after"), header("retry-after-ms"));
            return Err(Failure { error: self.refusal(response).await, retry_after });
        }
        if kind.starts_with("text/html") || kind.starts_with("application/json") {
            let (_, message) = self.words(response).await;
            let problem = format!("the server answered with {kind} and not with an event stream: {message}");
            return Err(ProviderError::Settings { provider: self.provider.clone(), problem }.into());
        }
        Ok(response)
    }

    /// The error for a server that says nothing.
    pub(crate) fn silent(&self) -> ProviderError {
        ProviderError::Idle { seconds: self.idle.as_secs() }
    }

    /// How long the server may say nothing.
    pub(crate) fn idle(&self) -> Duration {
        self.idle
    }

    /// A server's words, fit to be shown: no secrets, no control characters, not too long.
    pub(crate) fn presentable(&self, words: &str) -> String {
        let clean: String =
            self.redactor.redact(words).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let clean = clean.trim();
        match clean.char_indices().nth(MAX_MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", &clean[..end]),
            None => clean.to_owned(),
        }
    }

    fn client(&self) -> Result<&Client, ProviderError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.build_client().map_err(|error| ProviderError::Settings {
            provider: self.provider.clone(),
            problem: format!("cannot make an HTTP client: {}", root_cause(&error)),
        })?;
        // If two requests came first, one of the two clients is dropped unused.
        Ok(self.client.get_or_init(|| client))
    }

    fn build_client(&self) -> Result<Client, reqwest::Error> {
        // Fails only if a provider is already installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("codex/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would turn the POST into a GET, or take the transcript to another server.
            .redirect(reqwest::redirect::Policy::none())
            // Only the proxy in the settings counts: nothing below `cli` reads the environment.
            .no_proxy();
        if self.url.scheme() == "http" {
            // Reading the system's certificates takes milliseconds; plain HTTP, as for a local model, needs none.
            builder = builder.tls_certs_only([]);
        }
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !is_loopback(&self.url)) {
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose())?);
        }
        builder.build()
    }

    fn unreachable(&self, error: &reqwest::Error) -> ProviderError {
        let reason = self.presentable(&root_cause(error));
        ProviderError::Connect { url: shown(&self.url), reason }
    }

    async fn refusal(&self, response: Response) -> ProviderError {
        let status = response.status();
        let (code, mut message) = self.words(response).await;
        if code.as_deref().is_some_and(is_overflow) {
            return ProviderError::ContextWindow { message };
        }
        if message.is_empty() {
            message = status.canonical_reason().unwrap_or("no reason given").to_lowercase();
        }
        ProviderError::Status { status: status.as_u16(), message, code, url: shown(&self.url) }
    }

    /// The code and the message in the body of an answer that is no event stream.
    async fn words(&self, mut response: Response) -> (Option<String>, String) {
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = MAX_ERROR_BYTES - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() == MAX_ERROR_BYTES {
                    break;
                }
            }
        };
        // What came before the time was up is better than nothing.
        let _ = tokio::time::timeout(self.idle.min(CONNECT_TIMEOUT), read).await;
        let (code, message) = match serde_json::from_slice::<Value>(&body) {
            Ok(body) => error_words(&body),
            Err(_) => (None, String::from_utf8_lossy(&body).into_owned()),
        };
        (code.map(|code| self.presentable(&code)), self.presentable(&message))
    }
}

/// The code and the message of an error object, in the forms that servers use: `{"error": {"message", "code"}}`,
/// `{"error": "…"}`, `{"message": "…"}`, `{"detail": "…"}`. Without any of them the whole object is the message.
pub(crate) fn error_words(body: &Value) -> (Option<String>, String) {
    let error = match body.get("error") {
        Some(Value::Null) | None => body,
        Some(error) => error,
    };
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let code = match text("code") {
        Some(code) => Some(code),
        // `type` of an event is the event's own.
        None if body.get("error").is_some() => text("type"),
        None => None,
    };
    let message = text("message").or_else(|| text("detail")).or_else(|| error.as_str().map(str::to_owned));
    (code, message.unwrap_or_else(|| error.to_string()))
}

fn secrets(settings: &ProviderSettings) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = settings.http_headers.iter().map(|(_, value)| value.clone()).collect();
    secrets.extend(
        settings.query_params.iter().map(|(_, value)| Secret::new(value.clone())).filter(looks_secret),
    );
    if let Credentials::Bearer(key) = &settings.credentials {
        secrets.push(key.clone());
    }
    secrets
}

/// Whether a query parameter is worth hiding: `api-version=2025-01-01` in a message helps, a key does not.
fn looks_secret(value: &Secret) -> bool {
    value.expose().len() >= 20
}

fn endpoint_url(settings: &ProviderSettings, path: &str) -> Result<Url, ProviderError> {
    let wrong = |problem: String| ProviderError::Settings { provider: settings.id.clone(), problem };
    let mut url = Url::parse(&settings.base_url).map_err(|error| {
        wrong(format!("base_url is not a URL ({error}); it looks like \"http://localhost:8000/v1\""))
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("base_url must begin with http:// or https:// and name a host".to_owned()));
    }
    let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    url.set_fragment(None);
    if !settings.query_params.is_empty() {
        url.query_pairs_mut().extend_pairs(&settings.query_params);
    }
    Ok(url)
}

fn headers(settings: &ProviderSettings) -> Result<HeaderMap, ProviderError> {
    let wrong = |problem: String| ProviderError::Settings { provider: settings.id.clone(), problem };
    let secret = |name: &str, value: &str| {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            wrong(format!("the value of the header {name} has characters that no header may have"))
        })?;
        value.set_sensitive(true);
        Ok::<_, ProviderError>(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Credentials::Bearer(key) = &settings.credentials {
        headers.insert(AUTHORIZATION, secret("authorization", &format!("Bearer {}", key.expose().trim()))?);
    }
    for (name, value) in &settings.http_headers {
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| wrong(format!("{name:?} is not a header's name")))?;
        headers.insert(header, secret(name, value.expose())?);
    }
    Ok(headers)
}

/// The URL as it may be shown: a query, a user name or a password may hold a key.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The innermost cause: "connection refused" tells more than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, error_words, is_loopback};
    use crate::credentials::{Credentials, Secret};
    use crate::provider::ProviderSettings;
    use reqwest::Url;
    use serde_json::json;

    fn endpoint(change: impl FnOnce(&mut ProviderSettings)) -> Result<Endpoint, String> {
        let mut settings = ProviderSettings::new("mine", "http://user:password@127.0.0.1:9/v1/");
        change(&mut settings);
        Endpoint::new(&settings, "responses").map_err(|error| error.to_string())
    }

    #[test]
    fn the_url_is_put_together() {
        let azure = endpoint(|settings| {
            settings.base_url = "https://h.test/openai?a=b".into();
            settings.query_params = vec![("api-version".into(), "2025 01".into())];
        });
        assert_eq!(azure.unwrap().url.as_str(), "https://h.test/openai/responses?a=b&api-version=2025+01");
        assert_eq!(endpoint(|_| ()).unwrap().url.path(), "/v1/responses");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_without_showing_secrets() {
        let refused = |change: fn(&mut ProviderSettings)| endpoint(change).err().unwrap();
        assert_eq!(
            refused(|settings| settings.base_url = "localhost:8000".into()),
            "provider mine: base_url must begin with http:// or https:// and name a host"
        );
        assert!(
            refused(|settings| settings.base_url = "v1".into())
                .contains("it looks like \"http://localhost:8000/v1\"")
        );
        assert_eq!(
            refused(|settings| settings.credentials = Credentials::Bearer(Secret::new("hidden\nkey"))),
            "provider mine: the value of the header authorization has characters that no header may have"
        );
        assert!(
            refused(|settings| settings.http_headers = vec![("a b".into(), Secret::new("x"))])
                .contains("\"a b\"")
        );
    }

    #[test]
    fn words_of_servers_are_made_presentable() {
        let endpoint = endpoint(|settings| {
            settings.credentials = Credentials::Bearer(Secret::new("correct horse battery"));
            settings.http_headers = vec![("x-key".into(), Secret::new("staple-123"))];
        });
        let endpoint = endpoint.unwrap();
        assert_eq!(
            endpoint.presentable(" no: correct horse battery,\u{1b}[31m staple-123 \n"),
            "no: «redacted», [31m «redacted»"
        );
        assert_eq!(endpoint.presentable(&"ä".repeat(2000)).chars().count(), 1001);
    }

    #[test]
    fn error_bodies_of_many_servers_are_understood() {
        let table = [
            (json!({"error":{"message":"m","code":"c","type":"t"}}), Some("c"), "m"),
            (json!({"error":{"message":"m","code":null,"type":"t"}}), Some("t"), "m"),
            (json!({"error":"m"}), None, "m"),
            (json!({"message":"m"}), None, "m"),
            (json!({"detail":"m"}), None, "m"),
            (json!({"type":"error","code":"c","message":"m"}), Some("c"), "m"),
            (json!({"odd":1}), None, "{\"odd\":1}"),
        ];
        for (body, code, message) in table {
            assert_eq!(error_words(&body), (code.map(str::to_owned), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        let local = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(local("http://localhost:1/") && local("http://127.0.0.2/") && local("http://[::1]:8/"));
        assert!(!local("http://example.test/") && !local("http://10.0.0.1/"));
    }
}
