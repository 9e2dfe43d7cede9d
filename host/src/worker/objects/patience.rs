//! How a worker waits for an object.
//!
//! It sleeps on the object's word and on the alarm of its own board, in slices: a wake that somebody died over costs
//! time, not the wait. A long wait for a lock without a time-out is reported, for it may be part of a circle. An
//! internal lock that doesn't come free is reported too, and given up in the end.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use wasmproc_shm::{Expected, GaveUp, On, Patience, now, possessions, sleep};

use super::super::control::{Control, REPORT_AFTER};
use super::shared::{Map, Shared};
use crate::wire::board::{ALARM, Board};
use crate::wire::object::{Blocker, ObjectRequest};
use crate::wire::worker::Request;

/// The first slice, and all others: who waits for so long is not in a hurry, and a thousand who wait should cost nothing.
const FIRST_SLICE: Duration = Duration::from_secs(1);
const SLICE: Duration = Duration::from_secs(30);
/// The kernel makes some tens of microseconds more of it.
const NAP: Duration = Duration::from_micros(20);
/// How long to look before sleeping: about as long as it takes to wake somebody on an idle processor.
const LINGER: Duration = Duration::from_micros(40);
/// How often to look between two looks at the clock.
const LOOKS: u32 = 32;
/// After so many waits that have lingered in vain, only one of `SELDOM` lingers.
const VAIN: u32 = 3;
const SELDOM: u32 = 32;
/// How long an internal lock may be held before its holder is reported, and before the wait for it is given up.
const STALLED_AFTER: Duration = Duration::from_secs(1);
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How long to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Try,
    /// A time of the monotonic clock.
    Until(Duration),
    Forever,
}

/// One wait.
pub(in super::super) struct Wait<'a> {
    control: &'a Control,
    board: &'a Board,
    shared: &'a Shared,
    limit: Limit,
    slice: Duration,
    alarms: Option<u32>,
    /// Since when, and as which wait it was reported.
    began: Option<Duration>,
    reported: Option<u64>,
    claim: Option<Standstill>,
    /// The circle that the wait was part of.
    pub(in super::super) deadlock: Option<String>,
}

/// An internal lock that is held.
struct Standstill {
    possession: (usize, u32, u32),
    since: Duration,
    began: Duration,
    reported: bool,
}

impl<'a> Wait<'a> {
    pub(super) fn new(control: &'a Control, board: &'a Board, shared: &'a Shared, timeout_ns: Option<u64>) -> Wait<'a> {
        let limit = match timeout_ns {
            None => Limit::Forever,
            Some(0) => Limit::Try,
            // A time-out that no clock can hold is as good as none.
            Some(timeout) => now().checked_add(Duration::from_nanos(timeout)).map_or(Limit::Forever, Limit::Until),
        };
        Wait {
            control,
            board,
            shared,
            limit,
            slice: FIRST_SLICE,
            alarms: None,
            began: None,
            reported: None,
            claim: None,
            deadlock: None,
        }
    }

    fn sleep_until(&mut self, memory: &Map, at: usize, value: u32, until: Duration) {
        let alarms = *self.alarms.get_or_insert_with(|| self.board.alarms());
        let word = Expected { memory, at, value };
        let alarm = Expected { memory: self.board.page(), at: ALARM, value: alarms };
        // Without futex_waitv there would have been no run.
        let _ = sleep(&word, &alarm, Some(until));
    }

    /// Whether the supervisor has said that this wait is in vain.
    fn called_off(&mut self) -> bool {
        let alarms = self.board.alarms();
        if self.alarms.replace(alarms) == Some(alarms) {
            return false;
        }
        let verdict = self.reported.map(|sequence| self.control.deadlock(sequence));
        match verdict {
            None | Some(Ok(None)) => false,
            Some(Ok(message)) => {
                self.deadlock = message;
                true
            }
            // The supervisor is gone, and this process is about to be.
            Some(Err(_)) => true,
        }
    }

    fn sleep_on_claim(&mut self, memory: &Map, at: usize, expected: u32) -> Result<(), GaveUp> {
        let now = now();
        let possession = possessions(memory, self.shared.spec.layout).into_iter().find(|(claim, ..)| *claim == at);
        let Some(possession) = possession else { return Ok(()) };
        let claim = match &mut self.claim {
            Some(claim) => claim,
            none => none.insert(Standstill { possession, since: now, began: now, reported: false }),
        };
        if claim.possession != possession {
            (claim.possession, claim.since, claim.reported) = (possession, now, false);
        }
        if now.saturating_sub(claim.began) > STUCK_AFTER {
            return Err(GaveUp::Stuck);
        }
        if now.saturating_sub(claim.since) >= STALLED_AFTER && !claim.reported {
            claim.reported = true;
            let (at, holder, count) = possession;
            let stalled = ObjectRequest::Stalled { object: self.shared.id, at, holder, count };
            // If the supervisor is gone, so is this process soon.
            let _ = self.control.notify(Request::Object(stalled));
        }
        self.sleep_until(memory, at, expected, now + STALLED_AFTER);
        self.alarms = None;
        Ok(())
    }
}

impl Patience<Map> for Wait<'_> {
    #[cold]
    fn sleep(&mut self, memory: &Map, at: usize, expected: u32, on: On) -> Result<(), GaveUp> {
        if on == On::Claim {
            return self.sleep_on_claim(memory, at, expected);
        }
        let now = now();
        let began = *self.began.get_or_insert(now);
        let limit = match self.limit {
            Limit::Try => return Err(GaveUp::TimedOut),
            Limit::Until(limit) if limit <= now => return Err(GaveUp::TimedOut),
            Limit::Until(limit) => Some(limit),
            Limit::Forever => None,
        };
        let may_be_a_circle = on == On::Lock && self.limit == Limit::Forever && self.reported.is_none();
        if may_be_a_circle && now.saturating_sub(began) >= REPORT_AFTER {
            self.alarms = Some(self.board.alarms());
            self.reported = self.control.report_blocked(Blocker::Lock(self.shared.id)).ok();
        }
        let slice = if may_be_a_circle && self.reported.is_none() { REPORT_AFTER } else { self.slice };
        let end = now + slice;
        self.sleep_until(memory, at, expected, limit.map_or(end, |limit| limit.min(end)));
        if slice == self.slice && wasmproc_shm::now() >= end {
            self.slice = SLICE;
        }
        if self.called_off() { Err(GaveUp::Cancelled) } else { Ok(()) }
    }

    fn linger(&mut self, ready: impl Fn() -> bool) -> bool {
        if self.limit == Limit::Try {
            return false;
        }
        let vain = self.shared.vain.fetch_add(1, Relaxed);
        if vain >= VAIN && !vain.is_multiple_of(SELDOM) {
            return false;
        }
        let end = now() + LINGER;
        loop {
            for _ in 0..LOOKS {
                if ready() {
                    self.shared.vain.store(0, Relaxed);
                    return true;
                }
                std::hint::spin_loop();
            }
            if now() >= end {
                return false;
            }
            // Whom this one waits for may want this very processor.
            std::thread::yield_now();
        }
    }

    #[cold]
    fn nap(&mut self) -> Result<bool, GaveUp> {
        match self.limit {
            Limit::Try => return Ok(false),
            Limit::Until(limit) if limit <= now() => return Err(GaveUp::TimedOut),
            Limit::Until(_) | Limit::Forever => std::thread::sleep(NAP),
        }
        Ok(true)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.reported.is_some() {
            self.control.report_unblocked();
        }
    }
}
