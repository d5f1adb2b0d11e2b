//! What a server is before it runs: the resolved form of one `[mcp_servers.NAME]` table, or a constructor of a
//! server that lives in this process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{Receiver, Sender, channel};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};

use super::stderr::MASK;
use crate::approval::{ApprovalPolicy, ToolApproval};

/// An external MCP server that speaks over its stdin and stdout.
#[derive(Clone)]
pub struct ServerSpec {
    /// Its name in the configuration; the prefix of its tools.
    pub name: String,
    /// The program, looked up in the `PATH` of `env`.
    pub command: String,
    /// Its arguments, passed as they are: there is no shell in between.
    pub args: Vec<String>,
    /// Its whole environment; nothing else is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// A disabled server is listed as such and never started.
    pub enabled: bool,
    /// How long it may take to answer the handshake and the first listing.
    pub startup_timeout: Duration,
    /// How long one call may take without a sign of progress.
    pub tool_timeout: Duration,
    /// What the user said of its tools.
    pub approval: ToolApproval,
}

impl ServerSpec {
    /// The command as a person would type it, for messages. Without the environment and without the values of
    /// flags such as `--api-key`: they may be secrets.
    #[must_use]
    pub fn command_line(&self) -> String {
        let mut words = vec![quoted(&self.command)];
        let mut after_secret_flag = false;
        for word in &self.args {
            let (flag, value) =
                word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
            let secret_flag = names_a_secret(flag);
            words.push(match value {
                _ if after_secret_flag && !word.starts_with('-') => MASK.to_owned(),
                Some(_) if secret_flag => format!("{flag}={MASK}"),
                _ => quoted(word),
            });
            after_secret_flag = secret_flag && value.is_none();
        }
        words.join(" ")
    }
}

/// Whether a flag's value is a secret, by the flag's name.
fn names_a_secret(flag: &str) -> bool {
    let name = flag.to_ascii_lowercase();
    name.starts_with('-') && ["key", "token", "secret", "password"].iter().any(|word| name.contains(word))
}

/// A word as a shell would need it; plain words stay as they are.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl std::fmt::Debug for ServerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSpec")
            .field("name", &self.name)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// Where and under which policy the tools of in-process servers work: a thread's or a connection's own.
#[derive(Clone, Debug)]
pub struct ToolContext {
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// What commands and file tools may do.
    pub policy: sandbox::Policy,
    /// The whole environment of commands.
    pub env: Vec<(OsString, OsString)>,
    /// When somebody is asked before a call runs.
    pub approval: ApprovalPolicy,
}

/// The host's end of a connection inside this process: messages pass as they are, nothing is serialised.
pub type Link = (Sender<ClientJsonRpcMessage>, Receiver<ServerJsonRpcMessage>);

/// Both ends of an in-process connection: the host's, and the one to serve. Dropping the host's end ends the
/// server.
#[must_use]
pub fn link() -> (Link, (Sender<ServerJsonRpcMessage>, Receiver<ClientJsonRpcMessage>)) {
    const DEPTH: usize = 64;
    let (to_server, from_client) = channel(DEPTH);
    let (to_client, from_server) = channel(DEPTH);
    ((to_server, from_server), (to_client, from_client))
}

/// Makes a server that lives in this process, one instance for each context that uses it.
#[derive(Clone)]
pub struct InProcess {
    /// Put before the names of its tools. Names under the empty prefix are reserved for it.
    pub prefix: String,
    /// Starts an instance for a context and answers the host's end of the connection to it. The server must be
    /// ready for requests: the handshake is left out in process.
    pub make: Arc<dyn Fn(&ToolContext) -> Link + Send + Sync>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerSpec, ToolApproval, quoted};
    use std::time::Duration;

    #[test]
    fn the_values_of_secret_flags_are_not_in_the_command_line() {
        let words = "--api-key=sk-1 --token sk-2 --verbose --PASSWORD -x --secret --y --monkeys a";
        let spec = ServerSpec {
            name: "s".to_owned(),
            command: "serve".to_owned(),
            args: words.split(' ').map(str::to_owned).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            enabled: true,
            startup_timeout: Duration::ZERO,
            tool_timeout: Duration::ZERO,
            approval: ToolApproval::Unset,
        };
        assert_eq!(
            spec.command_line(),
            "serve '--api-key=***' --token '***' --verbose --PASSWORD -x --secret --y --monkeys '***'"
                .replace('\'', "")
        );
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_would_need_it() {
        for (word, expected) in [
            ("npx", "npx"),
            ("-y", "-y"),
            ("@scope/pkg", "@scope/pkg"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
