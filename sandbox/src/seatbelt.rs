//! A policy as a profile for macOS's `sandbox-exec`.
//!
//! Everything is refused first, and then allowed piece by piece; where two rules speak of the same thing, the later
//! one counts. Paths are never part of the text: they are parameters, which the profile names, so that no
//! quote or line end in a path can say anything in the profile's language.
//!
//! Commands are not run on macOS yet ([`spawn`](crate::spawn) refuses); whoever wants to see what a policy comes to
//! there hands this to `sandbox-exec`. Two things it can not say: git's pointers to other directories are not
//! followed, so those of linked worktrees and submodules stay writable, and [`devices`](Rules::devices) and
//! [`require`](Rules::require) mean nothing there.

use std::{ffi::OsString, fmt::Write as _, path::Path};

use crate::policy::{Network, Policy, Read, Rules};

#[cfg(test)]
mod tests;

/// A profile and what it refers to: `sandbox-exec -p TEXT -DNAME=VALUE … -- PROGRAM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// In the profile language, a dialect of Scheme.
    pub text: String,
    /// The parameters by their names.
    pub params: Vec<(String, OsString)>,
}

impl Profile {
    /// The arguments for `/usr/bin/sandbox-exec` that come before the program.
    pub fn arguments(&self) -> Vec<OsString> {
        let params = self.params.iter().map(|(name, value)| {
            let mut param = OsString::from(format!("-D{name}="));
            param.push(value);
            param
        });
        let text = ["-p".into(), self.text.clone().into()];
        text.into_iter().chain(params).chain(["--".into()]).collect()
    }
}

