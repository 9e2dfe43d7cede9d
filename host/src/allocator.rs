//! The system's allocator, for processes that tell what they die of when they lack memory.
//!
//! Rust ends a process that gets no memory with a text on stderr and SIGABRT. A worker's stderr is its guest's, and a
//! signal says nothing of memory.
#![expect(unsafe_code, reason = "allocators are unsafe by nature; this one only looks at the results of another")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::TryReserveError;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The system's allocator, except that a process of wasmproc's own that lacks memory says so before it ends.
///
/// The command has it. A program that embeds wasmproc and [is its own worker](crate::init) may have it too; without it,
/// a worker that lacks memory outside of its guest's is [`Signaled(6)`](crate::Cause::Signaled) instead of
/// [`OutOfMemory`](crate::Cause::OutOfMemory).
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: wasmproc::Allocator = wasmproc::Allocator;
/// ```
#[derive(Debug)]
pub struct Allocator;

/// What to do for a lack of memory: the address of a `fn() -> !`, or 0.
static ON_LACK: AtomicUsize = AtomicUsize::new(0);
/// Given back before the last words, which need a little.
static RESERVE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
const RESERVE_LAYOUT: Layout = Layout::new::<[u8; 16 << 10]>();
/// Somebody is prepared for a refusal.
static MAY_FAIL: AtomicBool = AtomicBool::new(false);

/// From now on a lack of memory in this process means `end`, which must not return. Without [`Allocator`] it has no effect.
pub(crate) fn on_lack(end: fn() -> !) {
    if RESERVE.load(Ordering::Relaxed).is_null() {
        // SAFETY: the layout has a size.
        RESERVE.store(unsafe { System.alloc(RESERVE_LAYOUT) }, Ordering::Relaxed);
    }
    ON_LACK.store(end as usize, Ordering::Relaxed);
}

/// Makes room in a vector for what may be too much, and lives on if it is. For processes with one thread.
pub(crate) fn try_reserve<T>(vector: &mut Vec<T>, additional: usize) -> Result<(), TryReserveError> {
    MAY_FAIL.store(true, Ordering::Relaxed);
    let result = vector.try_reserve_exact(additional);
    MAY_FAIL.store(false, Ordering::Relaxed);
    result
}

/// Looks at what the system's allocator has given.
fn looked_at(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        refused();
    }
    memory
}

#[cold]
fn refused() {
    if MAY_FAIL.load(Ordering::Relaxed) {
        return;
    }
    // Once: if the last words lack memory too, Rust's own way to end remains.
    let end = ON_LACK.swap(0, Ordering::Relaxed);
    if end == 0 {
        return;
    }
    let reserve = RESERVE.swap(ptr::null_mut(), Ordering::Relaxed);
    if !reserve.is_null() {
        // SAFETY: it came from this allocator with this layout, and was taken out so that nobody else gives it back.
        unsafe { System.dealloc(reserve, RESERVE_LAYOUT) };
    }
    // SAFETY: only `on_lack` stores there, and it stores functions of this type.
    let end: fn() -> ! = unsafe { std::mem::transmute(end) };
    end()
}

// SAFETY: every method passes the system's answer on as it is, or doesn't return.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises that the system's allocator asks for; so below.
        looked_at(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see `alloc`.
        looked_at(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: see `alloc`.
        looked_at(unsafe { System.realloc(memory, layout, bytes) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: see `alloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}
