//! What the bytes mean.

use wasmproc_shm::{Layout, Lease, Seat, Width};

/// Processes, each with a lease and a seat; and one seat more that nobody uses.
pub const PROCESSES: u32 = 3;
const SEATS: u32 = 4;
/// Words at the beginning of an object that say what state it is in.
const CONTROL_WORDS: usize = 128;

pub struct Input<'b> {
    bytes: &'b [u8],
}

/// Something that a peer writes: after how many accesses since the last, where, and what.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    pub after: u8,
    pub at: usize,
    pub value: u32,
}

impl<'b> Input<'b> {
    pub fn new(bytes: &'b [u8]) -> Input<'b> {
        Input { bytes }
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }

    pub fn number(&mut self) -> u32 {
        u32::from(self.byte().unwrap_or(0))
    }

    /// One of the processes, which sits in the seat of its number.
    pub fn process(&mut self) -> (Lease, Seat) {
        let number = self.number() % PROCESSES;
        (Lease::new(number + 1).expect("it is a lease"), Seat(number))
    }

    pub fn layout(&mut self) -> Layout {
        let (kind, size) = (self.number(), self.number());
        let width = [Width::One, Width::Two, Width::Four, Width::Eight][size as usize % 4];
        let layout = match kind % 9 {
            0 => Layout::Lock,
            1 => Layout::Event,
            2 => Layout::Semaphore { permits: 1 + size % 4, bounded: true, seats: SEATS },
            3 => Layout::Semaphore { permits: size, bounded: false, seats: SEATS },
            4 => Layout::Condition { seats: SEATS },
            5 => Layout::Barrier { parties: 1 + size % SEATS, seats: SEATS },
            6 => Layout::Queue { capacity_bytes: 4096 << (size % 2), max_items: 1 + size / 2, seats: SEATS },
            7 => Layout::Pipe { capacity_bytes: 4096 << (size % 2), duplex: size & 2 != 0 },
            _ => Layout::Cells { width, length: 1 + size / 4 },
        };
        layout.check().expect("such an object could be asked for");
        layout
    }

    /// What is in the memory.
    pub fn contents(&mut self, layout: Layout) -> Vec<(usize, u32)> {
        (0..self.number() % 64).map(|_| self.word(layout)).collect()
    }

    /// What a peer writes meanwhile, in turn.
    pub fn writes(&mut self, layout: Layout) -> Vec<Write> {
        let write = |input: &mut Input<'_>| {
            let after = input.byte().unwrap_or(0);
            let (at, value) = input.word(layout);
            Write { after, at, value }
        };
        (0..self.number() % 64).map(|_| write(self)).collect()
    }

    /// A word: where, and what is in it. Small numbers and single bits take one byte, and most words are those that matter.
    fn word(&mut self, layout: Layout) -> (usize, u32) {
        let at = match self.number() as usize {
            255 => self.number() as usize * 256 + self.number() as usize,
            near => near % CONTROL_WORDS,
        };
        let value = match self.number() {
            bit @ 0xc0..=0xdf => 1 << (bit - 0xc0),
            bits @ 0xe0..=0xfe => u32::MAX >> (bits - 0xe0),
            0xff => u32::from_le_bytes([0; 4].map(|_: u8| self.byte().unwrap_or(0))),
            small => small,
        };
        (at % (layout.bytes() / 4), value)
    }
}
