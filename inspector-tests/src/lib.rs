//! Looks at the house from the street: what the tests of this crate use to meet the binary as its users do.
//!
//! Nothing here knows how the house is built. [`fixture`] gives each test a home and a workspace of its own,
//! [`inspector`] is the MCP Inspector, [`wire`] a client that may misbehave, [`case`] requests and expectations as
//! data; [`clients`] and [`process`] install and run what that takes, and [`source`] reads the source for the tests
//! that hold it to the rules of the house.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the code of tests: what goes wrong here is a failed test, and has to say where"
)]

pub mod case;
pub mod clients;
pub mod fixture;
pub mod inspector;
pub mod process;
pub mod source;
pub mod wire;
