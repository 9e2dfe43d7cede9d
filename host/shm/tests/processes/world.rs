//! Objects in shared memory, and how one waits there.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use wasmproc_shm::{
    Death, End, Expected, Findings, GaveUp, Layout, Lease, Mapping, Memory, On, Patience, Seat, Wakers, create,
    initialise, now, recover, sleep,
};

use crate::child::HANGS;

/// Numbers that the processes of a test share with their parent. Nobody damages these.
#[derive(Debug)]
pub(crate) struct Notes(Mapping<()>);

impl Notes {
    pub(crate) fn new(words: usize) -> Notes {
        let memory = create(c"notes", words * 4).unwrap();
        Notes(Mapping::of(memory, words * 4, ()).unwrap())
    }

    pub(crate) fn get(&self, at: usize) -> u32 {
        self.0.word(at).load(SeqCst)
    }

    pub(crate) fn set(&self, at: usize, value: u32) {
        self.0.word(at).store(value, SeqCst);
    }

    pub(crate) fn add(&self, at: usize, value: u32) -> u32 {
        self.0.word(at).fetch_add(value, SeqCst)
    }
}

/// Notes whether this process is in the middle of something.
#[derive(Debug)]
pub(crate) struct Inside<'a>(pub(crate) Option<(&'a Notes, usize)>);

impl Wakers for Inside<'_> {
    fn ring(&self) {}
    fn enter(&self) {
        if let Some((notes, at)) = self.0 {
            notes.add(at, 1);
        }
    }
    fn leave(&self) {
        if let Some((notes, at)) = self.0 {
            notes.add(at, u32::MAX);
        }
    }
}

/// An object, mapped here and in all children.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    pub(crate) memory: Mapping<Inside<'a>>,
    pub(crate) layout: Layout,
    descriptor: std::os::fd::OwnedFd,
}

pub(crate) type View<'a> = &'a Mapping<Inside<'a>>;

impl<'a> Object<'a> {
    pub(crate) fn new(layout: Layout) -> Object<'a> {
        layout.check().unwrap();
        let descriptor = create(c"object", layout.bytes()).unwrap();
        let memory = Mapping::new(&descriptor, layout, Inside(None)).unwrap();
        initialise(&memory, layout);
        Object { memory, layout, descriptor }
    }

    /// The same one, mapped once more by a process that notes where it is.
    pub(crate) fn noting<'b>(&self, notes: &'b Notes, at: usize) -> Object<'b> {
        let memory = Mapping::new(&self.descriptor, self.layout, Inside(Some((notes, at)))).unwrap();
        let descriptor = self.descriptor.try_clone().unwrap();
        Object { memory, layout: self.layout, descriptor }
    }

    /// What the supervisor does when a process is dead. Twice, as if it hadn't noted the first time.
    pub(crate) fn bury(&self, dead: Lease, seat: Seat, end: End) -> Findings {
        let once = || {
            let mut tries = 0;
            loop {
                match recover(&self.memory, self.layout, dead, seat, end, Death::Violent) {
                    Findings::Busy => std::thread::sleep(Duration::from_micros(100)),
                    findings => return findings,
                }
                tries += 1;
                assert!(tries < 100_000, "{:?} stays busy", self.layout);
            }
        };
        let findings = once();
        once();
        findings
    }
}

pub(crate) fn lease(number: u32) -> Lease {
    Lease::new(number).unwrap()
}

/// Sleeps on the real futex, in one piece: a wake that is lost is a test that fails.
#[derive(Debug)]
pub(crate) struct Until {
    time_out: Duration,
    /// For internal locks, for which a caller's time-out doesn't count.
    claims: Duration,
}

impl Until {
    /// Gives up after that time.
    pub(crate) fn after(time: Duration) -> Until {
        Until { time_out: now() + time, claims: now() + HANGS }
    }

    /// Gives up after that time, whatever it is for.
    pub(crate) fn after_at_most(time: Duration) -> Until {
        Until { time_out: now() + time, claims: now() + time }
    }

    /// For what must come.
    pub(crate) fn it_hangs() -> Until {
        Until::after(HANGS)
    }
}

impl<W: Wakers> Patience<&Mapping<W>> for Until {
    fn sleep(&mut self, memory: &&Mapping<W>, at: usize, value: u32, on: On) -> Result<(), GaveUp> {
        let word = Expected { memory, at, value };
        // There is no second thing to listen to: the same word again.
        let until = if on == On::Claim { self.claims } else { self.time_out };
        sleep(&word, &word, Some(until)).unwrap();
        match on {
            _ if now() < until => Ok(()),
            On::Claim => Err(GaveUp::Stuck),
            On::Lock | On::State => Err(GaveUp::TimedOut),
        }
    }
}

/// Numbers without an order (xorshift64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
