//! Sleeping on a word of shared memory.

#![expect(unsafe_code, reason = "futex_waitv has no safe wrapper for shared words")]

use std::io;
use std::time::Duration;

use crate::mapping::Mapping;

/// A word to sleep on, and the value that it is expected to have.
#[derive(Debug)]
pub struct Expected<'a, W> {
    pub memory: &'a Mapping<W>,
    pub at: usize,
    pub value: u32,
}

/// As `struct futex_waitv` of the kernel.
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const SIZE_U32: u32 = 2;

impl<W> From<&Expected<'_, W>> for Waiter {
    fn from(expected: &Expected<'_, W>) -> Waiter {
        let address = expected.memory.address(expected.at) as u64;
        Waiter { value: expected.value.into(), address, flags: SIZE_U32, reserved: 0 }
    }
}

/// Sleeps until somebody wakes one of two words, one of them is not as expected, or `until`, a time of the monotonic clock,
/// is reached. May return early without a reason.
///
/// # Errors
///
/// `Unsupported` on a kernel without futex_waitv (before Linux 5.16).
///
/// Source: futex_waitv(2).
pub fn sleep<V, W>(first: &Expected<'_, V>, second: &Expected<'_, W>, until: Option<Duration>) -> io::Result<()> {
    let waiters: [Waiter; 2] = [first.into(), second.into()];
    let until = until.map(|until| libc::timespec {
        tv_sec: until.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: until.subsec_nanos().into(),
    });
    let until = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the waiters name mapped words, which are borrowed, and the time is valid or null.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, waiters.as_ptr(), 2, 0, until, libc::CLOCK_MONOTONIC) };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOSYS) => Err(io::ErrorKind::Unsupported.into()),
        // Woken, changed, interrupted, timed out: the caller looks for itself.
        _ => Ok(()),
    }
}

/// The time of the clock that [`sleep`] goes by.
#[must_use]
pub fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}
