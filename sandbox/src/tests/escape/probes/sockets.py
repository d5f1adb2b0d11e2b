# Sockets that lead out whatever the network setting says.

#: unix stream -> outside
unix().connect(STREAM)
#: unix sequence of packets -> outside
unix(socket.SOCK_SEQPACKET).connect(SEQPACKET)
#: unix datagram -> outside
unix(socket.SOCK_DGRAM).sendto(b'x', DATAGRAM)
#: unix datagram connected -> outside
s = unix(socket.SOCK_DGRAM); s.connect(DATAGRAM); s.send(b'x')
#: unix datagram sendmsg from a pair -> outside
socket.socketpair(type=socket.SOCK_DGRAM)[0].sendmsg([b'x'], [], 0, DATAGRAM)
#: unix datagram sendto from a pair -> outside
socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'x', DATAGRAM)
#: unix datagram sendmmsg from a pair -> outside
m = message(un_address(DATAGRAM)); s, _ = socket.socketpair(type=socket.SOCK_DGRAM); do(NR_SENDMMSG, s.fileno(), m[-1], 1, 0)
#: unix raw is datagram -> outside
unix(socket.SOCK_RAW).sendmsg([b'x'], [], 0, DATAGRAM)
#: unix raw pair is datagram -> outside
socket.socketpair(type=socket.SOCK_RAW)[0].sendmsg([b'x'], [], 0, DATAGRAM)
#: unix datagram with stray high bits -> outside
fd = raw(NR_SOCKET, (1 << 40) | 1, (1 << 40) | 2, 0)[0]
socket.socket(fileno=fd).sendmsg([b'x'], [], 0, DATAGRAM)
#: unix stream through a link -> outside
os.symlink(STREAM, IN + '/own'); unix().connect(IN + '/own')
#: unix stream through proc -> outside
unix().connect(f'/proc/self/fd/{os.open(STREAM, os.O_PATH)}')
#: unix stream to a socket in the workspace -> outside
# As an agent for keys has one in /tmp, where that is writable.
unix().connect(STREAM_INSIDE)
#: unix stream through a ring -> outside
s = unix(); address = un_address(STREAM); ring(16, s.fileno(), address, 0, len(address), 0)
#: udp through a ring -> outside
s = udp(); ring(16, s.fileno(), in_address(UDP4), 0, 16, 0); s.send(b'x')
#: unix stream as a 32-bit program -> outside x86
s = unix(); page, at = low(un_address(STREAM)); args, list = low(struct.pack('III', s.fileno(), at, len(un_address(STREAM))))
i386(102, 3, list)
#: unix stream of a service -> outside root
unix().connect(STREAM_RUN)
#: unix stream of a service by its old name -> outside root
unix().connect(STREAM_RUN.replace('/run/', '/var/run/'))
#: unix datagram of a service -> outside root
unix(socket.SOCK_DGRAM).sendto(b'x', DATAGRAM_RUN)
#: abstract stream -> outside
unix().connect(ABSTRACT_STREAM)
#: abstract sequence of packets -> outside
unix(socket.SOCK_SEQPACKET).connect(ABSTRACT_SEQPACKET)
#: abstract datagram -> outside
unix(socket.SOCK_DGRAM).sendto(b'x', ABSTRACT_DATAGRAM)
#: an inherited socket -> outside
os.write(LEAKED_SOCKET, b'x')
#: an inherited socket, elsewhere -> outside
socket.socket(fileno=LEAKED_SOCKET).sendmsg([b'x'], [], 0, DATAGRAM)
#: raw -> said root
family(socket.AF_INET, socket.SOCK_RAW, 1)
#: packets by their old name -> said root optional
family(socket.AF_INET, 10)
#: raw over version 6 -> said root optional
family(socket.AF_INET6, socket.SOCK_RAW, 58)
#: packets -> said root optional
family(socket.AF_PACKET, socket.SOCK_RAW)
#: packets with stray high bits -> said root optional
call(NR_SOCKET, (1 << 33) | 17, 3, 0)
#: express data path -> said root optional
family(44, socket.SOCK_RAW)
#: virtual machine socket -> said optional
family(40, socket.SOCK_STREAM)
#: cipher socket -> said optional
family(38, socket.SOCK_SEQPACKET)
#: key socket -> said root optional
family(15, socket.SOCK_RAW, 2)
#: bluetooth -> said optional
family(31, socket.SOCK_RAW, 1)
#: controller area network -> said optional
family(29, socket.SOCK_RAW, 1)
#: near field -> said optional
family(39, socket.SOCK_SEQPACKET, 1)
#: shared memory communication -> said optional
family(43, socket.SOCK_STREAM)
#: reliable datagram -> said optional
family(21, socket.SOCK_SEQPACKET)
#: cluster sockets -> said optional
family(30, socket.SOCK_SEQPACKET)
#: multiplexed connections -> said optional
family(41, socket.SOCK_DGRAM)
#: point to point -> said root optional
family(24, socket.SOCK_STREAM, 0)
#: socket of an unknown family -> said
call(NR_SOCKET, 12345, 1, 0)
#: netlink, sockets of others -> said
family(socket.AF_NETLINK, socket.SOCK_RAW, 4)
#: netlink, generic -> said
family(socket.AF_NETLINK, socket.SOCK_RAW, 16)
#: netlink, events of devices -> said
family(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
#: netlink, audit -> said optional
family(socket.AF_NETLINK, socket.SOCK_RAW, 9)
#: netlink, a route -> said root
# A message without content: it is refused for what it lacks only if one may change routes at all.
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.bind((0, 0))
s.send(struct.pack('=IHHIII', 20, 25, 5, 1, 0, 2))
if struct.unpack('=i', s.recv(99)[16:20])[0] != -errno.EPERM: through()
