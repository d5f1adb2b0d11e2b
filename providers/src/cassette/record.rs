//! Keeps a run's model traffic while the run goes on.
//!
//! An exchange is written when it ends, request and events together, before its last event is handed out: a
//! run whose cassette could not be written fails instead of leaving half a recording that looks whole.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::{Value, json};

use super::normalise::{Normaliser, Session};
use super::redact::Redactor;
use super::{Failure, Header, Kind, VERSION};
use crate::error::ProviderError;
use crate::event::ModelEvent;
use crate::provider::Provider;
use crate::request::Request;

/// A cassette could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recording {}: {reason}", path.display())]
pub struct RecordError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A provider that writes down what another one is asked and answers.
///
/// Secrets are taken out before what varies is replaced; deltas of one item are put together before that, so
/// that a secret cannot hide in a gap between two of them. Repetitions ([`ModelEvent::Retrying`]) are left out:
/// only the attempt that counted is kept. An exchange that failed, or that its reader left, is kept with its error.
/// Exchanges are meant to follow one another, as they do in a turn: played back, they come in the order
/// in which they ended.
pub struct Recorder {
    inner: Arc<dyn Provider>,
    tape: Arc<Mutex<Tape>>,
}

impl Recorder {
    /// Starts a recording in a new file that only its owner can read.
    ///
    /// # Errors
    /// [`RecordError`] if the file exists already or cannot be written.
    pub fn new(
        inner: Arc<dyn Provider>,
        path: &Path,
        normaliser: Normaliser,
        redactor: Redactor,
    ) -> Result<Self, RecordError> {
        let mut options = OpenOptions::new();
        // A new file: an old one may be readable to others, or a link to somewhere else.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "the file exists already; remove it or name another".to_owned()
                }
                _ => format!("cannot be created: {error}"),
            };
            RecordError { path: path.to_owned(), reason }
        })?;
        let mut tape = Tape { path: path.to_owned(), file, session: Session::new(normaliser), redactor };
        tape.write(&[&Header { codex_cassette: VERSION, kind: Kind::Recording, note: None }])?;
        Ok(Self { inner, tape: Arc::new(Mutex::new(tape)) })
    }
}

impl Provider for Recorder {
    fn stream(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ProviderError>> {
        let asked = lock(&self.tape).request(&request);
        let recording = Recording {
            inner: self.inner.stream(request),
            tape: Arc::clone(&self.tape),
            request: Some(asked),
            events: Vec::new(),
        };
        futures::stream::unfold(Box::new(recording), async |mut recording| {
            recording.next().await.map(|event| (event, recording))
        })
        .boxed()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// The file and what it knows of the run.
struct Tape {
    path: PathBuf,
    file: File,
    session: Session,
    redactor: Redactor,
}

impl Tape {
    fn request(&mut self, request: &Request) -> Value {
        // A request is texts, numbers and JSON values: writing it as a value cannot fail.
        let mut value = serde_json::to_value(request).unwrap_or_default();
        self.redactor.redact_json(&mut value);
        self.session.request(&mut value);
        value
    }

    fn exchange(
        &mut self,
        request: &Value,
        events: &[ModelEvent],
        failure: Option<Failure>,
    ) -> Result<(), RecordError> {
        let mut events = serde_json::to_value(events).unwrap_or_default();
        self.redactor.redact_json(&mut events);
        self.session.event(&mut events);
        let mut answer = json!({ "events": events });
        if let Some(Failure { code, message }) = failure {
            let message = self.session.message(&self.redactor.redact(&message));
            answer["error"] = json!({ "code": code, "message": message });
        }
        self.write(&[&json!({ "request": request }), &answer])
    }

    fn write<T: Serialize>(&mut self, lines: &[&T]) -> Result<(), RecordError> {
        let failed = |reason: String| RecordError { path: self.path.clone(), reason };
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|error| failed(error.to_string()))?;
            text.push(b'\n');
        }
        self.file
            .write_all(&text)
            .and_then(|()| self.file.flush())
            .map_err(|error| failed(format!("cannot be written: {error}")))
    }
}

/// One exchange that is being recorded.
struct Recording {
    inner: BoxStream<'static, Result<ModelEvent, ProviderError>>,
    tape: Arc<Mutex<Tape>>,
    /// None once the exchange is on the tape.
    request: Option<Value>,
    events: Vec<ModelEvent>,
}

impl Recording {
    async fn next(&mut self) -> Option<Result<ModelEvent, ProviderError>> {
        let event = self.inner.next().await;
        let written = match &event {
            Some(Ok(event)) => {
                self.keep(event);
                if matches!(event, ModelEvent::Completed { .. }) { self.write(None) } else { Ok(()) }
            }
            Some(Err(error)) => self.write(Some(failure(error))),
            None => self.write(Some(failure(&ProviderError::Interrupted))),
        };
        match (event, written) {
            (Some(Ok(_)), Err(error)) => Some(Err(error.into())),
            (event, Ok(())) => event,
            (event, Err(error)) => {
                // The exchange has failed already, for a reason that matters more.
                tracing::warn!(%error, "an exchange is missing from the recording");
                event
            }
        }
    }