/// What every program needs: to start others, to speak with those of its own sandbox, to ask what machine this is, and
/// devices that hold nothing.
const BASE: &str = "\
(version 1)
(deny default)
(allow process-exec)
(allow process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow user-preference-read)
(allow ipc-posix-sem)
(allow mach-lookup
  (global-name \"com.apple.system.opendirectoryd.libinfo\")
  (global-name \"com.apple.system.notification_center\")
  (global-name \"com.apple.logd\")
  (global-name \"com.apple.PowerManagement.control\"))
(allow iokit-open (iokit-registry-entry-class \"RootDomainUserClient\"))
(allow file-read* file-write-data file-ioctl
  (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/random\") (literal \"/dev/urandom\")
  (literal \"/dev/tty\"))
(allow pseudo-tty)
(allow file-read* file-write* file-ioctl (literal \"/dev/ptmx\") (regex #\"^/dev/ttys[0-9]+$\"))
";

/// What may be asked of the kernel: about processors, memory and versions, not about other processes.
const SYSCTLS: [&str; 21] = [
    "hw.activecpu",
    "hw.byteorder",
    "hw.cachelinesize",
    "hw.cputype",
    "hw.cpufrequency",
    "hw.logicalcpu",
    "hw.logicalcpu_max",
    "hw.machine",
    "hw.memsize",
    "hw.model",
    "hw.ncpu",
    "hw.nperflevels",
    "hw.pagesize",
    "hw.physicalcpu",
    "kern.argmax",
    "kern.hostname",
    "kern.maxfilesperproc",
    "kern.osrelease",
    "kern.ostype",
    "kern.osversion",
    "kern.version",
];
/// The same by their beginnings.
const SYSCTL_PREFIXES: [&str; 4] = ["hw.optional.", "hw.perflevel", "machdep.cpu.", "kern.osproductversion"];

/// The system's own files: programs, libraries and what they are configured by.
const SYSTEM: [&str; 12] = [
    "/bin",
    "/sbin",
    "/usr",
    "/System",
    "/Library/Apple",
    "/Library/Developer",
    "/Library/Frameworks",
    "/Library/Preferences",
    "/private/etc",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/nix/store",
];

/// The profile of a policy. A command under full access is not run in a sandbox; its profile allows everything.
///
/// On macOS the paths of a policy are to be given without links, as it judges names and `/tmp` is one.
pub fn profile(policy: &Policy) -> Profile {
    match policy {
        Policy::Sandboxed(rules) => Writer::default().rules(rules),
        Policy::FullAccess => {
            Profile { text: "(version 1)\n(allow default)\n".to_owned(), params: Vec::new() }
        }
    }
}

#[derive(Default)]
struct Writer {
    text: String,
    params: Vec<(String, OsString)>,
}

impl Writer {
    fn rules(mut self, rules: &Rules) -> Profile {
        self.text.push_str(BASE);
        self.sysctls();
        self.reading(rules);
        self.writing(rules);
        // After what they take away from.
        self.denied(rules);
        self.kept(rules);
        self.network(rules.network);
        Profile { text: self.text, params: self.params }
    }

    fn sysctls(&mut self) {
        self.text.push_str("(allow sysctl-read");
        for name in SYSCTLS {
            _ = write!(self.text, "\n  (sysctl-name \"{name}\")");
        }
        for prefix in SYSCTL_PREFIXES {
            _ = write!(self.text, "\n  (sysctl-name-prefix \"{prefix}\")");
        }
        self.text.push_str(")\n");
    }

    fn reading(&mut self, rules: &Rules) {
        let Read::Only(listed) = &rules.read else {
            self.text.push_str("(allow file-read*)\n");
            return;
        };
        // A program finds its way through directories that it may not list.
        self.text.push_str("(allow file-read-metadata)\n(allow file-read*\n  (literal \"/\")");
        for path in SYSTEM {
            _ = write!(self.text, "\n  (subpath \"{path}\")");
        }
        for (i, path) in listed.iter().enumerate() {
            let name = self.param(format!("READABLE_{i}"), path);
            _ = write!(self.text, "\n  {}", subpath(&name));
        }
        for (i, root) in rules.writable_roots.iter().enumerate() {
            let name = self.param(format!("WRITABLE_ROOT_{i}"), root);
            _ = write!(self.text, "\n  {}", subpath(&name));
        }
        self.text.push_str(")\n");
    }

    fn writing(&mut self, rules: &Rules) {
        if rules.writable_roots.is_empty() {
            return;
        }
        self.text.push_str("(allow file-write*");
        for (i, root) in rules.writable_roots.iter().enumerate() {
            let name = self.param(format!("WRITABLE_ROOT_{i}"), root);
            _ = write!(self.text, "\n  {}", subpath(&name));
        }
        self.text.push_str(")\n");
    }

    fn kept(&mut self, rules: &Rules) {
        if rules.writable_roots.is_empty() {
            return;
        }
        // The protected places of one root may lie in another, so they are taken away from all at once.
        self.text.push_str("(deny file-write*");
        for (i, root) in rules.writable_roots.iter().enumerate() {
            for (j, kept) in [".codex", ".agents", ".git/hooks", ".git/config"].into_iter().enumerate() {
                let name = self.param(format!("WRITABLE_ROOT_{i}_EXCLUDED_{j}"), &root.join(kept));
                _ = write!(self.text, "\n  {} {}", literal(&name), subpath(&name));
            }
        }
        for (i, kept) in rules.protected.iter().enumerate() {
            let name = self.param(format!("PROTECTED_{i}"), kept);
            _ = write!(self.text, "\n  {} {}", literal(&name), subpath(&name));
        }
        self.text.push_str(")\n");
        // Nor does any of them, or a directory that leads to one, move out of the way.
        self.text.push_str("(deny file-write-unlink");
        for (i, root) in rules.writable_roots.iter().enumerate() {
            let name = self.param(format!("WRITABLE_ROOT_{i}_GIT"), &root.join(".git"));
            _ = write!(self.text, "\n  {} {}", literal(&name), literal(&format!("WRITABLE_ROOT_{i}")));
        }
        for (i, kept) in rules.protected.iter().enumerate() {
            for (j, above) in ways(kept, rules).enumerate() {
                let name = self.param(format!("PROTECTED_{i}_ABOVE_{j}"), above);
                _ = write!(self.text, "\n  {}", literal(&name));
            }
        }
        self.text.push_str(")\n");
    }

    fn denied(&mut self, rules: &Rules) {
        let mut denied: Vec<_> = rules.deny_read.iter().enumerate().collect();
        // What is denied in a root that is seen in a denied place comes after that.
        denied.sort_by_key(|(_, path)| path.components().count());
        for (i, path) in denied {
            let name = self.param(format!("DENIED_{i}"), path);
            let places = format!("{} {}", literal(&name), subpath(&name));
            _ = writeln!(self.text, "(deny file-read* file-write* process-exec {places})");
            for (j, root) in rules.writable_roots.iter().enumerate() {
                if root.starts_with(path) && root != path {
                    let root = subpath(&format!("WRITABLE_ROOT_{j}"));
                    _ = writeln!(self.text, "(allow file-read* file-write* process-exec {root})");
                }
            }
        }
    }

    fn network(&mut self, network: Network) {
        self.text.push_str(match network {
            Network::Off => "",
            Network::Localhost => {
                "(allow network-bind (local ip \"localhost:*\"))\n\
                 (allow network-inbound (local ip \"localhost:*\"))\n\
                 (allow network-outbound (remote ip \"localhost:*\"))\n"
            }
            Network::On => {
                "(allow network-bind (local ip))\n\
                 (allow network-inbound (local ip))\n\
                 (allow network-outbound (remote ip))\n\
                 (allow network-outbound (literal \"/private/var/run/mDNSResponder\"))\n\
                 (allow system-socket (socket-domain AF_ROUTE))\n\
                 (allow mach-lookup\n  \
                   (global-name \"com.apple.SystemConfiguration.configd\")\n  \
                   (global-name \"com.apple.SystemConfiguration.DNSConfiguration\")\n  \
                   (global-name \"com.apple.networkd\")\n  \
                   (global-name \"com.apple.trustd.agent\")\n  \
                   (global-name \"com.apple.ocspd\"))\n"
            }
        });
    }

    /// Notes a parameter, once.
    fn param(&mut self, name: String, path: &Path) -> String {
        if !self.params.iter().any(|(known, _)| *known == name) {
            self.params.push((name.clone(), path.as_os_str().to_owned()));
        }
        name
    }
}

/// The directories between a protected path and the root that it lies in.
fn ways<'a>(kept: &'a Path, rules: &'a Rules) -> impl Iterator<Item = &'a Path> {
    let within =
        |above: &&Path| rules.writable_roots.iter().any(|root| *above != root && above.starts_with(root));
    kept.ancestors().skip(1).take_while(move |above| within(above))
}

fn subpath(param: &str) -> String {
    format!("(subpath (param \"{param}\"))")
}

fn literal(param: &str) -> String {
    format!("(literal (param \"{param}\"))")
}
