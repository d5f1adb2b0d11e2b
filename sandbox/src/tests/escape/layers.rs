//! Each layer left out, one at a time: then probes get out that do not when it is there. Where two layers keep
//! the same, the other one is left out first, and each of the two is seen to keep it alone.

use super::{
    Scene, Table, Weaken, escapes, is_root, not_listed, nothing,
    probe::{FILES, FULL, KERNEL, MACHINE, NETWORK, PROCESSES, READING, SOCKETS},
    reading, reduced, workspace,
};
use crate::{Network, Policy, namespaces::Namespaces, plan::Plan, without::Layer};

/// These get out without `layer`. That they do not with it, is what the tests of whole levels say.
async fn counts(level: Weaken, layer: Weaken, tables: &[Table], gets_out: &[&str]) {
    counts_under(workspace(Network::Off), level, layer, tables, gets_out).await;
}

async fn counts_under(
    policy: impl Fn(&Scene) -> Policy,
    level: Weaken,
    layer: Weaken,
    tables: &[Table],
    gets_out: &[&str],
) {
    let weaken = |plan: &mut Plan| {
        level(plan);
        layer(plan);
    };
    let out = escapes(&policy, tables, weaken).await;
    for name in gets_out {
        assert!(out.contains(name), "{name} is kept all the same; out are {out:?}");
    }
}

/// These get out once `layer` is left out as well, and not before.
async fn counts_after(others: Weaken, layer: Weaken, tables: &[Table], gets_out: &[&str]) {
    let kept = escapes(workspace(Network::Off), tables, others).await;
    assert!(gets_out.iter().all(|name| !kept.contains(name)), "{kept:?} get out anyway");
    counts(others, layer, tables, gets_out).await;
}

fn view(plan: &mut Plan) -> &mut Namespaces {
    plan.confinement.namespaces.as_mut().unwrap()
}

fn without_landlock(plan: &mut Plan) {
    plan.confinement.ruleset = None;
}

fn without_seccomp(plan: &mut Plan) {
    plan.confinement.filter = None;
}

fn with_privileges(plan: &mut Plan) {
    plan.confinement.privileges = false;
}

fn only_namespaces(plan: &mut Plan) {
    without_landlock(plan);
    without_seccomp(plan);
}

fn reduced_without_seccomp(plan: &mut Plan) {
    reduced(plan);
    without_seccomp(plan);
}

#[tokio::test]
async fn read_only_mounts() {
    let names = ["mode", "owner by descriptor", "times", "attributes", "mode of a directory"];
    counts(nothing, |plan| view(plan).leave_writable(), &[FULL], &names).await;
    let names = ["write", "truncate by path", "create", "rename outside", "map for writing", "remove"];
    counts_after(without_landlock, |plan| view(plan).leave_writable(), &[FILES], &names).await;
}

#[tokio::test]
async fn process_ids() {
    // An ordinary user can not even see the process table of others from a user namespace.
    if is_root() {
        let names = ["sight of a process outside", "sight of the group of a process outside"];
        counts(nothing, |plan| view(plan).share(libc::CLONE_NEWPID), &[FULL], &names).await;
        let names = ["signal", "signal that ends", "signal to its group"];
        counts_after(without_landlock, |plan| view(plan).share(libc::CLONE_NEWPID), &[PROCESSES], &names)
            .await;
    }
}

#[tokio::test]
async fn objects_that_only_the_kernel_knows() {
    let names =
        ["shared memory of it", "message queue of it", "semaphore of it", "named message queue of it"];
    counts_after(only_namespaces, |plan| view(plan).share(libc::CLONE_NEWIPC), &[PROCESSES], &names).await;
}

#[tokio::test]
async fn the_network() {
    let share: Weaken = |plan| view(plan).share(libc::CLONE_NEWNET);
    if is_root() {
        // For an ordinary user, a network that is not its own can not be switched on.
        let localhost = workspace(Network::Localhost);
        counts_under(localhost, nothing, share, &[NETWORK], &["tcp", "udp", "udp over version 6"]).await;
    }
    counts_after(only_namespaces, share, &[NETWORK], &["tcp", "udp"]).await;
    counts_after(only_namespaces, share, &[SOCKETS], &["abstract stream", "abstract datagram"]).await;
}

