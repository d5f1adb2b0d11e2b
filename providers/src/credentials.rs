//! What proves to a server who is asking, kept out of every message and log.

use std::fmt;

/// A text that must not be shown: its `Debug` form hides it, and there is no `Display` and no serialised form.
#[derive(Clone)]
pub struct Secret(String);

/// What stands where a secret was, in messages, logs and cassettes.
pub(crate) const REDACTED: &str = "«redacted»";

impl Secret {
    /// Takes a text into care.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Each use of it is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// How a provider's requests are authorised.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Not at all: a local model.
    None,
    /// By a key in the `Authorization` header.
    Bearer(Secret),
    /// By a key that was not found. Nothing is wrong until the model is asked: listing tools needs no key.
    Missing {
        /// The environment variable that was looked at.
        variable: String,
        /// How to get a key, from the configuration.
        instructions: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Secret};

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let shown = format!("{:?}", Credentials::Bearer(Secret::new("sk-very-secret")));
        assert_eq!(shown, "Bearer(«redacted»)");
    }
}
