//! A word that at most one process owns.
//!
//! ```text
//!  31       30      29         28 ........ 0
//! ┌─────────┬───────┬───────────┬────────────┐
//! │ waiters │ polled│ abandoned │   holder   │   holder: a lease, or 0
//! └─────────┴───────┴───────────┴────────────┘
//!            acquire                     release
//!   free ───────────────▶ held ─────────────────────▶ free
//!    ▲ abandoned           │ its holder dies: recover
//!    └─────────────────────┘
//! ```
//!
//! `waiters`: somebody may sleep on the word, so who releases it wakes one. A waiter that was woken sets the bit again
//! when it acquires, for there may be more. `polled`: somebody waits in an event loop.
//!
//! Whoever is woken and doesn't acquire passes the wake on, or makes sure that the present holder will wake somebody. A
//! waiter that dies instead is covered by recovery, which wakes one for each process that dies.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::lease::Lease;
use crate::memory::{Memory, Word};
use crate::patience::{GaveUp, On, Patience};

const HOLDER: u32 = (1 << 29) - 1;
const ABANDONED: u32 = 1 << 29;
const POLLED: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;

/// In what state something was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    Clean,
    /// Its previous holder died holding it.
    Abandoned,
}

/// What recovery leaves in the word of a dead holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// The next to acquire it is told.
    Mark,
    Nothing,
}

pub(crate) struct Ownership<'a, M> {
    memory: &'a M,
    at: usize,
}

impl<'a, M: Memory> Ownership<'a, M> {
    #[inline]
    pub(crate) fn new(memory: &'a M, at: usize) -> Self {
        Ownership { memory, at }
    }

