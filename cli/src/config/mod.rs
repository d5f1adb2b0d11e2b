//! The configuration, in two honest stages: `layers` is what was typed, each value with its origin; `load` is
//! what it means. Nothing outside `cli` reads a configuration file.

mod edit;
mod error;
mod home;
mod known;
mod layers;
mod load;
mod origin;

pub(crate) use edit::ConfigFile;
pub(crate) use error::ConfigError;
pub(crate) use home::Home;
pub(crate) use known::{check_closed_tables, unknown_keys};
pub(crate) use layers::{Layers, split_key};
pub(crate) use load::{Provider, ServerTable, Values, servers};
pub(crate) use origin::Origin;
