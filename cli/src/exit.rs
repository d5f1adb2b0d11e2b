//! The exit codes, all of them. Scripts rely on this table; a code never changes its meaning.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed: the model, a tool, a server, the machine |
//! | 2 | usage or configuration: nothing was tried |
//! | 3 | denied by policy |
//! | 4 | a limit was reached: going on is possible |
//! | 125 | `codex sandbox`: the command was not run, since it could not be confined |
//! | 130 | interrupted |
//!
//! `codex sandbox` passes the command's own code on, 128 + N where signal N ended it; 126 and 127 are, as with shells,
//! a command that cannot be executed and one that is not there.

use std::process::ExitCode;

use mcp_server::api::ErrorCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    Denied,
    Limit,
    Unconfined,
    Interrupted,
    /// Whatever another program ended with.
    Passed(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Limit => 4,
            Self::Unconfined => 125,
            Self::Passed(code) => code,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Limit => Self::Limit,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_table_is_fixed() {
        let table = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Denied, 3),
            (Exit::Limit, 4),
            (Exit::Unconfined, 125),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
