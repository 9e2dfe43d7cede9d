//! Being asked to stop.

use std::fmt;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};

use crate::bindings::wasmproc::ipc::process;
use crate::settings::nanoseconds;

/// Becomes set when somebody asks this process to stop. See [`stop_requested`].
pub struct StopRequest {
    pollable: Pollable,
}

/// Tells when somebody asks this process to stop: a parent with
/// [`terminate_with_grace`](crate::Process::terminate_with_grace), or the user.
///
/// Call it early: a process that has called it gets the grace period to clean up, and one that never has is killed at
/// once when the user ends the run.
///
/// ```no_run
/// use std::time::Duration;
/// use wasmproc_guest::stop_requested;
///
/// fn beat() {
///     let stop = stop_requested();
///     while !stop.wait_timeout(Duration::from_secs(1)) {
///         println!("still here");
///     }
///     println!("cleaning up");
/// }
/// ```
pub fn stop_requested() -> StopRequest {
    StopRequest { pollable: process::stop_requested() }
}

impl StopRequest {
    /// Whether this process has been asked. Never blocks.
    ///
    /// ```no_run
    /// let stop = wasmproc_guest::stop_requested();
    /// for page in 1.. {
    ///     if stop.is_set() {
    ///         break;
    ///     }
    ///     println!("page {page}");
    /// }
    /// ```
    pub fn is_set(&self) -> bool {
        self.pollable.ready()
    }

    /// Blocks until this process is asked.
    ///
    /// ```no_run
    /// wasmproc_guest::stop_requested().wait();
    /// println!("good bye");
    /// ```
    pub fn wait(&self) {
        self.pollable.block();
    }

    /// Blocks until this process is asked or `timeout` has passed, and says whether it has been asked: a sleep that a
    /// stop interrupts.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let stop = wasmproc_guest::stop_requested();
    /// let asked = stop.wait_timeout(Duration::from_millis(100));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let timer = monotonic_clock::subscribe_duration(nanoseconds(timeout));
        poll(&[&self.pollable, &timer]);
        self.is_set()
    }

    /// Ready when this process has been asked: to wait for it and something else at once.
    ///
    /// ```no_run
    /// use wasip2::io::poll::poll;
    /// use wasmproc_guest::{Process, Untyped, stop_requested};
    ///
    /// fn wait_for_either(child: &Process<Untyped>) {
    ///     poll(&[stop_requested().pollable(), &child.subscribe()]);
    /// }
    /// ```
    pub fn pollable(&self) -> &Pollable {
        &self.pollable
    }
}

impl fmt::Debug for StopRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StopRequest").finish_non_exhaustive()
    }
}
