//! A length of time to wait for beside other things.

use std::fmt;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;

use crate::Pollable;
use crate::settings::nanoseconds;

/// Ready when a length of time has passed: for [`wait_any`](crate::wait_any).
///
/// ```no_run
/// use std::time::Duration;
/// use wasmproc_guest::{Queue, Timer, wait_any};
///
/// fn serve(orders: &Queue<String>) {
///     let closing_time = Timer::after(Duration::from_secs(60));
///     while wait_any(&[&closing_time, orders]) != [0] {
///         println!("an order");
/// #       break;
///     }
/// }
/// ```
pub struct Timer {
    pollable: Pollable,
}

impl Timer {
    /// Ready `duration` from now on.
    ///
    /// ```no_run
    /// let timer = wasmproc_guest::Timer::after(std::time::Duration::from_millis(100));
    /// ```
    pub fn after(duration: Duration) -> Self {
        Self { pollable: monotonic_clock::subscribe_duration(nanoseconds(duration)) }
    }

    /// Whether the time has passed. Never blocks.
    ///
    /// ```no_run
    /// let timer = wasmproc_guest::Timer::after(std::time::Duration::from_secs(1));
    /// while !timer.is_over() {
    ///     println!("at work");
    /// }
    /// ```
    pub fn is_over(&self) -> bool {
        self.pollable.ready()
    }

    /// Ready when the time has passed.
    ///
    /// ```no_run
    /// wasmproc_guest::Timer::after(std::time::Duration::from_secs(1)).pollable().block();
    /// ```
    pub fn pollable(&self) -> &Pollable {
        &self.pollable
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Timer").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}