    #[inline]
    fn word(&self) -> &'a M::Word {
        self.memory.word(self.at)
    }

    /// One attempt to go from free, with nothing to note, to held.
    #[inline]
    pub(crate) fn quick_acquire(&self, me: Lease) -> bool {
        // Acquire: pairs with the Release of the one who gave it back.
        self.word().compare_exchange(0, me.number(), Acquire, Relaxed).is_ok()
    }

    /// Acquires it if it is free. Doesn't wait.
    #[inline]
    pub(crate) fn try_acquire(&self, me: Lease) -> Option<Acquired> {
        if self.quick_acquire(me) { Some(Acquired::Clean) } else { self.try_acquire_marked(me, 0) }
    }

    #[inline]
    pub(crate) fn acquire(&self, me: Lease, patience: &mut impl Patience<M>, on: On) -> Result<Acquired, GaveUp> {
        if self.quick_acquire(me) {
            return Ok(Acquired::Clean);
        }
        self.acquire_slowly(me, patience, on)
    }

    #[cold]
    fn acquire_slowly(&self, me: Lease, patience: &mut impl Patience<M>, on: On) -> Result<Acquired, GaveUp> {
        if let Some(acquired) = self.look_again(me, on) {
            return Ok(acquired);
        }
        let mut mark = 0;
        loop {
            if let Some(acquired) = self.try_acquire_marked(me, mark) {
                return Ok(acquired);
            }
            let seen = self.word().load(Relaxed);
            if seen & HOLDER == 0 {
                continue;
            }
            let marked = seen | WAITERS;
            if marked != seen && self.word().compare_exchange(seen, marked, Relaxed, Relaxed).is_err() {
                continue;
            }
            if let Err(gave_up) = patience.sleep(self.memory, self.at, marked, on) {
                self.give_up();
                return Err(gave_up);
            }
            mark = WAITERS;
        }
    }

    /// Tries for a moment, before it sleeps.
    fn look_again(&self, me: Lease, on: On) -> Option<Acquired> {
        // An internal lock is free in no time. Of other locks the holder may be back at once, and each look takes the cache
        // line from it: so the looks are rare, and become rarer.
        let (first, last) = if on == On::Claim { (1, M::SPINS) } else { (M::SPINS / 4, M::SPINS * 8) };
        let (mut pause, mut paused) = (first, 0);
        while paused < last {
            if let Some(acquired) = self.try_acquire_marked(me, 0) {
                return Some(acquired);
            }
            (0..pause).for_each(|_| std::hint::spin_loop());
            paused += pause;
            if on != On::Claim {
                pause *= 2;
            }
        }
        None
    }

    /// Acquires it if it is free, and sets `mark`.
    fn try_acquire_marked(&self, me: Lease, mark: u32) -> Option<Acquired> {
        loop {
            let seen = self.word().load(Relaxed);
            if seen & HOLDER != 0 {
                return None;
            }
            let mine = (seen & (WAITERS | POLLED)) | mark | me.number();
            if self.word().compare_exchange(seen, mine, Acquire, Relaxed).is_ok() {
                return Some(if seen & ABANDONED == 0 { Acquired::Clean } else { Acquired::Abandoned });
            }
        }
    }

    /// A waiter leaves. The wake that it perhaps got is for somebody else then.
    fn give_up(&self) {
        loop {
            let seen = self.word().load(Relaxed);
            if seen & HOLDER == 0 {
                self.memory.wake(self.at, 1);
                return;
            }
            if seen & WAITERS != 0 || self.word().compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Gives it back. Returns whether it was `me` who held it.
    #[inline]
    pub(crate) fn release(&self, me: Lease) -> bool {
        if self.word().load(Relaxed) & HOLDER != me.number() {
            return false;
        }
        // Only its holder changes the holder. Release: pairs with the Acquire of the next.
        let seen = self.word().swap(0, Release);
        if seen & (WAITERS | POLLED) != 0 {
            self.call(seen);
        }
        true
    }

    #[cold]
    fn call(&self, seen: u32) {
        if seen & WAITERS != 0 {
            self.memory.wake(self.at, 1);
        }
        if seen & POLLED != 0 {
            self.memory.ring();
        }
    }

    /// The number of the lease that holds it, or 0.
    pub(crate) fn holder(&self) -> u32 {
        self.word().load(Relaxed) & HOLDER
    }

    /// Whether it is free; if not, its release will ring.
    pub(crate) fn poll(&self) -> bool {
        loop {
            let seen = self.word().load(Relaxed);
            if seen & HOLDER == 0 {
                return true;
            }
            if seen & POLLED != 0 || self.word().compare_exchange(seen, seen | POLLED, Relaxed, Relaxed).is_ok() {
                return false;
            }
        }
    }

    /// Makes `heir` the holder if `dead` is, so that nobody sees what is under it in between.
    pub(crate) fn take_over(&self, dead: Lease, heir: Lease) -> bool {
        loop {
            let seen = self.word().load(Relaxed);
            if seen & HOLDER != dead.number() {
                return false;
            }
            // Acquire: the heir sees all that the dead holder did.
            let inherited = (seen & !HOLDER) | heir.number();
            if self.word().compare_exchange(seen, inherited, Acquire, Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Takes it from `dead` if it had it, and sees to it that nobody sleeps for nothing. Returns whether it had it.
    pub(crate) fn recover(&self, dead: Lease, leaves: Leaves) -> bool {
        let mark = if leaves == Leaves::Mark { ABANDONED } else { 0 };
        let found = loop {
            let seen = self.word().load(Relaxed);
            if seen & HOLDER != dead.number() {
                break false;
            }
            // Acquire and Release: what the dead holder did is before what the next one does.
            let freed = (seen & (WAITERS | POLLED | ABANDONED)) | mark;
            if self.word().compare_exchange(seen, freed, AcqRel, Relaxed).is_ok() {
                break true;
            }
        };
        // Even if it wasn't found: it may have released and neither woken nor rung, or have been woken and not acquired.
        self.memory.wake(self.at, 1);
        self.word().fetch_and(!POLLED, Relaxed);
        self.memory.ring();
        found
    }
}
