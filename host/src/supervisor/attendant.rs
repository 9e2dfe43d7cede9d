//! The one who looks after a run from outside of it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{ProcessReport, ProcessView};

/// Who looks after a run: hears what happens in it, and interrupts it.
pub trait Attendant {
    /// A descriptor that becomes readable when there is an interruption to take.
    fn interruption(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes the interruption that the descriptor tells of.
    fn take_interruption(&mut self) -> Option<Interruption> {
        None
    }

    /// Called once a second while `name` is being compiled, after the first.
    fn still_compiling(&mut self, _name: &str, _since: Duration) {}

    /// Called when a compilation has ended.
    fn compiled(&mut self) {}

    /// Something is not as it should be, and the work goes on. One line.
    fn warn(&mut self, _message: &str) {}

    /// A process has ended.
    fn ended(&mut self, _process: &ProcessReport) {}

    /// The answer to [`Interruption::Inspect`]: the processes that are alive, parents first.
    fn inspect(&mut self, _processes: &[ProcessView]) {}
}

/// An attendant that leaves everything alone.
impl Attendant for () {}

/// What an attendant may want in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// End everything, by request first, as if this signal had come.
    Stop { signal: u8 },
    /// Show what is going on.
    Inspect,
}
