//! Processes: made by clone3, known by pidfd, reaped with what they used.
#![expect(unsafe_code, reason = "clone3 and wait4 have no safe wrappers")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

use crate::Procfs;

/// Which of the two processes this is, after a fork.
#[derive(Debug)]
pub enum Fork {
    Child,
    Parent {
        /// The child's number in this process's pid namespace.
        pid: i32,
        pidfd: OwnedFd,
    },
}

/// Counts the threads of this process, also when there is no /proc in sight any more.
#[derive(Debug)]
pub struct Threads(Option<OwnedFd>);

impl Threads {
    /// Must be made by the process whose threads are counted.
    pub fn of_this_process(procfs: &Procfs) -> Threads {
        Threads(procfs.open(c"self/task", OFlags::PATH | OFlags::DIRECTORY).ok())
    }

    /// Moves its descriptor to a number not below `least`.
    pub fn raise(self, least: RawFd) -> io::Result<Threads> {
        Ok(Threads(self.0.map(|directory| crate::raise(directory, least)).transpose()?))
    }

    /// Whether there is one. Where /proc was missing it is assumed, because nothing here starts a second.
    pub fn is_one(&self) -> bool {
        // The link count of the directory is 2 and one for each thread.
        let count = |directory: &OwnedFd| rustix::fs::fstat(directory).map_or(3, |stat| stat.st_nlink);
        self.0.as_ref().is_none_or(|directory| count(directory) == 3)
    }
}

/// Forks this process, which must have one thread. With `sibling`, the child's parent is this process's parent.
/// With `namespaces`, the child gets those `CLONE_NEW*` namespaces.
pub fn clone_process(threads: &Threads, sibling: bool, namespaces: i32) -> io::Result<Fork> {
    assert!(threads.is_one(), "a process with several threads can't be forked safely");
    let mut pidfd: RawFd = -1;
    let parent = if sibling { libc::CLONE_PARENT } else { 0 };
    let flags = libc::CLONE_PIDFD | parent | namespaces;
    // SAFETY: all-zero is a valid clone_args.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    // A sibling's death is told to the common parent with that parent's own exit signal; clone3 wants 0 here then.
    arguments.exit_signal = if sibling { 0 } else { libc::SIGCHLD as u64 };
    // SAFETY: no memory is shared with the child and this process has one thread, so the child continues with a
    // complete copy of everything.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    let is_unknown = pid < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
    // The default filters of containers know clone3(2) as little as old kernels do, because they can't look into its
    // arguments. The older call takes the exit signal with the flags, and as its third argument where to put the pidfd.
    let pid = match is_unknown {
        // SAFETY: as above; without a stack of its own the child continues on its copy of this one.
        true => unsafe {
            libc::syscall(libc::SYS_clone, arguments.flags | arguments.exit_signal, 0, &raw mut pidfd, 0, 0)
        },
        false => pid,
    };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        // SAFETY: the kernel has stored a new descriptor there.
        _ => Ok(Fork::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// The processors that a process and its children may run on.
///
/// Some schedulers leave a child on its parent's processor until the parent sleeps, to save power or to leave a virtual
/// processor to others. That is right unless the two have work to do beside each other.
#[derive(Debug, Clone, Copy)]
pub struct Processors(Option<CpuSet>);

impl Processors {
    pub fn of_this_process() -> Processors {
        Processors(rustix::thread::sched_getaffinity(None).ok())
    }

    /// Moves a child that was just forked to another processor if it is on this one, and there is another.
    pub fn move_child(&self, child: i32) {
        let (Some(all), Some(child)) = (&self.0, Pid::from_raw(child)) else { return };
        let mut others = *all;
        others.unset(rustix::thread::sched_getcpu());
        if others.count() > 0 && rustix::thread::sched_setaffinity(Some(child), &others).is_ok() {
            // It was for the moment.
            let _ = rustix::thread::sched_setaffinity(Some(child), all);
        }
    }

    /// Moves a child to this processor, which is free as long as this process sleeps.
    pub fn fetch_child(&self, child: i32) {
        let (Some(all), Some(child)) = (&self.0, Pid::from_raw(child)) else { return };
        let mut own = CpuSet::new();
        own.set(rustix::thread::sched_getcpu());
        if rustix::thread::sched_setaffinity(Some(child), &own).is_ok() {
            let _ = rustix::thread::sched_setaffinity(Some(child), all);
        }
    }

    /// In a process whose parent was being moved when it was forked: it may run on all of them as well.
    pub fn restore(&self) {
        if let Some(all) = &self.0 {
            let _ = rustix::thread::sched_setaffinity(None, all);
        }
    }
}

/// How a process ended, in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitStatus {
    Exited(u8),
    Signaled(u8),
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu_time: Duration,
    /// The most memory that was resident at once, shared pages included.
    pub peak_memory_bytes: u64,
}

/// Reaps one dead child, if there is one: its number, how it ended and what it used.
pub fn reap() -> io::Result<Option<(i32, WaitStatus, Usage)>> {
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values. __WALL: workers are cloned with their parent's exit signal.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::__WALL, &raw mut usage) };
    match pid {
        ..0 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
            error => Err(error),
        },
        0 => Ok(None),
        _ => Ok(Some((pid, wait_status(status), used(&usage)))),
    }
}

fn wait_status(status: i32) -> WaitStatus {
    if libc::WIFSIGNALED(status) {
        WaitStatus::Signaled(libc::WTERMSIG(status) as u8)
    } else {
        WaitStatus::Exited(libc::WEXITSTATUS(status) as u8)
    }
}

fn used(usage: &libc::rusage) -> Usage {
    let time = |value: libc::timeval| Duration::new(value.tv_sec as u64, value.tv_usec as u32 * 1000);
    Usage { cpu_time: time(usage.ru_utime) + time(usage.ru_stime), peak_memory_bytes: usage.ru_maxrss as u64 * 1024 }
}

/// Orphaned descendants become children of this process: the substitute for being pid 1.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// The kernel kills this process when its parent dies. Call it after the last change of identity, which clears it,
/// and compare the parent's pid afterwards, because it may already be gone.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// The name that ps and top show; the kernel keeps 15 bytes.
pub fn set_process_name(name: &CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

/// Ends this process at once: no destructors, no atexit functions, no flushing.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: always sound; what is not flushed was not promised.
    unsafe { libc::_exit(i32::from(code)) }
}
