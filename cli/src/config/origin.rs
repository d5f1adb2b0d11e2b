//! Where a value was set: every message about a value names it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a file, at a line counted from 1.
    File { path: Arc<PathBuf>, line: usize },
    /// On the command line; the text is what was typed, as far as it is no value.
    Flag(String),
    /// In a profile of the configuration.
    Profile { name: String, from: Box<Origin> },
    /// By the caller of a tool.
    Call,
}

impl Origin {
    /// The layer that it stands in. Two keys that speak of one thing do not contradict each other where they stand in
    /// different layers: the higher one holds.
    pub(crate) fn layer(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Profile { .. } => 1,
            Self::Flag(_) => 2,
            Self::Call => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Flag(flag) => write!(f, "command line ({flag})"),
            Self::Profile { name, from } => write!(f, "{from} (profile {name:?})"),
            Self::Call => f.write_str("the call's arguments"),
        }
    }
}
