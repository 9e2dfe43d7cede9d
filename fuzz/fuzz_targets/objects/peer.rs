//! The memory of an object into which a hostile peer writes at every chance, and waits that end.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use wasmproc_shm::{GaveUp, Mapping, Memory, On, Patience, Wakers};

use crate::input::Write;

/// Sleeps of one operation, after which it is to give up.
const SLEEPS: u32 = 6;

/// In how many internal locks this process says that it is.
#[derive(Debug, Default)]
pub struct Balance(Cell<i32>);

impl Balance {
    pub fn get(&self) -> i32 {
        self.0.get()
    }
}

impl Wakers for Balance {
    fn ring(&self) {}
    fn enter(&self) {
        self.0.set(self.0.get() + 1);
    }
    fn leave(&self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Mapped memory, and what the peer is still going to write.
#[derive(Debug)]
pub struct Peer<'m> {
    mapping: &'m Mapping<Balance>,
    /// The next one is the last.
    writes: RefCell<Vec<Write>>,
    accesses: Cell<u32>,
}

impl<'m> Peer<'m> {
    pub fn new(mapping: &'m Mapping<Balance>, mut writes: Vec<Write>) -> Peer<'m> {
        writes.reverse();
        Peer { mapping, writes: RefCell::new(writes), accesses: Cell::new(0) }
    }

    /// The peer writes no more.
    pub fn stop(&self) {
        self.writes.borrow_mut().clear();
    }

    /// Something is about to be read or written: the peer may be faster.
    fn accessed(&self) {
        let mut writes = self.writes.borrow_mut();
        let Some(next) = writes.last() else { return };
        if self.accesses.get() < u32::from(next.after) {
            return self.accesses.set(self.accesses.get() + 1);
        }
        self.accesses.set(0);
        self.mapping.word(next.at).store(next.value, Relaxed);
        writes.pop();
    }
}

impl Memory for Peer<'_> {
    type Word = AtomicU32;
    type Long = AtomicU64;

    const SPINS: u32 = 4;

    fn word(&self, at: usize) -> &AtomicU32 {
        self.accessed();
        self.mapping.word(at)
    }
    fn long(&self, at: usize) -> &AtomicU64 {
        self.accessed();
        self.mapping.long(at)
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.accessed();
        self.mapping.write(offset, bytes);
    }
    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        self.accessed();
        self.mapping.append_to(offset, length, into);
    }
    fn fence(&self) {
        self.mapping.fence();
    }
    fn wake(&self, at: usize, most: u32) -> u32 {
        self.accessed();
        // Nobody sleeps here. That somebody was woken is what the peer may make others believe.
        self.mapping.wake(at, most) + (self.accesses.get() & 1)
    }
    fn ring(&self) {
        self.mapping.ring();
    }
    fn enter(&self) {
        self.mapping.enter();
    }
    fn leave(&self) {
        self.mapping.leave();
    }
}

/// Sleeps no time at all, a few times.
#[derive(Debug)]
pub struct Few {
    left: u32,
    gives_up: GaveUp,
}

impl Few {
    pub fn or(gives_up: GaveUp) -> Few {
        Few { left: SLEEPS, gives_up }
    }
}

impl<'p> Patience<&'p Peer<'_>> for Few {
    fn sleep(&mut self, memory: &&'p Peer<'_>, at: usize, _: u32, on: On) -> Result<(), GaveUp> {
        // The word to sleep on exists.
        memory.word(at).load(Relaxed);
        // A claim may be asked for once more after a wait was given up; but not for ever.
        self.left = self.left.checked_sub(1).unwrap_or(SLEEPS);
        match on {
            _ if self.left > 0 => Ok(()),
            On::Claim => Err(GaveUp::Stuck),
            On::Lock | On::State => Err(self.gives_up),
        }
    }

    fn linger(&mut self, ready: impl Fn() -> bool) -> bool {
        (0..2).any(|_| ready())
    }

    fn nap(&mut self) -> Result<bool, GaveUp> {
        if self.left == 0 { Err(self.gives_up) } else { Ok(self.left.is_multiple_of(2)) }
    }
}
