//! What is wrong with the configuration: where it stands, which key, what is right.

use std::fmt;

use super::Origin;

/// One thing wrong with the configuration.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// Where it was set, as far as that is known.
    pub(crate) origin: Option<Origin>,
    /// The key as a person would write it.
    pub(crate) key: Option<String>,
    /// What is wrong and what is allowed.
    pub(crate) problem: String,
}

impl ConfigError {
    pub(crate) fn new(origin: &Origin, key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { origin: Some(origin.clone()), key: Some(key.into()), problem: problem.into() }
    }

    pub(crate) fn general(problem: impl Into<String>) -> Self {
        Self { origin: None, key: None, problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}
