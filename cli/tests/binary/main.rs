//! The binary, run as people and scripts run it.

mod command_line;
mod environment;
mod exec;
mod house;
mod sandbox;
