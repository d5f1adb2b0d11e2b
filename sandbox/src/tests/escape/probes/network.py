# What the network is: open when it is on, and then all of it.

#: tcp -> outside
socket.create_connection(('127.0.0.1', TCP4))
#: tcp over version 6 -> outside optional
socket.create_connection(('::1', TCP6))
#: tcp to a version 4 address in version 6 -> outside optional
socket.create_connection(('::ffff:127.0.0.1', TCP4))
#: tcp without waiting -> outside
s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', TCP4))
#: tcp fast open -> outside
socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', TCP4))
#: tcp fast open by sendmsg -> outside
socket.socket().sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', TCP4))
#: multipath tcp -> outside optional
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', TCP4))
#: udp -> outside
udp().sendto(b'x', ('127.0.0.1', UDP4))
#: udp over version 6 -> outside optional
udp(socket.AF_INET6).sendto(b'x', ('::1', UDP6))
#: udp connected -> outside
s = udp(); s.connect(('127.0.0.1', UDP4)); s.send(b'x')
#: udp by sendmsg -> outside
udp().sendmsg([b'x'], [], 0, ('127.0.0.1', UDP4))
#: udp by sendmmsg -> outside
s = udp(); m = message(in_address(UDP4)); do(NR_SENDMMSG, s.fileno(), m[-1], 1, 0)
#: udp with stray high bits -> outside
s = socket.socket(fileno=do(NR_SOCKET, (1 << 32) | 2, (1 << 32) | 2, 0)); s.sendto(b'x', ('127.0.0.1', UDP4))
#: name resolution -> outside optional
# The C library's own resolver, with our listener for a server; it need not wait for the answer.
resolver = libc['__res_state']; resolver.restype = ctypes.c_void_p; libc['__res_init']()
state = (ctypes.c_char * 512).from_address(resolver())
state[0:4] = state[4:8] = state[16:20] = struct.pack('i', 1)
state[20:36] = in_address(UDP4)
signal.setitimer(signal.ITIMER_REAL, 0.2)
ctypes.CDLL('libresolv.so.2')['res_query'](b'name.test', 1, 1, ctypes.create_string_buffer(512), 512)
#: udp-lite -> said optional
family(socket.AF_INET, socket.SOCK_DGRAM, 136)
#: sctp -> said optional
family(socket.AF_INET, socket.SOCK_STREAM, 132)
#: ping -> said optional
udp(protocol=1).sendto(b'\x08\0\0\0\0\0\0\0', ('127.0.0.1', 0)); through()
#: listening -> said
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.getsockname(); through()
#: listening without an address -> said
s = socket.socket(); s.listen(); s.getsockname(); through()
#: receiving udp -> said
udp().bind(('127.0.0.1', 0)); through()
#: sight of the interfaces -> said
family(socket.AF_NETLINK, socket.SOCK_RAW, 0)
