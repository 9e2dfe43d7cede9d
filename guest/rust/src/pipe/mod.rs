//! Pipes: messages between two connections, the ends of the pipe.
//!
//! `ByteConnection` is the host's connection; `Connection` encodes what it sends. `wit/pipe.md` draws the states.

mod bytes;
mod connection;
mod end;
mod iter;
mod make;

pub use bytes::ByteConnection;
pub use connection::Connection;
pub use iter::Incoming;
pub use make::{byte_pipe, duplex_byte_pipe, duplex_pipe, duplex_pipe_with_capacity, pipe, pipe_with_capacity};
