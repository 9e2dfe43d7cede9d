//! The number of a process.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a process: issued by the supervisor, never used twice in a run.
///
/// It isn't a number of the operating system. The process that executes the program's own `main` is 1.
///
/// ```no_run
/// println!("this is process {}", wasmproc_guest::id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid(u64);

impl Pid {
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// The bare number.
    ///
    /// ```no_run
    /// let is_first = wasmproc_guest::id().get() == 1;
    /// ```
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
