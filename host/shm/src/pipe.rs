//! A pipe: messages between two ends, each of which has one owner.
//!
//! ```text
//!        First                                   Second
//!   send ──────▶ ring ──────────────────────────▶ receive
//!   receive ◀────────────────────────── ring ◀── send       (duplex only)
//! ```
//!
//! One puts and one gets, so there is no claim. An end that is closed, by its owner or because its owner died, lets the
//! other read what is left and then says so.

use std::sync::atomic::Ordering::{Acquire, Release};

use crate::Refused;
use crate::layout::Layout;
use crate::memory::{Memory, Word};
use crate::patience::{On, Patience};
use crate::ring::{Batch, Message, Ring};
use crate::signal::Signal;

/// Words of one direction, each of its two sides on a cache line of its own.
const DIRECTION: usize = 64;
const TAIL: usize = 0;
const ITEMS: usize = 2;
const WRITER_GONE: usize = 3;
const HEAD: usize = 32;
const ROOM: usize = 34;
const READER_GONE: usize = 35;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum End {
    /// It sends; in a duplex pipe it receives too.
    First,
    /// It receives; in a duplex pipe it sends too.
    Second,
}

/// One end of a pipe.
#[derive(Debug)]
pub struct Pipe<M> {
    memory: M,
    end: End,
    data: usize,
    capacity: usize,
    duplex: bool,
}

impl<M: Memory> Pipe<M> {
    /// Where it lies.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// An end of the pipe in this memory.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout, end: End) -> Self {
        let Layout::Pipe { capacity_bytes, duplex } = layout else { panic!("not a pipe: {layout:?}") };
        Pipe { memory, end, data: layout.data(), capacity: capacity_bytes as usize, duplex }
    }

    /// The direction in which `end` sends.
    #[inline]
    fn from(&self, end: End) -> Option<Direction<'_, M>> {
        let index = match end {
            End::First => 0,
            End::Second if self.duplex => 1,
            End::Second => return None,
        };
        Some(Direction {
            memory: &self.memory,
            first: 16 + index * DIRECTION,
            data: self.data + index * self.capacity,
            capacity: self.capacity,
        })
    }

    #[inline]
    fn outgoing(&self) -> Option<Direction<'_, M>> {
        self.from(self.end)
    }

    #[inline]
    fn incoming(&self) -> Option<Direction<'_, M>> {
        self.from(self.end.other())
    }

    /// Whether this end can send and receive.
    pub fn can(&self) -> (bool, bool) {
        (self.outgoing().is_some(), self.incoming().is_some())
    }

    /// The longest message that has room here.
    pub fn max_message_bytes(&self) -> usize {
        self.capacity - Ring::<M>::room_for(0)
    }

    /// Waits for room and sends a message.
    ///
    /// # Errors
    ///
    /// [`Refused::Closed`] if this end was closed for sending or nobody will receive; [`Refused::NotOwner`] if this end
    /// only receives; [`Refused::TooLarge`], [`Refused::TimedOut`], [`Refused::Cancelled`], [`Refused::Damaged`].
    pub fn send(&self, message: Message<'_>, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        let direction = self.outgoing().ok_or(Refused::NotOwner)?;
        if message.bytes().len() > self.max_message_bytes() {
            return Err(Refused::TooLarge);
        }
        let ring = direction.ring();
        loop {
            if direction.is_set(WRITER_GONE) || direction.is_set(READER_GONE) {
                return Err(Refused::Closed);
            }
            let tail = ring.tail();
            if ring.has_room(ring.between(ring.head(), tail)?, message.bytes().len()) {
                ring.set_tail(ring.push(tail, message));
                direction.signal(ITEMS).notify(1);
                return Ok(());
            }
            let room = direction.signal(ROOM);
            let expected = room.watch();
            if !ring.has_room(ring.between(ring.head(), tail)?, message.bytes().len()) && !direction.is_set(READER_GONE)
            {
                patience.sleep(&self.memory, room.at(), expected, On::State)?;
            }
        }
    }

    /// Waits for a message and takes it.
    ///
    /// # Errors
    ///
    /// [`Refused::Closed`] at the end of the stream; [`Refused::NotOwner`] if this end only sends; [`Refused::TimedOut`],
    /// [`Refused::Cancelled`], [`Refused::Damaged`], [`Refused::Limit`] (no memory for a copy).
    pub fn receive(&self, batch: &mut Batch, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        loop {
            if self.wait_readable(patience)? == Readable::Ended {
                return Err(Refused::Closed);
            }
            let direction = self.incoming().ok_or(Refused::NotOwner)?;
            let ring = direction.ring();
            let head = ring.head();
            let fill = ring.between(head, ring.tail())?;
            if let Some((next, _)) = ring.pop(head, fill, 0, batch)? {
                ring.set_head(next);
                direction.signal(ROOM).notify(1);
                return Ok(());
            }
        }
    }

    /// Waits until a message is there, or the stream has ended.
    ///
    /// # Errors
    ///
    /// Those of [`Pipe::receive`] but the end of the stream.
    pub fn wait(&self, patience: &mut impl Patience<M>) -> Result<(), Refused> {
        self.wait_readable(patience).map(drop)
    }

    fn wait_readable(&self, patience: &mut impl Patience<M>) -> Result<Readable, Refused> {
        let direction = self.incoming().ok_or(Refused::NotOwner)?;
        let mut lingered = false;
        loop {
            if let Some(readable) = direction.readable() {
                return Ok(readable);
            }
            if !lingered {
                lingered = true;
                if patience.linger(|| direction.readable().is_some()) {
                    continue;
                }
            }
            let items = direction.signal(ITEMS);
            let expected = items.watch();
            if direction.readable().is_none() {
                patience.sleep(&self.memory, items.at(), expected, On::State)?;
            }
        }
    }

    /// Sends nothing more. The other end reads what is left, then the end of the stream.
    pub fn close_sending(&self) {
        if let Some(direction) = self.outgoing() {
            direction.set(WRITER_GONE);
        }
    }

    /// Sends and receives nothing more. Idempotent, and what recovery does for a dead owner.
    pub fn close(&self) {
        self.close_sending();
        if let Some(direction) = self.incoming() {
            direction.set(READER_GONE);
        }
    }

    /// Whether a receive would not wait. If it would, the next message rings.
    pub fn poll_receive(&self) -> bool {
        let Some(direction) = self.incoming() else { return true };
        direction.readable().is_some() || {
            direction.signal(ITEMS).poll();
            direction.readable().is_some()
        }
    }

    /// Whether a short message could be sent, or none ever. If not, the next one that is taken rings.
    pub fn poll_send(&self) -> bool {
        let Some(direction) = self.outgoing() else { return true };
        direction.writable() || {
            direction.signal(ROOM).poll();
            direction.writable()
        }
    }
}

