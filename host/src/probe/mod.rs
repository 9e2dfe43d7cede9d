//! Ways out of the sandbox, tried from inside.
//!
//! The payload of a worker that runs no guest: it stands where somebody would stand who has got out of WebAssembly, in
//! native code, behind everything that the kernel enforces. An attempt is a few system calls, and `Ok` means that it
//! worked. The same function can be run outside: an attempt that fails there as well shows nothing.

mod doctor;
mod files;
mod kernel;
mod network;
mod processes;
mod site;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

pub(crate) use doctor::{Diagnosis, State, examine};
pub(crate) use site::{Options, Place, Site, sentinel};

/// What an attempt is about: the four properties that the second wall keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Property {
    Files,
    Network,
    Processes,
    Kernel,
}

/// One way out.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) property: Property,
    /// What succeeds if it does.
    pub(crate) what: &'static str,
    run: fn(&Scene<'_>) -> io::Result<()>,
}

/// What an attempt has before it.
struct Scene<'a> {
    place: &'a Place,
    /// The directory that is granted.
    granted: Option<BorrowedFd<'a>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It worked.
    Escaped,
    /// The kernel refused it, with this error.
    Refused(i32),
    /// The seccomp filter trapped the system call of this number.
    Trapped(u32),
    /// The kernel killed the process with this signal.
    Killed(u8),
    /// It was not tried.
    Failed(String),
}

impl Verdict {
    /// Whether the wall held.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Verdict::Refused(_) | Verdict::Trapped(_) | Verdict::Killed(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Escaped => f.write_str("escaped"),
            Verdict::Refused(errno) => write!(f, "refused: {}", io::Error::from_raw_os_error(*errno)),
            Verdict::Trapped(number) => write!(f, "trapped: system call {number}"),
            Verdict::Killed(signal) => write!(f, "killed: signal {signal}"),
            Verdict::Failed(reason) => write!(f, "not tried: {reason}"),
        }
    }
}

/// All ways out that are known by name. Beside them there is `syscall-N` for every number.
pub(crate) fn attempts() -> impl Iterator<Item = &'static Attempt> {
    [files::ATTEMPTS, network::ATTEMPTS, processes::ATTEMPTS, kernel::ATTEMPTS].into_iter().flatten()
}

/// The payload: makes the attempt and returns the exit code that says how it ended.
pub(crate) fn payload(name: &str, place: &Place, granted: Option<&OwnedFd>) -> u8 {
    let scene = Scene { place, granted: granted.map(AsFd::as_fd) };
    let outcome = match name.strip_prefix("syscall-").map(str::parse) {
        Some(Ok(number)) => call(number, [0; 6]).map(drop),
        _ => match attempts().find(|attempt| attempt.name == name) {
            Some(attempt) => (attempt.run)(&scene),
            None => return NO_SUCH_ATTEMPT,
        },
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().and_then(|errno| u8::try_from(errno).ok()).unwrap_or(libc::EIO as u8),
    }
}

/// Larger than every error number.
const NO_SUCH_ATTEMPT: u8 = 255;

/// How the payload ended, by its exit code.
pub(crate) fn verdict_of(code: u8) -> Verdict {
    match code {
        0 => Verdict::Escaped,
        NO_SUCH_ATTEMPT => Verdict::Failed("there is no such attempt".to_owned()),
        errno => Verdict::Refused(errno.into()),
    }
}

/// A system call. Arguments that are addresses are those of values that outlive it.
#[expect(unsafe_code, reason = "the calls of attempts have no wrappers, or none that doesn't look before")]
fn call(number: i64, [a, b, c, d, e, f]: [i64; 6]) -> io::Result<i64> {
    // SAFETY: whatever it does, it does it in a process that was made for trying it and ends right after.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The address of a value that the kernel reads, as an argument of [`call`].
fn at<T: ?Sized>(value: &T) -> i64 {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance() as i64
}

/// The address of a value that the kernel writes.
fn at_mut<T: ?Sized>(value: &mut T) -> i64 {
    std::ptr::from_mut(value).cast::<u8>().expose_provenance() as i64
}

/// For what is refused by an answer other than an error.
fn refused<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(libc::EACCES))
}
