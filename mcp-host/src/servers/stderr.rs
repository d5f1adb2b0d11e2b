//! What a server last wrote to stderr, for messages: bounded, and without the secrets that it was given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::spec::ServerSpec;

/// Lines of a server's stderr that are kept for messages.
const LINES: usize = 20;
/// Bytes of one such line.
const LINE: usize = 400;
/// Values shorter than this are no secrets, and leaving them out would make text unreadable.
const SHORTEST_SECRET: usize = 6;
/// What stands where a secret was.
pub(super) const MASK: &str = "***";
/// Variables that every program has; their values are no secrets.
const PLAIN_VARIABLES: [&str; 12] = [
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "PWD", "SHELL", "TEMP", "TERM", "TMPDIR", "USER",
];

/// The values of a server's environment that messages must not show.
struct Secrets {
    /// Longest first, so that a value is not taken for the shorter one that it begins with.
    values: Vec<String>,
}

impl Secrets {
    fn of(spec: &ServerSpec) -> Self {
        let mut values: Vec<String> = spec
            .env
            .iter()
            .filter(|(name, _)| !PLAIN_VARIABLES.iter().any(|plain| name == plain))
            .filter_map(|(_, value)| value.to_str())
            .flat_map(str::lines)
            .filter(|value| value.len() >= SHORTEST_SECRET)
            .map(str::to_owned)
            .collect();
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// Bytes of a line that must be read so that no secret in what is kept of it is cut in two.
    fn reach(&self) -> usize {
        LINE + self.values.first().map_or(0, String::len)
    }

    /// The first [`LINE`] bytes of a line, without secrets.
    fn masked(&self, line: &str) -> String {
        let mut text = String::new();
        let mut at = 0;
        while at < LINE {
            let rest = &line[at..];
            if let Some(secret) = self.values.iter().find(|secret| rest.starts_with(secret.as_str())) {
                text.push_str(MASK);
                at += secret.len();
            } else if let Some(c) = rest.chars().next() {
                text.push(c);
                at += c.len_utf8();
            } else {
                break;
            }
        }
        text
    }
}

/// The last lines of a server's stderr. Drained always, or the server would block on a full pipe.
#[derive(Clone)]
pub(super) struct StderrTail {
    secrets: Arc<Secrets>,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl StderrTail {
    pub(super) fn of(spec: &ServerSpec) -> Self {
        Self { secrets: Arc::new(Secrets::of(spec)), lines: Arc::default() }
    }

    /// What it last said, as the end of a message; empty if it said nothing.
    pub(super) fn note(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("\nits last lines on stderr:\n  {}", lines.join("\n  "))
    }

    fn push(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text: String = text.trim_end().chars().filter(|c| !c.is_control()).collect();
        let text = self.secrets.masked(&text);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// Reads until the end; a line longer than what is kept costs no memory.
    pub(super) async fn drain(self, stderr: impl AsyncRead + Unpin) {
        let reach = self.secrets.reach();
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while let Ok(chunk) = reader.fill_buf().await {
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |at| at + 1);
            let room = reach.saturating_sub(line.len()).min(taken);
            line.extend_from_slice(&chunk[..room]);
            reader.consume(taken);
            if end.is_some() {
                self.push(&std::mem::take(&mut line));
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE, Secrets};

    #[test]
    fn a_secret_is_masked_also_where_the_line_is_cut() {
        let secrets = Secrets { values: vec!["sk-secret-long".to_owned(), "sk-secret".to_owned()] };
        assert_eq!(secrets.masked("a sk-secret-long b sk-secret c"), "a *** b *** c");
        let cut = format!("{}sk-secret-long and more", "x".repeat(LINE - 3));
        assert_eq!(secrets.masked(&cut), format!("{}***", "x".repeat(LINE - 3)));
        assert_eq!(secrets.masked("größe"), "größe");
    }
}
