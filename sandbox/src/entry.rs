//! What a directory holds: plain data, the same on every system.

use std::ffi::OsString;

/// What is in a directory under one name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is; a link is one, wherever it leads.
    pub kind: EntryKind,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Other,
}
