//! The stack that traps are handled on, made once, before there is any worker.
//!
//! The engine would make one in each worker, and panics where there is no memory for it.
#![expect(unsafe_code, reason = "signal stacks have no safe wrapper")]

use std::io;
use std::ptr;

/// What the engine is content with.
const STACK_BYTES: usize = 64 * 4096;
/// Below the stack nothing may be touched.
const GUARD_BYTES: usize = 64 * 1024;

/// Gives this thread, and those of forked processes after it, a stack for signal handlers.
pub(super) fn for_signals() -> io::Result<()> {
    let bytes = GUARD_BYTES + STACK_BYTES;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping anywhere disturbs nobody.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the offset is within the mapping.
    let stack = unsafe { start.cast::<u8>().add(GUARD_BYTES) }.cast::<libc::c_void>();
    // SAFETY: this part of the mapping is ours and nobody uses it yet.
    if unsafe { libc::mprotect(stack, STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the stack stays mapped for as long as this process lives, and so does the copy in each that it forks.
    match unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
