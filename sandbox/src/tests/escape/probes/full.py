# What only namespaces keep: at the reduced level these are open, and docs/sandbox.md lists them.

#: mode -> outside
os.chmod(FILE, 0o600)
#: mode by descriptor -> outside
os.fchmod(os.open(FILE, os.O_RDONLY), 0o600)
#: mode through proc -> outside
os.chmod(f'/proc/self/fd/{os.open(FILE, os.O_PATH)}', 0o600)
#: mode through a link -> outside
os.chmod(IN + '/link', 0o600)
#: mode by fchmodat2 -> outside optional
do(NR_FCHMODAT2, os.open(FILE, os.O_PATH), b'', 0o600, 0x1000)
#: mode of a directory -> outside
os.chmod(OUT, 0o700)
#: mode that gives a program its owner's rights -> outside
os.chmod(FILE, 0o4755)
#: mode by a child program -> outside
subprocess.run(['chmod', '600', FILE])
#: owner -> outside
os.chown(FILE, os.getuid(), os.getgid())
#: owner by descriptor -> outside
os.fchown(os.open(FILE, os.O_RDONLY), os.getuid(), os.getgid())
#: owner of a link -> outside
os.lchown(OUT + '/pointer', os.getuid(), os.getgid())
#: owner by path descriptor -> outside
do(NR_FCHOWNAT, os.open(FILE, os.O_PATH), b'', os.getuid(), os.getgid(), 0x1000)
#: times -> outside
os.utime(FILE, (1, 1))
#: times by descriptor -> outside
os.utime(os.open(FILE, os.O_RDONLY), (1, 1))
#: times of a link -> outside
os.utime(OUT + '/pointer', (1, 1), follow_symlinks=False)
#: times of a directory -> outside
os.utime(OUT, (1, 1))
#: attributes -> outside
os.setxattr(FILE, 'user.probe', b'x')
#: attributes by descriptor -> outside
os.setxattr(os.open(FILE, os.O_RDONLY), 'user.probe', b'x')
#: attributes replaced -> outside
os.setxattr(FILE, 'user.planted', b'y', os.XATTR_REPLACE)
#: attributes removed -> outside
os.removexattr(FILE, 'user.planted')
#: attributes by setxattrat -> outside optional
value = ctypes.create_string_buffer(b'x'); size = struct.pack('QII', ctypes.addressof(value), 1, 0)
do(NR_SETXATTRAT, -100, FILE.encode(), 0, b'user.probe', size, 16)
#: access list -> outside optional
entries = [(1, 6, -1), (2, 4, 12345), (4, 4, -1), (16, 4, -1), (32, 4, -1)]
os.setxattr(FILE, 'system.posix_acl_access', struct.pack('I', 2) + b''.join(struct.pack('HHi', *e) for e in entries))
#: flags -> outside optional
fcntl.ioctl(os.open(FILE, os.O_RDONLY), 0x40086602, struct.pack('L', 0x40))
#: extended flags -> outside optional
flags = fcntl.ioctl(os.open(FILE, os.O_RDONLY), 0x801c581f, b'\0' * 28)
fcntl.ioctl(os.open(FILE, os.O_RDONLY), 0x401c5820, struct.pack('I', struct.unpack('I', flags[:4])[0] | 0x80) + flags[4:])
#: flags by file_setattr -> outside optional
flags = fcntl.ioctl(os.open(FILE, os.O_RDONLY), 0x801c581f, b'\0' * 28)
do(NR_FILE_SETATTR, -100, FILE.encode(), struct.pack('QIIII', struct.unpack('I', flags[:4])[0] | 0x80, 0, 0, 0, 0), 24, 0)
#: sight of a process outside -> said
assert 'The processes outside' in open(f'/proc/{VICTIM}/cmdline').read(); through()
#: sight of the limits of a process outside -> said
import resource; resource.prlimit(VICTIM, resource.RLIMIT_NOFILE); through()
#: sight of the group of a process outside -> said
assert os.getpgid(VICTIM) == VICTIM; through()
#: sight of the end of a process outside -> said
os.pidfd_open(VICTIM); through()
#: sight of a disk as it is -> said root optional
disks = [d for d in glob.glob('/dev/*') if os.stat(d).st_mode & 0o170000 == 0o060000]
if not disks: raise OSError(errno.ENODEV, 'no disk')
for disk in disks:
    try: os.open(disk, os.O_RDONLY); through()
    except OSError as why: print(disk, why)
#: a terminal outside, written -> outside
os.write(os.open(TERMINAL, os.O_WRONLY | os.O_NOCTTY), b'x')
#: a terminal outside, read -> secret
print(os.read(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK), 99))
