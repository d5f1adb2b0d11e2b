//! Ways out of the sandbox, each tried first without one: a probe that can not get out there proves nothing.
//! Whether it got out is seen from outside, in a file, at a listener, on a victim; only where a call has no
//! effect that could be seen, the probe itself says that the kernel let it through.

mod attended;
mod documented;
mod keeper;
mod layers;
mod listener;
mod look;
mod numbers;
mod probe;
mod scene;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};

use self::{
    documented::{AT_EVERY_LEVEL, REDUCED, REDUCED_BEFORE_6_10, REDUCED_BEFORE_6_12, open},
    probe::{
        FILES, FULL, KERNEL, MACHINE, NETWORK, OUT_OF_SCOPE, PROCESSES, READING, SOCKETS, Sign, all, probes,
    },
    scene::{Attempt, NOBODY, Scene},
};
use super::{Weaken, finish, nothing, reduced, run, sh, spawn_weakened};
use crate::{
    Network, Policy, Read, Rules,
    exec::out_of_the_way,
    landlock::{self, IOCTL_ABI, LEAST_ABI, SCOPE_ABI},
    plan::Plan,
    resolved::Resolved,
};

type Table = &'static str;

const FREE: [Table; 9] = [FILES, FULL, NETWORK, SOCKETS, PROCESSES, KERNEL, MACHINE, READING, OUT_OF_SCOPE];
/// What a sandbox keeps while the network is off.
const KEPT: [Table; 7] = [FILES, FULL, NETWORK, SOCKETS, PROCESSES, KERNEL, MACHINE];
const EVERY: [Table; 8] = [FILES, FULL, NETWORK, SOCKETS, PROCESSES, KERNEL, MACHINE, OUT_OF_SCOPE];

/// What becomes of the probes under a policy from whose plan something is taken away.
async fn attempts(
    policy: impl FnOnce(&Scene) -> Policy,
    tables: &[Table],
    weaken: impl FnOnce(&mut Plan),
) -> Vec<Attempt> {
    let scene = Scene::new(probes(tables));
    let policy = policy(&scene);
    let child = spawn_weakened(&policy, scene.command(), |plan| {
        plan.stdio[0] = Some(out_of_the_way(scene.stdin()).unwrap());
        weaken(plan);
    });
    let (_, text) = finish(child.await.unwrap()).await;
    scene.attempts(&text)
}

/// The names of those that get out.
async fn escapes(
    policy: impl FnOnce(&Scene) -> Policy,
    tables: &[Table],
    weaken: impl FnOnce(&mut Plan),
) -> BTreeSet<&'static str> {
    let attempts = attempts(policy, tables, weaken).await;
    attempts.iter().filter(|attempt| attempt.out).map(|attempt| attempt.name).collect()
}

