# The processes outside that probes go for, and what they hold. Its arguments are how many and a name; it says where
# everything is and keeps it until its input ends.
import ctypes, os, signal, sys

count, name = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None)
shm = libc.shmget(0, 4096, 0o1600)
msg = libc.msgget(0, 0o1600)
sem = libc.semget(0, 1, 0o1600)
mq_open = {'x86_64': 240}.get(os.uname().machine, 180)
queue = libc.syscall(mq_open, name.encode(), os.O_RDWR | os.O_CREAT, 0o600, None)
fd = os.memfd_create('secret')
os.write(fd, os.environb[b'KEY'])
# A signal that gets here stays to be seen.
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
victims = []
for _ in range(count):
    ready, tell = os.pipe()
    victim = os.fork()
    if victim == 0:
        os.setpgid(0, 0)
        libc.prctl(1, signal.SIGKILL)
        # Where Yama restricts who may look into whom: anyone may look into this one.
        libc.prctl(0x59616d61, ctypes.c_ulong(-1))
        os.write(tell, b'x')
        while True: signal.pause()
    os.read(ready, 1)
    os.close(ready), os.close(tell)
    victims.append(victim)
print(shm, msg, sem, queue, fd, *victims, flush=True)
sys.stdin.read()
for victim in victims:
    os.kill(victim, signal.SIGKILL)
libc.shmctl(shm, 0, None), libc.msgctl(msg, 0, None), libc.semctl(sem, 0, 0)
libc.mq_unlink(b'/' + name.encode())
