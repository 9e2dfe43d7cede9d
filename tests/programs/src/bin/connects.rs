//! Tries to reach the network and to be reached. Says what it got.

use std::net::{TcpListener, TcpStream, UdpSocket};

fn main() {
    let port = std::env::args().nth(1).unwrap_or_else(|| "1".to_owned());
    println!("connect: {}", said(TcpStream::connect(format!("127.0.0.1:{port}"))));
    println!("listen: {}", said(TcpListener::bind("127.0.0.1:0")));
    println!("datagram: {}", said(UdpSocket::bind("127.0.0.1:0")));
}

fn said<T>(result: std::io::Result<T>) -> &'static str {
    if result.is_ok() { "allowed" } else { "refused" }
}
