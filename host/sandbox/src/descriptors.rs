//! File descriptors: each process keeps the few it needs, at known numbers.
#![expect(unsafe_code, reason = "closing descriptors by number ends whatever owned them")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Moves `descriptor` to `number`, closing what was there. It is not inherited over exec unless it is 0, 1 or 2.
pub fn place(descriptor: OwnedFd, number: RawFd) -> io::Result<()> {
    if descriptor.as_raw_fd() == number {
        // It stays where it is, owned by its number.
        std::mem::forget(descriptor);
        return Ok(());
    }
    let flags = if number > 2 { libc::O_CLOEXEC } else { 0 };
    // SAFETY: the source is open; the target, if open, is given up by the contract of this function.
    let result = unsafe { libc::dup3(descriptor.as_raw_fd(), number, flags) };
    if result == number { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves `descriptor` to a free number not below `least`.
pub fn raise(descriptor: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, least)?)
}

/// Closes every descriptor of this process from `first` on.
///
/// Values that own closed descriptors must be forgotten by the caller, never dropped.
pub fn close_from(first: RawFd) -> io::Result<()> {
    close_between(first, RawFd::MAX)
}

/// Closes every descriptor of this process from `first` to `last`, both included, under the same condition.
pub fn close_between(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: what owned these descriptors is given up by the contract of this function.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
