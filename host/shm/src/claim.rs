//! The internal lock of an object: held for a bounded copy, by code of this crate only.
//!
//! Beside the owner's word stands a count of acquisitions, so that whoever waits can tell one long possession from many
//! short ones. A holder that dies loses it without a mark: what it protects is consistent after every store.

use std::sync::atomic::Ordering::Relaxed;

use crate::lease::Lease;
use crate::memory::{Memory, Word};
use crate::ownership::{Leaves, Ownership};
use crate::patience::{GaveUp, On, Patience};

/// Two words: owner, count.
pub(crate) struct Claim<'a, M> {
    memory: &'a M,
    at: usize,
}

/// What recovery found in a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The dead process had it; now the supervisor does, and what it protects may be halfway.
    FromTheDead,
    /// It was free, and the supervisor has it.
    Free,
    /// Somebody who lives has it.
    Busy,
}

impl<'a, M: Memory> Claim<'a, M> {
    #[inline]
    pub(crate) fn new(memory: &'a M, at: usize) -> Self {
        Claim { memory, at }
    }

    #[inline]
    fn owner(&self) -> Ownership<'a, M> {
        Ownership::new(self.memory, self.at)
    }

    #[inline]
    pub(crate) fn acquire(&self, me: Lease, patience: &mut impl Patience<M>) -> Result<(), GaveUp> {
        self.memory.enter();
        if let Err(gave_up) = self.owner().acquire(me, patience, On::Claim) {
            self.memory.leave();
            return Err(gave_up);
        }
        let count = self.memory.word(self.at + 1);
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        Ok(())
    }

    #[inline]
    pub(crate) fn release(&self, me: Lease) {
        self.owner().release(me);
        self.memory.leave();
    }

    /// Who holds it (a lease's number, or 0), and for the how-manieth time it is held.
    pub(crate) fn possession(&self) -> (u32, u32) {
        (self.owner().holder(), self.memory.word(self.at + 1).load(Relaxed))
    }

    /// Frees it if `dead` had it, and passes a wake on that `dead` may have swallowed. For claims over what needs no
    /// repair.
    pub(crate) fn recover(&self, dead: Lease) -> bool {
        self.owner().recover(dead, Leaves::Nothing)
    }

    /// Takes it for the supervisor, which repairs what is under it and releases it. Never waits.
    pub(crate) fn take(&self, dead: Lease) -> Taken {
        // There is one supervisor. What it holds already is of a recovery that was interrupted.
        if self.owner().take_over(dead, Lease::SUPERVISOR)
            || self.owner().take_over(Lease::SUPERVISOR, Lease::SUPERVISOR)
        {
            return Taken::FromTheDead;
        }
        match self.owner().try_acquire(Lease::SUPERVISOR) {
            Some(_) => Taken::Free,
            None => Taken::Busy,
        }
    }

    /// Gives it back after [`Claim::take`]. Wakes one waiter in any case: a wake may have died with its receiver.
    pub(crate) fn give_back(&self) {
        self.owner().release(Lease::SUPERVISOR);
        self.memory.wake(self.at, 1);
    }
}
