//! A barrier: a number of processes wait for each other.
//!
//! ```text
//!            the last one arrives: all pass
//!   filling ────────────────────────────────▶ filling (empty)
//!      │  abort, time-out of a waiter, death of a party
//!      └──────────────────────▶ broken ── reset ──▶ filling (empty)
//! ```
//!
//! The pass is committed by the store that makes the number of arrivals that of the parties. Who dies before it breaks
//! the barrier; if somebody dies after it, recovery lets the others pass.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::Refused;
use crate::claim::{Claim, Taken};
use crate::layout::{CLAIM, Layout, SEATS};
use crate::lease::{Lease, Seat};
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::recovery::Death;
use crate::seats::{Seats, Waiter};
use crate::signal::Signal;

const CHANGED: usize = 4;
/// How often it was passed, broken or reset, for those who wait in an event loop.
const CHANGES: usize = 5;
const ARRIVED: usize = 6;
const BROKEN: usize = 7;

/// A meeting point for a number of processes.
#[derive(Debug)]
pub struct Barrier<M> {
    memory: M,
    me: Lease,
    seat: Seat,
    parties: u32,
    seats: u32,
}

/// A process has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// In what order it came: 0 for the first, the number of parties less one for the last.
    pub index: u32,
}

impl<M: Memory> Barrier<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The barrier in this memory, used as `me` from `seat`.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout, me: Lease, seat: Seat) -> Self {
        let Layout::Barrier { parties, seats } = layout else { panic!("not a barrier: {layout:?}") };
        let barrier = Barrier { memory, me, seat, parties, seats };
        barrier.seats().occupy(seat);
        barrier
    }

    fn claim(&self) -> Claim<'_, M> {
        Claim::new(&self.memory, CLAIM)
    }

    fn seats(&self) -> Seats<'_, M> {
        Seats::new(&self.memory, SEATS, self.seats)
    }

    /// How many must meet.
    pub fn parties(&self) -> u32 {
        self.parties
    }

    /// How many are waiting now.
    pub fn waiting(&self) -> u32 {
        self.memory.word(ARRIVED).load(Relaxed).min(self.parties)
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.memory.word(BROKEN).load(Acquire) != 0
    }

    /// Waits for the others.
    ///
    /// # Errors
    ///
    /// [`Refused::BarrierBroken`]; [`Refused::TimedOut`] and [`Refused::Cancelled`], which break it for the others;
    /// [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn wait(&self, patience: &mut impl Patience<M>) -> Result<Passed, Refused> {
        self.claim().acquire(self.me, patience)?;
        let arrived = self.memory.word(ARRIVED);
        let index = arrived.load(Relaxed);
        if self.is_broken() || index >= self.parties {
            self.claim().release(self.me);
            return Err(if index < self.parties { Refused::BarrierBroken } else { Refused::Damaged });
        }
        self.seats().begin(self.seat);
        arrived.store(index + 1, Relaxed);
        if index + 1 == self.parties {
            self.dismiss(Waiter::Called);
            self.seats().end(self.seat);
            self.claim().release(self.me);
            return Ok(Passed { index });
        }
        self.claim().release(self.me);
        self.sleep(index, patience)
    }

    fn sleep(&self, index: u32, patience: &mut impl Patience<M>) -> Result<Passed, Refused> {
        let gave_up = loop {
            let (state, word) = self.seats().waiter(self.seat);
            if state != Waiter::Waiting {
                self.seats().end(self.seat);
                return outcome(state, index);
            }
            if let Err(gave_up) = patience.sleep(&self.memory, self.seats().at(self.seat), word, On::State) {
                break gave_up;
            }
        };
        self.claim().acquire(self.me, patience)?;
        let (state, _) = self.seats().waiter(self.seat);
        self.seats().end(self.seat);
        if state == Waiter::Waiting {
            self.break_up();
        }
        self.claim().release(self.me);
        if state == Waiter::Waiting { Err(gave_up.into()) } else { outcome(state, index) }
    }

    /// Breaks it: all who wait and all who come get [`Refused::BarrierBroken`].
    ///
    /// # Errors
    ///
    /// [`Refused::Stuck`].
    pub fn abort(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.claim().acquire(self.me, patience)?;
        self.break_up();
        self.claim().release(self.me);
        Ok(())
    }

    /// Makes it as it was at first. Who waits now gets [`Refused::BarrierBroken`].
    ///
    /// # Errors
    ///
    /// [`Refused::Stuck`].
    pub fn reset(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.claim().acquire(self.me, patience)?;
        self.dismiss(Waiter::Spoiled);
        self.memory.word(BROKEN).store(0, Release);
        self.claim().release(self.me);
        Ok(())
    }

    /// Under the claim.
    fn break_up(&self) {
        self.memory.word(BROKEN).store(1, Release);
        self.dismiss(Waiter::Spoiled);
    }

    /// Sends all who wait away, with that result. Under the claim.
    fn dismiss(&self, result: Waiter) {
        let seats = self.seats();
        for seat in seats.used() {
            seats.call(seat, result);
        }
        self.memory.word(ARRIVED).store(0, Relaxed);
        let changes = self.memory.word(CHANGES);
        changes.store(changes.load(Relaxed).wrapping_add(1), Release);
        Signal::new(&self.memory, CHANGED).notify(u32::MAX);
    }

    /// How often it was passed, broken or reset so far.
    pub fn changes(&self) -> u32 {
        self.memory.word(CHANGES).load(Acquire)
    }

    /// Whether it changed since there were `before` changes. If not, the next change rings.
    pub fn poll(&self, before: u32) -> bool {
        self.changes() != before || {
            Signal::new(&self.memory, CHANGED).poll();
            self.changes() != before
        }
    }

    /// Finishes a pass that `dead` had committed, or else breaks the barrier if `dead`, which sat in `seat`, waited in it
    /// or didn't end in peace. `None` if it has to be tried again.
    pub(crate) fn recover(&self, dead: Lease, seat: Seat, death: Death) -> Option<bool> {
        let taken = self.claim().take(dead);
        if taken == Taken::Busy {
            return None;
        }
        let (state, _) = self.seats().waiter(seat);
        if taken == Taken::FromTheDead && self.memory.word(ARRIVED).load(Relaxed) >= self.parties {
            self.dismiss(Waiter::Called);
        }
        if taken == Taken::FromTheDead {
            // It may have called some and not woken them.
            let seats = self.seats();
            for called in seats.used().filter(|seat| !matches!(seats.waiter(*seat).0, Waiter::Idle | Waiter::Waiting)) {
                self.memory.wake(seats.at(called), 1);
            }
        }
        if state == Waiter::Waiting || death == Death::Violent {
            self.break_up();
        }
        // Only now: if this is interrupted, it is done once more.
        self.seats().end(seat);
        self.claim().give_back();
        // It may have counted the change and not rung.
        Signal::new(&self.memory, CHANGED).wake_all();
        Some(taken == Taken::FromTheDead || state != Waiter::Idle)
    }
}

fn outcome(state: Waiter, index: u32) -> Result<Passed, Refused> {
    if state == Waiter::Called { Ok(Passed { index }) } else { Err(Refused::BarrierBroken) }
}
