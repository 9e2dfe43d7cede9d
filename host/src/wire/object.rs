//! What supervisor and worker say about shared objects.

use serde::{Deserialize, Serialize};
use wasmproc_shm::{End, Layout};

use crate::Pid;

/// The number of a shared object: issued by the supervisor, never reused in a run. The two ends of a pipe have one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ObjectId(pub(crate) u64);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) layout: Layout,
    /// Of a lock: whether its holder may acquire it again.
    pub(crate) reentrant: bool,
}

/// From a worker. Those that answer nothing say so.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ObjectRequest {
    /// `board`: this process has none so far.
    Create {
        spec: Spec,
        board: bool,
    },
    Open {
        object: ObjectId,
        board: bool,
    },
    /// This process has no handle to it any more. No reply.
    Drop(ObjectId),
    /// For a message that travels through `via`: a number that grants `object`.
    Ticket {
        via: ObjectId,
        object: ObjectId,
    },
    Redeem {
        via: ObjectId,
        ticket: u64,
    },
    /// Memory for a message that is too long for the ring of `via`.
    Parcel {
        via: ObjectId,
        bytes: u64,
    },
    /// That memory, for the one who got the message.
    Unpack {
        via: ObjectId,
        parcel: u64,
    },
    /// That memory is not needed any more. No reply.
    Discard {
        via: ObjectId,
        parcel: u64,
    },
    /// The eventfd of those who wait for an object in an event loop.
    Doorbell(ObjectId),
    /// This process has waited for a while, without a time-out. No reply.
    Blocked {
        sequence: u64,
        on: Blocker,
    },
    /// It waits no longer. No reply.
    Unblocked,
    /// The internal lock `at` of an object has been held for long. No reply.
    Stalled {
        object: ObjectId,
        at: usize,
        holder: u32,
        count: u32,
    },
}

/// What a process waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Blocker {
    Lock(ObjectId),
    End(Pid),
}

/// To a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ObjectReply {
    /// With the descriptor of its memory, and before it that of the process's board if it asked for one.
    Granted {
        id: ObjectId,
        /// The other end of a pipe that was just made, which this process has too.
        other: Option<ObjectId>,
        /// The number of its memory: that of a pipe's first end.
        memory: ObjectId,
        spec: Spec,
        end: End,
        seat: u32,
    },
    Ticket(u64),
    Redeemed(ObjectId),
    /// With the descriptor of its memory.
    Parcel {
        parcel: u64,
        bytes: u64,
    },
    /// With the eventfd.
    Doorbell,
}
