//! Who listens outside, and whether anything arrived.

use std::{
    net::{TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    path::{Path, PathBuf},
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

pub(super) enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Stream(UnixListener),
    Datagram(UnixDatagram),
    Packets(OwnedFd),
}

impl Listener {
    /// By which name a probe speaks of which address.
    pub(super) fn places(out: &Path, inside: &Path, token: &str) -> Vec<(&'static str, PathBuf)> {
        let hidden = |kind: &str| PathBuf::from(format!("{token}-{kind}"));
        let run = |kind: &str| PathBuf::from(format!("/run/{token}.{kind}"));
        vec![
            ("TCP4", "127.0.0.1".into()),
            ("TCP6", "::1".into()),
            ("UDP4", "127.0.0.1".into()),
            ("UDP6", "::1".into()),
            ("STREAM", out.join("stream")),
            ("DATAGRAM", out.join("datagram")),
            ("SEQPACKET", out.join("packets")),
            ("STREAM_INSIDE", inside.join("agent")),
            ("STREAM_RUN", run("stream")),
            ("DATAGRAM_RUN", run("datagram")),
            ("ABSTRACT_STREAM", hidden("stream")),
            ("ABSTRACT_DATAGRAM", hidden("datagram")),
            ("ABSTRACT_SEQPACKET", hidden("packets")),
        ]
    }

    /// The listener that goes by this name, and its address for the probe. Where this machine has no such
    /// address, there is none, and the port is zero.
    pub(super) fn new(name: &str, at: &Path) -> (Option<Self>, String) {
        let text = at.to_str().unwrap();
        if let Some(kind) = name.strip_prefix("ABSTRACT_") {
            return (
                Some(Self::hidden(kind, text)),
                format!("{:?}", format!("\0{text}")).replace("\\0", "\\x00"),
            );
        }
        let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port().to_string();
        match name {
            "TCP4" | "TCP6" => TcpListener::bind((text, 0)).map_or((None, "0".to_owned()), |it| {
                it.set_nonblocking(true).unwrap();
                let port = port(it.local_addr());
                (Some(Self::Tcp(it)), port)
            }),
            "UDP4" | "UDP6" => UdpSocket::bind((text, 0)).map_or((None, "0".to_owned()), |it| {
                it.set_nonblocking(true).unwrap();
                let port = port(it.local_addr());
                (Some(Self::Udp(it)), port)
            }),
            _ => {
                let address = SocketAddr::from_pathname(at).unwrap();
                let listener = match name.split('_').next().unwrap() {
                    "STREAM" => Self::stream(&address),
                    "DATAGRAM" => Self::datagram(&address),
                    _ => Self::packets(&SocketAddrUnix::new(at).unwrap()),
                };
                (Some(listener), format!("{text:?}"))
            }
        }
    }

    fn hidden(kind: &str, name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        match kind {
            "STREAM" => Self::stream(&address),
            "DATAGRAM" => Self::datagram(&address),
            _ => Self::packets(&SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()),
        }
    }

    fn stream(address: &SocketAddr) -> Self {
        let listener = UnixListener::bind_addr(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Stream(listener)
    }

    fn datagram(address: &SocketAddr) -> Self {
        let listener = UnixDatagram::bind_addr(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Datagram(listener)
    }

    fn packets(address: &SocketAddrUnix) -> Self {
        let how = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, how, None).unwrap();
        rustix::net::bind(&socket, address).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        Self::Packets(socket)
    }

    /// The other end of a socket.
    pub(super) fn pair(other: UnixDatagram) -> Self {
        other.set_nonblocking(true).unwrap();
        Self::Datagram(other)
    }

    /// Whether something arrived since this was last asked.
    pub(super) fn heard(&self) -> bool {
        match self {
            Self::Tcp(it) => it.accept().is_ok(),
            Self::Udp(it) => it.recv(&mut [0]).is_ok(),
            Self::Stream(it) => it.accept().is_ok(),
            Self::Datagram(it) => it.recv(&mut [0]).is_ok(),
            Self::Packets(it) => rustix::net::accept(it).is_ok(),
        }
    }
}

impl Drop for Listener {
    /// Those in `/run` would stay.
    fn drop(&mut self) {
        let address = match self {
            Self::Stream(it) => it.local_addr(),
            Self::Datagram(it) => it.local_addr(),
            _ => return,
        };
        if let Some(path) = address.as_ref().ok().and_then(SocketAddr::as_pathname) {
            let _ = std::fs::remove_file(path);
        }
    }
}
