//! Putting messages.

use super::{Queue, ROOM};
use crate::Refused;
use crate::memory::Memory;
use crate::patience::{On, Patience};
use crate::ring::{Message, Ring};

impl<M: Memory> Queue<M> {
    /// Puts a message, if there is room for it now. `false`: there is none.
    ///
    /// # Errors
    ///
    /// [`Refused::TooLarge`], [`Refused::Closed`], [`Refused::Damaged`], [`Refused::Stuck`].
    pub fn try_put(&self, message: Message<'_>, patience: &mut impl Patience<M>) -> Result<bool, Refused> {
        self.check_length(message.bytes().len())?;
        Ok(self.put_some(std::iter::once(message), patience)? == 1)
    }

    /// Waits for room and puts a message.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::try_put`]; [`Refused::TimedOut`], [`Refused::Cancelled`].
    pub fn put(&self, message: Message<'_>, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let length = message.bytes().len();
        self.check_length(length)?;
        if self.put_some(std::iter::once(message), patience)? == 1 {
            return Ok(());
        }
        loop {
            self.wait_for_room(length, patience)?;
            let put = self.put_some(std::iter::once(message), patience);
            self.pass_room_on();
            if put? == 1 {
                return Ok(());
            }
        }
    }

    /// Puts messages that lie one behind the other, waiting for room as need be. Returns how many were put, all of them
    /// unless the result says why not.
    pub fn put_many(
        &self,
        bytes: &[u8],
        lengths: &[u32],
        patience: &mut impl Patience<M>,
    ) -> (usize, Result<(), Refused>) {
        let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        if total != bytes.len() as u64 || lengths.iter().any(|length| self.check_length(*length as usize).is_err()) {
            return (0, Err(Refused::TooLarge));
        }
        let (mut put, mut start, mut waited) = (0, 0, false);
        while put < lengths.len() {
            let mut rest = &bytes[start..];
            let messages = lengths[put..].iter().map(|length| {
                let (message, others) = rest.split_at(*length as usize);
                rest = others;
                Message::Here(message)
            });
            let some = self.put_some(messages, patience);
            if waited {
                self.pass_room_on();
            }
            match some {
                Ok(0) => {
                    if let Err(refused) = self.wait_for_room(lengths[put] as usize, patience) {
                        return (put, Err(refused));
                    }
                    waited = true;
                }
                Ok(some) => {
                    start += lengths[put..put + some].iter().map(|length| *length as usize).sum::<usize>();
                    put += some;
                }
                Err(refused) => return (put, Err(refused)),
            }
        }
        (put, Ok(()))
    }

    fn check_length(&self, length: usize) -> Result<(), Refused> {
        if length > self.max_message_bytes() { Err(Refused::TooLarge) } else { Ok(()) }
    }

    /// Puts as many as there is room for now, all at once.
    #[inline]
    fn put_some<'m>(
        &self,
        messages: impl Iterator<Item = Message<'m>>,
        patience: &mut impl Patience<M>,
    ) -> Result<usize, Refused> {
        let ring = self.ring();
        self.producers().acquire(self.me, patience)?;
        // Under the claim, so that nothing is put behind the back of a getter that found the queue closed and empty.
        if self.is_closed() {
            self.producers().release(self.me);
            return Err(Refused::Closed);
        }
        let mut tail = ring.tail();
        let seen = self.put.other(tail).filter(|head| ring.between(*head, tail).is_ok());
        let mut head = seen.unwrap_or_else(|| ring.head());
        let Ok(mut fill) = ring.between(head, tail) else {
            self.producers().release(self.me);
            return Err(Refused::Damaged);
        };
        let mut put = 0;
        for message in messages {
            let length = message.bytes().len();
            if !ring.has_room(fill, length) {
                // Perhaps since the last look.
                head = ring.head();
                let Ok(now) = ring.between(head, tail) else { break };
                fill = now;
                if !ring.has_room(fill, length) {
                    break;
                }
            }
            tail = ring.push(tail, message);
            fill.bytes += Ring::<M>::room_for(length);
            fill.records += 1;
            put += 1;
        }
        if put > 0 {
            ring.set_tail(tail);
            self.put.keep(tail, head);
        }
        self.producers().release(self.me);
        if put > 0 {
            self.items().notify_after_swap(put as u32);
        }
        Ok(put)
    }

    #[cold]
    fn wait_for_room(&self, length: usize, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let ring = self.ring();
        // Somebody who takes steadily makes room for hundreds of messages in a moment. To be woken for the first of them
        // would cost both sides a system call for every few.
        let before = ring.head();
        if patience.nap()? && ring.head() != before {
            return Ok(());
        }
        let mut passed_on_at = None;
        loop {
            let expected = self.room().watch();
            let head = ring.head();
            match ring.between(head, ring.tail()) {
                Ok(fill) if !self.is_closed() && !ring.has_room(fill, length) => {}
                // Others took and put between the two looks.
                Err(_) if ring.head() != head => return Ok(()),
                other => return other.map(drop),
            }
            // Woken, and there is not enough: it may be enough for somebody else. Once for each change, so that two who
            // want much don't keep each other awake.
            if passed_on_at.is_some_and(|at| at != head) {
                self.memory.wake(ROOM, 1);
            }
            passed_on_at = Some(head);
            if let Err(gave_up) = patience.sleep(&self.memory, ROOM, expected, On::State) {
                self.room().notify(1);
                return Err(gave_up.into());
            }
        }
    }

    /// For one who was woken for room and has put, or couldn't: a message that is taken wakes one who waits, and may make
    /// room for the messages of many.
    fn pass_room_on(&self) {
        if !self.is_full() {
            self.room().notify(1);
        }
    }
}