impl End {
    #[must_use]
    pub fn other(self) -> End {
        match self {
            End::First => End::Second,
            End::Second => End::First,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Readable {
    Message,
    Ended,
}

struct Direction<'a, M> {
    memory: &'a M,
    first: usize,
    data: usize,
    capacity: usize,
}

impl<M: Memory> Direction<'_, M> {
    #[inline]
    fn ring(&self) -> Ring<'_, M> {
        Ring {
            memory: self.memory,
            tail_at: self.first + TAIL,
            head_at: self.first + HEAD,
            data: self.data,
            capacity: self.capacity,
            max_items: Layout::MAX_ITEMS,
        }
    }

    #[inline]
    fn signal(&self, which: usize) -> Signal<'_, M> {
        Signal::new(self.memory, self.first + which)
    }

    #[inline]
    fn is_set(&self, flag: usize) -> bool {
        self.memory.word(self.first + flag).load(Acquire) != 0
    }

    /// Sets a flag and lets both sides look.
    fn set(&self, flag: usize) {
        self.memory.word(self.first + flag).store(1, Release);
        self.signal(ITEMS).wake_all();
        self.signal(ROOM).wake_all();
    }

    fn readable(&self) -> Option<Readable> {
        // The flag before the ring: what was sent before it was set is seen then.
        let ended = self.is_set(WRITER_GONE) || self.is_set(READER_GONE);
        if self.ring().head() != self.ring().tail() && !self.is_set(READER_GONE) {
            return Some(Readable::Message);
        }
        ended.then_some(Readable::Ended)
    }

    fn writable(&self) -> bool {
        let ring = self.ring();
        self.is_set(READER_GONE)
            || self.is_set(WRITER_GONE)
            || ring.between(ring.head(), ring.tail()).is_ok_and(|fill| ring.has_room(fill, 0))
    }
}
