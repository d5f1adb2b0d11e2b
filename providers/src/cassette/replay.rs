//! Plays a cassette: the model's side of a run, without a model.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::difference::{Difference, first_difference, unmet_expectation};
use super::normalise::{Normaliser, Session};
use super::redact::Redactor;
use super::{Failure, Header, Kind, VERSION};
use crate::error::ProviderError;
use crate::event::ModelEvent;
use crate::provider::Provider;
use crate::request::Request;

/// The largest cassette that is read.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A cassette cannot be read, or a run is not the one that it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("the cassette {}: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A line is not what a cassette has there.
    #[error("line {line} of the cassette: {problem}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What is wrong and what is right.
        problem: String,
    },
    /// The run asks something else than the cassette holds.
    #[error(
        "request {exchange} is not that of the cassette (line {line}): at {pointer} expected {expected}, found {found}"
    )]
    Mismatch {
        /// Which request of the run, from 1.
        exchange: usize,
        /// The line of the recorded request, from 1.
        line: usize,
        /// Where they differ first: a JSON pointer into the request.
        pointer: String,
        /// What the cassette holds there, shortened.
        expected: String,
        /// What the run sent there, shortened.
        found: String,
    },
    /// The run asks more often than the cassette answers.
    #[error("the cassette ends after {exchanges} requests, and the run makes one more")]
    Exhausted {
        /// How many exchanges it holds.
        exchanges: usize,
    },
}

/// A provider that answers from a cassette.
///
/// The n-th request gets the n-th recorded answer, if it is the n-th recorded request. After the first difference
/// every request fails with it: a run that left its track proves nothing.
pub struct Replay {
    name: &'static str,
    kind: Kind,
    note: Option<String>,
    redactor: Redactor,
    exchanges: Vec<Exchange>,
    state: Mutex<State>,
}

struct State {
    session: Session,
    played: usize,
    failed: Option<ReplayError>,
}

struct Exchange {
    line: usize,
    asked: Asked,
    events: Value,
    failure: Option<Failure>,
}

enum Asked {
    Whole(Value),
    Parts(Map<String, Value>),
    Anything,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedLine {
    request: Option<Value>,
    expect: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLine {
    events: Vec<Value>,
    #[serde(default)]
    error: Option<Failure>,
}

impl Replay {
    /// Reads a cassette from a file of at most 256 MiB.
    ///
    /// # Errors
    /// [`ReplayError::Open`] and [`ReplayError::Malformed`].
    pub fn open(path: &Path, normaliser: Normaliser) -> Result<Self, ReplayError> {
        let failed = |reason: String| ReplayError::Open { path: path.to_owned(), reason };
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let mut text = String::new();
        let read =
            file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        if read as u64 > MAX_BYTES {
            return Err(failed(format!("it is larger than {MAX_BYTES} bytes")));
        }
        Self::from_str(&text, normaliser)
    }

    /// Reads a cassette from its text.
    ///
    /// # Errors
    /// [`ReplayError::Malformed`].
    pub fn from_str(text: &str, normaliser: Normaliser) -> Result<Self, ReplayError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim().is_empty());
        let Header { kind, note, .. } = header(lines.next())?;
        let mut exchanges = Vec::new();
        while let Some((line, text)) = lines.next() {
            let asked = asked(line, text, kind)?;
            let Some((answer_line, text)) = lines.next() else {
                return Err(malformed(
                    line,
                    "a request without an answer; a line {\"events\":[…]} must follow it",
                ));
            };
            let (events, failure) = answer(answer_line, text, kind)?;
            exchanges.push(Exchange { line, asked, events, failure });
        }
        Ok(Self {
            name: match kind {
                Kind::Recording => "replay of a recording",
                Kind::Script => "script",
            },
            kind,
            note,
            redactor: Redactor::default(),
            exchanges,
            state: Mutex::new(State { session: Session::new(normaliser), played: 0, failed: None }),
        })
    }

