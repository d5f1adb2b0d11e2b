//! Ways out of the sandbox, each tried first without one: a probe that can not get out there proves nothing.
//! Whether it got out is seen from outside, in a file, at a listener, on a victim; only where a call has no
//! effect that could be seen, the probe itself says that the kernel let it through.

mod probes;
mod scene;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};

use self::{
    probes::{CALLS, FILES, FULL_LEVEL, NETWORK, PROCESSES, Probe, ROOT, UNIX},
    scene::{NOBODY, Scene},
};
use super::{Weaken, finish, nothing, reduced, run, sh, spawn_weakened};
use crate::{Network, Policy};

/// The names of the probes that got out.
async fn escapes(
    policy: impl Fn(&Scene) -> Policy,
    probes: &[&[Probe]],
    weaken: Weaken,
) -> Vec<&'static str> {
    let mut out = Vec::new();
    for &(name, script, sign) in probes.iter().copied().flatten() {
        let scene = Scene::new(script);
        let child = spawn_weakened(&policy(&scene), scene.probe(script), weaken).await.unwrap();
        let (_, text) = finish(child).await;
        if scene.shows(sign, &text) {
            out.push(name);
        }
    }
    out
}

/// Those that stay in although nothing keeps them.
fn duds(probes: &[&[Probe]]) -> Vec<String> {
    let mut duds = Vec::new();
    for &(name, script, sign) in probes.iter().copied().flatten() {
        let scene = Scene::new(script);
        let probe = scene.probe(script);
        let mut free = std::process::Command::new(probe.program);
        let output =
            free.args(probe.args).env_clear().envs(probe.env).current_dir(probe.cwd).output().unwrap();
        if !scene.shows(sign, &String::from_utf8_lossy(&output.stdout)) {
            duds.push(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    duds
}

fn every() -> Vec<&'static [Probe]> {
    [NETWORK].into_iter().chain(besides_the_network()).collect()
}

fn besides_the_network() -> Vec<&'static [Probe]> {
    let mut probes = vec![FILES, UNIX, PROCESSES, CALLS];
    if is_root() {
        probes.push(ROOT);
    }
    probes
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn workspace(network: Network) -> impl Fn(&Scene) -> Policy {
    move |scene| Policy::workspace_write(vec![scene.inside()], network)
}

const NONE: [&str; 0] = [];

#[test]
fn each_probe_gets_out_where_nothing_keeps_it() {
    assert_eq!(duds(&every()), NONE);
}

#[tokio::test]
async fn none_gets_out_of_read_only() {
    assert_eq!(escapes(|_| Policy::read_only(), &every(), nothing).await, NONE);
    assert_eq!(escapes(|_| Policy::read_only(), &every(), reduced).await, NONE);
}

#[tokio::test]
async fn none_gets_out_of_workspace_write() {
    assert_eq!(escapes(workspace(Network::Off), &every(), nothing).await, NONE);
    assert_eq!(escapes(workspace(Network::Off), &every(), reduced).await, NONE);
}

#[tokio::test]
async fn with_the_network_on_only_the_network_is_reached() {
    assert_eq!(escapes(workspace(Network::On), &besides_the_network(), nothing).await, NONE);
    let network: Vec<_> = NETWORK.iter().map(|(name, ..)| *name).collect();
    assert_eq!(escapes(workspace(Network::On), &[NETWORK], nothing).await, network);
}

#[tokio::test]
async fn without_landlock_files_and_processes_are_reached() {
    let out = escapes(workspace(Network::Off), &[FILES, PROCESSES], |plan| {
        reduced(plan);
        plan.confinement.ruleset = None;
    })
    .await;
    for name in [
        "write",
        "truncate by path",
        "rename out",
        "link in and write",
        "signal",
        "kill by out-of-memory score",
    ] {
        assert!(out.contains(&name), "{name} stays in without landlock: {out:?}");
    }
}

#[tokio::test]
async fn without_seccomp_the_network_and_the_kernel_are_reached() {
    let out = escapes(workspace(Network::Off), &[NETWORK, UNIX, CALLS], |plan| {
        reduced(plan);
        plan.confinement.filter = None;
    })
    .await;
    for name in
        ["udp", "unix stream", "unix datagram sendmsg from a pair", "io_uring", "user namespace", "keyctl"]
    {
        assert!(out.contains(&name), "{name} stays in without seccomp: {out:?}");
    }
}

#[tokio::test]
async fn with_privileges_files_of_others_are_read() {
    let out = escapes(
        |_| Policy::read_only(),
        &[ROOT],
        |plan| {
            reduced(plan);
            plan.confinement.privileges = false;
        },
    );
    assert!(!is_root() || out.await.contains(&"a file of another user"));
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
        .args(["tests::escape::", "--skip", "ordinary", "--test-threads", "1"])
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

/// What only namespaces keep: the text of `probe` says so where there are none.
#[tokio::test]
async fn metadata_outside_is_kept_at_the_full_level() {
    assert_eq!(duds(&[FULL_LEVEL]), NONE);
    assert_eq!(escapes(|_| Policy::read_only(), &[FULL_LEVEL], nothing).await, NONE);
    assert_eq!(escapes(workspace(Network::Off), &[FULL_LEVEL], nothing).await, NONE);
    assert_eq!(escapes(workspace(Network::On), &[FULL_LEVEL], nothing).await, NONE);
    let all: Vec<_> = FULL_LEVEL.iter().map(|(name, ..)| *name).collect();
    assert_eq!(escapes(workspace(Network::Off), &[FULL_LEVEL], reduced).await, all);
}

/// Mounts alone keep the files, and no network interface but a silent one is there, whatever a filter says.
#[tokio::test]
async fn without_landlock_and_seccomp_namespaces_still_keep() {
    let out = escapes(workspace(Network::Off), &[FILES, NETWORK, FULL_LEVEL], |plan| {
        plan.confinement.ruleset = None;
        plan.confinement.filter = None;
    });
    // What is on the machine's own loopback is not reached; the command's own is.
    assert_eq!(out.await, ["a family with stray high bits", "listening"]);
}
