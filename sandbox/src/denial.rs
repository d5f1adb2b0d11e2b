//! Recognises that the sandbox is why a command failed, and says which rule it was and what would allow more.
//!
//! A command only gets an error number from the system and prints what it makes of it. So this reads its words,
//! and then asks the policy: what is named there is only a denial if the policy really refuses it. What is left
//! without a name is [`Refused::Unknown`], which tells the rules and claims no more.

use std::{fmt, path::PathBuf};

use crate::level::Level;

#[cfg(target_os = "linux")]
mod recognise;
#[cfg(target_os = "linux")]
mod words;

/// What the sandbox refused to a command. Its text is for people and models alike.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// What was refused.
    pub what: Refused,
    /// The rule that refused it, in words.
    pub rule: String,
    /// The setting that would allow it, in words.
    pub setting: String,
    /// The level at which the policy was enforced.
    pub level: Level,
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// A file or directory.
    Path {
        /// Which one, as far as the command's words tell: a path that it gave relative to a directory of its own
        /// is taken for one in the directory where it started.
        path: PathBuf,
        /// Why.
        reason: PathReason,
    },
    /// To reach or serve an address.
    Network,
    /// A system call, or something that takes a privilege.
    SystemCall,
    /// Nothing that its words tell for sure.
    Unknown,
}

/// Why a file or directory was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathReason {
    /// Nothing may be written.
    NothingWritable,
    /// It lies outside the writable roots.
    OutsideRoots,
    /// It lies in a writable root and stays as it is.
    Protected,
    /// It may not be read: `deny_read` says so.
    DenyRead,
    /// It may not be read: it is not among what may be.
    NotListed,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.rule, self.setting)?;
        if self.level == Level::Reduced {
            f.write_str(" (enforced at the reduced level: this system refuses namespaces)")?;
        }
        Ok(())
    }
}
