//! One request and its response, with the repetitions in between: the part that every wire shares.
//!
//! It is a state machine that the reader of the stream drives. There is no task and no channel: what
//! the network brings is decoded where it is read, and dropping the stream drops the connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::{RequestBuilder, Response};
use tokio::task::JoinHandle;

use crate::error::ProviderError;
use crate::event::ModelEvent;
use crate::http::{Endpoint, Failure};
use crate::retry::{Budget, Reached};
use crate::sse::SseParser;

/// The most that one response may bring: a server that never ends must not fill the memory.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;
/// What is still read after the last event, so that the connection can serve the next request.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Turns the events of one wire into ours. A new one is made for each attempt.
pub(crate) trait Decoder: Send + 'static {
    /// Takes one event of the stream. What it means goes to `events`; an error ends the response.
    fn decode(
        &mut self,
        name: &str,
        data: &str,
        events: &mut VecDeque<ModelEvent>,
    ) -> Result<(), ProviderError>;

    /// What a stream that ended without its last event has come to.
    fn cut_off(&mut self) -> ProviderError;
}

/// Makes a request and reads its response. `decoder` makes what reads one attempt's events.
pub(crate) fn exchange<D: Decoder>(
    endpoint: Arc<Endpoint>,
    body: Vec<u8>,
    budget: Budget,
    decoder: fn() -> D,
) -> BoxStream<'static, Result<ModelEvent, ProviderError>> {
    let request = endpoint.post(body);
    let (request, phase) = match request {
        Ok(request) => (Some(request), Phase::Send),
        Err(error) => (None, Phase::Failed(error.into(), Reached::Answer)),
    };
    let exchange =
        Exchange { endpoint, request, budget, decoder, phase, answered: false, ready: VecDeque::new() };
    // Boxed, so that a step moves a pointer and not the whole state.
    futures::stream::unfold(Box::new(exchange), async |mut exchange| {
        exchange.next().await.map(|event| (event, exchange))
    })
    .boxed()
}

struct Exchange<D> {
    endpoint: Arc<Endpoint>,
    request: Option<RequestBuilder>,
    budget: Budget,
    decoder: fn() -> D,
    phase: Phase<D>,
    /// Text or an item of this response was handed out.
    answered: bool,
    ready: VecDeque<ModelEvent>,
}

enum Phase<D> {
    Wait(Duration),
    Send,
    Read(Reading<D>),
    /// An error that is dealt with once everything before it was handed out.
    Failed(Failure, Reached),
    /// The response is complete; the rest of the connection's bytes are being read.
    Complete(JoinHandle<()>),
    Over,
}

/// A response that is being read.
struct Reading<D> {
    response: Response,
    parser: SseParser,
    decoder: D,
    bytes: usize,
}

impl<D: Decoder> Exchange<D> {
    async fn next(&mut self) -> Option<Result<ModelEvent, ProviderError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.answered |= matches!(event, ModelEvent::TextDelta { .. } | ModelEvent::ItemDone(_));
                return Some(Ok(event));
            }
            self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Wait(delay) => {
                    tokio::time::sleep(delay).await;
                    Phase::Send
                }
                Phase::Send => self.send().await,
                Phase::Read(reading) => self.read(reading).await,
                Phase::Failed(failure, reached) => match self.again(failure, reached) {
                    Ok(phase) => phase,
                    Err(error) => return Some(Err(error)),
                },
                Phase::Complete(drained) => {
                    let _ = drained.await;
                    return None;
                }
                Phase::Over => return None,
            };
        }
    }

    async fn send(&mut self) -> Phase<D> {
        // A body of bytes can always be sent again.
        let Some(request) = self.request.as_ref().and_then(RequestBuilder::try_clone) else {
            return Phase::Over;
        };
        match self.endpoint.send(request).await {
            Ok(response) => Phase::Read(Reading {
                response,
                parser: SseParser::default(),
                decoder: (self.decoder)(),
                bytes: 0,
            }),
            Err(failure) => Phase::Failed(failure, Reached::Request),
        }
    }

    /// Reads what the network has next and decodes all of it.
    async fn read(&mut self, mut reading: Reading<D>) -> Phase<D> {
        let ended = match tokio::time::timeout(self.endpoint.idle(), reading.response.chunk()).await {
            Err(_) => Err(self.endpoint.silent()),
            Ok(Ok(Some(chunk))) => reading.take(&chunk, &mut self.ready).map(|()| false),
            Ok(Ok(None)) => reading.finish(&mut self.ready).map(|()| true),
            Ok(Err(error)) => {
                tracing::debug!(error = %error.without_url(), "the connection broke");
                Err(reading.decoder.cut_off())
            }
        };
        if matches!(self.ready.back(), Some(ModelEvent::Completed { .. })) {
            return Phase::Complete(tokio::spawn(drain(reading.response)));
        }
        match ended {
            Ok(false) => Phase::Read(reading),
            Ok(true) => Phase::Failed(reading.decoder.cut_off().into(), Reached::Stream),
            Err(error) => Phase::Failed(self.presentable(error).into(), Reached::Stream),
        }
    }

    /// Whether the request is made again after a failure, and after what wait.
    fn again(&mut self, failure: Failure, reached: Reached) -> Result<Phase<D>, ProviderError> {
        let Failure { error, retry_after } = failure;
        let reached = if self.answered { Reached::Answer } else { reached };
        let Some(wait) = self.budget.spend(&error, reached, retry_after) else { return Err(error) };
        tracing::debug!(%error, attempt = wait.attempt, delay = ?wait.delay, "asking again");
        let (attempt, limit, delay) = (wait.attempt, wait.limit, wait.delay);
        self.ready.push_back(ModelEvent::Retrying { attempt, limit, delay, reason: error.to_string() });
        Ok(Phase::Wait(delay))
    }

    fn presentable(&self, error: ProviderError) -> ProviderError {
        let clean = |text: String| self.endpoint.presentable(&text);
        match error {
            ProviderError::Failed { code, message } => {
                ProviderError::Failed { code: code.map(clean), message: clean(message) }
            }
            ProviderError::ContextWindow { message } => {
                ProviderError::ContextWindow { message: clean(message) }
            }
            ProviderError::Decode { problem } => ProviderError::Decode { problem: clean(problem) },
            other => other,
        }
    }
}

impl<D: Decoder> Reading<D> {
    fn take(&mut self, chunk: &[u8], events: &mut VecDeque<ModelEvent>) -> Result<(), ProviderError> {
        self.bytes += chunk.len();
        if self.bytes > MAX_RESPONSE_BYTES {
            let problem = format!("it is larger than {MAX_RESPONSE_BYTES} bytes");
            return Err(ProviderError::Decode { problem });
        }
        self.parser.push(chunk);
        loop {
            let event =
                self.parser.next().map_err(|error| ProviderError::Decode { problem: error.to_string() })?;
            let Some(event) = event else { return Ok(()) };
            self.decoder.decode(&event.name, &event.data, events)?;
            if matches!(events.back(), Some(ModelEvent::Completed { .. })) {
                return Ok(());
            }
        }
    }

    fn finish(&mut self, events: &mut VecDeque<ModelEvent>) -> Result<(), ProviderError> {
        match self.parser.finish() {
            Ok(Some(event)) => self.decoder.decode(&event.name, &event.data, events),
            Ok(None) => Ok(()),
            Err(error) => Err(ProviderError::Decode { problem: error.to_string() }),
        }
    }
}

/// Reads a response to its end, for a short time: only then can its connection be used again.
async fn drain(mut response: Response) {
    let read = async { while let Ok(Some(_)) = response.chunk().await {} };
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
