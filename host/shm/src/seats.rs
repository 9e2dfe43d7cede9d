//! A word for each process that holds an object: what it holds of it, or whether it waits for it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::layout::SEATS_USED;
use crate::lease::Seat;
use crate::memory::{Memory, Word};

/// The state of one who waits, in the two low bits of its word. The rest of the word tells one wait from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Idle,
    Waiting,
    /// What it waits for has come.
    Called,
    /// What it waits for will not come.
    Spoiled,
}

const STATE: u32 = 3;

impl Waiter {
    pub(crate) fn of(word: u32) -> Waiter {
        match word & STATE {
            0 => Waiter::Idle,
            1 => Waiter::Waiting,
            2 => Waiter::Called,
            _ => Waiter::Spoiled,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Waiter::Idle => 0,
            Waiter::Waiting => 1,
            Waiter::Called => 2,
            Waiter::Spoiled => 3,
        }
    }
}

pub(crate) struct Seats<'a, M> {
    memory: &'a M,
    first: usize,
    count: u32,
}

impl<'a, M: Memory> Seats<'a, M> {
    #[inline]
    pub(crate) fn new(memory: &'a M, first: usize, count: u32) -> Self {
        Seats { memory, first, count }
    }

    /// Where the word of `seat` is.
    #[inline]
    pub(crate) fn at(&self, seat: Seat) -> usize {
        assert!(seat.0 < self.count, "the supervisor issues seats that exist");
        self.first + seat.0 as usize
    }

    #[inline]
    pub(crate) fn word(&self, seat: Seat) -> &'a M::Word {
        self.memory.word(self.at(seat))
    }

    /// Notes that `seat` is in use, so that those who look through all seats look at it too.
    pub(crate) fn occupy(&self, seat: Seat) {
        let used = self.memory.word(SEATS_USED);
        loop {
            let seen = used.load(Relaxed);
            // Release and Acquire: who sees the new number sees the seat as it was left.
            if seen > seat.0 || used.compare_exchange(seen, seat.0 + 1, AcqRel, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// The seats that were ever in use.
    pub(crate) fn used(&self) -> impl DoubleEndedIterator<Item = Seat> + use<M> {
        (0..self.memory.word(SEATS_USED).load(Acquire).min(self.count)).map(Seat)
    }

    /// Whether and how `seat` waits, and the whole word for sleeping on it.
    #[inline]
    pub(crate) fn waiter(&self, seat: Seat) -> (Waiter, u32) {
        // Acquire: pairs with the Release of the one who calls.
        let word = self.word(seat).load(Acquire);
        (Waiter::of(word), word)
    }

    /// Begins a wait. Under the object's claim.
    pub(crate) fn begin(&self, seat: Seat) {
        let word = self.word(seat);
        let next = (word.load(Relaxed) | STATE).wrapping_add(1);
        word.store(next | Waiter::Waiting.bits(), Relaxed);
    }

    /// Ends a wait. By the waiter itself, or by recovery.
    pub(crate) fn end(&self, seat: Seat) {
        let word = self.word(seat);
        word.store(word.load(Relaxed) & !STATE, Relaxed);
    }

    /// Changes the state of `seat` if it waits, and wakes it. Under the object's claim.
    pub(crate) fn call(&self, seat: Seat, state: Waiter) -> bool {
        let word = self.word(seat);
        let seen = word.load(Relaxed);
        if Waiter::of(seen) != Waiter::Waiting {
            return false;
        }
        // Release: what was done before the call is before what the waiter does next.
        word.store((seen & !STATE) | state.bits(), Release);
        self.memory.wake(self.at(seat), 1);
        true
    }
}
