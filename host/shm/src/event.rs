//! An event: set or not.
//!
//! ```text
//!  31 ............. 3    2        1        0
//! ┌──────────────────┬────────┬──────────┬─────┐
//! │  number of sets  │ polled │ sleepers │ set │
//! └──────────────────┴────────┴──────────┴─────┘
//! ```
//!
//! All of it is one word, so there is nothing to recover. A waiter also returns when the event was set and cleared again
//! while it slept: it compares the number of sets.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::Refused;
use crate::layout::FLAGS;
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};

const SET: u32 = 1;
const SLEEPERS: u32 = 2;
const POLLED: u32 = 4;
const ONE_SET: u32 = 8;

/// A flag that processes wait for.
#[derive(Debug)]
pub struct Event<M> {
    memory: M,
}

impl<M: Memory> Event<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    pub fn new(memory: M) -> Self {
        Event { memory }
    }

    #[inline]
    fn word(&self) -> &M::Word {
        self.memory.word(FLAGS)
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.word().load(Acquire) & SET != 0
    }

    /// Sets it, and wakes all who wait.
    pub fn set(&self) {
        loop {
            let seen = self.word().load(Relaxed);
            if seen & SET != 0 {
                // A set that follows another still publishes what was done before it: Release pairs with the Acquire of
                // those who see it set. It must be the same word still: if it was cleared in between, there are waiters.
                if self.word().compare_exchange(seen, seen, Release, Relaxed).is_ok() {
                    return;
                }
                continue;
            }
            let set = (seen & !(SLEEPERS | POLLED)).wrapping_add(ONE_SET) | SET;
            // Release: pairs with the Acquire of those who see it set.
            if self.word().compare_exchange(seen, set, AcqRel, Relaxed).is_ok() {
                if seen & SLEEPERS != 0 {
                    self.memory.wake(FLAGS, u32::MAX);
                }
                if seen & POLLED != 0 {
                    self.memory.ring();
                }
                return;
            }
        }
    }

    /// Clears it.
    pub fn clear(&self) {
        self.word().fetch_and(!SET, Relaxed);
    }

    /// Waits until it is set.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::Cancelled`].
    pub fn wait(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let before = self.word().load(Acquire) / ONE_SET;
        let is_over = |seen: u32| seen & SET != 0 || seen / ONE_SET != before;
        if self.is_set() || patience.linger(|| is_over(self.word().load(Acquire))) {
            return Ok(());
        }
        loop {
            let seen = self.word().load(Acquire);
            if is_over(seen) {
                return Ok(());
            }
            let marked = seen | SLEEPERS;
            if marked == seen || self.word().compare_exchange(seen, marked, Relaxed, Relaxed).is_ok() {
                patience.sleep(&self.memory, FLAGS, marked, On::State)?;
            }
        }
    }

    /// Whether it is set now. If not, the next set rings.
    pub fn poll(&self) -> bool {
        loop {
            let seen = self.word().load(Acquire);
            if seen & SET != 0 {
                return true;
            }
            if seen & POLLED != 0 || self.word().compare_exchange(seen, seen | POLLED, Relaxed, Relaxed).is_ok() {
                return false;
            }
        }
    }

    /// Passes on what a process that died may have swallowed.
    pub(crate) fn recover(&self) {
        self.memory.wake(FLAGS, u32::MAX);
        self.memory.ring();
    }
}
