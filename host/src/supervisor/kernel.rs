//! What the kernel says of a worker that is known by a pidfd. Where /proc is missing it says nothing.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// `PF_EXITING` of the kernel: set before a process that ends lets go of its memory and its descriptors.
const EXITING: u64 = 4;

/// The state letter and the processor time.
pub(super) fn view(pidfd: BorrowedFd<'_>) -> Option<(char, Duration)> {
    let fields = stat(pid(pidfd)?)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some((fields.first()?.chars().next()?, Duration::from_millis(ticks * 1000 / per_second)))
}

/// Whether the process has begun to end, or is gone. True where that can't be known.
pub(super) fn is_ending(pidfd: BorrowedFd<'_>) -> bool {
    let Some(number) = pid(pidfd) else { return true };
    let flags = stat(number).and_then(|fields| fields.get(6)?.parse::<u64>().ok());
    // Unless it was reaped meanwhile, and the number may be another's.
    flags.is_none_or(|flags| flags & EXITING != 0) || pid(pidfd).is_none()
}

/// The number of a process that is not reaped.
fn pid(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// What /proc/PID/stat has behind the name, which may itself have spaces and parentheses.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
