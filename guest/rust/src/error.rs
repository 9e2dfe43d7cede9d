//! Why a call failed.

use std::fmt;

use crate::bindings::wasmproc::ipc::types;
use crate::exit_status::ExitStatus;

/// The error of every function in this crate: a [kind](Error::kind) to branch on and a message to print.
///
/// When `main` returns it, what is printed is the message.
///
/// ```no_run
/// use wasmproc_guest::{ErrorKind, Process};
///
/// match Process::command("tool").spawn() {
///     Ok(tool) => println!("started {}", tool.name()),
///     Err(error) if error.kind() == ErrorKind::Limit => println!("later, perhaps: {error}"),
///     Err(error) => println!("no tool: {error}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Boxed, because an `Error` is the rare half of many results.
    status: Option<Box<ExitStatus>>,
}

/// What went wrong, for a program to branch on.
///
/// ```no_run
/// use wasmproc_guest::{ErrorKind, Process};
///
/// fn divide(a: i32, b: i32) -> i32 {
///     a / b
/// }
///
/// let quotient = Process::spawn(divide, (1, 0)).expect("a process can be started");
/// let error = quotient.result().expect_err("it panics");
/// assert_eq!(error.kind(), ErrorKind::Ended);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The time-out passed first. Nothing has changed; the call may be made again.
    Timeout,
    /// The other side is gone or the object was closed: no later call will succeed either.
    Closed,
    /// A process died that had something of this object: what was waited for happened without it.
    Abandoned,
    /// Waiting would have closed a circle of waiters.
    Deadlock,
    /// The object is held by somebody else.
    NotOwner,
    /// More bytes than this object or this call carries.
    TooLarge,
    /// A limit of this run or of this process is reached.
    Limit,
    /// This process was not granted what it asked for.
    Denied,
    /// A barrier that is broken until it is reset; or an object whose shared state another process has damaged.
    Broken,
    /// The arguments make no sense.
    Invalid,
    /// An argument or a message can't be serialised, or a message or a result can't be decoded.
    Encoding,
    /// A process ended without the result that was asked for. [`Error::exit_status`] tells how.
    Ended,
}

impl Error {
    /// What to branch on.
    ///
    /// ```no_run
    /// # let error = wasmproc_guest::Process::command("tool").spawn().unwrap_err();
    /// if error.kind() == wasmproc_guest::ErrorKind::Denied {
    ///     println!("start this program with more rights: {error}");
    /// }
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How the process ended, if this error is that it did: the kind is [`ErrorKind::Ended`].
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, ExitStatus, Process};
    ///
    /// fn explain(error: &Error) {
    ///     if let Some(ExitStatus::Trapped(trap)) = error.exit_status() {
    ///         eprintln!("{}\n{}", trap.message, trap.backtrace);
    ///     }
    /// }
    /// ```
    pub fn exit_status(&self) -> Option<&ExitStatus> {
        self.status.as_deref()
    }

    pub(crate) fn encoding(message: String) -> Self {
        Self { kind: ErrorKind::Encoding, message, status: None }
    }

    pub(crate) fn invalid(message: String) -> Self {
        Self { kind: ErrorKind::Invalid, message, status: None }
    }

    /// The same error, with what was tried before what was wrong.
    pub(crate) fn during(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    pub(crate) fn ended(process: &str, status: ExitStatus) -> Self {
        let message = format!("{process} has no result: {status}");
        Self { kind: ErrorKind::Ended, message, status: Some(Box::new(status)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(formatter)
    }
}

/// The message and the kind, because this is what a `main` that returns an error prints.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:?})", self.message, self.kind)
    }
}

impl std::error::Error for Error {}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self { kind: error.code.into(), message: error.message, status: None }
    }
}

/// For calls whose time-out is an answer and not an error: `None` then.
pub(crate) fn unless_timeout<T>(result: Result<T, types::Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code == types::ErrorCode::Timeout => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<types::ErrorCode> for ErrorKind {
    fn from(code: types::ErrorCode) -> Self {
        match code {
            types::ErrorCode::Timeout => Self::Timeout,
            types::ErrorCode::Closed => Self::Closed,
            types::ErrorCode::Abandoned => Self::Abandoned,
            types::ErrorCode::Deadlock => Self::Deadlock,
            types::ErrorCode::NotOwner => Self::NotOwner,
            types::ErrorCode::TooLarge => Self::TooLarge,
            types::ErrorCode::Limit => Self::Limit,
            types::ErrorCode::Denied => Self::Denied,
            types::ErrorCode::Broken => Self::Broken,
            types::ErrorCode::Invalid => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_an_end_has_its_status_and_names_the_process() {
        let error = Error::ended("process \"mixer\"", ExitStatus::Exited(7));

        assert_eq!(error.kind(), ErrorKind::Ended);
        assert_eq!(error.exit_status(), Some(&ExitStatus::Exited(7)));
        assert_eq!(error.to_string(), "process \"mixer\" has no result: exited with code 7");
    }

    #[test]
    fn a_main_that_returns_an_error_prints_its_message() {
        let error = Error::encoding("the arguments can't be serialised".to_owned());

        assert_eq!(format!("{error:?}"), "the arguments can't be serialised (Encoding)");
    }
}
