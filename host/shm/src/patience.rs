//! How somebody waits.
//!
//! The objects say on which word they wait and for what; how long, how to be called away, and what to report meanwhile is
//! the caller's business.

use crate::memory::Memory;

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// An internal lock, which is held for a moment only: a caller's time-out doesn't count.
    Claim,
    /// A lock, which another process may hold for ever.
    Lock,
    /// Some other change: a message, room, a permit, an event...
    State,
}

/// Why a wait was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveUp {
    TimedOut,
    Cancelled,
    /// An internal lock didn't come free.
    Stuck,
}

/// Sleeps for an object.
pub trait Patience<M: Memory> {
    /// Sleeps while the word `at` is `expected`, until somebody wakes it. May return early without a reason.
    ///
    /// # Errors
    ///
    /// When the waiter should give up. Not before it has been ready to sleep at least once.
    fn sleep(&mut self, memory: &M, at: usize, expected: u32, on: On) -> Result<(), GaveUp>;

    /// Looks for a moment whether something is `ready`, before a sleep is announced: who announces one makes the other side
    /// call the kernel. Returns whether it is.
    fn linger(&mut self, _ready: impl Fn() -> bool) -> bool {
        false
    }

    /// Lets a moment pass without asking anybody for a wake, for one who has something to do for many changes as soon as
    /// for one. Returns whether it did.
    ///
    /// # Errors
    ///
    /// When the waiter should give up.
    fn nap(&mut self) -> Result<bool, GaveUp> {
        Ok(false)
    }
}

/// Doesn't wait. It gives up at internal locks too, so it is only for memory that nobody else uses.
#[derive(Debug, Clone, Copy)]
pub struct Never;

impl<M: Memory> Patience<M> for Never {
    fn sleep(&mut self, _: &M, _: usize, _: u32, on: On) -> Result<(), GaveUp> {
        Err(if on == On::Claim { GaveUp::Stuck } else { GaveUp::TimedOut })
    }
}
