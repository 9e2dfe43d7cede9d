//! A semaphore whose permits come back when their holder dies.
//!
//! Bounded: each process's permits stand in its seat; the number of free ones is what they leave of the total, kept beside
//! them and recomputed if somebody dies in between. Signalling: one number, which anybody raises and anybody takes from.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::Refused;
use crate::claim::{Claim, Taken};
use crate::layout::{CLAIM, Layout, SEATS};
use crate::lease::{Lease, Seat};
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::seats::Seats;
use crate::signal::Signal;

const FREED: usize = 4;
const AVAILABLE: usize = 5;

/// A number of permits.
#[derive(Debug)]
pub struct Semaphore<M> {
    memory: M,
    me: Lease,
    seat: Seat,
    permits: u32,
    bounded: bool,
    seats: u32,
}

impl<M: Memory> Semaphore<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The semaphore in this memory, used as `me` from `seat`.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout, me: Lease, seat: Seat) -> Self {
        let Layout::Semaphore { permits, bounded, seats } = layout else { panic!("not a semaphore: {layout:?}") };
        let semaphore = Semaphore { memory, me, seat, permits, bounded, seats };
        if bounded {
            semaphore.seats().occupy(seat);
        }
        semaphore
    }

    /// Puts all permits there. Once, before anybody else has the memory.
    pub(crate) fn initialise(memory: &M, permits: u32) {
        memory.word(AVAILABLE).store(permits, Relaxed);
    }

    fn claim(&self) -> Claim<'_, M> {
        Claim::new(&self.memory, CLAIM)
    }

    fn freed(&self) -> Signal<'_, M> {
        Signal::new(&self.memory, FREED)
    }

    fn seats(&self) -> Seats<'_, M> {
        Seats::new(&self.memory, SEATS, self.seats)
    }

    /// How many permits are free now.
    pub fn available(&self) -> u32 {
        self.memory.word(AVAILABLE).load(Acquire)
    }

    /// Takes a permit if one is free.
    ///
    /// # Errors
    ///
    /// [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn try_acquire(&self, patience: &mut impl Patience<M>) -> Result<bool, Refused> {
        let available = self.memory.word(AVAILABLE);
        if !self.bounded {
            loop {
                let seen = available.load(Relaxed);
                if seen == 0 {
                    return Ok(false);
                }
                if available.compare_exchange(seen, seen - 1, Acquire, Relaxed).is_ok() {
                    return Ok(true);
                }
            }
        }
        if available.load(Relaxed) == 0 {
            return Ok(false);
        }
        self.claim().acquire(self.me, patience)?;
        let free = available.load(Relaxed);
        let held = self.seats().word(self.seat);
        let result = match free {
            0 => Ok(false),
            // The permit is taken by the first store. The second is recomputed if it never comes.
            1.. if free <= self.permits => {
                held.store(held.load(Relaxed).wrapping_add(1), Relaxed);
                available.store(free - 1, Relaxed);
                Ok(true)
            }
            _ => Err(Refused::Damaged),
        };
        self.claim().release(self.me);
        result
    }

    /// Waits for a permit and takes it.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::Cancelled`], [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn acquire(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        loop {
            if self.try_acquire(patience)? {
                return Ok(());
            }
            let expected = self.freed().watch();
            if self.available() > 0 {
                continue;
            }
            if let Err(gave_up) = patience.sleep(&self.memory, FREED, expected, On::State) {
                // The wake that came too late is for somebody else.
                if self.available() > 0 {
                    self.freed().notify(1);
                }
                return Err(gave_up.into());
            }
        }
    }

    /// Gives `count` permits back.
    ///
    /// # Errors
    ///
    /// [`Refused::NotOwner`] if this process holds fewer (bounded), [`Refused::Limit`] if there would be more than
    /// [`Layout::MAX_COUNT`] (signalling), [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn release(&self, count: u32, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        if count == 0 {
            return Ok(());
        }
        if self.bounded {
            self.give_back(count, patience)?
        } else {
            self.raise(count)?
        }
        self.freed().notify(count);
        Ok(())
    }

    fn raise(&self, count: u32) -> Result<(), Refused> {
        let available = self.memory.word(AVAILABLE);
        loop {
            let seen = available.load(Relaxed);
            let raised = seen.checked_add(count).filter(|raised| *raised <= Layout::MAX_COUNT).ok_or(Refused::Limit)?;
            if available.compare_exchange(seen, raised, AcqRel, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    fn give_back(&self, count: u32, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.claim().acquire(self.me, patience)?;
        let available = self.memory.word(AVAILABLE);
        let held = self.seats().word(self.seat);
        let (free, mine) = (available.load(Relaxed), held.load(Relaxed));
        let result = if mine < count {
            Err(Refused::NotOwner)
        } else if free.checked_add(count).is_none_or(|free| free > self.permits) {
            Err(Refused::Damaged)
        } else {
            held.store(mine - count, Relaxed);
            available.store(free + count, Relaxed);
            Ok(())
        };
        self.claim().release(self.me);
        result
    }

    /// Whether a permit is free now. If not, the next one rings.
    pub fn poll(&self) -> bool {
        self.available() > 0 || {
            self.freed().poll();
            self.available() > 0
        }
    }

    /// Returns the permits of `dead`, which sat in `seat`. `None` if it has to be tried again.
    pub(crate) fn recover(&self, dead: Lease, seat: Seat) -> Option<bool> {
        if !self.bounded {
            self.freed().wake_all();
            return Some(false);
        }
        let taken = self.claim().take(dead);
        if taken == Taken::Busy {
            return None;
        }
        let permits = self.seats().word(seat).swap(0, Relaxed);
        // A peer that writes nonsense into seats gets nonsense, but never more permits than there are.
        let held: u64 = self.seats().used().map(|seat| u64::from(self.seats().word(seat).load(Relaxed))).sum();
        let free = u64::from(self.permits).saturating_sub(held);
        self.memory.word(AVAILABLE).store(free as u32, Relaxed);
        self.claim().give_back();
        self.freed().wake_all();
        Some(taken == Taken::FromTheDead || permits > 0)
    }
}
