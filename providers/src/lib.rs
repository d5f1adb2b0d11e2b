//! Turns a [`Request`] into a stream of [`ModelEvent`]s.
//!
//! A [`Provider`] is one way to reach a model: over HTTP ([`connect`]), or out of a file
//! ([`cassette::Replay`]). The transcript's vocabulary ([`Item`]) is that of the Responses API, so what a
//! model said can be written to a record and sent back without a translation. This crate runs no tools,
//! keeps no history and reads no environment: all that it needs comes in with [`ProviderSettings`].

pub mod cassette;
mod credentials;
mod error;
mod event;
mod exchange;
mod http;
mod item;
mod provider;
mod request;
mod responses;
mod retry;
mod sse;
#[cfg(feature = "testing")]
pub mod testing;

pub use cassette::{Kind, Normaliser, RecordError, Recorder, Redactor, Replay, ReplayError};
pub use credentials::{Credentials, Secret};
pub use error::ProviderError;
pub use event::{ModelEvent, Usage};
pub use item::{Item, Output, Part, ReasoningText, Role};
pub use provider::{Provider, ProviderSettings, WireApi, connect};
pub use request::{Request, Tool};
