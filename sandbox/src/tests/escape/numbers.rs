//! The numbers of system calls, which differ between processors, under names for scripts: `NR_PTRACE`.

macro_rules! numbers {
    ($($call:ident),* $(,)?) => {
        [$((stringify!($call), libc::$call)),*]
    };
}

/// As assignments in Python.
pub(super) fn numbers() -> String {
    // What the C library does not name yet, and is the same on every processor.
    let newer = [("SYS_setxattrat", 463), ("SYS_file_setattr", 469)];
    #[rustfmt::skip]
    let numbers = numbers![
        SYS_acct, SYS_add_key, SYS_adjtimex, SYS_bpf, SYS_chroot, SYS_clock_adjtime, SYS_clock_settime,
        SYS_clone, SYS_clone3, SYS_delete_module, SYS_fallocate, SYS_fanotify_init, SYS_fanotify_mark,
        SYS_fchmodat2, SYS_fchownat, SYS_finit_module, SYS_fsconfig, SYS_fsmount, SYS_fsopen, SYS_fspick,
        SYS_init_module, SYS_ioctl, SYS_ioprio_set, SYS_io_uring_enter, SYS_io_uring_register,
        SYS_io_uring_setup, SYS_kcmp, SYS_kexec_file_load, SYS_kexec_load, SYS_keyctl, SYS_mknodat,
        SYS_mount, SYS_mount_setattr, SYS_move_mount, SYS_move_pages, SYS_mq_open, SYS_mq_timedsend,
        SYS_mq_unlink, SYS_msgget, SYS_name_to_handle_at, SYS_openat2, SYS_open_by_handle_at,
        SYS_open_tree, SYS_perf_event_open, SYS_personality, SYS_pidfd_getfd, SYS_pivot_root,
        SYS_prlimit64, SYS_process_madvise, SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace,
        SYS_quotactl, SYS_reboot, SYS_renameat2, SYS_request_key, SYS_rt_sigqueueinfo,
        SYS_rt_tgsigqueueinfo, SYS_sched_setaffinity, SYS_sched_setattr, SYS_semget, SYS_sendmmsg,
        SYS_setdomainname, SYS_sethostname, SYS_setns, SYS_settimeofday, SYS_shmget, SYS_socket,
        SYS_swapoff, SYS_swapon, SYS_syslog, SYS_tgkill, SYS_tkill, SYS_umount2, SYS_unshare,
        SYS_userfaultfd
    ];
    let line =
        |(name, number): (&str, i64)| format!("{} = {number}\n", name.to_uppercase().replace("SYS_", "NR_"));
    numbers.into_iter().chain(newer).map(line).collect()
}
