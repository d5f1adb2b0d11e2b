//! Which system calls a sandboxed command gets.
//!
//! A deny list, since an allow list breaks compilers and runtimes, but one that fails for what it does not
//! know: calls newer than this file do not exist inside. Refused calls give `EPERM`. What a filter can see is
//! numbers: a socket's family and type, yes; the address behind a pointer, no. So sockets are judged when
//! they are made, and those whose address travels with each message (`sendmsg` on a Unix datagram socket,
//! which reaches the journal and any daemon) are not made at all.
#![cfg(target_os = "linux")]

use std::{collections::BTreeMap, sync::OnceLock};

use libc::c_long;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use crate::{
    error::{SpawnError, Stage},
    policy::Network,
};

mod program;
#[cfg(test)]
mod tests;

pub(crate) use program::{Filter, knows_this_processor};

/// Calls that a sandboxed command has no use for, or that lead out of the sandbox.
const REFUSED: &[c_long] = &[
    // Memory and descriptors of other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    // A ring does in the kernel's name what no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Keys of the session, and objects that any process of the user finds by number or name.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Another view of the file system, or a way around it.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    467, // open_tree_attr
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Refused while the network is off: nothing is reached and nothing listens, whatever the socket.
const REFUSED_OFFLINE: &[c_long] =
    &[libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4];

/// Says to `ioprio_set` that it is the processes of a user that are meant.
const IOPRIO_WHO_USER: u64 = 3;

/// Flags of `clone` that make a namespace: as root of one, a command reaches more of the kernel.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// `ioctl`s that type into, take over or redirect a terminal.
const TERMINAL_IOCTLS: &[u64] = &[
    0x5412, // TIOCSTI
    0x541c, // TIOCLINUX
    0x541d, // TIOCCONS
    0x5423, // TIOCSETD
];

/// The filter of a sandboxed policy. Compiled once per process and setting.
pub(crate) fn filter(network: Network) -> Result<&'static Filter, SpawnError> {
    static OFF: OnceLock<Result<Filter, String>> = OnceLock::new();
    static ON: OnceLock<Result<Filter, String>> = OnceLock::new();
    let cell = match network {
        Network::Off => &OFF,
        // Where its addresses lead, the network namespace says.
        Network::Localhost | Network::On => &ON,
    };
    let compile = || {
        let offline = if network == Network::Off { REFUSED_OFFLINE } else { &[] };
        let refused = REFUSED.iter().chain(offline).map(|&call| (call, libc::EPERM));
        // clone3 hides its flags behind a pointer. A C library that finds it missing falls back to clone.
        let refused = refused.chain([(libc::SYS_clone3, libc::ENOSYS)]);
        program::compile(refused, rules(network).map_err(|e| e.to_string())?)
    };
    cell.get_or_init(compile).as_ref().map_err(|why| SpawnError::Setup {
        stage: Stage::Seccomp,
        source: std::io::Error::other(why.clone()),
    })
}

/// When a call that depends on its arguments is refused: when one of its rules applies.
fn rules(network: Network) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    let mut refuse = |call: c_long, when: Vec<SeccompRule>| rules.insert(call, when);

    let new_namespace =
        |flag: &i32| rule([bits(0, u64::from(flag.cast_unsigned()), u64::from(flag.cast_unsigned()))?]);
    refuse(libc::SYS_clone, NAMESPACES.iter().map(new_namespace).collect::<Result<_, _>>()?);
    refuse(libc::SYS_ioctl, TERMINAL_IOCTLS.iter().map(|&it| rule([is(1, it)?])).collect::<Result<_, _>>()?);
    #[cfg(target_arch = "x86_64")]
    refuse(libc::SYS_mknod, device_nodes(1)?);
    refuse(libc::SYS_mknodat, device_nodes(2)?);
    // Other execution domains; asking for the current one and switching off address randomisation are fine.
    let (ask, fixed) = (0xffff_ffff, u64::from(libc::ADDR_NO_RANDOMIZE.cast_unsigned()));
    refuse(libc::SYS_personality, vec![rule([is_not(0, ask)?, is_not(0, 0)?, is_not(0, fixed)?])?]);

    // Limits, priorities and processors of other processes, this one included by its number.
    let set_limits = rule([is_not(0, 0)?, pointer_given(2)?])?;
    refuse(libc::SYS_prlimit64, vec![set_limits]);
    // The user's number may be left out, and still means all of the user's processes.
    for (call, of_a_user) in
        [(libc::SYS_setpriority, libc::PRIO_USER.into()), (libc::SYS_ioprio_set, IOPRIO_WHO_USER)]
    {
        refuse(call, vec![rule([is_not(1, 0)?])?, rule([is(0, of_a_user)?])?]);
    }
    for call in [
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setaffinity,
    ] {
        refuse(call, vec![rule([is_not(0, 0)?])?]);
    }

    refuse(libc::SYS_socket, sockets(network)?);
    refuse(libc::SYS_socketpair, unconnected_unix_sockets()?);
    if network == Network::Off {
        refuse(libc::SYS_sendto, vec![rule([pointer_given(4)?])?]);
    }

    Ok(rules)
}

/// Which sockets may not be made.
fn sockets(network: Network) -> Result<Vec<SeccompRule>, BackendError> {
    match network {
        // Unix sockets can be made, though not connected: programs that try are told so where they expect it.
        Network::Off => unconnected_unix_sockets(),
        // `connect` can not be judged by the family of its address, so with it open no Unix socket is made
        // that could be connected to docker or D-Bus. Netlink tells programs the machine's addresses.
        Network::Localhost | Network::On => {
            let [inet, inet6, netlink] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(number);
            Ok(vec![
                rule([is_not(0, inet)?, is_not(0, inet6)?, is_not(0, netlink)?])?,
                rule([is(0, netlink)?, is_not(2, number(libc::NETLINK_ROUTE))?])?,
            ])
        }
    }
}

/// All but Unix sockets, and of those the ones that send to an address without being connected to it.
fn unconnected_unix_sockets() -> Result<Vec<SeccompRule>, BackendError> {
    const TYPE: u64 = 0xf;
    let unix = number(libc::AF_UNIX);
    let mut rules = vec![rule([is_not(0, unix)?])?];
    for kind in 0..=TYPE {
        if kind != number(libc::SOCK_STREAM) && kind != number(libc::SOCK_SEQPACKET) {
            rules.push(rule([bits(1, TYPE, kind)?])?);
        }
    }
    Ok(rules)
}

fn device_nodes(mode: u8) -> Result<Vec<SeccompRule>, BackendError> {
    let format = u64::from(libc::S_IFMT);
    Ok(vec![
        rule([bits(mode, format, u64::from(libc::S_IFCHR))?])?,
        rule([bits(mode, format, u64::from(libc::S_IFBLK))?])?,
    ])
}

fn number(constant: i32) -> u64 {
    u64::from(constant.cast_unsigned())
}

/// All of the conditions together.
fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into())
}

// The kernel reads an int argument from the lower half of its register, so that half is all that is compared:
// else a stray bit in the upper half would be a way past every rule.

fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn bits(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn pointer_given(argument: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
}
