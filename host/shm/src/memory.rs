//! What an object lies in: words, bytes, and a way to wake those who sleep on a word.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// An atomic of the width of `T`. Implemented for those of the standard library, and by the model checker's.
pub trait Word<T> {
    fn load(&self, order: Ordering) -> T;
    fn store(&self, value: T, order: Ordering);
    fn swap(&self, value: T, order: Ordering) -> T;
    /// # Errors
    ///
    /// The value that was there instead of `current`.
    fn compare_exchange(&self, current: T, new: T, success: Ordering, failure: Ordering) -> Result<T, T>;
    fn fetch_add(&self, value: T, order: Ordering) -> T;
    fn fetch_or(&self, value: T, order: Ordering) -> T;
    fn fetch_and(&self, value: T, order: Ordering) -> T;
}

macro_rules! word {
    ($atomic:ty, $value:ty) => {
        impl Word<$value> for $atomic {
            #[inline]
            fn load(&self, order: Ordering) -> $value {
                self.load(order)
            }
            #[inline]
            fn store(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }
            #[inline]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.swap(value, order)
            }
            #[inline]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
            #[inline]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.fetch_add(value, order)
            }
            #[inline]
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.fetch_or(value, order)
            }
            #[inline]
            fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.fetch_and(value, order)
            }
        }
    };
}

word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// One object's memory. Positions of words count units of four bytes, those of bytes count bytes.
///
/// A position out of bounds is a bug of this crate: positions come from the layout, never from shared memory. Methods
/// may panic then.
pub trait Memory {
    type Word: Word<u32>;
    type Long: Word<u64>;

    /// How long to look again before sleeping on an internal lock, in hints to the processor. Eight times as long for
    /// other locks.
    const SPINS: u32 = 64;

    fn word(&self, at: usize) -> &Self::Word;
    /// `at` is even.
    fn long(&self, at: usize) -> &Self::Long;
    /// Copies `bytes` in.
    fn write(&self, offset: usize, bytes: &[u8]);
    /// Appends `length` bytes from here to `into`, which has room for them.
    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>);
    /// A sequentially consistent fence.
    fn fence(&self);
    /// The same behind a swap of this process, for machines on which a swap is such a fence already.
    #[inline]
    fn fence_after_swap(&self) {
        self.fence();
    }
    /// Wakes up to `most` of those who sleep on a word. Returns how many it woke.
    fn wake(&self, at: usize, most: u32) -> u32;
    /// Rings for those who wait for the object in an event loop.
    fn ring(&self);
    /// This process is about to take an internal lock of this object, or has given it back.
    fn enter(&self);
    fn leave(&self);
}

impl<M: Memory> Memory for &M {
    type Word = M::Word;
    type Long = M::Long;

    const SPINS: u32 = M::SPINS;

    #[inline]
    fn word(&self, at: usize) -> &M::Word {
        (**self).word(at)
    }
    #[inline]
    fn long(&self, at: usize) -> &M::Long {
        (**self).long(at)
    }
    #[inline]
    fn write(&self, offset: usize, bytes: &[u8]) {
        (**self).write(offset, bytes);
    }
    #[inline]
    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        (**self).append_to(offset, length, into);
    }
    #[inline]
    fn fence(&self) {
        (**self).fence();
    }
    #[inline]
    fn fence_after_swap(&self) {
        (**self).fence_after_swap();
    }
    #[inline]
    fn wake(&self, at: usize, most: u32) -> u32 {
        (**self).wake(at, most)
    }
    #[inline]
    fn ring(&self) {
        (**self).ring();
    }
    #[inline]
    fn enter(&self) {
        (**self).enter();
    }
    #[inline]
    fn leave(&self) {
        (**self).leave();
    }
}

/// Memory of this process alone, in which nobody sleeps: for tests of what an object does, and for Miri.
#[derive(Debug)]
pub struct Heap {
    longs: Box<[UnsafeCell<u64>]>,
}

impl Heap {
    /// Zeroed memory of at least `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Heap {
        Heap { longs: (0..bytes.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect() }
    }

    fn place(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= self.longs.len() * 8);
        let base: *const UnsafeCell<u64> = self.longs.as_ptr();
        base.cast::<u8>().cast_mut().wrapping_add(offset)
    }
}

#[expect(unsafe_code, reason = "memory that is changed through shared references, as a mapping is")]
impl Memory for Heap {
    type Word = AtomicU32;
    type Long = AtomicU64;

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: in bounds and aligned, lives as long as `self`, and is only used as atomics or copied.
        unsafe { AtomicU32::from_ptr(self.place(at * 4, 4).cast()) }
    }

    fn long(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(2));
        // SAFETY: in bounds and aligned, lives as long as `self`, and is only used as atomics or copied.
        unsafe { AtomicU64::from_ptr(self.place(at * 4, 8).cast()) }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        let place = self.place(offset, bytes.len());
        // SAFETY: in bounds; `bytes` is memory of somebody else.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }

    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        let place = self.place(offset, length);
        // SAFETY: in bounds, initialised, and nobody writes meanwhile: there is one thread.
        into.extend_from_slice(unsafe { std::slice::from_raw_parts(place, length) });
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
    fn wake(&self, _: usize, _: u32) -> u32 {
        0
    }
    fn ring(&self) {}
    fn enter(&self) {}
    fn leave(&self) {}
}