/// What becomes of them where nothing keeps them.
fn free() -> Vec<Attempt> {
    let scene = Scene::new(probes(&FREE));
    let command = scene.command();
    let mut free = std::process::Command::new(command.program);
    free.args(command.args).env_clear().envs(command.env).current_dir(command.cwd).stdin(scene.stdin());
    scene.attempts(&String::from_utf8_lossy(&free.output().unwrap().stdout))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn workspace(network: Network) -> impl Fn(&Scene) -> Policy {
    move |scene| Policy::workspace_write(vec![scene.inside()], network)
}

#[test]
fn there_are_enough_and_each_has_a_name_of_its_own() {
    let names: Vec<_> = FREE.iter().flat_map(|table| all(table)).map(|probe| probe.name).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    assert!(names.len() >= 300, "{}", names.len());
}

#[test]
fn each_probe_gets_out_where_nothing_keeps_it() {
    let attempts = free();
    let duds = attempts.iter().filter(|attempt| !attempt.out && !attempt.missing);
    let duds: Vec<_> = duds.map(|dud| format!("{}: {}", dud.name, dud.text)).collect();
    assert!(duds.is_empty(), "{}", duds.join("\n"));
    let missing: Vec<_> = attempts.iter().filter(|it| it.missing).map(|it| it.name).collect();
    let out = attempts.len() - missing.len();
    assert!(out >= if is_root() { 260 } else { 200 }, "{out} get out, this kernel lacks {missing:?}");
}

#[tokio::test]
async fn none_gets_out_of_read_only() {
    let policy = |_: &Scene| Policy::read_only();
    assert_eq!(escapes(policy, &KEPT, nothing).await, BTreeSet::new());
    assert_eq!(escapes(policy, &KEPT, reduced).await, open(&reduced_level(), &KEPT));
}

#[tokio::test]
async fn none_gets_out_of_workspace_write() {
    let policy = workspace(Network::Off);
    assert_eq!(escapes(&policy, &EVERY, nothing).await, open(&[AT_EVERY_LEVEL], &EVERY));
    let headings = [reduced_level(), vec![AT_EVERY_LEVEL]].concat();
    assert_eq!(escapes(&policy, &EVERY, reduced).await, open(&headings, &EVERY));
}

#[tokio::test]
async fn with_the_network_on_only_the_network_is_reached() {
    let policy = workspace(Network::On);
    let besides = [FILES, FULL, SOCKETS, PROCESSES, KERNEL, MACHINE];
    assert_eq!(escapes(&policy, &besides, nothing).await, BTreeSet::new());
    assert_eq!(escapes(&policy, &besides, reduced).await, open(&reduced_level(), &besides));
    for weaken in [nothing as Weaken, reduced] {
        let attempts = attempts(&policy, &[NETWORK], weaken).await;
        let shut = attempts.iter().filter(|attempt| !attempt.out && !attempt.missing);
        assert_eq!(shut.map(|attempt| attempt.name).collect::<Vec<_>>(), [""; 0]);
    }
}

/// With it, root would make the kernel run what it likes.
#[tokio::test]
async fn where_everything_is_writable_the_system_itself_is_not() {
    let policy = |_: &Scene| Policy::workspace_write(["/"], Network::Off);
    let tables = [SOCKETS, PROCESSES, KERNEL, MACHINE];
    assert_eq!(escapes(policy, &tables, nothing).await, BTreeSet::new());
    let mut expected = open(&reduced_level(), &tables);
    expected.extend(is_root().then_some("something new in /run"));
    assert_eq!(escapes(policy, &tables, reduced).await, expected);
}

#[tokio::test]
async fn on_its_own_loopback_only_the_command_itself_is_reached() {
    let own = attempts(workspace(Network::On), &[NETWORK], nothing).await;
    let own = own.iter().filter(|it| it.out).map(|it| it.name);
    let said = probes(&[NETWORK]).into_iter().filter(|probe| matches!(probe.sign, Sign::Said));
    let said: BTreeSet<_> = said.map(|probe| probe.name).collect();
    let own: BTreeSet<_> = own.filter(|name| said.contains(name)).collect();
    assert_eq!(escapes(workspace(Network::Localhost), &KEPT, nothing).await, own);
}

/// Everything outside may not be read, by name or for want of it.
fn reading(limit: impl Fn(&Scene, &mut Rules)) -> impl Fn(&Scene) -> Policy {
    move |scene| {
        let mut rules = Rules { writable_roots: vec![scene.inside()], ..Rules::default() };
        limit(scene, &mut rules);
        Policy::Sandboxed(rules)
    }
}

fn denied(scene: &Scene, rules: &mut Rules) {
    rules.deny_read = vec![scene.outside_dir()];
}

fn not_listed(scene: &Scene, rules: &mut Rules) {
    rules.read = Read::Only(vec![scene.script()]);
}

#[tokio::test]
async fn what_may_not_be_read_is_not_read() {
    for weaken in [nothing as Weaken, reduced] {
        assert_eq!(escapes(reading(denied), &[READING], weaken).await, BTreeSet::new());
        assert_eq!(escapes(reading(not_listed), &[READING], weaken).await, BTreeSet::new());
    }
}

/// The kernels that there are between the oldest that will do and this one, as far as Landlock goes.
#[tokio::test]
async fn on_older_kernels_no_more_gets_out_than_is_said() {
    let tables = [FULL, SOCKETS, PROCESSES, MACHINE];
    let this = crate::probe().landlock_version().unwrap();
    for abi in [LEAST_ABI, IOCTL_ABI, SCOPE_ABI].into_iter().filter(|abi| *abi <= this) {
        let as_old = |plan: &mut Plan| {
            reduced(plan);
            let rules = plan.origin.0.rules().unwrap();
            let resolved = Resolved::new(rules, rules.network).unwrap();
            let ruleset = landlock::ruleset(&resolved, None, abi).unwrap();
            plan.confinement.ruleset = Some(out_of_the_way(ruleset).unwrap());
        };
        let out = escapes(|_| Policy::read_only(), &tables, as_old).await;
        assert_eq!(out, open(&reduced_headings(abi), &tables), "version {abi}");
    }
}

/// What the document says of this kernel.
fn reduced_level() -> Vec<&'static str> {
    reduced_headings(crate::probe().landlock_version().unwrap())
}

fn reduced_headings(abi: i32) -> Vec<&'static str> {
    let before = [(i32::MAX, REDUCED), (SCOPE_ABI, REDUCED_BEFORE_6_12), (IOCTL_ABI, REDUCED_BEFORE_6_10)];
    before.into_iter().filter(|(newer, _)| abi < *newer).map(|(_, heading)| heading).collect()
}

/// The same again as a user without any capability, for whom other system calls do the keeping.
#[test]
fn an_ordinary_user_does_not_get_out_either() {
    if !is_root() {
        return; // then all of the above has just been that
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = std::process::Command::new(copy)
        .args(["tests::escape::", "--skip", "ordinary", "--test-threads", "2"])
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains(" 0 passed"), "{text}");
}

#[tokio::test]
async fn the_kernel_says_the_same_of_the_command() {
    let status = sh(
        "grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters|Cap...):' /proc/self/status; ls /proc/self/fd | wc -l",
    );
    let (_, text) = run(&Policy::read_only(), status).await;
    let bounding = if is_root() {
        "0000000000000000"
    } else {
        text.split("CapBnd:\t").nth(1).unwrap().get(..16).unwrap()
    };
    let none = "0000000000000000";
    let wanted = format!(
        "CapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{bounding}\nCapAmb:\t{none}\n\
         NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n4\n"
    );
    assert_eq!(text, wanted);
}
