//! Shared memory as it is mapped into this process.

#![expect(unsafe_code, reason = "shared memory is mapped here, and futexes have no safe wrapper for shared words")]

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

use rustix::mm::{MapFlags, ProtFlags};

use crate::layout::Layout;
use crate::memory::Memory;

/// What a process does beside changing words: it rings doorbells, and notes where it is.
pub trait Wakers {
    /// Rings for those who wait for the object in an event loop.
    fn ring(&self);
    /// This process is about to take an internal lock of the object, or has given it back.
    fn enter(&self);
    fn leave(&self);
}

impl Wakers for () {
    fn ring(&self) {}
    fn enter(&self) {}
    fn leave(&self) {}
}

/// The mapped memory of one object. Unmapped on drop.
///
/// Peers may write anything at any time. What is read is a number, never a reference or a pointer, and every position is
/// checked against the size that was mapped.
pub struct Mapping<W> {
    base: NonNull<u8>,
    bytes: usize,
    wakers: W,
}

// SAFETY: the memory belongs to no thread, and all access is by atomics and copies.
unsafe impl<W: Send> Send for Mapping<W> {}
// SAFETY: as above.
unsafe impl<W: Sync> Sync for Mapping<W> {}

impl<W> Mapping<W> {
    /// Maps the memory of an object of this layout.
    ///
    /// # Errors
    ///
    /// No memory or no place in the address space. `InvalidInput` if the memory is smaller than the layout says.
    pub fn new(memory: impl AsFd, layout: Layout, wakers: W) -> io::Result<Mapping<W>> {
        Mapping::of(memory, layout.bytes(), wakers)
    }

    /// Maps `bytes` of shared memory.
    ///
    /// # Errors
    ///
    /// Those of [`Mapping::new`].
    pub fn of(memory: impl AsFd, bytes: usize, wakers: W) -> io::Result<Mapping<W>> {
        let size = rustix::fs::fstat(&memory)?.st_size;
        if bytes == 0 || usize::try_from(size).is_ok_and(|size| size < bytes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses a free place.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, &memory, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, bytes, wakers })
    }

    pub fn wakers(&self) -> &W {
        &self.wakers
    }

    /// Where a word is, for system calls that sleep on it.
    #[must_use]
    pub fn address(&self, at: usize) -> *const u32 {
        self.place(at * 4, 4).cast()
    }

    #[inline]
    fn place(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset <= self.bytes && length <= self.bytes - offset, "positions come from the layout");
        self.base.as_ptr().wrapping_add(offset)
    }
}

impl<W> Drop for Mapping<W> {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nothing borrows it any more. It can't fail then.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

impl<W> fmt::Debug for Mapping<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mapping").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<W: Wakers> Memory for Mapping<W> {
    type Word = AtomicU32;
    type Long = AtomicU64;

    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: in bounds, aligned because mappings begin at pages, and used by atomics and copies only.
        unsafe { AtomicU32::from_ptr(self.place(at * 4, 4).cast()) }
    }

    #[inline]
    fn long(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(2));
        // SAFETY: in bounds, aligned because mappings begin at pages and `at` is even, used by atomics and copies only.
        unsafe { AtomicU64::from_ptr(self.place(at * 4, 8).cast()) }
    }

    #[inline]
    fn write(&self, offset: usize, bytes: &[u8]) {
        let place = self.place(offset, bytes.len());
        // SAFETY: in bounds, and `bytes` is not shared memory: no reference into that exists.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }

    #[inline]
    fn append_to(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        let place = self.place(offset, length);
        into.reserve(length);
        let old = into.len();
        // SAFETY: `reserve` made room behind `old`.
        let end = unsafe { into.as_mut_ptr().add(old) };
        // SAFETY: both are in bounds; a peer that writes meanwhile makes the bytes arbitrary, and any bytes are valid.
        unsafe { std::ptr::copy_nonoverlapping(place, end, length) };
        // SAFETY: they were just written.
        unsafe { into.set_len(old + length) };
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn fence_after_swap(&self) {
        // On x86 an atomic swap orders everything before it before everything after it. The compiler has to be told.
        if cfg!(target_arch = "x86_64") { compiler_fence(Ordering::SeqCst) } else { fence(Ordering::SeqCst) }
    }

    fn wake(&self, at: usize, most: u32) -> u32 {
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        // SAFETY: the address is that of a mapped word.
        let woken = unsafe { libc::syscall(libc::SYS_futex, self.address(at), libc::FUTEX_WAKE, most) };
        u32::try_from(woken).unwrap_or(0)
    }

    #[inline]
    fn ring(&self) {
        self.wakers.ring();
    }

    #[inline]
    fn enter(&self) {
        self.wakers.enter();
    }

    #[inline]
    fn leave(&self) {
        self.wakers.leave();
    }
}
