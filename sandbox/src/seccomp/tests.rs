//! What the filters answer, call by call, without asking a kernel: its interpreter is small enough.

use super::{
    REFUSED, REFUSED_OFFLINE, filter,
    program::{ARCHITECTURE, Filter, NEWEST_KNOWN},
};
use crate::policy::Network;

const PAIR: i64 = libc::SYS_socketpair;

/// What the kernel's interpreter would make of it; only the instructions that are used.
fn verdict(filter: &Filter, arch: u32, call: u32, args: [u64; 6]) -> u32 {
    let mut data = vec![call, arch, 0, 0];
    data.extend(args.iter().flat_map(|arg| [*arg as u32, (*arg >> 32) as u32]));
    let (mut at, mut value) = (0, 0);
    loop {
        let op = filter.instructions()[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { op.jt } else { op.jf });
        match op.code {
            0x20 => value = data[op.k as usize / 4],
            0x54 => value &= op.k,
            0x05 => at += op.k as usize,
            0x15 => at += jump(value == op.k),
            0x25 => at += jump(value > op.k),
            0x35 => at += jump(value >= op.k),
            0x06 => return op.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn answer(network: Network, call: i64, args: &[u64]) -> &'static str {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    match verdict(filter(network).unwrap(), ARCHITECTURE, call as u32, all) {
        libc::SECCOMP_RET_ALLOW => "ok",
        0x0005_0001 => "EPERM",
        0x0005_0026 => "ENOSYS",
        _ => "else",
    }
}

const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;

#[test]
fn sockets_by_family_and_type() {
    let cloexec = 0o2_000_000;
    for (call, args, off, on) in [
        (libc::SYS_socket, [UNIX, 1, 0], "ok", "EPERM"),
        (libc::SYS_socket, [UNIX, 5 | cloexec, 0], "ok", "EPERM"),
        (libc::SYS_socket, [UNIX, 2, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [UNIX, 3, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [UNIX, 2 | 1 << 33, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [INET, 1, 0], "EPERM", "ok"),
        (libc::SYS_socket, [INET6, 2 | cloexec, 0], "EPERM", "ok"),
        (libc::SYS_socket, [1 << 32 | INET, 1, 0], "EPERM", "ok"),
        (libc::SYS_socket, [1 << 32 | UNIX, 2, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [NETLINK, 3, 0], "EPERM", "ok"),
        (libc::SYS_socket, [NETLINK, 3, 15], "EPERM", "EPERM"),
        (libc::SYS_socket, [17, 3, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [38, 5, 0], "EPERM", "EPERM"),
        (libc::SYS_socket, [40, 1, 0], "EPERM", "EPERM"),
        (PAIR, [UNIX, 1 | cloexec, 0], "ok", "ok"),
        (PAIR, [UNIX, 5, 0], "ok", "ok"),
        (PAIR, [UNIX, 2, 0], "EPERM", "EPERM"),
        (PAIR, [INET, 1, 0], "EPERM", "EPERM"),
    ] {
        assert_eq!(
            (answer(Network::Off, call, &args), answer(Network::On, call, &args)),
            (off, on),
            "{call} {args:?}"
        );
    }
}

#[test]
fn connections_by_setting() {
    let send = |address| [3, 0x1000, 5, 0, address, 0];
    for (call, args, off, on) in [
        (libc::SYS_connect, send(0), "EPERM", "ok"),
        (libc::SYS_bind, send(0), "EPERM", "ok"),
        (libc::SYS_listen, send(0), "EPERM", "ok"),
        (libc::SYS_accept4, send(0), "EPERM", "ok"),
        (libc::SYS_sendto, send(0), "ok", "ok"),
        (libc::SYS_sendto, send(0x7fff_0000_0000), "EPERM", "ok"),
        (libc::SYS_sendmsg, send(0), "ok", "ok"),
        (libc::SYS_recvfrom, send(0x1000), "ok", "ok"),
    ] {
        assert_eq!(
            (answer(Network::Off, call, &args), answer(Network::On, call, &args)),
            (off, on),
            "{call} {args:?}"
        );
    }
}

#[test]
fn calls_by_argument() {
    for (call, args, expected) in [
        (libc::SYS_clone, vec![0x0120_0011], "ok"),
        (libc::SYS_clone, vec![0x003d_0f00], "ok"),
        (libc::SYS_clone, vec![0x1000_0011], "EPERM"),
        (libc::SYS_clone, vec![0x4000_0011], "EPERM"),
        (libc::SYS_clone, vec![1 << 40 | 0x0002_0011], "EPERM"),
        (libc::SYS_ioctl, vec![0, 0x5401], "ok"),
        (libc::SYS_ioctl, vec![0, 0x5412], "EPERM"),
        (libc::SYS_ioctl, vec![0, 1 << 40 | 0x541c], "EPERM"),
        (libc::SYS_mknodat, vec![0, 0, 0o010_600], "ok"),
        (libc::SYS_mknodat, vec![0, 0, 0o020_600], "EPERM"),
        (libc::SYS_mknodat, vec![0, 0, 0o060_600], "EPERM"),
        (libc::SYS_personality, vec![0xffff_ffff], "ok"),
        (libc::SYS_personality, vec![0x0004_0000], "ok"),
        (libc::SYS_personality, vec![8], "EPERM"),
        (libc::SYS_prlimit64, vec![0, 7, 0x1000], "ok"),
        (libc::SYS_prlimit64, vec![77, 7, 0, 0x1000], "ok"),
        (libc::SYS_prlimit64, vec![77, 7, 0x1000], "EPERM"),
        (libc::SYS_setpriority, vec![0, 0, 5], "ok"),
        (libc::SYS_setpriority, vec![0, 77, 5], "EPERM"),
        (libc::SYS_setpriority, vec![1, 0, 5], "ok"),
        (libc::SYS_setpriority, vec![2, 0, 5], "EPERM"),
        (libc::SYS_setpriority, vec![1 << 32 | 2, 0, 5], "EPERM"),
        (libc::SYS_ioprio_set, vec![1, 0, 0], "ok"),
        (libc::SYS_ioprio_set, vec![3, 0, 0], "EPERM"),
        (libc::SYS_sched_setaffinity, vec![0], "ok"),
        (libc::SYS_sched_setaffinity, vec![77], "EPERM"),
        (libc::SYS_execve, vec![], "ok"),
        (libc::SYS_seccomp, vec![1], "ok"),
        (libc::SYS_landlock_restrict_self, vec![], "ok"),
        (libc::SYS_kexec_load, vec![], "EPERM"),
        (libc::SYS_finit_module, vec![], "EPERM"),
        (libc::SYS_clone3, vec![], "ENOSYS"),
        (467, vec![], "EPERM"),
        (469, vec![], "ok"),
        (470, vec![], "ENOSYS"),
        (10_000, vec![], "ENOSYS"),
        (0x8000_0000, vec![], "ENOSYS"),
        (0xffff_ffff, vec![], "ENOSYS"),
    ] {
        assert_eq!(answer(Network::Off, call, &args), expected, "{call:#x} {args:x?}");
        assert_eq!(answer(Network::On, call, &args), expected, "{call:#x} {args:x?}");
    }
}

#[test]
fn every_refused_call_and_none_of_its_neighbours() {
    for call in 0..=NEWEST_KNOWN {
        let number = i64::from(call);
        let expected = if number == libc::SYS_clone3 {
            "ENOSYS"
        } else if REFUSED.contains(&number) || REFUSED_OFFLINE.contains(&number) {
            "EPERM"
        } else {
            "ok"
        };
        // With such arguments no rule on arguments applies, except that no socket has family 0.
        if number != libc::SYS_socket && number != PAIR {
            assert_eq!(answer(Network::Off, number, &[]), expected, "{number}");
        }
    }
}

#[test]
fn calls_of_another_architecture_kill() {
    let i386 = 0x4000_0003;
    for call in 0..500 {
        assert_eq!(verdict(filter(Network::On).unwrap(), i386, call, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_in_their_x32_form_kill() {
    let x32 = 0x4000_0000;
    for call in [0, libc::SYS_write, libc::SYS_connect, 0x3fff_ffff] {
        for network in [Network::Off, Network::On] {
            let verdict = verdict(filter(network).unwrap(), ARCHITECTURE, x32 + call as u32, [0; 6]);
            assert_eq!(verdict, libc::SECCOMP_RET_KILL_PROCESS, "{call:#x}");
        }
    }
}

#[test]
fn most_calls_are_decided_in_a_few_steps() {
    // What the kernel does with each new filter, for each number: walk it until it needs an argument.
    let steps = |call| {
        let filter = filter(Network::Off).unwrap();
        let (mut at, mut steps, mut value) = (0, 0, 0);
        loop {
            let op = filter.instructions()[at];
            (at, steps) = (at + 1, steps + 1);
            match op.code {
                0x20 if op.k > 4 => return steps,
                0x20 => value = if op.k == 0 { call } else { ARCHITECTURE },
                0x05 => at += op.k as usize,
                0x15 => at += usize::from(if value == op.k { op.jt } else { op.jf }),
                0x35 => at += usize::from(if value >= op.k { op.jt } else { op.jf }),
                _ => return steps,
            }
        }
    };
    let all: usize = (0..NEWEST_KNOWN).map(steps).sum();
    assert!(all / (NEWEST_KNOWN as usize) < 16, "{all} steps");
}
