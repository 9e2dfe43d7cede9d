//! Processes that a test starts, and doesn't leave behind.

#![expect(unsafe_code, reason = "processes are forked and traced here")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing takes longer than this, unless it hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(20);

/// A test forks, so it is the only one that runs: nobody else holds a lock of the standard library then.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of its own. Killed and reaped on drop.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    reaped: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
}

impl Child {
    /// Starts a process that does `acts` and exits with what it returns; 101 if it panics. It dies with its parent, and of
    /// itself after a time in which nothing that works isn't done.
    pub(crate) fn start(watchdog: Duration, acts: impl FnOnce() -> i32) -> Child {
        // SAFETY: no other thread of this process is in the middle of anything: see `alone`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "no process");
        if pid > 0 {
            return Child { pid, reaped: false };
        }
        // SAFETY: plain system call.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: plain system call.
        unsafe { libc::alarm(watchdog.as_secs().max(1) as u32) };
        let code = catch_unwind(AssertUnwindSafe(acts)).unwrap_or(101);
        // SAFETY: ends this process.
        unsafe { libc::_exit(code) }
    }

    pub(crate) fn signal(&self, signal: i32) {
        assert!(!self.reaped);
        // SAFETY: it is our child and not reaped, so the number is its.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Kills it and waits until it is dead.
    pub(crate) fn kill(&mut self) -> Ended {
        self.signal(libc::SIGKILL);
        self.wait()
    }

    /// Waits until it is dead. Its own watchdog bounds that.
    pub(crate) fn wait(&mut self) -> Ended {
        loop {
            if let Some(ended) = self.poll(0) {
                return ended;
            }
        }
    }

    /// Whether it is dead.
    pub(crate) fn try_wait(&mut self) -> Option<Ended> {
        self.poll(libc::WNOHANG)
    }

    fn poll(&mut self, flags: i32) -> Option<Ended> {
        let mut status = 0;
        // SAFETY: plain system call.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, flags) };
        if pid != self.pid {
            return None;
        }
        if libc::WIFSTOPPED(status) {
            return None;
        }
        self.reaped = true;
        if libc::WIFEXITED(status) {
            return Some(Ended::Exited(libc::WEXITSTATUS(status)));
        }
        Some(Ended::Killed(libc::WTERMSIG(status)))
    }

    // --- tracing ---

    /// In the child: from here on its parent leads it, instruction by instruction.
    pub(crate) fn hand_over() {
        // SAFETY: plain system call.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        // SAFETY: plain system call.
        unsafe { libc::raise(libc::SIGSTOP) };
    }

    /// Waits until the child has handed itself over.
    pub(crate) fn take_over(&mut self) {
        assert!(self.wait_stop(), "it ended before its operation");
    }

    /// Lets it do one instruction. `false` if it has ended.
    pub(crate) fn step(&mut self) -> bool {
        // SAFETY: it is our child, and stopped.
        let stepped = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, self.pid, 0, 0) };
        assert_eq!(stepped, 0, "it can't be led");
        self.wait_stop()
    }

    fn wait_stop(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: plain system call.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid);
        if libc::WIFSTOPPED(status) {
            return true;
        }
        self.reaped = true;
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "it ended badly: {status:#x}");
        false
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
        }
    }
}

/// Waits for `done`, which has to come.
pub(crate) fn await_that(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < HANGS, "{what} doesn't come");
        std::thread::sleep(Duration::from_micros(100));
    }
}
