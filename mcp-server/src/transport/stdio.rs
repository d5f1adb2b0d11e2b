//! Newline-delimited JSON-RPC on two files, usually stdin and stdout (MCP specification, "stdio").
//!
//! Two threads do blocking reads and writes: the files may be pipes, sockets, terminals or plain files, and making
//! them non-blocking would change them for whoever else has them open. What is not JSON-RPC is answered with the
//! error that the protocol has for it and the connection lives on; a line longer than the limit costs no memory.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 16 << 20;
/// Messages that wait to be written before senders wait too.
const QUEUE: usize = 256;

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
    /// A request was seen: from now on notifications make sense.
    opened: bool,
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
        Ok((Self { input, output, opened: false }, Flushed(flushed)))
    }

    async fn refuse(&self, code: ErrorCode, message: String, id: Option<RequestId>) {
        let error = ServerJsonRpcMessage::error(ErrorData::new(code, message, None), id);
        if let Ok(bytes) = encode(&error) {
            let _ = self.output.send(bytes).await;
        }
    }

    /// A message for the server, or `None` if the line was none; then the client has been told.
    async fn decode(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        let value: Value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                self.refuse(ErrorCode::PARSE_ERROR, format!("not valid JSON: {error}"), None).await;
                return None;
            }
        };
        let Value::Object(fields) = &value else {
            let what =
                if value.is_array() { "batches are not part of MCP" } else { "a message is a JSON object" };
            self.refuse(ErrorCode::INVALID_REQUEST, what.to_owned(), None).await;
            return None;
        };
        let method = fields.get("method").and_then(Value::as_str).map(str::to_owned);
        let id = fields.get("id").and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok());
        match serde_json::from_value(value) {
            Ok(message) => self.admit(message),
            Err(error) => {
                // A notification gets no answer, not even a wrong one.
                if id.is_some() || method.is_none() {
                    let method = method.map(|m| format!(" {m:?}")).unwrap_or_default();
                    let text = format!("not a JSON-RPC 2.0 request{method} of MCP: {error}");
                    self.refuse(ErrorCode::INVALID_REQUEST, text, id).await;
                }
                None
            }
        }
    }

    /// Before the first request nothing else means anything, and the library would give up on it.
    fn admit(&mut self, message: ClientJsonRpcMessage) -> Option<ClientJsonRpcMessage> {
        match &message {
            JsonRpcMessage::Request(request) => {
                self.opened |= !matches!(request.request, ClientRequest::PingRequest(_));
                Some(message)
            }
            _ => self.opened.then_some(message),
        }
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = Closed;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let bytes = encode(&item).map_err(|_| Closed)?;
            output.send(bytes).await.map_err(|_| Closed)
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            match self.input.recv().await? {
                Input::TooLong => {
                    let text = format!("a message is at most {} MiB long", MAX_LINE >> 20);
                    self.refuse(ErrorCode::INVALID_REQUEST, text, None).await;
                }
                Input::Line(line) => {
                    if let Some(message) = self.decode(&line).await {
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
