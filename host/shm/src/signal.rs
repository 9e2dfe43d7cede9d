//! A word on which processes sleep until something else in the object changes.
//!
//! ```text
//!  31 ............. 2    1        0
//! ┌──────────────────┬────────┬──────────┐
//! │ number of calls  │ polled │ sleepers │
//! └──────────────────┴────────┴──────────┘
//! ```
//!
//! The waiter sets `sleepers`, looks once more at what it waits for, and sleeps if the word is still as it left it. Who
//! changes what is waited for does so first and then looks at the word. Between the two steps of each stands a fence, so
//! at least one of them sees the other: the change, or the flag.
//!
//! A waiter may be between its look and its sleep while others come and go: the flag is taken away and set again, or the
//! wake finds somebody who sleeps already. So every call is counted in the word before it wakes, and a waiter that looked
//! before it finds the word changed and looks again.
//!
//! The flag stays while a wake finds somebody, and is taken away when it finds nobody. Between that wake and the taking
//! away another may have lain down, to whom the flag belonged; so there is a second wake after it.

use std::sync::atomic::Ordering::Relaxed;

use crate::memory::{Memory, Word};

const SLEEPERS: u32 = 1;
const POLLED: u32 = 2;
const ONE_CALL: u32 = 4;

pub(crate) struct Signal<'a, M> {
    memory: &'a M,
    at: usize,
}

impl<'a, M: Memory> Signal<'a, M> {
    #[inline]
    pub(crate) fn new(memory: &'a M, at: usize) -> Self {
        Signal { memory, at }
    }

    #[inline]
    fn word(&self) -> &'a M::Word {
        self.memory.word(self.at)
    }

    /// Where to sleep, for [`crate::Patience::sleep`].
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Announces a sleeper, and returns what the word must be for it to sleep. Look at the condition after this.
    pub(crate) fn watch(&self) -> u32 {
        let seen = self.word().fetch_or(SLEEPERS, Relaxed) | SLEEPERS;
        self.memory.fence();
        seen
    }

    /// Announces somebody who waits in an event loop. Look at the condition after this.
    pub(crate) fn poll(&self) {
        self.word().fetch_or(POLLED, Relaxed);
        self.memory.fence();
    }

    /// Something has changed for up to `most` waiters. Call it after the change.
    #[inline]
    pub(crate) fn notify(&self, most: u32) {
        self.memory.fence();
        if self.word().load(Relaxed) & (SLEEPERS | POLLED) != 0 {
            self.call(most);
        }
    }

    /// As [`Signal::notify`], when this process has swapped a word since the change: released a claim.
    #[inline]
    pub(crate) fn notify_after_swap(&self, most: u32) {
        self.memory.fence_after_swap();
        if self.word().load(Relaxed) & (SLEEPERS | POLLED) != 0 {
            self.call(most);
        }
    }

    #[cold]
    fn call(&self, most: u32) {
        let called = self.word().fetch_add(ONE_CALL, Relaxed).wrapping_add(ONE_CALL);
        if called & POLLED != 0 {
            self.word().fetch_and(!POLLED, Relaxed);
            self.memory.ring();
        }
        if called & SLEEPERS == 0 || self.memory.wake(self.at, most) > 0 {
            return;
        }
        // If it fails, there was another call or somebody polls: the flag may stay for one more wake.
        let quiet = called & !POLLED;
        if self.word().compare_exchange(quiet, quiet & !SLEEPERS, Relaxed, Relaxed).is_ok() {
            self.memory.wake(self.at, u32::MAX);
        }
    }

    /// Wakes everybody, whatever the flags say: one who died may have taken them away and not done what they ask for.
    pub(crate) fn wake_all(&self) {
        self.memory.fence();
        self.word().fetch_add(ONE_CALL, Relaxed);
        self.memory.wake(self.at, u32::MAX);
        self.word().fetch_and(!POLLED, Relaxed);
        self.memory.ring();
    }
}
