//! Process types with a state of their own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::process::Process;

/// A value that runs in a process of its own: its fields travel there, and [`run`](Task::run) is called.
///
/// This is what a subclass of Python's `Process` with a `run` method is. To give such a process a name or limits, start
/// it as the function that `run` is: `Process::builder(Clock::run).name("clock").spawn(clock)`.
///
/// ```no_run
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use wasmproc_guest::{Error, Task};
///
/// #[derive(Serialize, Deserialize)]
/// struct Clock {
///     interval: Duration,
/// }
///
/// impl Task for Clock {
///     type Output = ();
///
///     fn run(self) {
///         std::thread::sleep(self.interval);
///         println!("tick");
///     }
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     Clock { interval: Duration::from_secs(1) }.spawn()?;
///     Ok(())
/// }
/// ```
pub trait Task: Serialize + DeserializeOwned + 'static {
    /// What the process returns: [`Process::result`] gives it.
    type Output: Serialize + DeserializeOwned + 'static;

    /// The work. Called in the new process.
    fn run(self) -> Self::Output;

    /// Starts a process that runs this.
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`].
    fn spawn(self) -> Result<Process<Self::Output>, Error> {
        Process::spawn(Self::run, self)
    }
}
