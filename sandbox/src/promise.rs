//! What a policy promises, one by one, and whether a system keeps it: for people who ask what their sandbox is
//! worth.
#![cfg(target_os = "linux")]

use std::fmt;

use crate::landlock::{IOCTL_ABI, LEAST_ABI, SCOPE_ABI};

/// Something that a sandboxed command can not do, unless its policy allows it.
#[derive(Debug)]
pub(crate) struct Promise {
    what: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// By these layers.
    Enforced(Vec<&'static str>),
    /// Because of this.
    Open(&'static str),
    /// Commands that need it are not run, because of this.
    Refused(&'static str),
}

/// The layers that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) namespaces: bool,
    /// The version of Landlock, 0 if there is none.
    pub(crate) landlock: i32,
    pub(crate) seccomp: bool,
}

const NO_RULE: &str = "landlock has no rule for it";
const OLD: &str = "this version of landlock does not know it";
const NO_EXCEPTION: &str = "landlock can except nothing from a writable root";

impl Present {
    /// All promises, the most important first.
    pub(crate) fn promises(self) -> Vec<Promise> {
        let Self { namespaces, seccomp, .. } = self;
        let landlock = |version| self.landlock >= version;
        let by = |layers: &[(&'static str, bool)], open| match layers {
            layers if layers.iter().any(|(_, there)| *there) => {
                State::Enforced(layers.iter().filter(|(_, there)| *there).map(|(layer, _)| *layer).collect())
            }
            _ => State::Open(open),
        };
        let promise = |what, state| Promise { what, state };
        vec![
            promise(
                "files outside the writable roots are not written, moved or removed",
                by(&[("mounts", namespaces), ("landlock", landlock(1))], "nothing keeps them"),
            ),
            promise(
                "nor are they emptied",
                by(&[("mounts", namespaces), ("landlock", landlock(LEAST_ABI))], OLD),
            ),
            promise(
                "nor are their modes, owners, times and attributes changed",
                by(&[("mounts", namespaces)], NO_RULE),
            ),
            promise(
                "protected paths in the writable roots stay",
                by(&[("mounts", namespaces)], NO_EXCEPTION),
            ),
            promise("what deny_read names is not read", self.denied()),
            promise(
                "where reading is limited, nothing else is read",
                by(&[("landlock", landlock(1))], "there is no landlock"),
            ),
            promise("processes outside are not seen", by(&[("namespaces", namespaces)], NO_RULE)),
            promise(
                "nor are they signalled",
                by(&[("namespaces", namespaces), ("landlock", landlock(SCOPE_ABI))], OLD),
            ),
            promise(
                "nor is their memory read or written",
                by(
                    &[("namespaces", namespaces), ("landlock", landlock(1)), ("seccomp", seccomp)],
                    "nothing keeps it",
                ),
            ),
            promise(
                "with the network off, nothing is reached",
                by(&[("namespaces", namespaces), ("seccomp", seccomp)], "nothing keeps it"),
            ),
            promise(
                "with network = \"localhost\", only the command itself is",
                if namespaces {
                    by(&[("namespaces", true)], "")
                } else {
                    State::Refused("it needs namespaces")
                },
            ),
            promise(
                "unix sockets of other processes are not reached",
                by(&[("seccomp", seccomp)], if namespaces { "only /run is covered" } else { NO_RULE }),
            ),
            promise(
                "devices are not opened for writing or controlled, but harmless ones",
                by(&[("mounts", namespaces), ("landlock", landlock(IOCTL_ABI))], OLD),
            ),
            promise(
                "system settings and dangerous system calls are refused",
                by(&[("seccomp", seccomp)], "there is no seccomp"),
            ),
            promise("no privileges are had or gained", State::Enforced(vec!["no_new_privs", "capabilities"])),
            promise(
                "keys of the user's session are not used",
                State::Enforced(if seccomp { vec!["keyring", "seccomp"] } else { vec!["keyring"] }),
            ),
            promise("no other open files are inherited", State::Enforced(vec!["closed"])),
        ]
    }

    fn denied(self) -> State {
        match self {
            Self { namespaces: true, .. } => State::Enforced(vec!["mounts"]),
            Self { landlock: 1.., .. } => State::Enforced(vec![
                "landlock; where it can not be, in a writable root, a command is refused",
            ]),
            _ => State::Open("there is no landlock"),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Enforced(layers) => write!(f, "{}: enforced ({})", self.what, layers.join(", ")),
            State::Open(why) => write!(f, "{}: open ({why})", self.what),
            State::Refused(why) => write!(f, "{}: refused ({why})", self.what),
        }
    }
}
