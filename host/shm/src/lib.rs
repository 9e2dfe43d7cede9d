//! Primitives in memory that is shared by processes of which any may die, stop or lie at any instant.
//!
//! One object is one region of memory ([`Memory`]): a lock, a queue, a pipe... The types here are the algorithms over it.
//! They know nothing of wasm, of handles, or of who may use what: the supervisor does.
//!
//! # Laws
//!
//! 1. A region's size is fixed at creation, and its pages are there from then on.
//! 2. Only atomics and copies touch it. There are no references and no pointers into it, nothing is read twice, and sizes
//!    are kept outside of it ([`Layout`]).
//! 3. What matters changes by one store. A process that dies before that store never did it, one that dies after it
//!    did. Everything else can be recomputed.
//! 4. To own something is to have one's [`Lease`] in its word, by the compare-and-swap that acquires it, so there is no
//!    instant at which a death can't be attributed.
//! 5. An internal lock (a claim) is held for a bounded copy and nothing else; who keeps one for a second while others
//!    wait is killed by the supervisor.
//! 6. Recovery ([`recover`]) is for a process that is dead and reaped. It may be repeated.
//! 7. A wait also listens to something outside the region, and is cut into slices ([`Patience`]).
//! 8. What makes no sense is an error for whoever looks at it, of this object and of no other.
//!
//! Every type is generic over [`Memory`], and with it over its atomics: what ships is what the model checker runs.

mod barrier;
mod cells;
mod claim;
mod condition;
mod event;
mod layout;
mod lease;
mod lock;
mod mapping;
mod memory;
mod ownership;
mod patience;
mod pipe;
mod queue;
mod recovery;
mod ring;
mod seats;
mod segment;
mod semaphore;
mod signal;
mod sleep;

pub use barrier::{Barrier, Passed};
pub use cells::Cells;
pub use condition::Condition;
pub use event::Event;
pub use layout::{Layout, LayoutError, Width};
pub use lease::{Lease, Seat};
pub use lock::Lock;
pub use mapping::{Mapping, Wakers};
pub use memory::{Heap, Memory, Word};
pub use ownership::Acquired;
pub use patience::{GaveUp, Never, On, Patience};
pub use pipe::{End, Pipe};
pub use queue::{Queue, Tasks};
pub use recovery::{Death, Findings, holder, initialise, possessions, recover};
pub use ring::{Batch, Message};
pub use segment::create;
pub use semaphore::Semaphore;
pub use sleep::{Expected, now, sleep};

use std::fmt;

/// Why an operation was not done. Nothing has changed then, unless a variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The time-out passed first.
    TimedOut,
    /// The waiter was told from outside to give up.
    Cancelled,
    /// The object was closed, or the other side is gone.
    Closed,
    /// The caller doesn't hold what it wants to give back.
    NotOwner,
    /// The caller holds already what it waits for.
    Deadlock,
    /// The message is longer than this region carries.
    TooLarge,
    /// A bounded semaphore has all its permits already, or there is no memory for a copy.
    Limit,
    /// The barrier is broken until it is reset.
    BarrierBroken,
    /// The shared state makes no sense: somebody damaged it.
    Damaged,
    /// An internal lock didn't come free: its holder is stopped, and was not killed in time.
    Stuck,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Refused::TimedOut => "the time-out passed",
            Refused::Cancelled => "the wait was cancelled",
            Refused::Closed => "it is closed",
            Refused::NotOwner => "it is not held by the caller",
            Refused::Deadlock => "the caller holds it already",
            Refused::TooLarge => "the message is too large",
            Refused::Limit => "a limit is reached",
            Refused::BarrierBroken => "the barrier is broken",
            Refused::Damaged => "its shared state was damaged",
            Refused::Stuck => "it is stuck",
        })
    }
}

impl std::error::Error for Refused {}

impl From<GaveUp> for Refused {
    fn from(gave_up: GaveUp) -> Refused {
        match gave_up {
            GaveUp::TimedOut => Refused::TimedOut,
            GaveUp::Cancelled => Refused::Cancelled,
            GaveUp::Stuck => Refused::Stuck,
        }
    }
}
