//! All the ways in which asking a model fails, and which of them may pass by themselves.

use crate::cassette::{RecordError, ReplayError};

/// A response that did not come, or broke off. No message holds a secret, a query string or a user name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// There is no key for this provider.
    #[error(
        "no API key for {provider}: the environment variable {variable} is not set; set it{}, use a local model with \
         `--oss`, or see the tools at work without a model with `codex demo`",
        instructions.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
    )]
    MissingKey {
        /// The provider, as people know it.
        provider: String,
        /// The environment variable that would hold the key.
        variable: String,
        /// How to get a key, from the configuration.
        instructions: Option<String>,
    },
    /// The server refused the request, or could not serve it.
    #[error(
        "{url} answered {status}{}: {message}{}",
        code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default(),
        hint(*status)
    )]
    Status {
        /// The HTTP status.
        status: u16,
        /// The server's words, at most 1,000 characters.
        message: String,
        /// The server's code for it, such as `rate_limit_exceeded`.
        code: Option<String>,
        /// What was asked, without its query.
        url: String,
    },
    /// The server could not be reached, or hung up before it answered.
    #[error("no answer from {url}: {reason}")]
    Connect {
        /// What was asked, without its query.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The response ended before it was complete.
    #[error("the response of the model broke off before it was complete")]
    Interrupted,
    /// The server fell silent.
    #[error("nothing came from the model for {seconds} s (`stream_idle_timeout_ms` sets how long to wait)")]
    Idle {
        /// How long was waited.
        seconds: u64,
    },
    /// The server gave the response up.
    #[error("the model's response failed{}: {message}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Failed {
        /// The server's code for it.
        code: Option<String>,
        /// The server's words, at most 1,000 characters.
        message: String,
    },
    /// The transcript is too long for the model.
    #[error("the conversation no longer fits into the model's context window: {message}")]
    ContextWindow {
        /// The server's words, at most 1,000 characters.
        message: String,
    },
    /// What came is not what this wire speaks.
    #[error("could not read the model's response: {problem}")]
    Decode {
        /// What is wrong with it.
        problem: String,
    },
    /// A replayed run went another way than its cassette.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The run's cassette could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something in the settings that cannot work.
    #[error("provider {provider}: {problem}")]
    Settings {
        /// The provider's id.
        provider: String,
        /// What is wrong and what is right.
        problem: String,
    },
    /// Something that this version cannot do yet.
    #[error("{what} is not supported yet; {instead}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What can be done.
        instead: String,
    },
}

impl ProviderError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, code, .. } => {
                let passing = matches!(status, 408 | 429) || (500..=599).contains(status) && *status != 501;
                passing && !code.as_deref().is_some_and(is_final)
            }
            Self::Failed { code, .. } => code.as_deref().is_some_and(is_passing),
            Self::Connect { .. } | Self::Interrupted | Self::Idle { .. } | Self::Decode { .. } => true,
            Self::MissingKey { .. }
            | Self::ContextWindow { .. }
            | Self::Replay(_)
            | Self::Record(_)
            | Self::Settings { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// The error that a server's code and words stand for, in mid-stream.
    pub(crate) fn failed(code: Option<String>, message: String) -> Self {
        if code.as_deref().is_some_and(is_overflow) {
            Self::ContextWindow { message }
        } else {
            Self::Failed { code, message }
        }
    }
}

/// Codes of 429 and 5xx answers that time does not heal.
fn is_final(code: &str) -> bool {
    matches!(code, "insufficient_quota" | "usage_not_included" | "billing_hard_limit_reached")
}

/// Codes of failures that time does heal.
fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "server_error"
            | "internal_server_error"
            | "rate_limit_exceeded"
            | "server_is_overloaded"
            | "overloaded"
            | "slow_down"
    )
}

/// Whether a server's code says that the transcript is too long.
pub(crate) fn is_overflow(code: &str) -> bool {
    matches!(code, "context_length_exceeded" | "context_window_exceeded")
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => "; redirects are not followed, set `base_url` to where it leads",
        401 | 403 => "; check the key and what it may be used for",
        404 => "; check `base_url`, `wire_api` and the model's name",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::ProviderError;

    fn status(status: u16, code: Option<&str>) -> ProviderError {
        let code = code.map(str::to_owned);
        ProviderError::Status { status, message: "words".into(), code, url: "http://h/v1/responses".into() }
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        for code in [408, 429, 500, 502, 503, 504, 529] {
            assert!(status(code, None).is_transient(), "{code}");
        }
        for code in [301, 400, 401, 403, 404, 422, 501] {
            assert!(!status(code, None).is_transient(), "{code}");
        }
        assert!(!status(429, Some("insufficient_quota")).is_transient());
        assert!(ProviderError::Interrupted.is_transient());
        assert!(ProviderError::failed(Some("server_error".into()), String::new()).is_transient());
        assert!(!ProviderError::failed(Some("invalid_prompt".into()), String::new()).is_transient());
        assert!(!ProviderError::failed(None, String::new()).is_transient());
        let overflow = ProviderError::failed(Some("context_length_exceeded".into()), "too long".into());
        assert!(matches!(overflow, ProviderError::ContextWindow { .. }));
    }

    #[test]
    fn a_missing_key_names_the_variable_and_three_ways_on() {
        let error = ProviderError::MissingKey {
            provider: "OpenAI".into(),
            variable: "OPENAI_API_KEY".into(),
            instructions: Some("get one at https://example.test".into()),
        };
        assert_eq!(
            error.to_string(),
            "no API key for OpenAI: the environment variable OPENAI_API_KEY is not set; set it (get one at \
             https://example.test), use a local model with `--oss`, or see the tools at work without a model with `codex demo`"
        );
    }

    #[test]
    fn a_status_says_what_to_look_at() {
        assert_eq!(
            status(404, Some("model_not_found")).to_string(),
            "http://h/v1/responses answered 404 (model_not_found): words; check `base_url`, `wire_api` and the model's name"
        );
    }
}
