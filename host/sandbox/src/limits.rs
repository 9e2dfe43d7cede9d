//! Limits that the kernel keeps for each process.
#![expect(unsafe_code, reason = "setitimer has no safe wrapper")]

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::Procfs;

/// What one process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Private writable memory in addition to what the process had when the limit was set.
    pub memory_bytes: u64,
    pub open_files: u64,
    /// The length to which it may make files grow.
    pub file_bytes: u64,
}

impl ProcessLimits {
    /// Limits this process and what it forks, for good, but not their files. `base_bytes` is what [`data_in_use`] says before.
    pub fn apply(&self, base_bytes: u64) -> io::Result<()> {
        set(Resource::Data, base_bytes.saturating_add(self.memory_bytes))?;
        set(Resource::Core, 0)?;
        set(Resource::Memlock, 0)?;
        set(Resource::Msgqueue, 0)
    }

    /// Limits the files of this process, for good. Not for one that sends descriptors: the kernel refuses that when its user
    /// has more on their way, in all processes together, than the sender may have open. A write beyond the length fails
    /// with EFBIG, provided that SIGXFSZ is ignored.
    pub fn apply_to_files(&self) -> io::Result<()> {
        set(Resource::Nofile, self.open_files)?;
        if self.file_bytes == u64::MAX { Ok(()) } else { set(Resource::Fsize, self.file_bytes) }
    }
}

/// Takes so much off this process's own limit of private writable memory, for good.
pub fn lower_memory(by_bytes: u64) -> io::Result<()> {
    match rustix::process::getrlimit(Resource::Data).current {
        Some(present) => set(Resource::Data, present.saturating_sub(by_bytes)),
        // Whoever built the sandbox left the limits out.
        None => Ok(()),
    }
}

/// From now on this process can't make others, whatever else lets it.
pub fn forbid_processes() -> io::Result<()> {
    set(Resource::Nproc, 0)
}

/// A limit on processor time, exact to a clock tick, with a coarse one behind it.
#[derive(Debug)]
pub struct CpuTimer;

impl CpuTimer {
    /// The signal by which the kernel kills a process that has used up its time.
    pub const SIGNAL: u8 = libc::SIGPROF as u8;
    /// The signal of the coarse limit.
    pub const COARSE_SIGNAL: u8 = libc::SIGXCPU as u8;

    /// Limits what this process uses from its beginning on.
    pub fn start(limit: Duration) -> io::Result<()> {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let used = Duration::try_from(used).unwrap_or_default();
        // A limit below one microsecond would switch the timer off.
        let left = limit.saturating_sub(used).max(Duration::from_micros(1));
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let value = libc::timeval { tv_sec: seconds, tv_usec: i64::from(left.subsec_micros()) };
        let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: never, it_value: value };
        // SAFETY: the pointers are valid; a null old value is allowed.
        if unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // This one counts from the beginning, too, and has to come after the exact one: hence two seconds more.
        set(Resource::Cpu, limit.as_secs().saturating_add(2))
    }
}

/// Private writable memory of this process now, as RLIMIT_DATA counts it.
pub fn data_in_use(procfs: &Procfs) -> u64 {
    // Field 6 of statm is data and stack, in pages. Without /proc a generous guess is made.
    let pages = procfs
        .read(c"self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(5)?.parse::<u64>().ok())
        .unwrap_or(16 * 1024);
    pages * rustix::param::page_size() as u64
}

/// Raises this process's soft limit of open files to the hard one and returns it.
pub fn raise_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Sets soft and hard limit, lowering only: a stricter limit that is already there stays.
fn set(resource: Resource, value: u64) -> io::Result<()> {
    let present = rustix::process::getrlimit(resource).maximum;
    let value = present.map_or(value, |present| present.min(value));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}
