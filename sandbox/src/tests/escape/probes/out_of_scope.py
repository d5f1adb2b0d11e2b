# What is open at every level, and docs/sandbox.md says so.

#: a hard link that was there before -> outside
open(IN + '/planted', 'w').write('x')
#: a lock on a file outside -> said
fcntl.flock(os.open(FILE, os.O_RDONLY), fcntl.LOCK_EX); through()
#: a lease on a file outside -> said
fcntl.fcntl(os.open(FILE, os.O_RDONLY), 1024, fcntl.F_RDLCK); through()
#: a named pipe outside, emptied -> secret
print(os.read(os.open(OUT + '/pipe', os.O_RDONLY | os.O_NONBLOCK), 99))
