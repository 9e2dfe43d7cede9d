//! Getting messages.

use std::sync::atomic::Ordering::{Relaxed, Release};

use super::{ITEMS, Queue, TAKEN_FROM, TAKER};
use crate::Refused;
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::ring::Batch;

impl<M: Memory> Queue<M> {
    /// Takes what there is now: at least one message, at most `max_items` and, beside the first, `max_bytes`. `false`: there
    /// is none. `batch` is empty before.
    ///
    /// # Errors
    ///
    /// [`Refused::Closed`] if there is none and never will be; [`Refused::Limit`] (no memory for a copy),
    /// [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn try_get(
        &self,
        max_items: usize,
        max_bytes: usize,
        batch: &mut Batch,
        patience: &mut impl Patience<M>,
    ) -> Result<bool, Refused> {
        let ring = self.ring();
        let head = ring.head();
        if self.got.other(head).is_none_or(|tail| tail == head) {
            // Before the tail is read: what was put before the closing is seen then.
            let closed = self.is_closed();
            if head == ring.tail() {
                return if closed { Err(Refused::Closed) } else { Ok(false) };
            }
        }
        self.consumers().acquire(self.me, patience)?;
        let result = self.take(max_items, max_bytes, batch);
        self.consumers().release(self.me);
        if let Ok(taken @ 1..) = result {
            self.room().notify_after_swap(taken);
        }
        result.map(|taken| taken > 0)
    }

    /// Waits for messages and takes them, as [`Queue::try_get`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::try_get`]; [`Refused::TimedOut`], [`Refused::Cancelled`].
    pub fn get(
        &self,
        max_items: usize,
        max_bytes: usize,
        batch: &mut Batch,
        patience: &mut impl Patience<M>,
    ) -> Result<(), Refused> {
        if self.try_get(max_items, max_bytes, batch, patience)? {
            return Ok(());
        }
        loop {
            self.wait_for_item(patience)?;
            let got = self.try_get(max_items, max_bytes, batch, patience);
            if got.is_err() {
                // The wake was for a message, which is there still.
                self.items().notify(1);
            }
            if got? {
                return Ok(());
            }
        }
    }

    #[cold]
    fn wait_for_item(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let ring = self.ring();
        if patience.linger(|| ring.head() != ring.tail()) {
            return Ok(());
        }
        let expected = self.items().watch();
        if self.is_closed() || ring.head() != ring.tail() {
            return Ok(());
        }
        if let Err(gave_up) = patience.sleep(&self.memory, ITEMS, expected, On::State) {
            // The wake that came too late is for somebody else.
            if ring.head() != ring.tail() {
                self.items().notify(1);
            }
            return Err(gave_up.into());
        }
        Ok(())
    }

    /// Under the claim. Returns how many were taken.
    #[inline]
    fn take(&self, max_items: usize, max_bytes: usize, batch: &mut Batch) -> Result<u32, Refused> {
        let ring = self.ring();
        let first = ring.head();
        // Who takes many takes all that there is now.
        let seen = self.got.other(first).filter(|tail| max_items == 1 && *tail != first);
        let tail = seen.unwrap_or_else(|| ring.tail());
        let mut fill = ring.between(first, tail)?;
        let (mut head, mut taken) = (first, 0);
        while fill.records > 0 && (taken as usize) < max_items.max(1) && !batch.elsewhere {
            let Some((next, left)) = ring.pop(head, fill, max_bytes, batch)? else { break };
            (head, fill) = (next, left);
            taken += 1;
        }
        if taken > 0 {
            // Noted, so that recovery can tell a take that was only begun. Release: one who dies has made these stores in
            // this order.
            let mine = self.seats().word(self.seat);
            let before = mine.load(Relaxed);
            self.memory.long(TAKER).store(u64::from(self.me.number()) << 32 | u64::from(before), Relaxed);
            self.memory.long(TAKEN_FROM).store(first.number(), Release);
            mine.store(before.saturating_add(taken), Release);
            // Release, so that who sees the head moved sees the seat raised.
            ring.set_head(head);
            self.got.keep(head, tail);
        }
        Ok(taken)
    }
}
