# Devices, settings of the kernel and the rights of others: what root can do, or on some systems only root.

#: a disk in the workspace -> outside root
os.mknod(IN + '/disk', 0o60600, os.makedev(7, 0))
#: a device in the workspace -> outside root
os.mknod(IN + '/null', 0o20600, os.makedev(1, 3))
#: a device as a 32-bit program -> outside x86 root
page, at = low((IN + '/null').encode() + b'\0'); i386(14, at, 0o20600, 0x103)
#: a device with stray high bits -> outside root
do(NR_MKNODAT, -100, (IN + '/null').encode(), (1 << 40) | 0o20600, 0x103)
#: a file of another user -> secret root
print(open(OUT + '/private').read())
#: a file of another user, by giving it away -> secret root
os.chown(OUT + '/private', 0, 0); print(open(OUT + '/private').read())
#: as another user -> secret root
os.setuid(65534); print(open(OUT + '/private').read())
#: as another group -> said root
os.setgroups([12345]); through()
#: by a program with its owner's rights -> said root
if subprocess.check_output([OUT + '/setuid', '-u']) == b'65534\n': through()
#: by a program with rights of its own -> said root
if int(subprocess.check_output([OUT + '/capable', '/proc/self/status']).split(b'CapEff:')[1].split()[0], 16): through()
#: core_pattern -> said root
open('/proc/sys/kernel/core_pattern', 'r+'); through()
#: a setting of the kernel -> said root
open('/proc/sys/vm/swappiness', 'r+'); through()
#: a setting of the network -> said root optional
open('/proc/sys/net/ipv4/ip_forward', 'r+'); through()
#: a setting of all processes -> said root
os.open('/proc/sys/kernel/pid_max', os.O_WRONLY); through()
#: a setting through proc root -> said root
open('/proc/self/root/proc/sys/kernel/core_pattern', 'r+'); through()
#: the keys that the kernel obeys -> said root optional
os.open('/proc/sysrq-trigger', os.O_WRONLY); through()
#: the memory of the kernel -> said root optional
os.open('/proc/kcore', os.O_RDONLY); through()
#: the addresses of the kernel -> said root
assert any(int(line.split()[0], 16) for line in open('/proc/kallsyms')); through()
#: the kernel's settings of devices -> said root
at = [f for f in glob.glob('/sys/kernel/mm/*/*') + glob.glob('/sys/block/*/queue/*') if os.path.isfile(f) and os.stat(f).st_mode & 0o200]
os.open(at[0], os.O_WRONLY); through()
#: a group of processes -> outside root
os.mkdir('/sys/fs/cgroup/' + TOKEN)
#: another group of processes -> said root
at = glob.glob('/sys/fs/cgroup/cgroup.procs') + glob.glob('/sys/fs/cgroup/*/cgroup.procs')
os.open(at[0], os.O_WRONLY); through()
#: the program that cleans up after a group -> said root optional
at = glob.glob('/sys/fs/cgroup/*/release_agent')
os.open(at[0] if at else '/sys/fs/cgroup/release_agent', os.O_WRONLY); through()
#: memory of the machine -> said root optional
os.open('/dev/mem', os.O_RDONLY); through()
#: kernel log, written -> said root
os.open('/dev/kmsg', os.O_WRONLY); through()
#: a disk -> said root optional
disks = [d for d in sorted(glob.glob('/dev/*')) if os.stat(d).st_mode & 0o170000 == 0o060000]
if not disks: raise OSError(errno.ENODEV, 'no disk')
os.open(disks[0], os.O_WRONLY); through()
#: a console, asked -> said root optional
fcntl.ioctl(os.open('/dev/tty1', os.O_RDONLY | os.O_NOCTTY), 0x541c, b'\6'); through()
#: virtual machines -> said root optional
fcntl.ioctl(os.open('/dev/kvm', os.O_RDONLY), 0xae00); through()
#: devices for disks -> said root optional
os.open('/dev/loop-control', os.O_RDWR); through()
#: a network device -> said root optional
os.open('/dev/net/tun', os.O_RDWR); through()
#: a file system of its own -> said root optional
os.open('/dev/fuse', os.O_RDWR); through()
#: faults of a device -> said root optional
fcntl.ioctl(os.open('/dev/userfaultfd', os.O_RDWR), 0xaa00, 1); through()
#: a program that watches the kernel's events -> said root optional
os.open('/sys/kernel/uevent_helper', os.O_WRONLY); through()
#: something new in /run -> outside root
open('/run/' + TOKEN, 'w')
#: something new in /dev -> outside root
open('/dev/' + TOKEN, 'w')
#: priority raised -> said root
os.nice(-5); through()
#: processes in real time -> said root
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); through()
