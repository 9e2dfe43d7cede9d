//! A queue of messages for any number of producers and consumers.
//!
//! ```text
//!            put                 get                    task_done
//!   room ───────────▶ queued ───────────▶ taken ─────────────────▶ done
//!                        │ close              │ its taker dies
//!                        ▼                    ▼
//!              drained, then closed        abandoned: join says so
//! ```
//!
//! Producers have one claim and consumers another, so that one of each works at the same time. A message is put by the
//! store of the ring's tail and taken by the store of its head; a taker's seat counts what it took and hasn't done, and
//! is raised *before* the head moves, so that no moment looks as if everything were done.

mod get;
mod put;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::Refused;
use crate::claim::Claim;
use crate::layout::{FLAGS, Layout, QUEUE_SEATS};
use crate::lease::{Lease, Seat};
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::ring::{Fill, Point, Ring};
use crate::seats::Seats;
use crate::signal::Signal;

// Beside the flags: what the producers write...
const PRODUCERS: usize = 4;
const ITEMS: usize = 6;
const TAIL: usize = 8;
// ... and, on a cache line of their own, the consumers.
const CONSUMERS: usize = 16;
const ROOM: usize = 18;
const HEAD: usize = 20;
const DONE: usize = 22;
/// Of the last take: by whom and what its seat was before it, and what the head was.
const TAKER: usize = 24;
const TAKEN_FROM: usize = 26;

/// How often to look for a head and a tail that belong together.
const LOOKS: u32 = 16;
/// Bits of the flags.
const CLOSED: u32 = 1;
const TASKS_ABANDONED: u32 = 2;

/// What became of the messages that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tasks {
    Done,
    /// Some were taken by processes that died before they said that they were done.
    Abandoned,
}

/// Messages in order, bounded by their number and by their bytes.
#[derive(Debug)]
pub struct Queue<M> {
    memory: M,
    me: Lease,
    seat: Seat,
    data: usize,
    capacity: usize,
    max_items: u32,
    seats: u32,
    /// Where the head was when this process last looked, and the tail that it left itself; and the other way round. While
    /// nobody else puts, what the head was is good enough, and the consumers' cache line stays theirs.
    put: Seen,
    got: Seen,
}

/// A look at the other end of the ring. Private to the process: atomics only because a queue may move between threads.
#[derive(Debug, Default)]
struct Seen {
    own: AtomicU64,
    other: AtomicU64,
}

impl Seen {
    /// The other end as it was seen last, if this end is as this process left it.
    #[inline]
    fn other(&self, own: Point) -> Option<Point> {
        (self.own.load(Relaxed) == own.number()).then(|| Point::of(self.other.load(Relaxed)))
    }

    #[inline]
    fn keep(&self, own: Point, other: Point) {
        self.own.store(own.number(), Relaxed);
        self.other.store(other.number(), Relaxed);
    }
}

