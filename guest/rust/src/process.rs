//! A process as the one that started it sees it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasip2::io::poll::Pollable;

use crate::bindings::wasmproc::ipc::process;
use crate::builder::Builder;
use crate::error::{Error, unless_timeout};
use crate::exit_status::ExitStatus;
use crate::function::Function;
use crate::pid::Pid;
use crate::settings::nanoseconds;
use crate::target::{Local, Main, Named};
use crate::wire;

/// A process: an instance of a component, with a memory of its own, in a sandboxed process of the operating system.
///
/// `R` is what its function returns. Dropping a `Process` does nothing to the process: it runs on, and this one's end
/// waits for it unless it is a daemon.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process};
///
/// fn count(text: String) -> usize {
///     text.split_whitespace().count()
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let texts = ["to be or not to be", "that is the question"];
///     let counts: Vec<Process<usize>> =
///         texts.into_iter().map(|text| Process::spawn(count, text.to_owned())).collect::<Result<_, _>>()?;
///     for count in counts {
///         println!("{} words", count.result()?);
///     }
///     Ok(())
/// }
/// ```
pub struct Process<R = ()> {
    handle: process::Process,
    output: Output,
    result: PhantomData<fn() -> R>,
}

/// Where the bytes of a result come from.
#[derive(Clone, Copy)]
enum Output {
    /// The function's result, which the host keeps.
    Function,
    /// A main function has none: its result is `()`.
    Main,
}

/// The result type of a process whose function isn't known here: it can be watched, but has no
/// [`result`](Process::result).
///
/// ```no_run
/// use wasmproc_guest::{Process, Untyped, active_children};
///
/// let children: Vec<Process<Untyped>> = active_children();
/// ```
#[derive(Debug)]
pub enum Untyped {}

impl Process {
    /// Starts a process that calls `function` with `arguments`, and doesn't wait for it.
    ///
    /// The function must not capture variables, which is checked at compile time. The arguments are a tuple of them, or
    /// the one argument, or `()`. Shared objects in them, at whatever depth, are granted to the process; a
    /// [`Connection`](crate::Connection) moves to it.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if the run has as many processes as it may,
    /// [`TooLarge`](crate::ErrorKind::TooLarge) for arguments of over 16 MiB, [`Invalid`](crate::ErrorKind::Invalid) in
    /// a daemon, [`Encoding`](crate::ErrorKind::Encoding) for arguments that can't be serialised,
    /// [`Denied`](crate::ErrorKind::Denied) for a [`Connection`](crate::Connection) among them that was moved away before.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process};
    ///
    /// fn add(a: i32, b: i32) -> i32 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// let sum = Process::spawn(add, (1, 2))?;
    /// assert_eq!(sum.result()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A process has a memory of its own, so this doesn't compile:
    ///
    /// ```compile_fail
    /// # use wasmproc_guest::Process;
    /// let number = 1;
    /// Process::spawn(move |other: i32| number + other, 2);
    /// ```
    pub fn spawn<F, A, Mark>(function: F, arguments: A) -> Result<Process<F::Output>, Error>
    where
        F: Function<A, Mark>,
        A: Serialize + DeserializeOwned,
    {
        Self::builder(function).spawn(arguments)
    }

    /// A process that calls `function`, to be given a name, limits and so on before it is started.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use wasmproc_guest::{Error, Process};
    ///
    /// fn add(a: i32, b: i32) -> i32 {
    ///     a + b
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// let sum = Process::builder(add).name("sum").timeout(Duration::from_secs(1)).spawn((1, 2))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder<F>(function: F) -> Builder<Local<F>> {
        Builder::of_function(&function)
    }

    /// A process that calls the function that a component named `function`: this component, unless
    /// [`Builder::component`] says another.
    ///
    /// What the function takes and returns isn't checked at compile time. Input that it can't decode makes the process
    /// end as [`ExitStatus::Rejected`].
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process};
    ///
    /// # fn main() -> Result<(), Error> {
    /// let answer: Process<i64> = Process::named("double").component("numbers").spawn(21_i64)?;
    /// assert_eq!(answer.result()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(function: impl Into<String>) -> Builder<Named> {
        Builder::of_named(function.into())
    }

    /// A process that runs the main function of another component, which was granted to this run under the name
    /// `component`.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process};
    ///
    /// # fn main() -> Result<(), Error> {
    /// let status = Process::command("rg").args(["-c", "TODO"]).spawn()?.join()?;
    /// println!("rg {status}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(component: impl Into<String>) -> Builder<Main> {
        Builder::of_main(component.into())
    }
}

impl<R> Process<R> {
    pub(crate) fn of_function(handle: process::Process) -> Self {
        Self { handle, output: Output::Function, result: PhantomData }
    }

    pub(crate) fn of_main(handle: process::Process) -> Self {
        Self { handle, output: Output::Main, result: PhantomData }
    }

    /// Its pid.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) {
    /// println!("started {}", child.id());
    /// # }
    /// ```
    pub fn id(&self) -> Pid {
        Pid::new(self.handle.id())
    }

    /// Its name: by default `process-N`, where N is its pid.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) {
    /// println!("started {}", child.name());
    /// # }
    /// ```
    pub fn name(&self) -> String {
        self.handle.name()
    }

