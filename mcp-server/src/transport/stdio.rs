//! Newline-delimited JSON-RPC on two files, usually stdin and stdout (MCP specification, "stdio").
//!
//! Two threads do blocking reads and writes: the files may be pipes, sockets, terminals or plain files, and making
//! them non-blocking would change them for whoever else has them open. What is not JSON-RPC is answered with the
//! error that the protocol has for it and the connection lives on; a line longer than the limit costs no memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ErrorCode, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::intake::{Intake, Taken, Unanswered, refusal};

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 16 << 20;
/// Messages that wait to be written before senders wait too.
const QUEUE: usize = 256;
/// Errors that wait behind them before no more is read.
const MAX_REFUSALS: usize = 16;

/// What the reading thread finds.
enum Input {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line over the limit, which was passed over.
    TooLong,
}

/// The transport.
pub struct Stdio {
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Vec<u8>>,
    intake: Intake,
    unanswered: Arc<Unanswered>,
    /// Errors on their way to the output.
    refusals: VecDeque<Vec<u8>>,
    /// There is no more input.
    ended: bool,
}

/// Resolves when everything that was sent is written, once the transport is gone.
pub struct Flushed(oneshot::Receiver<()>);

impl Flushed {
    /// Waits for it.
    pub async fn wait(self) {
        // The writing thread drops its end when it is done.
        let _ = self.0.await;
    }
}

/// The client is gone.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed the connection")]
pub struct Closed;

impl Stdio {
    /// Takes both files over. `end_of_input` is cancelled when there is nothing more to read or nobody to write to.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn new(
        reader: File,
        writer: File,
        end_of_input: CancellationToken,
    ) -> std::io::Result<(Self, Flushed)> {
        let (lines, input) = mpsc::channel(QUEUE);
        let (output, messages) = mpsc::channel(QUEUE);
        let ended = end_of_input.clone();
        std::thread::Builder::new().name("mcp-stdin".to_owned()).spawn(move || {
            read(reader, &lines);
            ended.cancel();
        })?;
        let (writing, flushed) = oneshot::channel();
        std::thread::Builder::new().name("mcp-stdout".to_owned()).spawn(move || {
            let _writing = writing;
            if write(writer, messages).is_err() {
                end_of_input.cancel();
            }
        })?;
        let stdio = Self {
            input,
            output,
            intake: Intake::default(),
            unanswered: Arc::default(),
            refusals: VecDeque::new(),
            ended: false,
        };
        Ok((stdio, Flushed(flushed)))
    }

    fn refuse(&mut self, refusal: &ServerJsonRpcMessage) {
        match encode(refusal) {
            Ok(bytes) => self.refusals.push_back(bytes),
            Err(error) => tracing::error!("a refusal that cannot be written: {error}"),
        }
    }

    /// A message for the server, if the line is one and it is time for it.
    fn take(&mut self, input: Input) -> Option<ClientJsonRpcMessage> {
        let taken = match input {
            Input::TooLong => {
                let text = format!("a message is at most {} MiB long", MAX_LINE >> 20);
                Taken::Refused(refusal(ErrorCode::INVALID_REQUEST, text, None))
            }
            Input::Line(line) => self.intake.take(&line, &self.unanswered),
        };
        match taken {
            Taken::Message(message) => Some(*message),
            Taken::Nothing => None,
            Taken::Refused(error) => {
                self.refuse(&error);
                None
            }
        }
    }

    /// Whether more input is wanted: a client that does not read, or asks more than can be answered, has to wait.
    fn listens(&self) -> bool {
        !self.ended && !self.intake.is_full() && self.refusals.len() < MAX_REFUSALS
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = Closed;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let output = self.output.clone();
        let unanswered = Arc::clone(&self.unanswered);
        async move {
            let bytes = encode(&item).map_err(|_| Closed)?;
            let room = output.reserve().await.map_err(|_| Closed)?;
            let answered = match &item {
                JsonRpcMessage::Response(response) => Some(&response.id),
                JsonRpcMessage::Error(error) => error.id.as_ref(),
                _ => None,
            };
            if let Some(id) = answered {
                unanswered.answered(id);
            }
            room.send(bytes);
            Ok(())
        }
    }

    /// Cancel safe: between two waits everything stands in `self`.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(message) = self.intake.next_held(&self.unanswered) {
                return Some(message);
            }
            let input = tokio::select! {
                room = self.output.reserve(), if !self.refusals.is_empty() => {
                    room.ok()?.send(self.refusals.pop_front()?);
                    continue;
                }
                () = self.unanswered.freed(), if self.intake.holds_back() => continue,
                input = self.input.recv(), if self.listens() => input,
                else => return None,
            };
            match input {
                None => self.ended = true,
                Some(input) => {
                    if let Some(message) = self.take(input) {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Closed> {
        self.input.close();
        Ok(())
    }
}

fn encode(message: &ServerJsonRpcMessage) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads lines until the end of the input, or until nobody wants them.
fn read(file: File, lines: &mpsc::Sender<Input>) {
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => chunk,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let content = &chunk[..end.unwrap_or(chunk.len())];
        too_long |= line.len() + content.len() > MAX_LINE;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(content);
        }
        let taken = end.map_or(chunk.len(), |at| at + 1);
        reader.consume(taken);
        if end.is_none() {
            continue;
        }
        let found = if std::mem::take(&mut too_long) {
            Input::TooLong
        } else if line.iter().all(u8::is_ascii_whitespace) {
            line.clear();
            continue;
        } else {
            Input::Line(std::mem::take(&mut line))
        };
        if lines.blocking_send(found).is_err() {
            return;
        }
    }
    // A last line without its end is a message too, if it is whole.
    if !too_long && !line.iter().all(u8::is_ascii_whitespace) {
        let _ = lines.blocking_send(Input::Line(line));
    }
}

