# Contents and names of files outside. Landlock and the mounts each keep all of these.

#: write -> outside
open(FILE, 'w').write('x')
#: append -> outside
open(FILE, 'a').write('x')
#: write at a place -> outside
os.pwritev(os.open(FILE, os.O_WRONLY), [b'x'], 3)
#: truncate by path -> outside
os.truncate(FILE, 0)
#: truncate by descriptor -> outside
os.ftruncate(os.open(FILE, os.O_RDWR), 0)
#: truncate by open for reading -> outside
os.open(FILE, os.O_RDONLY | os.O_TRUNC)
#: truncate by openat2 -> outside
do(NR_OPENAT2, -100, FILE.encode(), struct.pack('QQQ', os.O_RDONLY | os.O_TRUNC, 0, 0), 24)
#: lengthen -> outside
os.truncate(FILE, 1 << 20)
#: create -> outside
open(OUT + '/new', 'w')
#: create exclusively -> outside
os.open(OUT + '/new', os.O_RDONLY | os.O_CREAT | os.O_EXCL)
#: write through a link -> outside
open(IN + '/link', 'w').write('x')
#: write through a linked directory -> outside
open(IN + '/dirlink/file', 'w').write('x')
#: write through a link made inside -> outside
os.symlink(FILE, IN + '/own'); open(IN + '/own', 'w').write('x')
#: create through a dangling link -> outside
os.symlink(OUT + '/new', IN + '/own'); open(IN + '/own', 'w')
#: write through dot dot -> outside
open(IN + '/../../out/' + NUMBER + '/file', 'w').write('x')
#: write by a relative path -> outside
os.chdir(OUT); os.open('../' + NUMBER + '/file', os.O_WRONLY | os.O_TRUNC)
#: write through proc root -> outside
open('/proc/self/root' + FILE, 'w').write('x')
#: write through a thread's root -> outside
open('/proc/thread-self/root' + FILE, 'w').write('x')
#: write through proc cwd -> outside
os.chdir(OUT); open('/proc/self/cwd/file', 'w').write('x')
#: reopen for writing -> outside
fd = os.open(FILE, os.O_RDONLY); open(f'/proc/self/fd/{fd}', 'w').write('x')
#: reopen through dev -> outside
fd = os.open(FILE, os.O_RDONLY); open(f'/dev/fd/{fd}', 'w').write('x')
#: reopen a path descriptor -> outside
fd = os.open(FILE, os.O_PATH); open(f'/proc/self/fd/{fd}', 'w').write('x')
#: write beneath a path descriptor -> outside
os.open('file', os.O_WRONLY | os.O_TRUNC, dir_fd=os.open(OUT, os.O_PATH))
#: write beneath the directory of a path descriptor -> outside
os.fchdir(os.open(OUT, os.O_PATH)); open('file', 'w').write('x')
#: write beside the workspace -> outside
open(BESIDE + '/file', 'w').write('x')
#: an inherited descriptor -> outside
os.write(LEAKED_FILE, b'x')
#: an inherited directory -> outside
os.open('new', os.O_WRONLY | os.O_CREAT, dir_fd=LEAKED_DIRECTORY)
#: the directory of an inherited directory -> outside
os.fchdir(LEAKED_DIRECTORY); open('file', 'w').write('x')
#: remove -> outside
os.unlink(FILE)
#: remove a directory -> outside
os.rmdir(OUT + '/empty')
#: remove by descriptor of its directory -> outside
os.unlink('file', dir_fd=os.open(OUT, os.O_RDONLY))
#: make a directory -> outside
os.mkdir(OUT + '/new')
#: make a link -> outside
os.symlink('x', OUT + '/new')
#: make a pipe -> outside
os.mkfifo(OUT + '/new')
#: make a file by mknod -> outside
os.mknod(OUT + '/new', 0o100644)
#: make a socket by mknod -> outside
os.mknod(OUT + '/new', 0o140644)
#: make a socket by bind -> outside
unix().bind(OUT + '/new')
#: rename outside -> outside
os.rename(FILE, OUT + '/new')
#: rename out -> outside
os.rename(IN + '/mine', OUT + '/new')
#: rename in -> outside
os.rename(FILE, IN + '/stolen')
#: rename over -> outside
os.rename(IN + '/mine', FILE)
#: rename a directory in -> outside
os.rename(OUT + '/empty', IN + '/stolen')
#: rename a directory out -> outside
os.mkdir(IN + '/own'); os.rename(IN + '/own', OUT + '/new')
#: exchange -> outside
do(NR_RENAMEAT2, -100, (IN + '/mine').encode(), -100, FILE.encode(), 2)
#: exchange the other way -> outside
do(NR_RENAMEAT2, -100, FILE.encode(), -100, (IN + '/mine').encode(), 2)
#: rename without replacing -> outside
do(NR_RENAMEAT2, -100, (IN + '/mine').encode(), -100, (OUT + '/new').encode(), 1)
#: rename and leave a whiteout -> outside root optional
do(NR_RENAMEAT2, -100, FILE.encode(), -100, (OUT + '/new').encode(), 4)
#: link out -> outside
os.link(IN + '/mine', OUT + '/new')
#: link in and write -> outside
os.link(FILE, IN + '/hard'); open(IN + '/hard', 'w').write('x')
#: link in by descriptor and write -> outside
fd = os.open(FILE, os.O_RDONLY)
os.link(f'/proc/self/fd/{fd}', IN + '/hard', src_dir_fd=0); open(IN + '/hard', 'w').write('x')
#: nameless file linked out -> outside
fd = os.open(IN, os.O_TMPFILE | os.O_RDWR); os.link(f'/proc/self/fd/{fd}', OUT + '/new', src_dir_fd=0)
#: nameless file outside, linked there -> outside
fd = os.open(OUT, os.O_TMPFILE | os.O_RDWR); os.link(f'/proc/self/fd/{fd}', OUT + '/new', src_dir_fd=0)
#: map for writing -> outside
mmap.mmap(os.open(FILE, os.O_RDWR), 0)[0:1] = b'X'
#: map for reading, then protect for writing -> outside
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, os.open(FILE, os.O_RDWR), ctypes.c_long(0))
libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 3); ctypes.memset(at, 88, 1)
#: copy range -> outside
os.copy_file_range(os.open(IN + '/mine', os.O_RDONLY), os.open(FILE, os.O_WRONLY), 4)
#: send from file to file -> outside
os.sendfile(os.open(FILE, os.O_WRONLY), os.open(IN + '/mine', os.O_RDONLY), 0, 4)
#: splice from a pipe -> outside
r, w = os.pipe(); os.write(w, b'x'); os.splice(r, os.open(FILE, os.O_WRONLY), 1)
#: clone a file's blocks -> outside optional
fcntl.ioctl(os.open(FILE, os.O_WRONLY), 0x40049409, os.open(IN + '/mine', os.O_RDONLY))
#: allocate -> outside
os.posix_fallocate(os.open(FILE, os.O_WRONLY), 0, 4096)
#: punch a hole -> outside optional
do(NR_FALLOCATE, os.open(FILE, os.O_WRONLY), 3, 0, 4)
#: memory in /dev/shm -> outside
open('/dev/shm/' + TOKEN, 'w')
#: write as a shell does -> outside
subprocess.run(['sh', '-c', 'echo x >> "$0"', FILE])
#: write in a new session -> outside
if os.fork() == 0: os.setsid(); open(FILE, 'w').write('x'); os._exit(0)
os.wait()
#: write by a thread -> outside
import threading; t = threading.Thread(target=lambda: open(FILE, 'w').write('x')); t.start(); t.join()
#: write through the loader -> outside
loader = [m for m in open('/proc/self/maps') if '/ld-' in m][0].split()[-1]
subprocess.run([loader, '/bin/sh', '-c', 'echo x >> "$0"', FILE])
#: write through a ring -> outside
fd = ring(18, -100, FILE.encode(), 0, 0, os.O_WRONLY | os.O_TRUNC)
#: remove through a ring -> outside
ring(36, -100, FILE.encode(), 0, 0, 0)
#: make a directory through a ring -> outside
ring(37, -100, (OUT + '/new').encode(), 0o755, 0, 0)
#: write as a 32-bit program -> outside x86
page, path = low(FILE.encode() + b'\0'); i386(8, path, 0o644)
#: write as an x32 program -> outside x86 optional
do(0x40000000 | 2, FILE.encode(), os.O_WRONLY | os.O_TRUNC, 0)
#: rename the workspace -> outside
# And back, for the others; it shows at the directory that it is in.
os.rename(ROOT, BASE + '/elsewhere'); os.rename(BASE + '/elsewhere', ROOT)