impl<M: Memory> Queue<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The queue in this memory, used as `me` from `seat`.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout, me: Lease, seat: Seat) -> Self {
        let Layout::Queue { capacity_bytes, max_items, seats } = layout else { panic!("not a queue: {layout:?}") };
        let data = layout.data();
        let queue = Queue {
            memory,
            me,
            seat,
            data,
            capacity: capacity_bytes as usize,
            max_items,
            seats,
            put: Seen::default(),
            got: Seen::default(),
        };
        queue.seats().occupy(seat);
        queue
    }

    #[inline]
    fn ring(&self) -> Ring<'_, M> {
        Ring {
            memory: &self.memory,
            tail_at: TAIL,
            head_at: HEAD,
            data: self.data,
            capacity: self.capacity,
            max_items: self.max_items,
        }
    }

    #[inline]
    fn producers(&self) -> Claim<'_, M> {
        Claim::new(&self.memory, PRODUCERS)
    }

    #[inline]
    fn consumers(&self) -> Claim<'_, M> {
        Claim::new(&self.memory, CONSUMERS)
    }

    #[inline]
    fn items(&self) -> Signal<'_, M> {
        Signal::new(&self.memory, ITEMS)
    }

    #[inline]
    fn room(&self) -> Signal<'_, M> {
        Signal::new(&self.memory, ROOM)
    }

    #[inline]
    fn done(&self) -> Signal<'_, M> {
        Signal::new(&self.memory, DONE)
    }

    #[inline]
    fn seats(&self) -> Seats<'_, M> {
        Seats::new(&self.memory, QUEUE_SEATS, self.seats)
    }

    /// The longest message that has room here.
    pub fn max_message_bytes(&self) -> usize {
        self.capacity - Ring::<M>::room_for(0)
    }

    /// How many messages are queued.
    pub fn len(&self) -> usize {
        self.fill().map_or(0, |fill| fill.records as usize)
    }

    /// What is queued, as seen without a claim: between the look at the head and the look at the tail others may have
    /// taken and put more than the ring holds. So what makes no sense is looked at again, but not for ever: a peer
    /// that scribbles can keep it senseless.
    fn fill(&self) -> Result<Fill, Refused> {
        let ring = self.ring();
        (0..LOOKS).find_map(|_| ring.between(ring.head(), ring.tail()).ok()).ok_or(Refused::Damaged)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a message of no bytes would have to wait.
    pub fn is_full(&self) -> bool {
        self.fill().is_ok_and(|fill| !self.ring().has_room(fill, 0))
    }

    #[inline]
    pub fn is_closed(&self) -> bool {
        self.memory.word(FLAGS).load(Acquire) & CLOSED != 0
    }

    /// Lets nothing more be put. What is queued can still be taken.
    ///
    /// # Errors
    ///
    /// [`Refused::Stuck`].
    pub fn close(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.producers().acquire(self.me, patience)?;
        // Release: what was put before is seen by who sees this.
        self.memory.word(FLAGS).fetch_or(CLOSED, Release);
        self.producers().release(self.me);
        self.items().wake_all();
        self.room().wake_all();
        Ok(())
    }

    /// Says that a message which this process took is dealt with.
    ///
    /// # Errors
    ///
    /// [`Refused::NotOwner`] if all that it took are.
    pub fn task_done(&self) -> Result<(), Refused> {
        let mine = self.seats().word(self.seat);
        let tasks = mine.load(Relaxed);
        if tasks == 0 {
            return Err(Refused::NotOwner);
        }
        // Release: pairs with the Acquire of those who join.
        mine.store(tasks - 1, Release);
        if tasks == 1 {
            self.done().notify(u32::MAX);
        }
        Ok(())
    }

    /// Whether nothing is queued and everything that was taken is done.
    fn all_done(&self) -> bool {
        // The seats after the head: a message is in at least one of them. And the tail once more: a task that was not done
        // when the first seats were looked at may have put another, which one of those has taken.
        let tail = self.ring().tail();
        self.ring().head() == tail
            && self.seats().used().all(|seat| self.seats().word(seat).load(Acquire) == 0)
            && self.ring().tail() == tail
    }

    /// Waits until everything that was put is taken and done.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::Cancelled`].
    pub fn join(&self, patience: &mut impl Patience<M>) -> Result<Tasks, Refused> {
        loop {
            if self.all_done() {
                break;
            }
            let expected = self.done().watch();
            if self.all_done() {
                break;
            }
            patience.sleep(&self.memory, DONE, expected, On::State)?;
        }
        let flags = self.memory.word(FLAGS).fetch_and(!TASKS_ABANDONED, Relaxed);
        Ok(if flags & TASKS_ABANDONED == 0 { Tasks::Done } else { Tasks::Abandoned })
    }

    /// Whether a message can be taken now, or never. If not, the next one rings.
    pub fn poll_items(&self) -> bool {
        let ready = || self.is_closed() || self.ring().head() != self.ring().tail();
        ready() || {
            self.items().poll();
            ready()
        }
    }

    /// Whether a message can be put now, or never. If not, the next one that is taken rings.
    pub fn poll_room(&self) -> bool {
        let ready = || self.is_closed() || !self.is_full();
        ready() || {
            self.room().poll();
            ready()
        }
    }

    /// Frees the claims of `dead`, gives up what it took from `seat` and didn't finish, and wakes everybody.
    pub(crate) fn recover(&self, dead: Lease, seat: Seat) -> bool {
        let tasks = self.seats().word(seat);
        if self.consumers().possession().0 == dead.number() {
            self.take_back(dead, tasks);
        }
        let mut found = self.producers().recover(dead);
        found |= self.consumers().recover(dead);
        if tasks.load(Relaxed) > 0 {
            // The flag first: who sees that there are no tasks any more sees why.
            self.memory.word(FLAGS).fetch_or(TASKS_ABANDONED, Relaxed);
            tasks.store(0, Release);
        }
        self.items().wake_all();
        self.room().wake_all();
        self.done().wake_all();
        found
    }

    /// Makes a take that `dead` had begun and not committed one that never happened. It still has the claim.
    fn take_back(&self, dead: Lease, tasks: &M::Word) {
        let taker = self.memory.long(TAKER).load(Relaxed);
        let from = self.memory.long(TAKEN_FROM).load(Relaxed);
        if taker >> 32 == u64::from(dead.number()) && from == self.ring().head().number() {
            tasks.store(taker as u32, Relaxed);
        }
    }

    /// Positions of its claims.
    pub(crate) const CLAIMS: [usize; 2] = [PRODUCERS, CONSUMERS];
}
