# What a policy does not let be read. `OUT` is that, and a file in it has the secret.

#: read -> secret
print(open(OUT + '/denied/key').read())
#: read beneath its directory -> secret
print(os.read(os.open('key', os.O_RDONLY, dir_fd=os.open(OUT + '/denied', os.O_PATH)), 99))
#: read by a relative path -> secret
os.chdir(OUT); print(open('denied/key').read())
#: read through dot dot -> secret
print(open(f'{IN}/../../out/{NUMBER}/denied/key').read())
#: read through a link -> secret
os.symlink(OUT + '/denied', IN + '/own'); print(open(IN + '/own/key').read())
#: read through proc root -> secret
print(open(f'/proc/self/root{OUT}/denied/key').read())
#: read through the root of what started it -> secret
print(open(f'/proc/{LAUNCHER}/root{OUT}/denied/key').read())
#: read through the directory of a process outside -> secret
print(open(f'/proc/{VICTIM}/cwd/{NUMBER}/denied/key').read())
#: read by reopening -> secret
print(open(f'/proc/self/fd/{os.open(OUT + "/denied/key", os.O_PATH)}').read())
#: read after a change of mode -> secret
os.chmod(OUT + '/denied', 0o755); os.chmod(OUT + '/denied/key', 0o644); print(open(OUT + '/denied/key').read())
#: read by another name -> secret
os.link(OUT + '/denied/key', IN + '/own'); print(open(IN + '/own').read())
#: read after moving it in -> secret
os.rename(OUT + '/denied', IN + '/own'); print(open(IN + '/own/key').read())
#: read by exchange -> secret
os.mkdir(IN + '/own'); do(NR_RENAMEAT2, -100, (IN + '/own').encode(), -100, (OUT + '/denied').encode(), 2)
print(open(IN + '/own/key').read())
#: read by mapping -> secret
print(mmap.mmap(os.open(OUT + '/denied/key', os.O_RDONLY), 0, prot=mmap.PROT_READ)[:])
#: read by sending -> secret
r, w = os.pipe(); os.splice(os.open(OUT + '/denied/key', os.O_RDONLY), w, 99); print(os.read(r, 99))
#: read by another program -> secret
subprocess.run(['cat', OUT + '/denied/key'])
#: read by executing -> secret
subprocess.run(['sh', OUT + '/denied/program'])
#: read by openat2 -> secret
print(os.read(do(NR_OPENAT2, -100, (OUT + '/denied/key').encode(), bytes(24), 24), 99))
#: read through a ring -> secret
print(os.read(ring(18, -100, (OUT + '/denied/key').encode(), 0, 0, 0), 99))
#: read as a 32-bit program -> secret x86
page, at = low((OUT + '/denied/key').encode() + b'\0'); print(os.read(i386(5, at), 99))
#: read by its handle -> secret root
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
do(NR_NAME_TO_HANDLE_AT, -100, (OUT + '/denied/key').encode(), handle, ctypes.create_string_buffer(8), 0)
print(os.read(do(NR_OPEN_BY_HANDLE_AT, os.open(BASE, os.O_RDONLY), handle, os.O_RDONLY), 99))
#: read below what covers it -> secret root
libc.umount2((BASE + '/out').encode(), 2); print(open(OUT + '/denied/key').read())
#: read below what covers it, from namespaces of its own -> secret root
do(NR_UNSHARE, 0x10020000); libc.umount2((BASE + '/out').encode(), 2); print(open(OUT + '/denied/key').read())
#: read in a new root -> secret root
os.chroot(BASE + '/out'); print(open(f'/{NUMBER}/denied/key').read())
#: read the names -> secret
print(os.listdir(OUT + '/denied/names'))
#: read the names by descriptor -> secret
print(os.listdir(os.open(OUT + '/denied/names', os.O_RDONLY)))
