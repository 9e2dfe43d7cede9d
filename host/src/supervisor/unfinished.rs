//! Room for messages that workers have begun and not finished.
//!
//! What has come of a message is kept until the rest is there. All of that together has a limit. Beyond it only the message
//! that was begun first goes on; the others wait, with what comes next in their sockets. So whoever goes on has its turn in
//! time, and one that had its turn and does not go on, while others wait for it, breaks the rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::wire::zygote::WorkerId;

/// What is kept of all unfinished messages, before the others wait.
const MAX_BYTES: usize = 64 << 20;
/// How long the first of them may do nothing.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Unfinished {
    messages: HashMap<WorkerId, Message>,
    /// In the order in which they were begun.
    order: BTreeMap<u64, WorkerId>,
    begun: u64,
    bytes: usize,
    waiting: BTreeSet<WorkerId>,
}

#[derive(Debug)]
struct Message {
    number: u64,
    bytes: usize,
    last_part: Instant,
}

impl Unfinished {
    /// So much is kept now of a worker's message: 0 if it is finished, or nobody wants it any more.
    pub(super) fn is_now(&mut self, worker: WorkerId, bytes: usize) {
        if bytes == 0 {
            if let Some(message) = self.messages.remove(&worker) {
                self.order.remove(&message.number);
                self.bytes -= message.bytes;
            }
            self.waiting.remove(&worker);
            return;
        }
        let message = self.messages.entry(worker).or_insert_with(|| {
            self.begun += 1;
            self.order.insert(self.begun, worker);
            Message { number: self.begun, bytes: 0, last_part: Instant::now() }
        });
        if message.bytes != bytes {
            self.bytes = self.bytes - message.bytes + bytes;
            message.bytes = bytes;
            message.last_part = Instant::now();
        }
    }

    /// Whether a worker may go on; if not it is noted as waiting.
    pub(super) fn may_go_on(&mut self, worker: WorkerId) -> bool {
        let may = self.bytes < MAX_BYTES || !self.messages.contains_key(&worker) || self.first() == Some(worker);
        if !may {
            self.waiting.insert(worker);
        }
        may
    }

    /// Somebody who waited and may go on now.
    pub(super) fn next(&mut self) -> Option<WorkerId> {
        let next = match self.bytes < MAX_BYTES {
            true => self.waiting.first().copied(),
            false => self.first().filter(|first| self.waiting.contains(first)),
        }?;
        self.waiting.remove(&next);
        // Its patience with it begins now.
        if let Some(message) = self.messages.get_mut(&next) {
            message.last_part = Instant::now();
        }
        Some(next)
    }

    /// When to ask for the one who keeps others waiting.
    pub(super) fn look_after(&self) -> Option<Duration> {
        let (_, idle) = self.obstacle()?;
        Some(PATIENCE.saturating_sub(idle))
    }

    /// The one for whom others have waited too long.
    pub(super) fn stuck(&self) -> Option<WorkerId> {
        self.obstacle().filter(|(_, idle)| *idle >= PATIENCE).map(|(worker, _)| worker)
    }

    fn obstacle(&self) -> Option<(WorkerId, Duration)> {
        let first = self.first().filter(|_| !self.waiting.is_empty())?;
        let message = self.messages.get(&first)?;
        Some((first, message.last_part.elapsed()))
    }

    fn first(&self) -> Option<WorkerId> {
        self.order.first_key_value().map(|(_, worker)| *worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: WorkerId = WorkerId(7);
    const SECOND: WorkerId = WorkerId(3);
    const THIRD: WorkerId = WorkerId(5);

    #[test]
    fn beyond_the_limit_messages_go_on_in_the_order_of_their_beginnings() {
        let mut unfinished = Unfinished::default();
        unfinished.is_now(FIRST, MAX_BYTES / 2);
        unfinished.is_now(SECOND, MAX_BYTES / 2);
        assert!(unfinished.may_go_on(FIRST));
        assert!(!unfinished.may_go_on(SECOND));
        assert!(unfinished.may_go_on(THIRD), "who has nothing here yet may begin");
        assert_eq!(unfinished.next(), None);
        assert!(unfinished.look_after().is_some_and(|time| time <= PATIENCE));
        assert_eq!(unfinished.stuck(), None);

        unfinished.is_now(FIRST, 0);
        assert_eq!(unfinished.next(), Some(SECOND));
        assert_eq!(unfinished.next(), None);
        assert_eq!(unfinished.look_after(), None);
        assert!(unfinished.may_go_on(SECOND));
    }
}
