//! A loopback of the command's own: it reaches itself, and nobody else.

use std::{
    io,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

use super::{finish, program, reduced_refusal, run, sh, with};
use crate::{Network, Policy, Rules, spawn};

fn localhost() -> Policy {
    Policy::Sandboxed(Rules { network: Network::Localhost, ..Rules::default() })
}

#[tokio::test]
async fn a_command_serves_itself() {
    let script = "
import socket, threading
def serve(family, address):
    s = socket.socket(family); s.bind((address, 0)); s.listen()
    threading.Thread(target=lambda: s.accept()[0].send(b'tcp'), daemon=True).start()
    print(socket.create_connection(s.getsockname()[:2]).recv(9).decode(), flush=True)
    u = socket.socket(family, socket.SOCK_DGRAM); u.bind((address, 0))
    socket.socket(family, socket.SOCK_DGRAM).sendto(b'udp', u.getsockname())
    print(u.recv(9).decode(), flush=True)
serve(socket.AF_INET, '127.0.0.1')
serve(socket.AF_INET, '127.9.9.9')
if socket.has_ipv6: serve(socket.AF_INET6, '::1')
print(socket.getaddrinfo('localhost', 80)[0][4][1], [name for _, name in socket.if_nameindex()])
a, b = socket.socketpair(); a.send(b'pair'); print(b.recv(9).decode())
";
    let (_, text) = run(&localhost(), program("python3", &["-c", script])).await;
    let served = "tcp\nudp\n".repeat(if TcpListener::bind("[::1]:0").is_ok() { 3 } else { 2 });
    assert_eq!(text, format!("{served}80 ['lo']\npair\n"));
}

/// Each line reaches for something outside.
const REACH: &str = r"
import os, socket
TCP, UDP, NAME = int(os.environ['TCP']), int(os.environ['UDP']), os.environ['NAME']
def attempt(what):
    try: what(); print('done')
    except OSError as e: print(type(e).__name__)
attempt(lambda: socket.create_connection(('127.0.0.1', TCP)))
attempt(lambda: socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', TCP)))
if 'FAR' in os.environ:
    attempt(lambda: socket.create_connection(('192.0.2.1', 80)))
    attempt(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53)))
attempt(lambda: socket.socket(socket.AF_UNIX).connect('\0' + NAME))
attempt(lambda: socket.socket(socket.AF_VSOCK).connect((2, 1)))
attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', UDP))
print('tried')
";

#[tokio::test]
async fn nothing_outside_is_reached() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let name = format!("sandbox-network-{}", std::process::id());
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    for listener in [tcp.set_nonblocking(true), udp.set_nonblocking(true), hidden.set_nonblocking(true)] {
        listener.unwrap();
    }
    let command =
        with("TCP", tcp.local_addr().unwrap().port().to_string(), program("python3", &["-c", REACH]));
    let command = with("UDP", udp.local_addr().unwrap().port().to_string(), command);
    let command = with("NAME", &name, command);
    // Whoever has the network does reach them.
    let on = Policy::workspace_write(["/tmp"], Network::On);
    assert!(run(&on, command.clone()).await.1.starts_with("done\n"));
    assert!(tcp.accept().is_ok() && udp.recv(&mut [0]).is_ok());
    while tcp.accept().is_ok() {}

    let (_, text) = run(&localhost(), with("FAR", "1", command)).await;
    assert!(!text.contains("done") && text.ends_with("tried\n"), "{text}");
    let nobody = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    nobody(tcp.accept().expect_err("reached"));
    nobody(udp.recv(&mut [0]).expect_err("reached"));
    nobody(hidden.accept().expect_err("reached"));
}

#[tokio::test]
async fn two_commands_do_not_reach_each_other() {
    let script = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 4711)); s.listen(); \
                  print('bound', flush=True); sys.stdin.read()";
    let serve = || crate::Command { input: crate::Input::Pipe, ..program("python3", &["-c", script]) };
    let (mut one, mut two) =
        (spawn(&localhost(), serve()).await.unwrap(), spawn(&localhost(), serve()).await.unwrap());
    drop((one.stdin.take(), two.stdin.take()));
    assert_eq!((finish(one).await.1, finish(two).await.1), ("bound\n".into(), "bound\n".into()));
}

#[test]
fn without_namespaces_it_is_refused() {
    assert_eq!(
        reduced_refusal(&localhost()),
        "the sandbox can not be enforced here: network = \"localhost\" needs a network of the command's own, and \
         this system refuses to make namespaces (Operation not permitted (os error 1)); set network to \"off\" or \
         \"on\""
    );
}

#[tokio::test]
async fn with_the_network_off_not_even_that() {
    let script = "grep -c lo: /proc/net/dev; python3 -c 'import socket; socket.socket()' 2>&1 | tail -n 1";
    let (_, text) = run(&Policy::read_only(), sh(script)).await;
    assert_eq!(text, "1\nPermissionError: [Errno 1] Operation not permitted\n");
}
