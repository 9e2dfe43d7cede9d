//! What an object consists of, and where.
//!
//! A layout is issued by the supervisor and kept outside of the region, so nothing that a peer writes can move anything.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Words before the seats of objects that have them.
pub(crate) const SEATS: usize = 16;
/// Words before the seats of a queue.
pub(crate) const QUEUE_SEATS: usize = 32;
/// The word that a lock or an event consists of, and the flags of a queue.
pub(crate) const FLAGS: usize = 0;
/// How many seats were ever in use, of objects that have them.
pub(crate) const SEATS_USED: usize = 1;
/// The claim of objects with one.
pub(crate) const CLAIM: usize = 2;

/// How wide a cell of a shared array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
            Width::Eight => 8,
        }
    }
}

/// The kind of an object and its sizes, none of which ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    Lock,
    /// `bounded`: permits belong to who took them, and come back when it dies.
    Semaphore {
        permits: u32,
        bounded: bool,
        seats: u32,
    },
    Event,
    Condition {
        seats: u32,
    },
    Barrier {
        parties: u32,
        seats: u32,
    },
    /// `capacity_bytes` is a power of two.
    Queue {
        capacity_bytes: u32,
        max_items: u32,
        seats: u32,
    },
    /// `capacity_bytes`, a power of two, for each direction.
    Pipe {
        capacity_bytes: u32,
        duplex: bool,
    },
    Cells {
        width: Width,
        length: u32,
    },
}

/// Why there is no object of such a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutError(&'static str);

impl fmt::Display for LayoutError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for LayoutError {}

impl Layout {
    /// The smallest ring: one page.
    pub const MIN_CAPACITY_BYTES: u32 = 4096;
    /// The largest ring: 1 GiB.
    pub const MAX_CAPACITY_BYTES: u32 = 1 << 30;
    /// The most items of a queue, at which its counters end.
    pub const MAX_ITEMS: u32 = (1 << 24) - 1;
    /// The most permits of a semaphore and parties of a barrier.
    pub const MAX_COUNT: u32 = i32::MAX as u32;
    /// The most bytes of a shared array: 1 GiB.
    pub const MAX_CELL_BYTES: u64 = 1 << 30;

    /// Refuses what has no meaning or no place.
    ///
    /// # Errors
    ///
    /// Which size is wrong, and what it may be.
    pub fn check(&self) -> Result<(), LayoutError> {
        let refuse = |why| Err(LayoutError(why));
        let capacity = |bytes: u32| {
            bytes.is_power_of_two() && (Layout::MIN_CAPACITY_BYTES..=Layout::MAX_CAPACITY_BYTES).contains(&bytes)
        };
        match *self {
            Layout::Semaphore { permits, .. } if permits > Layout::MAX_COUNT => {
                refuse("a semaphore has at most 2,147,483,647 permits")
            }
            Layout::Semaphore { permits: 0, bounded: true, .. } => {
                refuse("a bounded semaphore has at least one permit")
            }
            Layout::Barrier { parties: 0, .. } => refuse("a barrier has at least one party"),
            Layout::Barrier { parties, seats } if parties > seats => {
                refuse("a barrier has at most as many parties as the run may have processes")
            }
            Layout::Queue { capacity_bytes, .. } | Layout::Pipe { capacity_bytes, .. } if !capacity(capacity_bytes) => {
                refuse("a capacity is between 4 KiB and 1 GiB")
            }
            Layout::Queue { max_items, .. } if max_items == 0 || max_items > Layout::MAX_ITEMS => {
                refuse("a queue holds between 1 and 16,777,215 items")
            }
            Layout::Cells { length: 0, .. } => refuse("a shared array has at least one element"),
            Layout::Cells { width, length } if u64::from(length) * width.bytes() as u64 > Layout::MAX_CELL_BYTES => {
                refuse("a shared array has at most 1 GiB")
            }
            _ => Ok(()),
        }
    }

    /// The layout with seats for that many processes, if it has seats at all.
    #[must_use]
    pub fn with_seats(mut self, number: u32) -> Layout {
        match &mut self {
            Layout::Semaphore { seats, .. }
            | Layout::Condition { seats }
            | Layout::Barrier { seats, .. }
            | Layout::Queue { seats, .. } => *seats = number,
            Layout::Lock | Layout::Event | Layout::Pipe { .. } | Layout::Cells { .. } => {}
        }
        self
    }

    /// Bytes of the region.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match *self {
            Layout::Lock | Layout::Event => 64,
            Layout::Semaphore { seats, .. } | Layout::Condition { seats } | Layout::Barrier { seats, .. } => {
                (SEATS + seats as usize) * 4
            }
            Layout::Queue { capacity_bytes, .. } => self.data() + capacity_bytes as usize,
            Layout::Pipe { capacity_bytes, duplex } => {
                self.data() + capacity_bytes as usize * (1 + usize::from(duplex))
            }
            Layout::Cells { width, length } => self.data() + (length as usize * width.bytes()).next_multiple_of(8),
        }
    }

    /// Where the data of objects with data begins, in bytes.
    pub(crate) fn data(&self) -> usize {
        match *self {
            Layout::Queue { seats, .. } => ((QUEUE_SEATS + seats as usize) * 4).next_multiple_of(64),
            Layout::Pipe { .. } => 512,
            _ => 64,
        }
    }

    /// How many processes may hold the object at once, if that is limited.
    #[must_use]
    pub fn seats(&self) -> Option<u32> {
        match *self {
            Layout::Semaphore { seats, bounded: true, .. }
            | Layout::Condition { seats }
            | Layout::Barrier { seats, .. }
            | Layout::Queue { seats, .. } => Some(seats),
            _ => None,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Layout::Lock => "lock",
            Layout::Semaphore { .. } => "semaphore",
            Layout::Event => "event",
            Layout::Condition { .. } => "condition",
            Layout::Barrier { .. } => "barrier",
            Layout::Queue { .. } => "queue",
            Layout::Pipe { .. } => "pipe",
            Layout::Cells { .. } => "shared array",
        }
    }
}
