//! One connection to `codex mcp-server`, by raw lines: what no well-behaved client sends can be sent, and every
//! line that comes back is held against JSON-RPC.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Leader;

/// How long an answer may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// A client that knows nothing but lines.
#[derive(Debug)]
pub struct Wire {
    server: Leader,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Receiver<String>,
    /// Messages that were read while another was waited for.
    waiting: VecDeque<Value>,
    next_id: u64,
}

/// How a server ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// From the end of its input to its exit.
    pub took: Duration,
    /// Messages that were not read before the end.
    pub rest: Vec<Value>,
    /// All of its standard error.
    pub stderr: String,
}

impl Wire {
    /// Starts the server.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Leader::spawn(command).expect("the binary starts");
        let stdin = server.child.stdin.take();
        let stdout = BufReader::new(server.child.stdout.take().expect("stdout is piped"));
        let mut stderr = server.child.stderr.take().expect("stderr is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let (sender, errors) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        Self { server, stdin, lines, stderr: errors, waiting: VecDeque::new(), next_id: 1 }
    }

    /// Sends a line as it is.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("the server reads its input");
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    /// Sends a request and gives its id.
    #[track_caller]
    pub fn send_request(&mut self, method: &str, params: Value) -> Value {
        let id = Value::from(self.next_id);
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The first message, already read or still to come, that `wanted` accepts. The others stay for later.
    ///
    /// # Panics
    /// When none comes in time, or a line is not JSON-RPC.
    #[track_caller]
    pub fn receive(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        if let Some(place) = self.waiting.iter().position(&mut wanted) {
            return self.waiting.remove(place).expect("the place was just found");
        }
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let message = json_rpc(&line);
                    if wanted(&message) {
                        return message;
                    }
                    self.waiting.push_back(message);
                }
                Err(error) => panic!("no such message: {error}; unread: {:?}", self.waiting),
            }
        }
    }

    /// The response to the request `id`: a message with `result` or `error`.
    #[track_caller]
    pub fn response(&mut self, id: &Value) -> Value {
        self.receive(|message| message.get("method").is_none() && message["id"] == *id)
    }

    /// Sends a request and waits for its response.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        self.response(&id)
    }

    /// Calls a tool and gives the result.
    ///
    /// # Panics
    /// When the response is an error.
    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let response = self.request("tools/call", json!({"name": tool, "arguments": arguments}));
        response.get("result").cloned().unwrap_or_else(|| panic!("{tool}: {response}"))
    }

    /// Opens a connection of the legacy era and gives the server's answer.
    #[track_caller]
    pub fn initialize(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "wire", "version": "1"});
        let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let response = self.request("initialize", params);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        response
    }

    /// Ends the server's input and waits for its exit.
    ///
    /// # Panics
    /// When it does not exit in time.
    #[must_use]
    #[track_caller]
    pub fn close(mut self) -> Ended {
        let start = Instant::now();
        drop(self.stdin.take());
        let mut rest: Vec<Value> = self.waiting.drain(..).collect();
        // The lines end when the server and all that hold its output have ended.
        loop {
            match self.lines.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
                Ok(line) => rest.push(json_rpc(&line)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the server goes on after its input has ended")
                }
            }
        }
        assert!(self.server.ends_within(DEADLINE), "the server goes on after its input has ended");
        let took = start.elapsed();
        let code = self.server.child.wait().expect("the server is ours").code();
        let stderr =
            self.stderr.recv_timeout(DEADLINE).expect("nothing holds stderr once the server has ended");
        Ended { code, took, rest, stderr }
    }

    /// Ends the server as a crash would.
    pub fn kill(mut self) {
        let _ = self.server.child.kill();
        let _ = self.server.child.wait();
    }
}

/// A line of standard output, which carries nothing but JSON-RPC.
#[track_caller]
fn json_rpc(line: &str) -> Value {
    let message: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON on stdout: {error}: {line:?}"));
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    let has = |key: &str| message.get(key).is_some();
    let (request, response) = (has("method"), has("result") != has("error"));
    assert!(request != response, "neither a request, a notification nor a response: {line}");
    message
}

/// The `_meta` of a request of the modern era from a client with these capabilities.
#[must_use]
pub fn modern(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

#[cfg(test)]
mod tests {
    use super::Wire;
    use serde_json::json;
    use std::process::Command;

    fn server(script: &str) -> Wire {
        Wire::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    #[should_panic(expected = "not JSON on stdout")]
    fn a_line_that_is_not_json_fails_the_test() {
        server("echo '{\"jsonrpc\":\"2.0\",\"method\":\"m\"}'; echo garbage; cat")
            .receive(|message| message["id"] == 1);
    }

    #[test]
    #[should_panic(expected = "neither a request")]
    fn json_that_is_not_json_rpc_fails_the_test() {
        let _ = server("echo '{\"jsonrpc\":\"2.0\",\"id\":1}'").close();
    }

    #[test]
    fn messages_wait_until_they_are_asked_for() {
        let script = "echo '{\"jsonrpc\":\"2.0\",\"method\":\"m\"}'; read line; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":7}'; \
                      echo '{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":8}'; cat > /dev/null; echo late >&2; exit 3";
        let mut wire = server(script);
        assert_eq!(wire.request("any", json!({}))["result"], 7);
        assert_eq!(wire.receive(|message| message.get("method").is_some())["method"], "m");
        let ended = wire.close();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), "late\n"));
        assert_eq!(ended.rest, [json!({"jsonrpc": "2.0", "id": 9, "result": 8})]);
    }
}
