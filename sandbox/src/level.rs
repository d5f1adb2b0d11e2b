//! How much of a policy a system can enforce, in one word.

use std::fmt;

/// How much of a policy can be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Namespaces, Landlock and seccomp: what a policy says is what happens.
    Full,
    /// Landlock and seccomp, because this system refuses namespaces: open stay the modes, owners and times of
    /// one's own files outside, the sight of other processes, and the protected paths in the workspace.
    Reduced,
    /// Sandboxed commands are refused, unless their policy [requires nothing](crate::Require::Nothing).
    None,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::None => "none",
        })
    }
}
