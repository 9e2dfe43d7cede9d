//! A condition: processes wait until another notifies them.
//!
//! ```text
//!          begin               notify
//!   idle ─────────▶ waiting ──────────────▶ called (and finished)
//!     ▲                │  ▲                      │
//!     └── time-out ────┘  └─────── begin ────────┘
//! ```
//!
//! Every process sleeps on its own seat, so a notification wakes exactly those it is for. One that was called and died
//! before it could act passes the call on. Nobody here sees it act: it acts when it has the lock again, which takes its
//! time. So it stays called until it begins to wait once more, and a call that it did use may be passed on as well: a wait
//! may end without a reason. The lock that belongs to the condition is the caller's business: begin,
//! release the lock, finish, acquire the lock.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::Refused;
use crate::claim::{Claim, Taken};
use crate::layout::{CLAIM, Layout, SEATS};
use crate::lease::{Lease, Seat};
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::seats::{Seats, Waiter};
use crate::signal::Signal;

const NOTIFIED: usize = 4;
/// How many notifications there were, for those who wait in an event loop.
const NOTIFICATIONS: usize = 5;
/// The seat at which the next notification begins to look, so that everybody has their turn.
const TURN: usize = 6;

/// Where processes wait for a notification.
#[derive(Debug)]
pub struct Condition<M> {
    memory: M,
    me: Lease,
    seat: Seat,
    seats: u32,
}

impl<M: Memory> Condition<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The condition in this memory, used as `me` from `seat`.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout, me: Lease, seat: Seat) -> Self {
        let Layout::Condition { seats } = layout else { panic!("not a condition: {layout:?}") };
        let condition = Condition { memory, me, seat, seats };
        condition.seats().occupy(seat);
        condition
    }

    fn claim(&self) -> Claim<'_, M> {
        Claim::new(&self.memory, CLAIM)
    }

    fn seats(&self) -> Seats<'_, M> {
        Seats::new(&self.memory, SEATS, self.seats)
    }

    /// From now on this process is among those that a notification can be for.
    ///
    /// # Errors
    ///
    /// [`Refused::Stuck`].
    pub fn begin(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.claim().acquire(self.me, patience)?;
        self.seats().begin(self.seat);
        self.claim().release(self.me);
        Ok(())
    }

    /// Waits for the notification, after [`Condition::begin`].
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::Cancelled`], [`Refused::Stuck`]: no notification was for this process.
    pub fn finish(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let gave_up = loop {
            let (state, word) = self.seats().waiter(self.seat);
            if state != Waiter::Waiting {
                return Ok(());
            }
            if let Err(gave_up) = patience.sleep(&self.memory, self.seats().at(self.seat), word, On::State) {
                break gave_up;
            }
        };
        // A notification may come at the last moment. Under the claim it has come or it hasn't.
        self.claim().acquire(self.me, patience)?;
        let (state, _) = self.seats().waiter(self.seat);
        if state == Waiter::Waiting {
            self.seats().end(self.seat);
        }
        self.claim().release(self.me);
        if state == Waiter::Waiting { Err(gave_up.into()) } else { Ok(()) }
    }

    /// The caller has the lock again after [`Condition::finish`]: if it dies from here on, it has acted on its
    /// notification, and nobody else gets it.
    pub fn settle(&self) {
        self.seats().end(self.seat);
    }

    /// Notifies up to `most` of those who wait, and returns how many there were.
    ///
    /// # Errors
    ///
    /// [`Refused::Stuck`].
    pub fn notify(&self, most: u32, patience: &mut impl Patience<M>) -> Result<u32, Refused> {
        self.claim().acquire(self.me, patience)?;
        let called = self.call(most);
        self.claim().release(self.me);
        Ok(called)
    }

    /// Under the claim.
    fn call(&self, most: u32) -> u32 {
        let turn = self.memory.word(TURN);
        let first = turn.load(Relaxed);
        let seats = self.seats();
        let mut called = 0;
        let from = seats.used().filter(|seat| seat.0 >= first);
        for seat in from.chain(seats.used().filter(|seat| seat.0 < first)) {
            if called == most {
                break;
            }
            if seats.call(seat, Waiter::Called) {
                called += 1;
                turn.store(seat.0 + 1, Relaxed);
            }
        }
        let notifications = self.memory.word(NOTIFICATIONS);
        notifications.store(notifications.load(Relaxed).wrapping_add(1), Release);
        Signal::new(&self.memory, NOTIFIED).notify(u32::MAX);
        called
    }

    /// How many notifications there were so far.
    pub fn notifications(&self) -> u32 {
        self.memory.word(NOTIFICATIONS).load(Acquire)
    }

    /// Whether there was a notification since there were `before`. If not, the next one rings.
    pub fn poll(&self, before: u32) -> bool {
        self.notifications() != before || {
            Signal::new(&self.memory, NOTIFIED).poll();
            self.notifications() != before
        }
    }

    /// Passes on the call that `dead`, which sat in `seat`, didn't use. `None` if it has to be tried again.
    pub(crate) fn recover(&self, dead: Lease, seat: Seat) -> Option<bool> {
        let taken = self.claim().take(dead);
        if taken == Taken::Busy {
            return None;
        }
        let seats = self.seats();
        let (state, _) = seats.waiter(seat);
        if state == Waiter::Called {
            self.call(1);
        }
        // Only now: if this is interrupted, it is done once more.
        seats.end(seat);
        if taken == Taken::FromTheDead {
            // It may have called some and not woken them, nor counted the notification.
            self.call(0);
            for called in seats.used().filter(|seat| seats.waiter(*seat).0 == Waiter::Called) {
                self.memory.wake(seats.at(called), 1);
            }
        }
        self.claim().give_back();
        // It may have counted the notification and not rung.
        Signal::new(&self.memory, NOTIFIED).wake_all();
        Some(taken == Taken::FromTheDead || state == Waiter::Waiting)
    }
}
