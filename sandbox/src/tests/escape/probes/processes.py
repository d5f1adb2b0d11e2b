# Processes outside. What is done to the victim is seen there.

#: signal -> outside
os.kill(VICTIM, signal.SIGUSR1)
#: signal that stops -> outside
os.kill(VICTIM, signal.SIGTSTP)
#: signal that ends -> outside
os.kill(VICTIM, signal.SIGKILL)
#: signal to its group -> outside
os.killpg(VICTIM, signal.SIGUSR1)
#: signal by descriptor -> outside
signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGUSR1)
#: signal to a thread -> outside
do(NR_TKILL, VICTIM, int(signal.SIGUSR1))
#: signal to a thread of a group -> outside
do(NR_TGKILL, VICTIM, VICTIM, int(signal.SIGUSR1))
#: signal with a value -> outside
do(NR_RT_SIGQUEUEINFO, VICTIM, 10, struct.pack('iii116x', 10, 0, -1))
#: signal with a value to a thread -> outside
do(NR_RT_TGSIGQUEUEINFO, VICTIM, VICTIM, 10, struct.pack('iii116x', 10, 0, -1))
#: signal by the owner of a descriptor -> outside
r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, VICTIM)
fcntl.fcntl(r, 10, int(signal.SIGUSR1)); fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')
#: signal by the owning group of a descriptor -> outside
r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, -VICTIM)
fcntl.fcntl(r, 10, int(signal.SIGUSR1)); fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')
#: signal by the owning thread of a descriptor -> outside
r, w = os.pipe(); fcntl.fcntl(r, 15, struct.pack('ii', 0, VICTIM))
fcntl.fcntl(r, 10, int(signal.SIGUSR1)); fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC); os.write(w, b'x')
#: signal as a 32-bit program -> outside x86
i386(37, VICTIM, 10)
#: limits -> outside
do(NR_PRLIMIT64, VICTIM, 7, struct.pack('QQ', 33, 33), 0)
#: limits with stray high bits -> outside
do(NR_PRLIMIT64, (1 << 32) | VICTIM, 7, struct.pack('QQ', 33, 33), 0)
#: priority -> outside
os.setpriority(os.PRIO_PROCESS, VICTIM, 9)
#: priority of its group -> outside
os.setpriority(os.PRIO_PGRP, VICTIM, 9)
#: priority for disks -> outside
do(NR_IOPRIO_SET, 1, VICTIM, 3 << 13)
#: priority for disks of its group -> outside
do(NR_IOPRIO_SET, 2, VICTIM, 3 << 13)
#: scheduler -> outside
os.sched_setscheduler(VICTIM, os.SCHED_BATCH, os.sched_param(0))
#: scheduler by its attributes -> outside
do(NR_SCHED_SETATTR, VICTIM, struct.pack('IIQiIQQQ', 48, 3, 0, 5, 0, 0, 0, 0), 0)
#: processors -> outside
do(NR_SCHED_SETAFFINITY, VICTIM, 8, struct.pack('Q', 1))
#: its turn when memory is short -> outside
open(f'/proc/{VICTIM}/oom_score_adj', 'w').write('500')
#: what its core dump holds -> outside
open(f'/proc/{VICTIM}/coredump_filter', 'w').write('0')
#: environment -> secret
print(open(f'/proc/{VICTIM}/environ').read())
#: environment by its thread -> secret
print(open(f'/proc/{VICTIM}/task/{VICTIM}/environ').read())
#: what its addresses are -> said
assert 'stack' in open(f'/proc/{VICTIM}/maps').read(); through()
#: which files it has -> said
os.readlink(f'/proc/{VICTIM}/fd/0'); through()
#: a file that it has -> secret
print(open(f'/proc/{VICTIM}/fd/{VICTIM_FD}').read())
#: a file through its root -> outside
open(f'/proc/{VICTIM}/root{FILE}', 'w').write('x')
#: a file through its directory -> outside
open(f'/proc/{VICTIM}/cwd/{NUMBER}/file', 'w').write('x')
#: its program -> said
os.open(f'/proc/{VICTIM}/exe', os.O_RDONLY); through()
#: its memory, read as a file -> secret
f = open(f'/proc/{VICTIM}/mem', 'rb'); f.seek(VICTIM_ENV); print(f.read(64))
#: its memory, written as a file -> outside
f = open(f'/proc/{VICTIM}/mem', 'r+b', buffering=0); f.seek(VICTIM_ENV); f.write(b'X')
#: its memory, read by a call -> secret
b = ctypes.create_string_buffer(64)
do(NR_PROCESS_VM_READV, VICTIM, vector(ctypes.addressof(b)), 1, vector(VICTIM_ENV), 1, 0); print(b.raw)
#: its memory, written by a call -> outside
b = ctypes.create_string_buffer(b'X')
do(NR_PROCESS_VM_WRITEV, VICTIM, vector(ctypes.addressof(b), 1), 1, vector(VICTIM_ENV, 1), 1, 0)
#: its memory, as a debugger -> outside
do(NR_PTRACE, 16, VICTIM, 0, 0); os.waitpid(VICTIM, 0x40000000)
do(NR_PTRACE, 5, VICTIM, VICTIM_ENV, 0x4141414141414141); do(NR_PTRACE, 17, VICTIM, 0, 0)
#: watched as by a debugger -> said
do(NR_PTRACE, 0x4206, VICTIM, 0, 0); through()
#: a descriptor of it -> secret
print(os.pread(do(NR_PIDFD_GETFD, os.pidfd_open(VICTIM), VICTIM_FD, 0), 64, 0))
#: compared with it -> said
call(NR_KCMP, os.getpid(), VICTIM, 2, 0, 0)
#: advice on its memory -> said optional
call(NR_PROCESS_MADVISE, os.pidfd_open(VICTIM), vector(0, 0), 1, 20, 1)
#: its memory moved between nodes -> said optional
call(NR_MOVE_PAGES, VICTIM, 0, 0, 0, 0, 0)
#: shared memory of it -> outside
libc.shmat.restype = ctypes.c_void_p
if libc.shmat(OUTER_SHM, None, 0) in (None, 2**64 - 1): raise OSError(ctypes.get_errno(), 'shmat')
#: message queue of it -> outside
libc.msgsnd(OUTER_MSG, struct.pack('l', 1) + b'x', ctypes.c_size_t(1), 0o4000)
#: semaphore of it -> outside
libc.semop(OUTER_SEM, struct.pack('Hhh', 0, 1, 0), ctypes.c_size_t(1))
#: named message queue of it -> outside
do(NR_MQ_TIMEDSEND, do(NR_MQ_OPEN, OUTER_QUEUE.encode(), os.O_WRONLY, 0, 0), b'x', 1, 0, 0)
#: named message queue of it, removed -> said
call(NR_MQ_UNLINK, b'no-such-queue')
#: environment of what started it -> said
assert open(f'/proc/{LAUNCHER}/environ').read(); through()
#: addresses of what started it -> said
assert open(f'/proc/{LAUNCHER}/maps').read(); through()
#: files of what started it -> said
os.readlink(f'/proc/{LAUNCHER}/fd/0'); through()
#: the program of what started it -> said
os.open(f'/proc/{LAUNCHER}/exe', os.O_RDONLY); through()
#: a file through the root of what started it -> outside
open(f'/proc/{LAUNCHER}/root{FILE}', 'w').write('x')
#: limits of what started it -> said
call(NR_PRLIMIT64, LAUNCHER, 99, bytes(16), 0)
#: priority for disks of all of the user's -> said
# With a priority that does not exist.
call(NR_IOPRIO_SET, 3, 0, 7 << 13)
#: typing into the terminal -> outside optional
take_terminal(); fcntl.ioctl(0, 0x5412, TYPED.encode())
#: typing into the terminal, stray high bits -> outside optional
take_terminal(); do(NR_IOCTL, 0, (1 << 40) | 0x5412, TYPED.encode())
#: typing into a terminal of its own -> said root
fcntl.ioctl(os.openpty()[1], 0x5412, b'x'); through()