    /// Lets the requests of this run lose these secrets before they are compared, as the recorded ones did.
    /// Without it a secret matches its mark all the same; with it, a secret in the form of an id does
    /// not disturb the numbering of ids.
    #[must_use]
    pub fn with_redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Whether every exchange was used and none differed.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.remaining() == 0 && self.lock().failed.is_none()
    }

    /// How many exchanges were not used yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.exchanges.len() - self.lock().played
    }

    /// Where the cassette comes from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the cassette says of itself.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn answer(&self, request: &Request) -> Result<Vec<Result<ModelEvent, ProviderError>>, ReplayError> {
        let mut state = self.lock();
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        let result = self.check(request, &mut state).map(|exchange| exchange.play(&mut state.session));
        match &result {
            Ok(_) => state.played += 1,
            Err(error) => state.failed = Some(error.clone()),
        }
        result
    }

    /// The exchange that is next, if this is its request.
    fn check(&self, request: &Request, state: &mut State) -> Result<&Exchange, ReplayError> {
        let Some(exchange) = self.exchanges.get(state.played) else {
            return Err(ReplayError::Exhausted { exchanges: self.exchanges.len() });
        };
        let mut found = serde_json::to_value(request).unwrap_or_default();
        self.redactor.redact_json(&mut found);
        state.session.request(&mut found);
        match exchange.asked.difference(&found) {
            None => Ok(exchange),
            Some(Difference { pointer, expected, found }) => Err(ReplayError::Mismatch {
                exchange: state.played + 1,
                line: exchange.line,
                pointer,
                expected,
                found,
            }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Replay {
    fn stream(&self, request: Request) -> BoxStream<'static, Result<ModelEvent, ProviderError>> {
        let events = self.answer(&request).unwrap_or_else(|error| vec![Err(error.into())]);
        futures::stream::iter(events).boxed()
    }

    fn name(&self) -> &str {
        self.name
    }
}

impl Asked {
    fn difference(&self, found: &Value) -> Option<Difference> {
        match self {
            Self::Whole(expected) => first_difference(expected, found),
            Self::Parts(parts) => {
                parts.iter().find_map(|(pointer, part)| unmet_expectation(pointer, part, found))
            }
            Self::Anything => None,
        }
    }
}

impl Exchange {
    fn play(&self, session: &mut Session) -> Vec<Result<ModelEvent, ProviderError>> {
        let mut events = self.events.clone();
        session.put_back(&mut events);
        // They were read as events when the cassette was, and texts put back do not change that.
        let events: Vec<ModelEvent> = serde_json::from_value(events).unwrap_or_default();
        let failure = self.failure.clone().map(|Failure { code, message }| {
            let mut message = Value::from(message);
            session.put_back(&mut message);
            Err(ProviderError::Failed { code, message: message.as_str().unwrap_or_default().to_owned() })
        });
        events.into_iter().map(Ok).chain(failure).collect()
    }
}

fn header(line: Option<(usize, &str)>) -> Result<Header, ReplayError> {
    let wanted = "a cassette begins with {\"codex_cassette\":1,\"kind\":\"recording\"} (or \"script\")";
    let (line, text) = line.ok_or_else(|| malformed(1, &format!("it is empty; {wanted}")))?;
    let header: Header =
        serde_json::from_str(text).map_err(|error| malformed(line, &format!("{error}; {wanted}")))?;
    if header.codex_cassette != VERSION {
        let problem =
            format!("version {} of the format is not known here, only {VERSION}", header.codex_cassette);
        return Err(malformed(line, &problem));
    }
    Ok(header)
}

fn asked(line: usize, text: &str, kind: Kind) -> Result<Asked, ReplayError> {
    let asked: AskedLine = serde_json::from_str(text)
        .map_err(|error| malformed(line, &format!("{error}; a line {{\"request\":…}} belongs here")))?;
    match (asked.request, asked.expect) {
        (Some(request), None) => Ok(Asked::Whole(request)),
        (Some(_), Some(_)) => Err(malformed(line, "`request` and `expect` exclude each other")),
        _ if kind == Kind::Recording => {
            Err(malformed(line, "a recording holds whole requests; a cassette that does not is a \"script\""))
        }
        (None, Some(expect)) => Ok(Asked::Parts(expect)),
        (None, None) => Ok(Asked::Anything),
    }
}

fn answer(line: usize, text: &str, kind: Kind) -> Result<(Value, Option<Failure>), ReplayError> {
    let answer: AnswerLine = serde_json::from_str(text)
        .map_err(|error| malformed(line, &format!("{error}; a line {{\"events\":[…]}} belongs here")))?;
    let mut events = answer.events;
    let mut completed = false;
    for (at, event) in events.iter().enumerate() {
        let event = ModelEvent::deserialize(event)
            .map_err(|error| malformed(line, &format!("event {}: {error}", at + 1)))?;
        completed = matches!(event, ModelEvent::Completed { .. });
    }
    if !completed && answer.error.is_none() {
        if kind == Kind::Recording {
            return Err(malformed(line, "the last event is not `completed`, and there is no `error`"));
        }
        events.push(serde_json::json!({ "completed": {} }));
    }
    Ok((Value::Array(events), answer.error))
}

fn malformed(line: usize, problem: &str) -> ReplayError {
    ReplayError::Malformed { line, problem: problem.to_owned() }
}
