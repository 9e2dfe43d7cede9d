//! Supervisor and zygote.

use serde::{Deserialize, Serialize};

/// The number of a worker process, issued by the supervisor and never reused in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct WorkerId(pub(crate) u64);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToZygote {
    /// Fork a worker whose control socket is the descriptor.
    Fork(WorkerId),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromZygote {
    /// The artifacts are loaded; forking can begin.
    Ready,
    /// An artifact can't be loaded: its component's number and why.
    BadArtifact(usize, String),
    /// A component imports what nobody provides: its number and what.
    Unlinkable(usize, String),
    /// It can't work here at all.
    Failed(String),
    /// The worker lives. `pid` is its number in the run's namespace, its pidfd the descriptor.
    Forked { worker: WorkerId, pid: i32 },
    /// The kernel refused; the reason for the user.
    NotForked { worker: WorkerId, reason: String },
}
