//! Numbers in shared memory, changed by single atomic operations.
//!
//! A cell is one, two, four or eight bytes, and travels as the low bits of a `u64`. There is nothing to recover: each
//! operation is one store.

use std::sync::atomic::Ordering::SeqCst;

use crate::layout::{Layout, Width};
use crate::memory::{Memory, Word};

/// An array of numbers.
#[derive(Debug)]
pub struct Cells<M> {
    memory: M,
    /// In words.
    data: usize,
    width: Width,
    length: u32,
}

impl<M: Memory> Cells<M> {
    /// The cells in this memory.
    ///
    /// # Panics
    ///
    /// If `layout` is that of something else.
    pub fn new(memory: M, layout: Layout) -> Self {
        let Layout::Cells { width, length } = layout else { panic!("not cells: {layout:?}") };
        Cells { memory, data: layout.data() / 4, width, length }
    }

    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        self.length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    /// The value of a cell; `None` behind the end.
    #[inline]
    pub fn load(&self, index: u32) -> Option<u64> {
        self.update(index, |_| None)
    }

    /// Stores the low bits of `value`, and returns what was there.
    #[inline]
    pub fn swap(&self, index: u32, value: u64) -> Option<u64> {
        self.update(index, |_| Some(value))
    }

    /// Adds, modulo the width, and returns what was there.
    #[inline]
    pub fn add(&self, index: u32, value: u64) -> Option<u64> {
        if index < self.length && self.width == Width::Eight {
            return Some(self.memory.long(self.data + index as usize * 2).fetch_add(value, SeqCst));
        }
        self.update(index, |seen| Some(seen.wrapping_add(value)))
    }

    /// Stores `new` if `current` is there, and returns what was there.
    #[inline]
    pub fn compare_exchange(&self, index: u32, current: u64, new: u64) -> Option<u64> {
        let current = current & self.mask();
        self.update(index, |seen| (seen == current).then_some(new))
    }

    /// Replaces the value by what `change` makes of it, in one step, and returns what was there. `None` from `change`
    /// leaves it.
    pub fn update(&self, index: u32, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        if index >= self.length {
            return None;
        }
        if self.width == Width::Eight {
            let cell = self.memory.long(self.data + index as usize * 2);
            loop {
                let seen = cell.load(SeqCst);
                let Some(new) = change(seen) else { return Some(seen) };
                if cell.compare_exchange(seen, new, SeqCst, SeqCst).is_ok() {
                    return Some(seen);
                }
            }
        }
        let offset = index as usize * self.width.bytes();
        let word = self.memory.word(self.data + offset / 4);
        let shift = (offset % 4) * 8;
        loop {
            let all = word.load(SeqCst);
            let seen = u64::from(all >> shift) & self.mask();
            let Some(new) = change(seen) else { return Some(seen) };
            let cleared = all & !((self.mask() as u32) << shift);
            let new = cleared | ((new & self.mask()) as u32) << shift;
            if word.compare_exchange(all, new, SeqCst, SeqCst).is_ok() {
                return Some(seen);
            }
        }
    }

    #[inline]
    fn mask(&self) -> u64 {
        match self.width {
            Width::One => 0xff,
            Width::Two => 0xffff,
            Width::Four => 0xffff_ffff,
            Width::Eight => u64::MAX,
        }
    }

    /// Appends the bytes of `count` cells to `into`, little-endian. `None` if they reach behind the end. Each cell is
    /// whole; together they may be of different moments.
    pub fn read(&self, start: u32, count: u32, into: &mut Vec<u8>) -> Option<()> {
        let end = start.checked_add(count).filter(|end| *end <= self.length)?;
        let width = self.width.bytes();
        into.reserve(count as usize * width);
        for index in start..end {
            let value = self.load(index)?;
            into.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        Some(())
    }

    /// Stores cells from bytes, little-endian. `None` if they reach behind the end or are not whole cells.
    pub fn write(&self, start: u32, bytes: &[u8]) -> Option<()> {
        let width = self.width.bytes();
        let count = u32::try_from(bytes.len() / width).ok()?;
        start.checked_add(count).filter(|end| *end <= self.length && bytes.len().is_multiple_of(width))?;
        for (index, cell) in bytes.chunks_exact(width).enumerate() {
            let mut value = [0; 8];
            value[..width].copy_from_slice(cell);
            self.swap(start + index as u32, u64::from_le_bytes(value))?;
        }
        Some(())
    }
}
