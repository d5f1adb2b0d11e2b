//! A run's model traffic in a file: recorded once, played back as often as wanted.
//!
//! A cassette is a JSONL file. Its first line says what it is, then requests and what answered them alternate:
//!
//! ```text
//! {"codex_cassette":1,"kind":"recording"}
//! {"request":{"model":"…","input":[…],…}}
//! {"events":[{"text_delta":{"text":"…"}},{"item_done":{"type":"message",…}},{"completed":{…}}]}
//! ```
//!
//! What differs from run to run is replaced by placeholders ([`Normaliser`]), what must not be kept by a mark
//! ([`Redactor`]). A *recording* was written by [`Recorder`], and each request of the run that it is played
//! to must be the recorded one, whole. A *script* was written by hand and says so: `{"request":null}` takes any
//! request, and `{"expect":{"/input/-1/output":"text"}}` takes one in which, at each JSON pointer, there is the
//! text (as a part) or the other JSON value (as a whole); a negative index counts from the end of an array. In a
//! script the `completed` event may be left out.
//!
//! An exchange that failed ends with `"error":{"code","message"}` beside its `events`.

mod difference;
mod normalise;
mod record;
mod redact;
mod replay;
mod varying;
mod word;

use serde::{Deserialize, Serialize};

pub use normalise::Normaliser;
pub use record::{RecordError, Recorder};
pub use redact::Redactor;
pub use replay::{Replay, ReplayError};

/// The version of the format that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Where a cassette comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A real run: a model answered so.
    Recording,
    /// Written by a person: no model ever answered so.
    Script,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    codex_cassette: u32,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// How an exchange failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Failure {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    message: String,
}
