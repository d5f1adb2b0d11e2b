//! The ways out, as data: each table is a file of short programs for Python, and before each stands a line
//! `#: name -> sign needs…`, with the sign that it got out and what it takes to get out where nothing keeps it.

use super::is_root;

pub(super) const FILES: &str = include_str!("probes/files.py");
pub(super) const FULL: &str = include_str!("probes/full.py");
pub(super) const NETWORK: &str = include_str!("probes/network.py");
pub(super) const SOCKETS: &str = include_str!("probes/sockets.py");
pub(super) const PROCESSES: &str = include_str!("probes/processes.py");
pub(super) const KERNEL: &str = include_str!("probes/kernel.py");
pub(super) const MACHINE: &str = include_str!("probes/machine.py");
/// What nobody keeps, and the documentation says so.
pub(super) const OUT_OF_SCOPE: &str = include_str!("probes/out_of_scope.py");

/// Where a table names no other line, this begins a probe.
const HEAD: &str = "#: ";

/// One way out.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) sign: Sign,
    /// Whether kernels are commonly built, or set, without what it tries.
    pub(super) optional: bool,
    root: bool,
    x86: bool,
}

/// How it shows that a probe got out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// Something outside is not what it was, or was told something.
    Outside,
    /// It shows what it should not know.
    Secret,
    /// It says that the kernel let it: for what has no effect that could be seen.
    Said,
}

impl Probe {
    /// Reads the lines up to the next head.
    fn new(text: &'static str) -> Self {
        let (head, script) = text.split_once('\n').expect("a script below its head");
        let (name, rest) = head.split_once(" -> ").expect("a name and a sign");
        let mut words: Vec<_> = rest.split(' ').collect();
        let sign = match words.remove(0) {
            "outside" => Sign::Outside,
            "secret" => Sign::Secret,
            "said" => Sign::Said,
            other => panic!("{name}: {other} is not a sign"),
        };
        let mut needs = |word| words.iter().position(|it| *it == word).map(|at| words.remove(at)).is_some();
        let (root, x86, optional) = (needs("root"), needs("x86"), needs("optional"));
        assert!(words.is_empty(), "{name}: {words:?}");
        Self { name, script, sign, optional, root, x86 }
    }

    /// Whether it can get out at all, for this user and on this processor.
    fn applies(&self) -> bool {
        (is_root() || !self.root) && (cfg!(target_arch = "x86_64") || !self.x86)
    }

    /// Whether its script speaks of this.
    pub(super) fn speaks_of(&self, name: &str) -> bool {
        self.script.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
    }
}

/// All that a table holds.
pub(super) fn all(table: &'static str) -> impl Iterator<Item = Probe> {
    let (before, rest) = table.split_once(HEAD).expect("a probe");
    assert!(before.lines().all(|line| line.is_empty() || line.starts_with("# ")), "{before}");
    rest.split("\n#: ").map(Probe::new)
}

/// What of the tables applies here.
pub(super) fn probes(tables: &[&'static str]) -> Vec<Probe> {
    tables.iter().flat_map(|table| all(table)).filter(Probe::applies).collect()
}
