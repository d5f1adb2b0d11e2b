//! Runs one command under one [`Policy`]: what the policy says is what happens.
//!
//! Two doors lead through this crate, because there are two ways to touch a machine. A *command* is started
//! with [`spawn`]: the kernel confines it (namespaces for what it sees of files, processes and the network;
//! Landlock for files, TCP, signals and abstract sockets; seccomp for system calls and socket types; no
//! capabilities, no inherited descriptors). Where namespaces are refused, [`probe`] says that the level is
//! [reduced](Level::Reduced); where the rest is, the command is refused, never run with less. A *file tool* of
//! our own process is not confined by the kernel, so it opens files through [`Policy::open_read`],
//! [`Policy::open_dir_for_read`] and [`Policy::open_dir_for_write`], which have the kernel resolve paths and judge
//! what it found, under the same rules.
//!
//! The way of a command: `plan` turns a policy and a [`Command`] into plain data, `spawn` has one long-lived
//! thread fork a `supervisor`, which enters the `namespaces` first, `exec` is what the command's own process
//! does until it becomes the program, and `process` follows both to their end.

#[cfg(not(unix))]
compile_error!("codex needs a Unix system; on Windows, use WSL 2");

mod appeared;
mod child;
mod command;
mod denial;
mod denied;
mod devices;
mod elsewhere;
mod entry;
mod error;
mod exec;
mod files;
mod landlock;
mod layers;
mod level;
mod mounts;
mod namespaces;
mod plan;
mod policy;
mod probe;
mod process;
mod promise;
mod protected;
mod resolved;
pub mod seatbelt;
mod seccomp;
mod spawn;
mod spawner;
mod status;
mod supervisor;
mod syscall;
mod terminal;
#[cfg(test)]
mod tests;
mod without;

#[cfg(not(target_os = "linux"))]
pub use crate::elsewhere::{Child, Dir, Enforcement, ReadDir, Terminal, probe, spawn};
#[cfg(target_os = "linux")]
pub use crate::{
    child::Child,
    files::{Dir, ReadDir},
    probe::{Enforcement, probe},
    spawn::spawn,
    terminal::Terminal,
};
pub use crate::{
    command::{Command, Exit, Input, Output, Signal, Size},
    denial::{Denial, PathReason, Refused},
    entry::{Entry, EntryKind},
    error::{AccessError, SpawnError, Stage},
    level::Level,
    policy::{Device, Network, Policy, Read, Require, Rules},
};