#[tokio::test]
async fn its_own_proc() {
    let names = ["sight of a process outside"];
    counts(nothing, |plan| view(plan).leave_out(Layer::Proc), &[FULL], &names).await;
}

#[tokio::test]
async fn its_own_dev() {
    let leave_out: Weaken = |plan| view(plan).leave_out(Layer::Devices);
    counts(nothing, leave_out, &[FULL], &["a terminal outside, written", "a terminal outside, read"]).await;
    if is_root() {
        counts(nothing, leave_out, &[FULL], &["sight of a disk as it is"]).await;
    }
}

#[tokio::test]
async fn its_own_run() {
    if is_root() {
        let names = ["unix stream of a service", "unix datagram of a service"];
        counts_after(without_seccomp, |plan| view(plan).leave_run(), &[SOCKETS], &names).await;
    }
}

#[tokio::test]
async fn landlock() {
    let names = [
        "write",
        "truncate by path",
        "truncate by openat2",
        "rename out",
        "exchange",
        "link in and write",
        "nameless file linked out",
        "make a directory",
    ];
    counts(reduced, without_landlock, &[FILES], &names).await;
    let names = [
        "signal",
        "signal by the owner of a descriptor",
        "its turn when memory is short",
        // Of a process of root's, privileges keep these as well.
        "environment",
        "a file that it has",
        "a file through its root",
    ];
    let names = if is_root() { &names[..3] } else { &names };
    counts(reduced, without_landlock, &[PROCESSES], names).await;
    counts_after(reduced_without_seccomp, without_landlock, &[NETWORK, SOCKETS], &["tcp", "abstract stream"])
        .await;
    // At the full level there is only this that it keeps alone.
    let names = ["read", "read the names", "read by reopening", "read by mapping"];
    counts_under(reading(not_listed), nothing, without_landlock, &[READING], &names).await;
}

#[tokio::test]
async fn seccomp() {
    let names = [
        "udp",
        "unix stream",
        "unix stream to a socket in the workspace",
        "unix datagram sendmsg from a pair",
        "limits",
        "shared memory of it",
        "typing into the terminal",
        "io_uring",
        "user namespace",
        "keys of the user",
        "priority",
        "processors",
    ];
    // Those of a process of root's, privileges keep as well.
    let names = if is_root() { &names[..names.len() - 2] } else { &names };
    counts(reduced, without_seccomp, &[NETWORK, SOCKETS, PROCESSES, KERNEL], names).await;
    let names = [
        "unix stream",
        "unix datagram sendmsg from a pair",
        "io_uring",
        "user namespace",
        "keys of the user",
    ];
    counts(nothing, without_seccomp, &[SOCKETS, KERNEL], &names).await;
    let on = workspace(Network::On);
    let names = ["unix stream", "unix datagram", "netlink, sockets of others"];
    counts_under(on, nothing, without_seccomp, &[SOCKETS], &names).await;
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn calls_of_another_architecture() {
    let names = ["keys as a 32-bit program", "unix stream as a 32-bit program"];
    counts(nothing, without_seccomp, &[SOCKETS, KERNEL], &names).await;
}

#[tokio::test]
async fn privileges() {
    if is_root() {
        let names = ["a file of another user", "as another user", "by a program with its owner's rights"];
        counts(reduced, with_privileges, &[MACHINE], &names).await;
        counts(nothing, with_privileges, &[MACHINE], &["a file of another user", "priority raised"]).await;
        counts_after(reduced_without_seccomp, with_privileges, &[KERNEL], &["clock, adjusted", "kernel log"])
            .await;
    }
}

#[tokio::test]
async fn closed_descriptors() {
    let close: Weaken = |plan| plan.confinement.without.layer = Some(Layer::Descriptors);
    let files = ["an inherited descriptor", "an inherited directory"];
    counts(nothing, close, &[FILES, SOCKETS], &["an inherited descriptor", "an inherited socket"]).await;
    counts(reduced, close, &[FILES], &files[..1]).await;
}
