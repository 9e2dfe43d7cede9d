//! A process that is not started yet.

use std::fmt;
use std::marker::PhantomData;

use crate::bindings::wasmproc::ipc::process::{self, Target};
use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::process::Process;
use crate::settings::Settings;

/// A process that is ready to be started: function, arguments and settings are there, the process isn't.
///
/// It has no pid yet, and nothing to join. [`start`](Prepared::start) makes a [`Process`] of it.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process};
///
/// fn greet(name: String) {
///     println!("hello {name}");
/// }
///
/// # fn main() -> Result<(), Error> {
/// let greeting = Process::builder(greet).prepare("bob".to_owned())?;
/// assert!(!greeting.is_alive());
/// let greeting = greeting.start()?;
/// greeting.join()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs before `start` is called"]
pub struct Prepared<R = ()> {
    target: Target,
    input: Vec<u8>,
    settings: Settings,
    result: PhantomData<fn() -> R>,
}

impl<R> Prepared<R> {
    pub(crate) fn new(target: Target, input: Vec<u8>, settings: Settings) -> Self {
        Self { target, input, settings, result: PhantomData }
    }

    /// Starts the process.
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`].
    ///
    /// ```no_run
    /// # fn example(prepared: wasmproc_guest::Prepared) -> Result<(), wasmproc_guest::Error> {
    /// let process = prepared.start()?;
    /// println!("started {}", process.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<Process<R>, Error> {
        let handle = process::spawn(&self.target, &self.input, &self.settings.to_options())?;
        Ok(match self.target {
            Target::Function(_) => Process::of_function(handle),
            Target::Main => Process::of_main(handle),
        })
    }

    /// The name it was given; `None` if it gets the default one, which is made from its pid.
    ///
    /// ```no_run
    /// let tool = wasmproc_guest::Process::command("tool").name("hammer").prepare();
    /// assert_eq!(tool.name(), Some("hammer"));
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.settings.name.as_deref()
    }

    /// Whether it will be a daemon.
    ///
    /// ```no_run
    /// let tool = wasmproc_guest::Process::command("tool").prepare();
    /// assert!(!tool.is_daemon());
    /// ```
    pub fn is_daemon(&self) -> bool {
        self.settings.daemon
    }

    /// Always false. As [`Process::is_alive`], which it becomes.
    ///
    /// ```no_run
    /// let tool = wasmproc_guest::Process::command("tool").prepare();
    /// assert!(!tool.is_alive());
    /// ```
    pub fn is_alive(&self) -> bool {
        false
    }

    /// Always `None`. As [`Process::exit_status`], which it becomes.
    ///
    /// ```no_run
    /// let tool = wasmproc_guest::Process::command("tool").prepare();
    /// assert_eq!(tool.exit_status(), None);
    /// ```
    pub fn exit_status(&self) -> Option<ExitStatus> {
        None
    }
}

impl<R> fmt::Debug for Prepared<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Prepared")
            .field("target", &self.target)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
