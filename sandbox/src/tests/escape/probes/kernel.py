# Calls that a command has no use for. Most only need to be let through, and have arguments with which nothing happens.

#: io_uring -> said
call(NR_IO_URING_SETUP, 1, ctypes.create_string_buffer(256))
#: io_uring, register -> said
call(NR_IO_URING_REGISTER, -1, 0, 0, 0)
#: io_uring as a 32-bit program -> said x86
page, at = low(bytes(256)); os.close(i386(425, 1, at)); through()
#: keys of the user -> said
call(NR_KEYCTL, 0, -4, 1)
#: keys of the session -> said
call(NR_KEYCTL, 0, -3, 0)
#: keys as a 32-bit program -> said x86
i386(288, 0, -3 & 0xffffffff, 0); through()
#: a session of keys for the parent -> said
call(NR_KEYCTL, 18)
#: keys, added -> said
call(NR_ADD_KEY, b'user', b'probe', b'x', 1, -2)
#: keys, asked for -> said
call(NR_REQUEST_KEY, b'user', b'no-such-key', 0, 0)
#: userfaultfd -> said
call(NR_USERFAULTFD, 1)
#: perf_event_open -> said optional
call(NR_PERF_EVENT_OPEN, struct.pack('IIQQQQQ', 1, 64, 0, 0, 0, 0, 0x60) + bytes(80), 0, -1, -1, 0)
#: shared memory -> said
call(NR_SHMGET, 0x7ead, 1, 0)
#: semaphores -> said
call(NR_SEMGET, 0, 0, 0)
#: message queues -> said
call(NR_MSGGET, 0x7ead, 0)
#: named message queues -> said
call(NR_MQ_OPEN, b'no-such-queue', 0, 0, 0)
#: user namespace -> said
call(NR_UNSHARE, 0x10000000)
#: user namespace, stray high bits -> said
call(NR_UNSHARE, (1 << 40) | 0x10000000)
#: mounts in a user namespace -> said root
# What follows from one: everything else that only root may do.
do(NR_UNSHARE, 0x10020000); do(NR_MOUNT, b'none', b'/proc', b'tmpfs', 0, 0); through()
#: namespace by clone -> said
call(NR_CLONE, 0x10000000 | 0x200, 0, 0, 0, 0)
#: namespace by clone, stray high bits -> said
call(NR_CLONE, (1 << 40) | 0x10000000 | 0x200, 0, 0, 0, 0)
#: namespace by a process of its own -> said
pid = do(NR_CLONE, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
os.waitpid(pid, 0); through()
#: clone3 -> said
call(NR_CLONE3, 0, 0)
#: namespace by clone3 -> said
pid = do(NR_CLONE3, struct.pack('QQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)
if pid == 0: os._exit(0)
os.waitpid(pid, 0); through()
#: handle of a file -> said
call(NR_NAME_TO_HANDLE_AT, -100, FILE.encode(), struct.pack('Ii', 128, 0) + bytes(128), ctypes.create_string_buffer(8), 0)
#: fanotify -> said
call(NR_FANOTIFY_INIT, 0x200, 0)
#: fanotify mark -> said
call(NR_FANOTIFY_MARK, -1, 0, 0, 0, 0)
#: another execution domain -> said
call(NR_PERSONALITY, 8)
#: another execution domain, stray high bits -> said
call(NR_PERSONALITY, (1 << 40) | 8)
#: local descriptor table -> said x86
call(154, 0, ctypes.create_string_buffer(16), 16)
#: quotas -> said
call(NR_QUOTACTL, 0x80000100, 0, 0, 0)
#: module, removed -> said root optional
call(NR_DELETE_MODULE, b'no-such-module', 0o4000)
#: module, loaded -> said root optional
call(NR_INIT_MODULE, 0, 0, 0)
#: module, loaded from a file -> said root optional
call(NR_FINIT_MODULE, -1, 0, 0)
#: another kernel -> said root optional
call(NR_KEXEC_LOAD, 0, 1000, 0, 0)
#: another kernel from a file -> said root optional
call(NR_KEXEC_FILE_LOAD, -1, -1, 0, 0, 1 << 20)
#: mount -> said root
call(NR_MOUNT, b'none', b'/no/such/place', b'tmpfs', 0, 0)
#: mount remounted for writing -> said root
call(NR_MOUNT, 0, b'/no/such/place', 0, 32, 0)
#: umount -> said root
call(NR_UMOUNT2, b'/no/such/place', 0)
#: pivot_root -> said root
call(NR_PIVOT_ROOT, b'/no/such', b'/no/such')
#: chroot -> said root
call(NR_CHROOT, b'/no/such/place')
#: a root of its own -> outside root
os.chroot('/'); open(FILE, 'w').write('x')
#: fsopen -> said root
call(NR_FSOPEN, b'no-such-type', 0)
#: fspick -> said root
call(NR_FSPICK, -100, b'/no/such/place', 0)
#: fsconfig -> said
call(NR_FSCONFIG, -1, 0, 0, 0, 0)
#: fsmount -> said root
call(NR_FSMOUNT, -1, 0, 0)
#: move_mount -> said root
call(NR_MOVE_MOUNT, -100, b'/no/such', -100, b'/no/such', 0)
#: open_tree -> said root
call(NR_OPEN_TREE, -100, b'/no/such/place', 1)
#: open_tree_attr -> said root optional
call(467, -100, b'/no/such/place', 1, ctypes.create_string_buffer(32), 32)
#: mount_setattr -> said root
call(NR_MOUNT_SETATTR, -100, b'/no/such', 0, ctypes.create_string_buffer(32), 32)
#: setns -> said root
call(NR_SETNS, os.open('/proc/self/ns/net', os.O_RDONLY), 0x40000000)
#: setns by a process -> said root
call(NR_SETNS, os.pidfd_open(os.getpid()), 0x20000)
#: a file by its handle -> secret root
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
do(NR_NAME_TO_HANDLE_AT, -100, (OUT + '/private').encode(), handle, ctypes.create_string_buffer(8), 0)
print(os.read(do(NR_OPEN_BY_HANDLE_AT, os.open(OUT, os.O_RDONLY), handle, os.O_RDONLY), 99))
#: open_by_handle_at -> said root
call(NR_OPEN_BY_HANDLE_AT, -100, ctypes.create_string_buffer(16), 0)
#: bpf -> said root
call(NR_BPF, 0, ctypes.create_string_buffer(128), 128)
#: swap -> said root
call(NR_SWAPON, b'/no/such/place', 0)
#: swap off -> said root
call(NR_SWAPOFF, b'/no/such/place')
#: reboot -> said root
call(NR_REBOOT, 1, 2, 3, 0)
#: clock -> said root
call(NR_CLOCK_SETTIME, 0, struct.pack('qq', 0, -1))
#: time of day -> said root
call(NR_SETTIMEOFDAY, struct.pack('qq', 0, -1), 0)
#: clock, adjusted -> said root
call(NR_ADJTIMEX, struct.pack('I', 0x4000) + bytes(300))
#: clock of a kind, adjusted -> said root
call(NR_CLOCK_ADJTIME, 0, struct.pack('I', 0x4000) + bytes(300))
#: host name -> said root
call(NR_SETHOSTNAME, 0, 100000)
#: domain name -> said root
call(NR_SETDOMAINNAME, 0, 100000)
#: accounting -> said root
call(NR_ACCT, b'/no/such/place')
#: kernel log -> said root
call(NR_SYSLOG, 2, 0, -1)
#: ports of the processor -> said x86 root optional
call(173, 0x10000, 1, 1)
#: level of the processor -> said x86 root optional
call(172, 4)
