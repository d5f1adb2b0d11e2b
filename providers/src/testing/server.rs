//! As much of HTTP/1.1 as a client of a model speaks: POST with a length or in chunks, several on a connection.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::reply::{Body, Reply, beginning, stream};
use super::{Recorded, Shared};

/// The largest request that is read.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Serves connections until it is aborted; they end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        shared.connected();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that goes away in the middle is none of the model's business.
            let _ = serve(socket, &shared).await;
            shared.disconnected();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = Connection { socket, bytes: Vec::new() };
    while let Some(request) = connection.request().await? {
        let (n, reply) = shared.answer(request);
        if !connection.reply(n, &reply).await? {
            return Ok(());
        }
    }
    Ok(())
}

struct Connection {
    socket: TcpStream,
    /// Read, but not used yet.
    bytes: Vec<u8>,
}

impl Connection {
    /// The next request; none when the client is done.
    async fn request(&mut self) -> io::Result<Option<Recorded>> {
        let end = loop {
            if let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.more().await? {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut request = Recorded { target, headers, body: Value::Null };
        let chunked = request.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
        let body = if chunked {
            self.chunks().await?
        } else {
            let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            self.exactly(length).await?
        };
        request.body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Some(request))
    }

    /// Sends the answer; false if the connection is of no use after it.
    async fn reply(&mut self, n: usize, reply: &Reply) -> io::Result<bool> {
        let (status, headers, body) = match &reply.body {
            Body::Hangup => return Ok(false),
            Body::Silence => return self.until_left().await,
            Body::Response { items, usage } => (200, &[][..], stream(items, usage.as_ref(), n)),
            Body::Sse(stream) => (200, &[][..], stream.clone()),
            Body::Stall => (200, &[][..], beginning(n)),
            Body::Status { status, headers, body } => (*status, headers.as_slice(), body.clone()),
        };
        let mut head = format!("HTTP/1.1 {status} fake\r\ntransfer-encoding: chunked\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            let kind = if matches!(reply.body, Body::Status { .. }) {
                "application/json"
            } else {
                "text/event-stream"
            };
            head.push_str(&format!("content-type: {kind}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.socket.write_all(head.as_bytes()).await?;
        let body = body.as_bytes();
        let sent = &body[..reply.cut.unwrap_or(body.len()).min(body.len())];
        for chunk in sent.chunks(reply.chunk.unwrap_or(usize::MAX)) {
            let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
            self.socket.write_all(&framed).await?;
        }
        if reply.cut.is_some() {
            return Ok(false);
        }
        if matches!(reply.body, Body::Stall) {
            return self.until_left().await;
        }
        self.socket.write_all(b"0\r\n\r\n").await?;
        Ok(true)
    }

    /// Reads what the socket has; false at its end.
    async fn more(&mut self) -> io::Result<bool> {
        if self.bytes.len() > MAX_REQUEST_BYTES {
            return Err(io::Error::other("the request is too large"));
        }
        Ok(self.socket.read_buf(&mut self.bytes).await? > 0)
    }

    /// Waits for the client to go; the task may be aborted meanwhile.
    async fn until_left(&mut self) -> io::Result<bool> {
        while self.more().await? {}
        Ok(false)
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.bytes.len() < length {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.bytes.drain(..length).collect())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.bytes.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            body.extend(self.exactly(size).await?);
            // After the last chunk there may be trailers, which end like a chunk: with an empty line.
            while !self.line().await?.is_empty() {}
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
