//! The ways out, as data: a name, a script for Python, and the sign that it got out.

use super::scene::Sign::{
    self, AbstractDatagram, AbstractStream, Changed, Datagram, Device, Exists, Gone, Pending, Said, Secret,
    SharedMemory, Stream, Tcp, Touched, Udp, VictimLimit, VictimScore, VictimStat, WorkspaceGone,
};

pub(super) type Probe = (&'static str, &'static str, Sign);

pub(super) const FILES: &[Probe] = &[
    ("write", "open(FILE, 'w').write('x')", Changed),
    ("append", "open(FILE, 'a').write('x')", Changed),
    ("truncate by path", "os.truncate(FILE, 0)", Changed),
    ("truncate by open for reading", "os.open(FILE, os.O_RDONLY | os.O_TRUNC)", Changed),
    ("create", "open(OUT + '/new', 'w')", Exists("new")),
    ("write through a link", "open(IN + '/link', 'w').write('x')", Changed),
    ("write through a linked directory", "open(IN + '/dirlink/file', 'w').write('x')", Changed),
    ("write through dot dot", "open(IN + '/../out/file', 'w').write('x')", Changed),
    ("write through proc root", "open('/proc/self/root' + FILE, 'w').write('x')", Changed),
    ("write through proc cwd", "os.chdir(OUT); open('/proc/self/cwd/file', 'w').write('x')", Changed),
    (
        "reopen for writing",
        "fd = os.open(FILE, os.O_RDONLY); open(f'/proc/self/fd/{fd}', 'w').write('x')",
        Changed,
    ),
    (
        "reopen a path descriptor",
        "fd = os.open(FILE, os.O_PATH); open(f'/proc/self/fd/{fd}', 'w').write('x')",
        Changed,
    ),
    ("an inherited descriptor", "os.write(LEAKED, b'x')", Changed),
    ("remove", "os.unlink(FILE)", Changed),
    ("remove a directory", "os.rmdir(OUT + '/empty')", Gone("empty")),
    ("make a directory", "os.mkdir(OUT + '/new')", Exists("new")),
    ("make a link", "os.symlink('x', OUT + '/new')", Exists("new")),
    ("make a pipe", "os.mkfifo(OUT + '/new')", Exists("new")),
    ("rename outside", "os.rename(FILE, OUT + '/new')", Changed),
    ("rename out", "os.rename(IN + '/mine', OUT + '/new')", Exists("new")),
    ("rename in", "os.rename(FILE, IN + '/stolen')", Changed),
    ("rename over", "os.rename(IN + '/mine', FILE)", Changed),
    ("link out", "os.link(IN + '/mine', OUT + '/new')", Exists("new")),
    ("link in and write", "os.link(FILE, IN + '/hard'); open(IN + '/hard', 'w').write('x')", Changed),
    ("rename the workspace", "os.rename(IN, BASE + '/elsewhere')", WorkspaceGone),
    (
        "nameless file linked out",
        "fd = os.open(IN, os.O_TMPFILE | os.O_RDWR); os.link(f'/proc/self/fd/{fd}', OUT + '/new', src_dir_fd=0)",
        Exists("new"),
    ),
    ("map for writing", "import mmap; mmap.mmap(os.open(FILE, os.O_RDWR), 0)[0:1] = b'X'", Changed),
    (
        "copy range",
        "d = os.open(FILE, os.O_WRONLY); os.copy_file_range(os.open(IN + '/mine', os.O_RDONLY), d, 4)",
        Changed,
    ),
    ("allocate", "os.posix_fallocate(os.open(FILE, os.O_WRONLY), 0, 4096)", Changed),
    ("memory in /dev/shm", "open('/dev/shm/' + BASE.replace('/', '-'), 'w')", SharedMemory),
];

