//! The library's error: opaque, with a kind to branch on and one line to print.

use std::fmt;
use std::io;

use crate::cause::exit_code;

/// Why a run could not be made, or broke off through no fault of its guest.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that was named is not there.
    NotFound,
    /// The file can't be run: not a component, a missing export, an import that nobody provides...
    CannotRun,
    /// The request makes no sense.
    Invalid,
    /// This machine or wasmproc failed: no sandbox, no memory, no processes, a worker executable that is not there.
    Failed,
    /// The user stopped it before it started; the number of the signal is in the exit code.
    Interrupted(u8),
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Failed, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn cannot_run(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::CannotRun, message)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The exit code of `wasmproc run` for this error.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::NotFound => exit_code::NOT_FOUND,
            ErrorKind::CannotRun => exit_code::CANNOT_RUN,
            ErrorKind::Invalid | ErrorKind::Failed => exit_code::WASMPROC_FAILED,
            ErrorKind::Interrupted(signal) => exit_code::SIGNAL.saturating_add(signal),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Names the object of an I/O error on the way up.
pub(crate) trait Context<T> {
    /// `what` is what was being done, to what: "can't read task.wasm".
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::failed(format!("{}: {error}", what())))
    }
}

impl<T> Context<T> for std::result::Result<T, rustix::io::Errno> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(io::Error::from).context(what)
    }
}