    fn keep(&mut self, event: &ModelEvent) {
        match event {
            // What came before a repetition is void.
            ModelEvent::Retrying { .. } => self.events.clear(),
            ModelEvent::TextDelta { .. } | ModelEvent::ReasoningDelta { .. } if self.lengthen(event) => {}
            _ => self.events.push(event.clone()),
        }
    }

    /// Adds a delta to the one before it of the same item; false if there is none.
    fn lengthen(&mut self, delta: &ModelEvent) -> bool {
        let open = self.events.iter_mut().rev().take_while(|event| !matches!(event, ModelEvent::ItemDone(_)));
        for kept in open {
            match (kept, delta) {
                (ModelEvent::TextDelta { text }, ModelEvent::TextDelta { text: more })
                | (ModelEvent::ReasoningDelta { text }, ModelEvent::ReasoningDelta { text: more }) => {
                    text.push_str(more);
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    fn write(&mut self, failure: Option<Failure>) -> Result<(), RecordError> {
        let Some(request) = self.request.take() else { return Ok(()) };
        lock(&self.tape).exchange(&request, &self.events, failure)
    }
}

impl Drop for Recording {
    /// A reader that leaves before the end interrupts the exchange, which is a part of the run.
    fn drop(&mut self) {
        let message = "the reader left before the response was complete".to_owned();
        if let Err(error) = self.write(Some(Failure { code: Some("left".to_owned()), message })) {
            tracing::warn!(%error, "an exchange is missing from the recording");
        }
    }
}

fn failure(error: &ProviderError) -> Failure {
    Failure { code: None, message: error.to_string() }
}

fn lock(tape: &Mutex<Tape>) -> std::sync::MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use futures::StreamExt;

    use super::{Normaliser, Recorder, Redactor, Session, Tape};
    use crate::cassette::Replay;
    use crate::error::ProviderError;
    use crate::item::Item;
    use crate::provider::Provider;
    use crate::request::Request;

    #[tokio::test]
    async fn a_full_disk_fails_the_run() {
        let script = "{\"codex_cassette\":1,\"kind\":\"script\"}\n{\"request\":null}\n{\"events\":[]}";
        let inner = Arc::new(Replay::from_str(script, Normaliser::default()).unwrap());
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let tape =
            Tape { path, file, session: Session::new(Normaliser::default()), redactor: Redactor::default() };
        let recorder = Recorder { inner, tape: Arc::new(Mutex::new(tape)) };
        let request = Request {
            model: "m".into(),
            instructions: String::new(),
            input: vec![Item::user("go")],
            tools: vec![],
            parallel_tool_calls: false,
            reasoning_effort: None,
            reasoning_summary: None,
            output_schema: None,
            prompt_cache_key: None,
            store: false,
        };
        let events: Vec<_> = recorder.stream(request).collect().await;
        let [Err(ProviderError::Record(error))] = &events[..] else { panic!("{events:?}") };
        assert!(error.to_string().starts_with("the recording /dev/full: cannot be written: "), "{error}");
    }
}
