//! A ring of messages: one puts at a time, one gets at a time.
//!
//! ```text
//!        head                       tail          positions: where the ring would be if it never came round
//!          ▼                         ▼
//!  ┌──────┬────────┬─────────┬──────┬──────┐      a record: length and kind (8 bytes), the bytes, up to 7 of nothing
//!  │      │ record │ record  │ rec. │      │
//!  └──────┴────────┴─────────┴──────┴──────┘
//!
//!  63 ............. 40  39 ............ 0
//! ┌────────────────────┬─────────────────┐
//! │  number of records │    position     │        head and tail: one store moves both
//! └────────────────────┴─────────────────┘
//! ```
//!
//! The store of the tail is what puts messages, the store of the head is what takes them.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::Refused;
use crate::memory::{Memory, Word};

const POSITION_BITS: u32 = 40;
const POSITION: u64 = (1 << POSITION_BITS) - 1;
const RECORDS: u64 = u64::MAX >> POSITION_BITS;

/// Bytes of a record before its message.
const HEAD_BYTES: usize = 8;
/// The message is a note of where the message is.
const ELSEWHERE: u32 = 1;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    Here(&'a [u8]),
    /// A note by which the receiver finds a message that has no room here.
    Elsewhere(&'a [u8]),
}

impl<'a> Message<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Message::Here(bytes) | Message::Elsewhere(bytes) => bytes,
        }
    }

    fn kind(self) -> u32 {
        match self {
            Message::Here(_) => 0,
            Message::Elsewhere(_) => ELSEWHERE,
        }
    }
}

/// Messages that were taken, one behind the other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub lengths: Vec<u32>,
    /// The only message is a note of where it is.
    pub elsewhere: bool,
}

/// Where a ring lies. `at` are positions of words; `data` is one of bytes.
pub(crate) struct Ring<'a, M> {
    pub(crate) memory: &'a M,
    pub(crate) tail_at: usize,
    pub(crate) head_at: usize,
    pub(crate) data: usize,
    /// A power of two.
    pub(crate) capacity: usize,
    pub(crate) max_items: u32,
}

/// A head or tail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point(u64);

impl Point {
    pub(crate) fn of(number: u64) -> Point {
        Point(number)
    }

    /// As it stands in its word.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    fn advanced(self, bytes: usize, records: u64) -> Point {
        let position = (self.0 & POSITION).wrapping_add(bytes as u64) & POSITION;
        let count = (self.0 >> POSITION_BITS).wrapping_add(records) & RECORDS;
        Point(count << POSITION_BITS | position)
    }
}

/// What is between head and tail.
#[derive(Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) bytes: usize,
    pub(crate) records: u32,
}

impl<M: Memory> Ring<'_, M> {
    /// Bytes that a message takes.
    pub(crate) fn room_for(length: usize) -> usize {
        HEAD_BYTES + length.next_multiple_of(8)
    }

    #[inline]
    pub(crate) fn tail(&self) -> Point {
        // Acquire: pairs with the Release of the one who put.
        Point(self.memory.long(self.tail_at).load(Acquire))
    }

    #[inline]
    pub(crate) fn head(&self) -> Point {
        // Acquire: pairs with the Release of the one who took, whose copies are done then.
        Point(self.memory.long(self.head_at).load(Acquire))
    }

    #[inline]
    pub(crate) fn set_tail(&self, tail: Point) {
        self.memory.long(self.tail_at).store(tail.0, Release);
    }

    #[inline]
    pub(crate) fn set_head(&self, head: Point) {
        self.memory.long(self.head_at).store(head.0, Release);
    }

    /// What lies between `head` and `tail`, if that is possible.
    #[inline]
    pub(crate) fn between(&self, head: Point, tail: Point) -> Result<Fill, Refused> {
        let bytes = (tail.0 & POSITION).wrapping_sub(head.0 & POSITION) & POSITION;
        let records = (tail.0 >> POSITION_BITS).wrapping_sub(head.0 >> POSITION_BITS) & RECORDS;
        // Both are whole multiples, not only their difference: records lie where double words lie.
        let aligned = (head.0 | tail.0) & (HEAD_BYTES as u64 - 1) == 0;
        let possible = aligned && bytes <= self.capacity as u64 && records * HEAD_BYTES as u64 <= bytes;
        if !possible || records > u64::from(self.max_items) || (records == 0) != (bytes == 0) {
            return Err(Refused::Damaged);
        }
        Ok(Fill { bytes: bytes as usize, records: records as u32 })
    }

    #[inline]
    pub(crate) fn has_room(&self, fill: Fill, length: usize) -> bool {
        fill.records < self.max_items && fill.bytes + Self::room_for(length) <= self.capacity
    }

    /// Writes a record at `tail`, where there is room for it, and returns the tail behind it.
    #[inline]
    pub(crate) fn push(&self, tail: Point, message: Message<'_>) -> Point {
        let bytes = message.bytes();
        let head = u64::from(message.kind()) << 32 | bytes.len() as u64;
        self.memory.long((self.data + self.offset(tail)) / 4).store(head, Relaxed);
        let start = self.offset(tail.advanced(HEAD_BYTES, 0));
        let first = bytes.len().min(self.capacity - start);
        self.memory.write(self.data + start, &bytes[..first]);
        if first < bytes.len() {
            self.memory.write(self.data, &bytes[first..]);
        }
        tail.advanced(Self::room_for(bytes.len()), 1)
    }

    /// Copies the record at `head`, of `fill` that are there, into `batch`, and returns the head behind it.
    ///
    /// `None`, and nothing copied, if it would not fit: over `max_bytes` beside others, or not of their kind.
    #[inline]
    pub(crate) fn pop(
        &self,
        head: Point,
        fill: Fill,
        max_bytes: usize,
        batch: &mut Batch,
    ) -> Result<Option<(Point, Fill)>, Refused> {
        let record = self.memory.long((self.data + self.offset(head)) / 4).load(Relaxed);
        let (length, kind) = ((record & 0xffff_ffff) as usize, (record >> 32) as u32);
        let taken = Self::room_for(length);
        if taken > fill.bytes || kind > ELSEWHERE {
            return Err(Refused::Damaged);
        }
        let alone = batch.lengths.is_empty();
        if !alone && (kind == ELSEWHERE || batch.bytes.len() + length > max_bytes) {
            return Ok(None);
        }
        if batch.bytes.try_reserve(length).is_err() || batch.lengths.try_reserve(1).is_err() {
            return Err(Refused::Limit);
        }
        let start = self.offset(head.advanced(HEAD_BYTES, 0));
        let first = length.min(self.capacity - start);
        self.memory.append_to(self.data + start, first, &mut batch.bytes);
        if first < length {
            self.memory.append_to(self.data, length - first, &mut batch.bytes);
        }
        batch.lengths.push(length as u32);
        batch.elsewhere = kind == ELSEWHERE;
        let left = Fill { bytes: fill.bytes - taken, records: fill.records - 1 };
        Ok(Some((head.advanced(taken, 1), left)))
    }

    fn offset(&self, point: Point) -> usize {
        (point.0 as usize) & (self.capacity - 1)
    }
}
