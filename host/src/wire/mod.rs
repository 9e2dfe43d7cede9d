//! What the processes of a run say to each other.
//!
//! Every pair is connected by a socket of its own that keeps message boundaries; [`Channel`] adds serialisation, large
//! messages and descriptors. One module per pair holds its messages. A message from a worker or a compile worker is
//! untrusted: it is bounded, decoded into plain data, and checked by whoever acts on it.

pub(crate) mod board;
mod channel;
pub(crate) mod compiler;
mod denied;
#[cfg(feature = "fuzzing")]
pub(crate) mod framing;
pub(crate) mod init;
pub(crate) mod object;
mod panics;
pub(crate) mod worker;
pub(crate) mod zygote;

pub(crate) use channel::{Channel, Received, is_gone, is_readable, pair};
pub(crate) use denied::report_denied;
pub(crate) use panics::{tell_last, tell_panics};

/// The most that `input` of a spawn, or the value that a function returns, may have.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// The most that everything else in a message may have: names, arguments, environment.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Text about the end of a process, such as a backtrace, is cut to this.
pub(crate) const MAX_REASON_BYTES: usize = 64 << 10;

/// The longest message of a queue or a pipe.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 << 20;

/// A message that is larger than this comes from a peer that breaks the rules.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_PAYLOAD_BYTES + 2 * MAX_TEXT_BYTES;
