//! The signals of a run: read from a descriptor, so that they come between events and never in the middle of one.
#![expect(unsafe_code, reason = "signal sets and signalfd have no safe wrappers here")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Ends the run.
const STOPPING: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
/// Shows what is going on.
pub(super) const INSPECTING: i32 = libc::SIGQUIT;

/// Signals that arrive as readable bytes.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: OwnedFd,
    taken_over: libc::sigset_t,
}

impl Signals {
    /// From now on these signals do nothing by themselves. One that is ignored, as nohup(1) has it, stays ignored.
    pub(super) fn take_over() -> io::Result<Signals> {
        // SAFETY: all-zero is an empty set on Linux.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        for signal in STOPPING.into_iter().chain([INSPECTING]).filter(|&signal| !is_ignored(signal)) {
            // SAFETY: the set is valid and the signal exists.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: the set is valid; a null old set is allowed.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the set is valid.
        match unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) } {
            descriptor @ 0.. => {
                // SAFETY: the kernel has just opened it for us.
                let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
                Ok(Signals { descriptor, taken_over: set })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The next signal that has come, if one has.
    pub(super) fn take(&self) -> Option<u8> {
        // SAFETY: all-zero is a valid siginfo.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is valid and has this size.
        let count = unsafe { libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), size) };
        (count == size as isize).then_some(info.ssi_signo as u8)
    }
}

impl Drop for Signals {
    /// They do again what they did, but none that has come before.
    fn drop(&mut self) {
        while self.take().is_some() {}
        // SAFETY: the set is valid; a null old set is allowed.
        unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const self.taken_over, std::ptr::null_mut()) };
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; the old one is valid to write to.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
