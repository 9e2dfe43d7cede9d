//! One who uses an object: the shared memory as it sees it, and how long it lives.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, Relaxed, SeqCst};

use loom::sync::atomic::fence;
use wasmproc_shm::{GaveUp, Lease, Memory, On, Patience, Seat, Word};

use crate::memory::Shared;

/// How many steps somebody has left, if their number is limited.
#[derive(Clone)]
pub(crate) struct Life(Rc<Cell<Option<u32>>>);

/// What unwinds an actor that dies. It is no panic, and the crate has nothing that runs on the way.
struct Died;

impl Life {
    fn step(&self) {
        match self.0.get() {
            Some(0) => resume_unwind(Box::new(Died)),
            Some(left) => self.0.set(Some(left - 1)),
            None => {}
        }
    }
}

/// An actor. Its number is its seat, and its lease less one.
#[derive(Clone)]
pub(crate) struct Actor {
    shared: Rc<Shared>,
    number: usize,
    life: Life,
    words: Rc<[ActorWord]>,
    longs: Rc<[ActorLong]>,
}

impl Actor {
    pub(crate) fn immortal(shared: &Rc<Shared>, number: usize) -> Actor {
        Actor::of(shared, number, Life(Rc::new(Cell::new(None))))
    }

    fn of(shared: &Rc<Shared>, number: usize, life: Life) -> Actor {
        let word = |index| ActorWord { shared: shared.clone(), index, life: life.clone() };
        let controls = (0..shared.longs.len()).map(Place::Control);
        let data = (0..shared.data.len()).map(Place::Data);
        let long = |place| ActorLong { shared: shared.clone(), place, life: life.clone() };
        Actor {
            shared: shared.clone(),
            number,
            words: (0..shared.words.len()).map(word).collect(),
            longs: controls.chain(data).map(long).collect(),
            life,
        }
    }