/// What only namespaces keep.
pub(super) const FULL_LEVEL: &[Probe] = &[
    ("mode", "os.chmod(FILE, 0o600)", Touched),
    ("mode by descriptor", "os.fchmod(os.open(FILE, os.O_RDONLY), 0o600)", Touched),
    ("mode through proc", "os.chmod(f'/proc/self/fd/{os.open(FILE, os.O_PATH)}', 0o600)", Touched),
    ("mode through a link", "os.chmod(IN + '/link', 0o600)", Touched),
    ("owner", "os.chown(FILE, os.getuid(), os.getgid())", Touched),
    ("times", "os.utime(FILE, (1, 1))", Touched),
    ("attributes", "os.setxattr(FILE, 'user.probe', b'x')", Touched),
    (
        "flags",
        "import fcntl; fcntl.ioctl(os.open(FILE, os.O_RDONLY), 0x40086602, struct.pack('L', 0x40))",
        Touched,
    ),
    ("mode of a directory", "os.chmod(OUT, 0o700); os.utime(FILE)", Touched),
    (
        "sight of a process outside",
        "assert b'pthread_sigmask' in open(f'/proc/{VICTIM}/cmdline', 'rb').read(); print('GOT THROUGH')",
        Said,
    ),
];

pub(super) const NETWORK: &[Probe] = &[
    ("tcp", "socket.create_connection(('127.0.0.1', TCP))", Tcp),
    ("tcp fast open", "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', TCP))", Tcp),
    ("udp", "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', UDP))", Udp),
    ("udp sendmsg", "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', UDP))", Udp),
    ("a family with stray high bits", "call(NR_SOCKET, (1 << 32) | 2, 2, 0)", Said),
    (
        "listening",
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.getsockname(); print('GOT THROUGH')",
        Said,
    ),
];

pub(super) const UNIX: &[Probe] = &[
    ("unix stream", "socket.socket(socket.AF_UNIX).connect(OUT + '/stream')", Stream),
    (
        "unix datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', OUT + '/datagram')",
        Datagram,
    ),
    (
        "unix datagram sendmsg from a pair",
        "socket.socketpair(type=socket.SOCK_DGRAM)[0].sendmsg([b'x'], [], 0, OUT + '/datagram')",
        Datagram,
    ),
    (
        "unix raw is datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_RAW).sendmsg([b'x'], [], 0, OUT + '/datagram')",
        Datagram,
    ),
    (
        "unix datagram with stray high bits",
        "fd = raw(NR_SOCKET, (1 << 40) | 1, (1 << 40) | 2, 0)[0]\n\
         socket.socket(fileno=fd).sendmsg([b'x'], [], 0, OUT + '/datagram')",
        Datagram,
    ),
    ("abstract stream", "socket.socket(socket.AF_UNIX).connect('\\0' + BASE + '-stream')", AbstractStream),
    (
        "abstract datagram",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0' + BASE + '-datagram')",
        AbstractDatagram,
    ),
];

pub(super) const PROCESSES: &[Probe] = &[
    ("signal", "os.kill(VICTIM, signal.SIGUSR1)", Pending("ShdPnd")),
    ("signal by pidfd", "signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGUSR1)", Pending("ShdPnd")),
    ("signal to a thread", "raw(NR_TKILL, VICTIM, int(signal.SIGUSR1))", Pending("SigPnd")),
    (
        "signal by descriptor owner",
        "import fcntl; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, VICTIM)\n\
         fcntl.fcntl(r, 10, int(signal.SIGUSR1)); fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')",
        Pending("ShdPnd"),
    ),
    ("environment of another process", "print(open(f'/proc/{VICTIM}/environ').read())", Secret),
    ("file of another process", "print('GOT THROUGH', os.readlink(f'/proc/{VICTIM}/fd/0'))", Said),
    (
        "limits of another process",
        "raw(NR_PRLIMIT64, VICTIM, 7, ctypes.byref((ctypes.c_ulong * 2)(33, 33)), 0)",
        VictimLimit("Max open files", "33"),
    ),
    ("priority of another process", "os.setpriority(os.PRIO_PROCESS, VICTIM, 9)", VictimStat(16, "9")),
    (
        "scheduler of another process",
        "os.sched_setscheduler(VICTIM, os.SCHED_BATCH, os.sched_param(0))",
        VictimStat(38, "3"),
    ),
    (
        "kill by out-of-memory score",
        "open(f'/proc/{VICTIM}/oom_score_adj', 'w').write('500')",
        VictimScore("500"),
    ),
];

