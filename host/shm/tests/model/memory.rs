//! Memory whose every access the model checker sees, with the futexes and the doorbell that go with it.

use std::rc::Rc;

use loom::cell::Cell;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::sync::{Condvar, Mutex};
use wasmproc_shm::Layout;

/// How many actors there can be.
pub(crate) const ACTORS: usize = 4;

/// One object's memory. Only the words that the object uses exist; any other is a panic.
pub(crate) struct Shared {
    pub(crate) words: Vec<(usize, AtomicU32)>,
    pub(crate) longs: Vec<(usize, AtomicU64)>,
    /// Eight bytes each. Not atomic: two who touch the same one without an order between them are found out.
    pub(crate) data: Vec<Cell<u64>>,
    /// In bytes.
    pub(crate) data_at: usize,
    /// Who sleeps on which word, in the order in which they came.
    sleepers: Mutex<Vec<(usize, usize)>>,
    beds: Vec<Condvar>,
    /// How often the doorbell rang.
    rings: Mutex<u32>,
    rang: Condvar,
}

impl Shared {
    pub(crate) fn new(layout: Layout) -> Rc<Shared> {
        let (words, longs, data) = places(layout);
        let data_at = layout.bytes() - data;
        Rc::new(Shared {
            words: words.into_iter().map(|at| (at, AtomicU32::new(0))).collect(),
            longs: longs.into_iter().map(|at| (at, AtomicU64::new(0))).collect(),
            data: (0..data / 8).map(|_| Cell::new(0)).collect(),
            data_at,
            sleepers: Mutex::new(Vec::new()),
            beds: (0..ACTORS).map(|_| Condvar::new()).collect(),
            rings: Mutex::new(0),
            rang: Condvar::new(),
        })
    }

    /// As FUTEX_WAIT does: compares and lies down in one step.
    pub(crate) fn sleep(&self, who: usize, at: usize, still: impl Fn() -> bool) {
        let mut sleepers = self.sleepers.lock().unwrap();
        if !still() {
            return;
        }
        sleepers.push((who, at));
        while sleepers.iter().any(|(sleeper, _)| *sleeper == who) {
            sleepers = self.beds[who].wait(sleepers).unwrap();
        }
    }

    /// As FUTEX_WAIT does with a time-out, which passes at any moment after lying down.
    pub(crate) fn doze(&self, who: usize, at: usize, still: impl Fn() -> bool) {
        let mut sleepers = self.sleepers.lock().unwrap();
        if !still() {
            return;
        }
        sleepers.push((who, at));
        drop(sleepers);
        // Here it may be woken, and the wake be lost on it.
        self.sleepers.lock().unwrap().retain(|(sleeper, _)| *sleeper != who);
    }

    /// As FUTEX_WAKE does.
    pub(crate) fn wake(&self, at: usize, most: u32) -> u32 {
        let mut sleepers = self.sleepers.lock().unwrap();
        let mut woken = 0;
        sleepers.retain(|(who, place)| {
            let wakes = *place == at && woken < most;
            if wakes {
                woken += 1;
                self.beds[*who].notify_one();
            }
            !wakes
        });
        woken
    }

    pub(crate) fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.rang.notify_all();
    }

    pub(crate) fn rings(&self) -> u32 {
        *self.rings.lock().unwrap()
    }

    /// Waits until it rang again: an edge, as epoll reports it.
    pub(crate) fn wait_for_ring(&self, before: u32) {
        let mut rings = self.rings.lock().unwrap();
        while *rings == before {
            rings = self.rang.wait(rings).unwrap();
        }
    }
}

/// Words, double words (as the first of their words) and bytes of data of an object.
fn places(layout: Layout) -> (Vec<usize>, Vec<usize>, usize) {
    let with_seats = |first: usize, seats: u32, mut words: Vec<usize>| {
        words.extend(first..first + seats as usize);
        words
    };
    match layout {
        Layout::Lock | Layout::Event => (vec![0], vec![], 0),
        Layout::Semaphore { seats, .. } | Layout::Condition { seats } | Layout::Barrier { seats, .. } => {
            (with_seats(16, seats, (1..=7).collect()), vec![], 0)
        }
        Layout::Queue { capacity_bytes, seats, .. } => {
            let words = with_seats(32, seats, vec![0, 1, 4, 5, 6, 16, 17, 18, 22]);
            (words, vec![8, 20, 24, 26], capacity_bytes as usize)
        }
        Layout::Pipe { capacity_bytes, duplex } => {
            let directions = 1 + usize::from(duplex);
            let words = (0..directions).flat_map(|index| [2, 3, 34, 35].map(|at| 16 + index * 64 + at)).collect();
            let longs = (0..directions).flat_map(|index| [0, 32].map(|at| 16 + index * 64 + at)).collect();
            (words, longs, capacity_bytes as usize * directions)
        }
        Layout::Cells { .. } => (vec![16], vec![], 0),
    }
}
