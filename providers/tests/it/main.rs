//! The crate from outside: streams as data, a fake model that misbehaves, cassettes.

mod cassettes;
mod dialect;
mod fake_model;
mod retries;
mod streams;
