//! Init's signals: it hears of dead children and of nothing else.
#![expect(unsafe_code, reason = "signal sets and signalfd have no safe wrappers here")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::worker;

/// Ignores what a terminal sends to everybody, and holds SIGCHLD back for [`child_deaths`].
pub(super) fn ignore_all_but_child() -> io::Result<()> {
    worker::ignore_signals();
    let set = child_signal();
    // SAFETY: the set is valid; a null old set is allowed.
    match unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor that is readable when a child has died.
pub(super) fn child_deaths() -> io::Result<OwnedFd> {
    let set = child_signal();
    // SAFETY: the set is valid.
    match unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) } {
        // SAFETY: the kernel has just opened it for us.
        descriptor @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes the notice of deaths, which counts nothing: all the dead are reaped after each.
pub(super) fn acknowledge(deaths: &OwnedFd) {
    let mut notice = [0u8; size_of::<libc::signalfd_siginfo>()];
    // SAFETY: the buffer is valid and large enough for one notice.
    unsafe { libc::read(deaths.as_raw_fd(), notice.as_mut_ptr().cast(), notice.len()) };
}

fn child_signal() -> libc::sigset_t {
    // SAFETY: all-zero is an empty set on Linux.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid and the signal exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    set
}
