//! Recognises that the sandbox may be why a command failed, and says what the rules are.
//!
//! The command only gets an error number from the system and prints what it makes of it. So this is a guess from its
//! words, made only where a command failed under a policy that forbids something, and it tells rules, not causes.

use std::fmt;

use sandbox::{Exit, Network, Policy};
use schemars::JsonSchema;
use serde::Serialize;

use crate::paths;

/// How programs say that something may not be written or done.
const REFUSED: [&str; 3] = ["operation not permitted", "permission denied", "read-only file system"];
/// How programs say that there is no network.
const UNREACHABLE: [&str; 6] = [
    "network is unreachable",
    "could not resolve",
    "couldn't resolve",
    "name resolution",
    "name or service not known",
    "getaddrinfo",
];
/// The signal for a system call that is not allowed.
const SIGSYS: i32 = 31;

/// The rules under which a command failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Denial {
    mode: &'static str,
    writable_roots: Vec<String>,
    network: bool,
}

/// The rules, if they may be why the command failed.
pub(crate) fn recognise(policy: &Policy, exit: Exit, output: &str) -> Option<Denial> {
    if exit.success() || *policy == Policy::FullAccess {
        return None;
    }
    let network = policy.network() != Network::Off;
    let output = output.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| output.contains(words));
    if says(&REFUSED) || (!network && says(&UNREACHABLE)) || exit == Exit::Signal(SIGSYS) {
        let writable_roots = policy.writable_roots().iter().map(|root| paths::show(root)).collect();
        Some(Denial { mode: policy.mode(), writable_roots, network })
    } else {
        None
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = if self.network { "on" } else { "off" };
        if self.writable_roots.is_empty() {
            let wider = "sandbox_mode = \"workspace-write\" would allow the workspace";
            return write!(f, "sandbox: {}; nothing is writable; network {network} ({wider})", self.mode);
        }
        let roots = self.writable_roots.join(", ");
        let wider = match self.network {
            true => "writable_roots in [sandbox_workspace_write] would allow more",
            false => "writable_roots and network_access in [sandbox_workspace_write] would allow more",
        };
        write!(f, "sandbox: {}; writable: {roots}; network {network} ({wider})", self.mode)
    }
}

#[cfg(test)]
mod tests {
    use sandbox::{Exit, Network, Policy};

    fn check(policy: &Policy, code: i32, output: &str, expected: &str) {
        let denial = super::recognise(policy, Exit::Code(code), output);
        assert_eq!(denial.map(|denial| denial.to_string()).unwrap_or_default(), expected);
    }

    #[test]
    fn rules_are_told_where_they_may_matter() {
        let policy = |network| Policy::workspace_write(["/w", "/tmp"], network);
        let (off, on) = (policy(Network::Off), policy(Network::On));
        let rules = "sandbox: workspace-write; writable: /w, /tmp; network off \
                     (writable_roots and network_access in [sandbox_workspace_write] would allow more)";
        check(&off, 1, "sh: /etc/x: Permission denied", rules);
        check(&off, 6, "curl: (6) Could not resolve host: example.org", rules);
        check(&off, 0, "sh: /etc/x: Permission denied", "");
        check(&off, 1, "assertion failed", "");
        check(&on, 6, "curl: (6) Could not resolve host: example.org", "");
        check(&Policy::FullAccess, 1, "Permission denied", "");
        check(
            &Policy::read_only(),
            1,
            "touch: cannot touch 'x': Operation not permitted",
            "sandbox: read-only; nothing is writable; network off \
             (sandbox_mode = \"workspace-write\" would allow the workspace)",
        );
    }
}