    /// Runs what an actor does, until it dies at the step with that number. Returns what it came to if it didn't die.
    pub(crate) fn mortal<R>(
        shared: &Rc<Shared>,
        number: usize,
        dies_at: u32,
        acts: impl FnOnce(Actor) -> R,
    ) -> Option<R> {
        let actor = Actor::of(shared, number, Life(Rc::new(Cell::new(Some(dies_at)))));
        match catch_unwind(AssertUnwindSafe(|| acts(actor))) {
            Ok(result) => Some(result),
            Err(cause) if cause.is::<Died>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(crate) fn lease(&self) -> Lease {
        lease(self.number)
    }

    pub(crate) fn seat(&self) -> Seat {
        Seat(self.number as u32)
    }

    /// The same one, at another object.
    pub(crate) fn with(&self, shared: &Rc<Shared>) -> Actor {
        Actor::of(shared, self.number, self.life.clone())
    }

    /// Waits in an event loop until `ready`.
    pub(crate) fn poll_until(&self, ready: impl Fn() -> bool) {
        loop {
            let before = self.shared.rings();
            if ready() {
                return;
            }
            self.life.step();
            self.shared.wait_for_ring(before);
        }
    }
}

pub(crate) fn lease(number: usize) -> Lease {
    Lease::new(number as u32 + 1).unwrap()
}

/// Waits for ever.
pub(crate) struct Patient;

impl Patience<Actor> for Patient {
    fn sleep(&mut self, memory: &Actor, at: usize, expected: u32, _: On) -> Result<(), GaveUp> {
        memory.life.step();
        memory.shared.sleep(memory.number, at, || memory.is(at, expected));
        memory.life.step();
        Ok(())
    }
}

/// Waits for ever at internal locks. Anywhere else its time-out passes while it sleeps.
pub(crate) struct Hasty;

impl Patience<Actor> for Hasty {
    fn sleep(&mut self, memory: &Actor, at: usize, expected: u32, on: On) -> Result<(), GaveUp> {
        if on == On::Claim {
            return Patient.sleep(memory, at, expected, on);
        }
        memory.life.step();
        memory.shared.doze(memory.number, at, || memory.is(at, expected));
        memory.life.step();
        Err(GaveUp::TimedOut)
    }
}

impl Actor {
    fn is(&self, at: usize, expected: u32) -> bool {
        let (_, word) = self.shared.words.iter().find(|(place, _)| *place == at).expect("a word that the object uses");
        word.load(Relaxed) == expected
    }
}

impl Memory for Actor {
    type Word = ActorWord;
    type Long = ActorLong;

    const SPINS: u32 = 0;

    fn word(&self, at: usize) -> &ActorWord {
        let index = self.shared.words.iter().position(|(place, _)| *place == at);
        &self.words[index.expect("a word that the object uses")]
    }

    fn long(&self, at: usize) -> &ActorLong {
        assert!(at.is_multiple_of(2));
        match self.shared.longs.iter().position(|(place, _)| *place == at) {
            Some(index) => &self.longs[index],
            None => &self.longs[self.shared.longs.len() + (at * 4 - self.shared.data_at) / 8],
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            self.long(offset / 4 + index * 2).store(u64::from_le_bytes(eight), Relaxed);
        }
    }

    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        for index in 0..length.div_ceil(8) {
            let eight = self.long(offset / 4 + index * 2).load(Relaxed).to_le_bytes();
            into.extend_from_slice(&eight[..(length - index * 8).min(8)]);
        }
    }

    fn fence(&self) {
        fence(SeqCst);
    }

    fn wake(&self, at: usize, most: u32) -> u32 {
        self.life.step();
        self.shared.wake(at, most)
    }

    fn ring(&self) {
        self.life.step();
        self.shared.ring();
    }

    fn enter(&self) {}
    fn leave(&self) {}
}

pub(crate) struct ActorWord {
    shared: Rc<Shared>,
    index: usize,
    life: Life,
}

pub(crate) struct ActorLong {
    shared: Rc<Shared>,
    place: Place,
    life: Life,
}

enum Place {
    Control(usize),
    Data(usize),
}

macro_rules! forward {
    ($value:ty, $self:ident => $atomic:expr) => {
        fn swap(&$self, value: $value, order: Ordering) -> $value {
            $self.life.step();
            $atomic.swap(value, order)
        }
        fn compare_exchange(&$self, current: $value, new: $value, success: Ordering, failure: Ordering)
            -> Result<$value, $value>
        {
            $self.life.step();
            $atomic.compare_exchange(current, new, success, failure)
        }
        fn fetch_add(&$self, value: $value, order: Ordering) -> $value {
            $self.life.step();
            $atomic.fetch_add(value, order)
        }
        fn fetch_or(&$self, value: $value, order: Ordering) -> $value {
            $self.life.step();
            $atomic.fetch_or(value, order)
        }
        fn fetch_and(&$self, value: $value, order: Ordering) -> $value {
            $self.life.step();
            $atomic.fetch_and(value, order)
        }
    };
}

impl Word<u32> for ActorWord {
    fn load(&self, order: Ordering) -> u32 {
        self.life.step();
        self.shared.words[self.index].1.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.life.step();
        self.shared.words[self.index].1.store(value, order);
    }
    forward!(u32, self => self.shared.words[self.index].1);
}

impl ActorLong {
    fn control(&self) -> &loom::sync::atomic::AtomicU64 {
        match self.place {
            Place::Control(index) => &self.shared.longs[index].1,
            Place::Data(_) => panic!("data is loaded and stored, nothing else"),
        }
    }
}

impl Word<u64> for ActorLong {
    fn load(&self, order: Ordering) -> u64 {
        self.life.step();
        match self.place {
            Place::Control(index) => self.shared.longs[index].1.load(order),
            Place::Data(index) => self.shared.data[index].get(),
        }
    }
    fn store(&self, value: u64, order: Ordering) {
        self.life.step();
        match self.place {
            Place::Control(index) => self.shared.longs[index].1.store(value, order),
            Place::Data(index) => self.shared.data[index].set(value),
        }
    }
    forward!(u64, self => self.control());
}