/// Calls that only need to be let through. Arguments are such that nothing happens then.
pub(super) const CALLS: &[Probe] = &[
    ("process_vm_readv", "call(NR_PROCESS_VM_READV, VICTIM, 0, 0, 0, 0, 0)", Said),
    ("process_vm_writev", "call(NR_PROCESS_VM_WRITEV, VICTIM, 0, 0, 0, 0, 0)", Said),
    ("io_uring", "call(NR_IO_URING_SETUP, 1, ctypes.create_string_buffer(256))", Said),
    ("keyctl", "call(NR_KEYCTL, 0, -3, 0)", Said),
    ("add_key", "call(NR_ADD_KEY, b'user', b'probe', b'x', 1, -2)", Said),
    ("userfaultfd", "call(NR_USERFAULTFD, 1)", Said),
    ("shared memory", "call(NR_SHMGET, 0, 4096, 0o1600)", Said),
    ("message queue", "call(NR_MQ_OPEN, b'no-such-queue', 0, 0, 0)", Said),
    ("user namespace", "call(NR_UNSHARE, 0x10000000)", Said),
    ("namespace by clone", "call(NR_CLONE, 0x10000000 | 0x200, 0, 0, 0, 0)", Said),
    (
        "namespace by clone, stray high bits",
        "call(NR_CLONE, (1 << 40) | 0x10000000 | 0x200, 0, 0, 0, 0)",
        Said,
    ),
    ("clone3", "call(NR_CLONE3, 0, 0)", Said),
    ("socket of an unknown family", "call(NR_SOCKET, 12345, 1, 0)", Said),
    ("vsock", "call(NR_SOCKET, 40, 1, 0)", Said),
    ("kcmp", "call(NR_KCMP, os.getpid(), os.getpid(), 99, 0, 0)", Said),
    ("personality", "call(NR_PERSONALITY, 8)", Said),
];

/// What needs root, or on some systems needs root, to succeed without a sandbox.
pub(super) const ROOT: &[Probe] = &[
    ("mknod", "os.mknod(IN + '/disk', 0o20600, os.makedev(1, 3))", Device("disk")),
    ("mount", "call(NR_MOUNT, b'none', b'/no/such/place', b'tmpfs', 0, 0)", Said),
    ("umount", "call(NR_UMOUNT2, b'/no/such/place', 0)", Said),
    ("pivot_root", "call(NR_PIVOT_ROOT, b'/no/such', b'/no/such')", Said),
    ("chroot", "call(NR_CHROOT, b'/no/such/place')", Said),
    ("fsopen", "call(NR_FSOPEN, b'no-such-type', 0)", Said),
    ("open_tree", "call(NR_OPEN_TREE, -100, b'/no/such/place', 1)", Said),
    (
        "mount_setattr",
        "call(NR_MOUNT_SETATTR, -100, b'/no/such', 0, ctypes.create_string_buffer(32), 32)",
        Said,
    ),
    ("setns", "call(NR_SETNS, os.open('/proc/self/ns/net', os.O_RDONLY), 0x40000000)", Said),
    ("open_by_handle_at", "call(NR_OPEN_BY_HANDLE_AT, -100, ctypes.create_string_buffer(16), 0)", Said),
    ("bpf", "call(NR_BPF, 0, ctypes.create_string_buffer(128), 128)", Said),
    ("perf_event_open", "call(NR_PERF_EVENT_OPEN, 0, 0, -1, -1, 0)", Said),
    ("fanotify", "call(NR_FANOTIFY_INIT, 0, 0)", Said),
    ("swap", "call(NR_SWAPON, b'/no/such/place', 0)", Said),
    ("reboot", "call(NR_REBOOT, 1, 2, 3, 0)", Said),
    ("clock", "call(NR_CLOCK_SETTIME, 0, ctypes.byref((ctypes.c_long * 2)(0, -1)))", Said),
    ("host name", "call(NR_SETHOSTNAME, 0, 100000)", Said),
    ("kernel log", "call(NR_SYSLOG, 2, 0, -1)", Said),
    ("raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('GOT THROUGH')", Said),
    ("packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('GOT THROUGH')", Said),
    (
        "typing into a terminal",
        "import fcntl; fcntl.ioctl(os.openpty()[1], 0x5412, b'x'); print('GOT THROUGH')",
        Said,
    ),
    (
        "typing into a terminal, stray high bits",
        "call(NR_IOCTL, os.openpty()[1], (1 << 40) | 0x5412, b'x')",
        Said,
    ),
    ("a sysctl", "open('/proc/sys/kernel/core_pattern', 'r+'); print('GOT THROUGH')", Said),
    ("a file of another user", "print(open(OUT + '/private').read())", Secret),
    (
        "memory of another process",
        "m = open(f'/proc/{VICTIM}/maps').read(); a = int(m.split('[stack]')[0].split('\\n')[-1].split('-')[0], 16)\n\
         f = open(f'/proc/{VICTIM}/mem', 'rb'); f.seek(a); f.read(1); print('GOT THROUGH')",
        Said,
    ),
    ("ptrace", "call(NR_PTRACE, 0x4206, VICTIM, 0, 0)", Said),
    ("pidfd_getfd", "call(NR_PIDFD_GETFD, os.pidfd_open(VICTIM), 0, 0)", Said),
];

