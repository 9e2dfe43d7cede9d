//! Making the memory of an object.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;

/// Makes zeroed memory of at least `bytes` that can be mapped by whoever has the descriptor. Its size never changes and
/// its pages are there already: a lack of memory is an error now, not a signal later.
///
/// `name` is for people who look at `/proc`.
///
/// # Errors
///
/// No memory, no descriptor.
///
/// Source: memfd_create(2), fcntl(2) "File Sealing", fallocate(2).
pub fn create(name: &CStr, bytes: usize) -> io::Result<OwnedFd> {
    let bytes = bytes.next_multiple_of(rustix::param::page_size()) as u64;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 doesn't know the flag.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        other => other?,
    };
    rustix::fs::ftruncate(&memory, bytes)?;
    rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, bytes)?;
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(memory)
}