    /// Whether it is a daemon.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) {
    /// if child.is_daemon() {
    ///     println!("{} ends when main does", child.name());
    /// }
    /// # }
    /// ```
    pub fn is_daemon(&self) -> bool {
        self.handle.is_daemon()
    }

    /// Whether it has not ended yet. Never blocks.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) {
    /// while child.is_alive() {
    ///     std::thread::sleep(std::time::Duration::from_millis(10));
    /// }
    /// # }
    /// ```
    pub fn is_alive(&self) -> bool {
        self.handle.status().is_none()
    }

    /// How it ended; `None` while it is alive. Never blocks.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) {
    /// match child.exit_status() {
    ///     Some(status) => println!("{status}"),
    ///     None => println!("still at it"),
    /// }
    /// # }
    /// ```
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.handle.status().map(ExitStatus::from)
    }

    /// Waits until the process has ended, its children included, and says how. May be called again.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if the process waits in turn for something that this one holds, such as
    /// a lock: the message names the circle. Only one of those in the circle gets the error.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process};
    ///
    /// fn send_mail() {}
    ///
    /// # fn main() -> Result<(), Error> {
    /// let status = Process::spawn(send_mail, ())?.join()?;
    /// println!("the mail: {status}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self) -> Result<ExitStatus, Error> {
        Ok(self.handle.join(None)?.into())
    }

    /// Waits until the process has ended, but not longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Process::join).
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) -> Result<(), wasmproc_guest::Error> {
    /// if child.join_timeout(std::time::Duration::from_secs(5))?.is_none() {
    ///     child.terminate()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<ExitStatus>, Error> {
        Ok(unless_timeout(self.handle.join(Some(nanoseconds(timeout))))?.map(ExitStatus::from))
    }

    /// Waits until the process has ended, and gives what its function returned.
    ///
    /// # Errors
    ///
    /// [`Ended`](crate::ErrorKind::Ended) if it ended in any other way than by returning:
    /// [`Error::exit_status`] tells how, with the text of a panic. [`Encoding`](crate::ErrorKind::Encoding) if the
    /// result can't be decoded.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process};
    ///
    /// fn divide(a: i32, b: i32) -> i32 {
    ///     a / b
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// match Process::spawn(divide, (1, 0))?.result() {
    ///     Ok(quotient) => println!("{quotient}"),
    ///     // ... has no result: trapped: panicked at src/main.rs:4:5: attempt to divide by zero
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn result(self) -> Result<R, Error>
    where
        R: DeserializeOwned,
    {
        let status = self.join()?;
        if !status.success() {
            return Err(Error::ended(&self.describe(), status));
        }
        let bytes = match self.output {
            Output::Function => self.handle.output()?,
            Output::Main => Vec::new(),
        };
        wire::decode(&bytes)
            .map_err(|error| error.during(&format!("the result of {} can't be decoded", self.describe())))
    }

    /// Kills the process and all its descendants. Doesn't wait until they are dead: [`join`](Process::join) does.
    ///
    /// Does nothing to a process that has ended. To let it clean up first, use
    /// [`terminate_with_grace`](Process::terminate_with_grace).
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) for a process that isn't a child of this one.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) -> Result<(), wasmproc_guest::Error> {
    /// child.terminate()?;
    /// assert_eq!(child.join()?.code(), -9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn terminate(&self) -> Result<(), Error> {
        Ok(self.handle.terminate(None)?)
    }

    /// Asks the process to stop, and kills it and all its descendants after `grace`. Doesn't wait.
    ///
    /// It learns of it through [`stop_requested`](crate::stop_requested). If it ends by itself in that time, its exit
    /// status is its own.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Process::terminate).
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) -> Result<(), wasmproc_guest::Error> {
    /// child.terminate_with_grace(std::time::Duration::from_secs(2))?;
    /// println!("{}", child.join()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn terminate_with_grace(&self, grace: Duration) -> Result<(), Error> {
        Ok(self.handle.terminate(Some(nanoseconds(grace)))?)
    }

    /// Kills the process and all its descendants, even if it is in the grace period of an earlier request to stop.
    ///
    /// # Errors
    ///
    /// Those of [`terminate`](Process::terminate).
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) -> Result<(), wasmproc_guest::Error> {
    /// child.kill()?;
    /// child.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill(&self) -> Result<(), Error> {
        Ok(self.handle.kill()?)
    }

    /// Ready when the process has ended: to wait for several processes, or in an asynchronous executor. It may outlive this
    /// handle.
    ///
    /// ```no_run
    /// use wasip2::io::poll::{Pollable, poll};
    /// use wasmproc_guest::Process;
    ///
    /// fn wait_for_any(children: &[Process]) -> Vec<u32> {
    ///     let ends: Vec<Pollable> = children.iter().map(Process::subscribe).collect();
    ///     poll(&ends.iter().collect::<Vec<_>>())
    /// }
    /// ```
    pub fn subscribe(&self) -> Pollable {
        self.handle.subscribe()
    }

    /// The process in a message.
    fn describe(&self) -> String {
        format!("process {:?} (pid {})", self.name(), self.id())
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Process").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