/// Names for the numbers, which differ between processors.
pub(super) fn numbers() -> String {
    let numbers = [
        ("ADD_KEY", libc::SYS_add_key),
        ("BPF", libc::SYS_bpf),
        ("CHROOT", libc::SYS_chroot),
        ("CLOCK_SETTIME", libc::SYS_clock_settime),
        ("CLONE", libc::SYS_clone),
        ("CLONE3", libc::SYS_clone3),
        ("FANOTIFY_INIT", libc::SYS_fanotify_init),
        ("FSOPEN", libc::SYS_fsopen),
        ("IOCTL", libc::SYS_ioctl),
        ("IO_URING_SETUP", libc::SYS_io_uring_setup),
        ("KCMP", libc::SYS_kcmp),
        ("KEYCTL", libc::SYS_keyctl),
        ("MOUNT", libc::SYS_mount),
        ("MOUNT_SETATTR", libc::SYS_mount_setattr),
        ("MQ_OPEN", libc::SYS_mq_open),
        ("OPEN_BY_HANDLE_AT", libc::SYS_open_by_handle_at),
        ("OPEN_TREE", libc::SYS_open_tree),
        ("PERF_EVENT_OPEN", libc::SYS_perf_event_open),
        ("PERSONALITY", libc::SYS_personality),
        ("PIDFD_GETFD", libc::SYS_pidfd_getfd),
        ("PIVOT_ROOT", libc::SYS_pivot_root),
        ("PRLIMIT64", libc::SYS_prlimit64),
        ("PROCESS_VM_READV", libc::SYS_process_vm_readv),
        ("PROCESS_VM_WRITEV", libc::SYS_process_vm_writev),
        ("PTRACE", libc::SYS_ptrace),
        ("REBOOT", libc::SYS_reboot),
        ("SETHOSTNAME", libc::SYS_sethostname),
        ("SETNS", libc::SYS_setns),
        ("SHMGET", libc::SYS_shmget),
        ("SOCKET", libc::SYS_socket),
        ("SWAPON", libc::SYS_swapon),
        ("SYSLOG", libc::SYS_syslog),
        ("TKILL", libc::SYS_tkill),
        ("UMOUNT2", libc::SYS_umount2),
        ("UNSHARE", libc::SYS_unshare),
        ("USERFAULTFD", libc::SYS_userfaultfd),
    ];
    numbers.iter().map(|(name, number)| format!("NR_{name} = {number}\n")).collect()
}
