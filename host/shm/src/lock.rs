//! A lock that survives the death of its holder.

use crate::Refused;
use crate::layout::FLAGS;
use crate::lease::Lease;
use crate::memory::Memory;
use crate::ownership::{Acquired, Ownership};
use crate::patience::{On, Patience};

/// Mutual exclusion between processes.
///
/// It is not re-entrant, and it is not fair: who comes just when it is released may be faster than who was woken. A lock
/// whose holder died goes to the next one as [`Acquired::Abandoned`].
#[derive(Debug)]
pub struct Lock<M> {
    memory: M,
    me: Lease,
}

impl<M: Memory> Lock<M> {
    /// The lock in this memory, used as `me`.
    pub fn new(memory: M, me: Lease) -> Self {
        Lock { memory, me }
    }

    #[inline]
    fn owner(&self) -> Ownership<'_, M> {
        Ownership::new(&self.memory, FLAGS)
    }

    /// Acquires it if it is free.
    #[inline]
    pub fn try_acquire(&self) -> Option<Acquired> {
        self.owner().try_acquire(self.me)
    }

    /// Acquires it if it is free, its last holder gave it back, and nobody waits: one attempt at one step.
    #[inline]
    pub fn quick_acquire(&self) -> bool {
        self.owner().quick_acquire(self.me)
    }

    /// Waits for it and acquires it.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::Cancelled`].
    #[inline]
    pub fn acquire(&self, patience: &mut impl Patience<M>) -> Result<Acquired, Refused> {
        Ok(self.owner().acquire(self.me, patience, On::Lock)?)
    }

    /// Gives it back.
    ///
    /// # Errors
    ///
    /// [`Refused::NotOwner`] if this process doesn't hold it.
    #[inline]
    pub fn release(&self) -> Result<(), Refused> {
        if self.owner().release(self.me) { Ok(()) } else { Err(Refused::NotOwner) }
    }

    /// The number of the lease that holds it; 0 for nobody.
    pub fn holder(&self) -> u32 {
        self.owner().holder()
    }

    /// Whether it is free now. If not, its release rings.
    pub fn poll(&self) -> bool {
        self.owner().poll()
    }

    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }
}
