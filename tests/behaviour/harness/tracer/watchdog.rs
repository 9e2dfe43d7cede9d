//! Kills all tracees when their time is over.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

/// A thread that watches; it ends when this is dropped.
pub(super) struct Watchdog {
    shared: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    deadline: Instant,
    /// By descriptors, because a number may be another's when the time is over.
    watched: Vec<OwnedFd>,
    is_over: bool,
    is_done: bool,
}

impl Watchdog {
    pub(super) fn new(deadline: Instant) -> Watchdog {
        let state = State { deadline, watched: Vec::new(), is_over: false, is_done: false };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let watched = shared.clone();
        Watchdog { shared, thread: Some(thread::spawn(move || watch(&watched))) }
    }

    /// Watches over one more. A thread dies with its process.
    pub(super) fn adopt(&self, pid: i32) {
        let Some(pid) = Pid::from_raw(pid) else { return };
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
        let mut state = self.state();
        if state.is_over {
            kill(&pidfd);
        }
        state.watched.push(pidfd);
    }

    /// Ends its patience after `time` at the latest.
    pub(super) fn at_most(&self, time: Duration) {
        let mut state = self.state();
        state.deadline = state.deadline.min(Instant::now() + time);
        self.shared.1.notify_all();
    }

    /// Whether it has killed.
    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no panic")
    }
}

fn watch((state, changed): &(Mutex<State>, Condvar)) {
    let mut state = state.lock().expect("no panic");
    while !state.is_done {
        let left = state.deadline.saturating_duration_since(Instant::now());
        if left > Duration::ZERO {
            state = changed.wait_timeout(state, left).expect("no panic").0;
            continue;
        }
        state.is_over = true;
        state.watched.iter().for_each(kill);
        return;
    }
}

fn kill(pidfd: &OwnedFd) {
    // Who is dead already needs no killing.
    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.state().is_done = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
