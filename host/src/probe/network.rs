//! Speaking with others.

use std::io;

use libc::{AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};

use super::Property::Network;
use super::{Attempt, Scene, at, call, refused};

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { name: "socket", property: Network, what: "a socket of some family is made", run: socket },
    Attempt { name: "connect", property: Network, what: "a TCP connection to the host is made", run: connect },
    Attempt { name: "bind", property: Network, what: "a TCP port of the host is taken", run: bind },
    Attempt { name: "udp", property: Network, what: "a datagram reaches the host", run: udp },
    Attempt {
        name: "abstract",
        property: Network,
        what: "an abstract Unix socket of the host is reached",
        run: abstract_socket,
    },
    Attempt { name: "netlink", property: Network, what: "the host's network can be configured", run: netlink },
];

fn make_socket(family: i32, kind: i32) -> io::Result<i64> {
    call(libc::SYS_socket, [family.into(), kind.into(), 0, 0, 0, 0])
}

fn socket(_: &Scene<'_>) -> io::Result<()> {
    let mut last = refused();
    for family in 1..64 {
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW] {
            last = make_socket(family, kind).map(drop);
            if last.is_ok() {
                return last;
            }
        }
    }
    last
}

/// 127.0.0.1, as `struct sockaddr_in`.
fn loopback(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

fn connect(scene: &Scene<'_>) -> io::Result<()> {
    let socket = make_socket(AF_INET, SOCK_STREAM)?;
    call(libc::SYS_connect, [socket, at(&loopback(scene.place.port)), 16, 0, 0, 0]).map(drop)
}

fn bind(scene: &Scene<'_>) -> io::Result<()> {
    let socket = make_socket(AF_INET, SOCK_STREAM)?;
    // A port of the host's that is free: the one before the listener's.
    call(libc::SYS_bind, [socket, at(&loopback(scene.place.port - 1)), 16, 0, 0, 0])?;
    call(libc::SYS_listen, [socket, 1, 0, 0, 0, 0])?;
    // In a network of its own it takes a port where nobody will find it.
    connect(scene)
}

fn udp(scene: &Scene<'_>) -> io::Result<()> {
    let socket = make_socket(AF_INET, SOCK_DGRAM)?;
    call(libc::SYS_sendto, [socket, at(b"hello"), 5, 0, at(&loopback(scene.place.port)), 16]).map(drop)
}

fn abstract_socket(scene: &Scene<'_>) -> io::Result<()> {
    let socket = make_socket(AF_UNIX, SOCK_STREAM)?;
    let mut address = [0u8; 110];
    address[..2].copy_from_slice(&(AF_UNIX as u16).to_ne_bytes());
    let name = scene.place.abstract_name.as_bytes();
    address[3..3 + name.len()].copy_from_slice(name);
    call(libc::SYS_connect, [socket, at(&address), 3 + name.len() as i64, 0, 0, 0]).map(drop)
}

fn netlink(scene: &Scene<'_>) -> io::Result<()> {
    make_socket(libc::AF_NETLINK, SOCK_RAW)?;
    // A network of its own may be configured.
    connect(scene)
}