/// Writes messages as they come, in one go where several wait.
fn write(file: File, mut messages: mpsc::Receiver<Vec<u8>>) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 << 10, file);
    while let Some(message) = messages.blocking_recv() {
        writer.write_all(&message)?;
        while let Ok(message) = messages.try_recv() {
            writer.write_all(&message)?;
        }
        writer.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Input, Intake, Stdio};
    use futures::FutureExt;
    use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
    use rmcp::transport::Transport;
    use serde_json::{Value, json};
    use std::collections::VecDeque;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    /// A transport whose files are channels.
    struct Bench {
        stdio: Stdio,
        input: mpsc::Sender<Input>,
        output: mpsc::Receiver<Vec<u8>>,
    }

    fn bench(room: usize) -> Bench {
        let (input, lines) = mpsc::channel(1_024);
        let (sender, output) = mpsc::channel(room);
        let stdio = Stdio {
            input: lines,
            output: sender,
            intake: Intake::default(),
            unanswered: Arc::default(),
            refusals: VecDeque::new(),
            ended: false,
        };
        Bench { stdio, input, output }
    }

    impl Bench {
        fn line(&self, line: &str) {
            assert!(self.input.try_send(Input::Line(line.as_bytes().to_vec())).is_ok());
        }

        /// What the server gets without waiting; a wait is given up, as the library does.
        fn received(&mut self) -> Option<ClientJsonRpcMessage> {
            self.stdio.receive().now_or_never().flatten()
        }

        fn written(&mut self) -> Value {
            self.output.try_recv().map_or(Value::Null, |line| serde_json::from_slice(&line).unwrap())
        }
    }

    #[test]
    fn a_refusal_that_has_to_wait_is_not_lost_and_holds_nothing_up() {
        let mut bench = bench(1);
        bench.stdio.output.try_send(b"{}".to_vec()).unwrap();
        bench.line("no JSON");
        assert!(bench.received().is_none());
        bench.line(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        assert_eq!(json!(bench.received())["id"], 1, "read on while the refusal waits");
        assert_eq!(bench.written(), json!({}));
        assert!(bench.received().is_none());
        assert_eq!(bench.written()["error"]["code"], -32700);
    }

    #[test]
    fn requests_that_nobody_reads_the_answers_of_are_bounded_and_a_cancellation_gets_through() {
        let mut bench = bench(1);
        for id in 0..1_000 {
            bench.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#));
        }
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}"#;
        bench.line(cancelled);
        let received: Vec<Value> = std::iter::from_fn(|| bench.received()).map(|m| json!(m)).collect();
        assert_eq!(received.len(), super::super::intake::MAX_OPEN + 2, "one took the cancelled one's place");
        assert_eq!(received[received.len() - 2]["method"], "notifications/cancelled");
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
        let answer: ServerJsonRpcMessage = serde_json::from_value(answer).unwrap();
        assert!(bench.stdio.send(answer).now_or_never().unwrap().is_ok());
        assert_eq!(json!(bench.received())["id"], 257);
    }

    #[test]
    fn what_waits_is_still_served_after_the_end_of_input() {
        let mut bench = bench(1);
        bench.line("no JSON");
        bench.line(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let (other, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut bench.input, other));
        assert_eq!(json!(bench.received())["id"], 1);
        assert!(bench.stdio.receive().now_or_never().is_some_and(|end| end.is_none()));
        assert_eq!(bench.written()["error"]["code"], -32700);
    }
}
