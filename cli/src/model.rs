//! From a provider's table to a provider: keys are looked up here, and cassettes are put in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use providers::cassette::{Normaliser, Recorder, Redactor, Replay};
use providers::{Credentials, ProviderSettings, Secret, WireApi};

use crate::config::{ConfigError, Provider};
use crate::secrets::Secrets;

/// A cassette for this run.
#[derive(Clone, Debug)]
pub(crate) enum Tape {
    /// Keep the model's traffic in a file.
    Record(PathBuf),
    /// Play a file back instead of asking a model.
    Replay(PathBuf),
    /// Play a script that is compiled in; the pairs put real paths in place of its `{placeholders}`.
    Script { text: &'static str, places: Vec<(String, String)> },
}

/// Makes providers, one for each set of settings.
pub(crate) struct Models {
    tape: Option<Tape>,
    secrets: Secrets,
    made: Shared,
}

impl Models {
    pub(crate) fn new(tape: Option<Tape>, secrets: Secrets) -> Self {
        Self { tape, secrets, made: Shared::default() }
    }

    fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.values().iter().cloned().map(Secret::new))
    }

    /// The provider for these settings, in front of it the cassette of this run.
    pub(crate) fn provider(
        &self,
        settings: &Provider,
        cwd: &Path,
    ) -> Result<Arc<dyn providers::Provider>, ConfigError> {
        let failed = |error: &dyn std::fmt::Display| ConfigError::general(error.to_string());
        let normaliser = || Normaliser::new(variable_paths(cwd));
        let replay = |path: &Path| -> Result<Arc<dyn providers::Provider>, ConfigError> {
            let tape = Replay::open(path, normaliser()).map_err(|error| failed(&error))?;
            Ok(Arc::new(tape.with_redactor(self.redactor())))
        };
        match &self.tape {
            Some(Tape::Replay(path)) => shared(&self.made, "tape", || replay(path)),
            Some(Tape::Script { text, places }) => shared(&self.made, "tape", || {
                let normaliser =
                    Normaliser::new(variable_paths(cwd).into_iter().chain(places.iter().cloned()));
                let script = Replay::from_str(text, normaliser).map_err(|error| failed(&error))?;
                Ok(Arc::new(script))
            }),
            _ if settings.id == "replay" => shared(&self.made, "replay", || match &settings.file {
                Some(path) => replay(path),
                None => Err(ConfigError::general(
                    "`model_provider` is \"replay\", but [model_providers.replay] has no `file`: the cassette to play",
                )),
            }),
            Some(Tape::Record(path)) => shared(&self.made, "tape", || {
                let inner = connect(settings)?;
                let recorder = Recorder::new(inner, path, normaliser(), self.redactor())
                    .map_err(|error| failed(&error))?;
                Ok(Arc::new(recorder))
            }),
            None => shared(&self.made, &settings.id, || connect(settings)),
        }
    }
}

/// The providers in use, by their settings, so that threads share one connection pool.
type Shared = Mutex<HashMap<String, Arc<dyn providers::Provider>>>;

/// Looks a provider up, or makes it.
fn shared(
    pool: &Shared,
    key: &str,
    make: impl FnOnce() -> Result<Arc<dyn providers::Provider>, ConfigError>,
) -> Result<Arc<dyn providers::Provider>, ConfigError> {
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(provider) = pool.get(key) {
        return Ok(Arc::clone(provider));
    }
    let provider = make()?;
    pool.insert(key.to_owned(), Arc::clone(&provider));
    Ok(provider)
}

/// What differs from machine to machine, and what stands in a cassette in its place.
fn variable_paths(cwd: &Path) -> Vec<(String, String)> {
    let mut paths = vec![(cwd.to_string_lossy().into_owned(), "{workspace}".to_owned())];
    for (variable, name) in [("TMPDIR", "{tmpdir}"), ("CODEX_HOME", "{codex_home}"), ("HOME", "{home}")] {
        if let Some(folder) = std::env::var(variable).ok().filter(|folder| folder.len() > 1) {
            paths.push((folder, name.to_owned()));
        }
    }
    paths
}

fn connect(provider: &Provider) -> Result<Arc<dyn providers::Provider>, ConfigError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let credentials = match &provider.env_key {
        None => Credentials::None,
        Some(name) => match variable(name) {
            Some(key) => Credentials::Bearer(Secret::new(key)),
            None => Credentials::Missing {
                variable: name.clone(),
                instructions: provider.env_key_instructions.clone(),
            },
        },
    };
    let mut http_headers: Vec<(String, Secret)> = provider
        .http_headers
        .iter()
        .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
        .collect();
    for (name, from) in &provider.env_http_headers {
        http_headers.extend(variable(from).map(|value| (name.clone(), Secret::new(value))));
    }
    let settings = ProviderSettings {
        name: provider.name.clone(),
        wire_api: if provider.wire_api == "chat" { WireApi::Chat } else { WireApi::Responses },
        credentials,
        query_params: provider.query_params.clone().into_iter().collect(),
        http_headers,
        proxy: proxy(&provider.base_url, |name| std::env::var(name).ok()).map(Secret::new),
        request_max_retries: provider.request_max_retries,
        stream_max_retries: provider.stream_max_retries,
        stream_idle_timeout: provider.stream_idle_timeout,
        ..ProviderSettings::new(provider.id.clone(), provider.base_url.clone())
    };
    providers::connect(settings)
        .map_err(|error| ConfigError::general(format!("model provider {:?}: {error}", provider.id)))
}

/// The proxy that the usual variables name for a URL.
fn proxy(url: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let set = |name: &str| {
        let value = variable(name).or_else(|| variable(&name.to_ascii_lowercase()))?;
        (!value.trim().is_empty()).then_some(value)
    };
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next()?.rsplit('@').next()?.split(':').next()?;
    let direct = set("NO_PROXY").is_some_and(|list| {
        let spared = |name: &str| name == "*" || host == name || host.ends_with(&format!(".{name}"));
        list.split(',')
            .map(|name| name.trim().trim_start_matches('.'))
            .any(|name| !name.is_empty() && spared(name))
    });
    let named = if scheme == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    if direct { None } else { set(named).or_else(|| set("ALL_PROXY")) }
}

#[cfg(test)]
mod tests {
    use super::proxy;

    #[test]
    fn the_usual_variables_name_the_proxy() {
        let set = |vars: &'static [(&str, &str)]| {
            move |name: &str| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned())
        };
        let both = set(&[("https_proxy", "http://p:1"), ("NO_PROXY", "localhost, .corp.example")]);
        assert_eq!(proxy("https://api.example/v1", both).as_deref(), Some("http://p:1"));
        for url in ["http://api.example/v1", "https://localhost:8000/v1", "https://llm.corp.example"] {
            assert_eq!(proxy(url, both), None, "{url}");
        }
    }
}
