//! How a process ended.

use std::fmt;

use crate::bindings::wasmproc::ipc::process;
use crate::pid::Pid;

/// How a process ended. Every end has exactly one of these causes.
///
/// It prints as one line, such as `exited with code 7` or `killed by process 1`.
///
/// ```no_run
/// use wasmproc_guest::{Error, ExitStatus, Process};
///
/// fn watch(process: &Process) -> Result<(), Error> {
///     match process.join()? {
///         ExitStatus::Exited(0) => println!("well done"),
///         ExitStatus::OutOfMemory => println!("give it more memory"),
///         status => println!("{}: {status}", process.name()),
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// Its function returned (0), its main function returned (0, or 1 for an error), or it called an exit function.
    Exited(u8),
    /// A trap: a panic, an access out of bounds, a stack overflow...
    Trapped(Trap),
    /// A signal of the operating system that nobody in this run sent: the signal's number.
    Signaled(u8),
    /// Its own wall-time limit, or the run's.
    TimedOut,
    /// Its processor-time limit.
    CpuTime,
    /// It needed more memory than its limit allows.
    OutOfMemory,
    /// It made a system call that the sandbox denies: the number of the call.
    DeniedSyscall(u32),
    /// [`terminate`](crate::Process::terminate) or [`kill`](crate::Process::kill), by this process; `None` if by the
    /// user or the supervisor.
    Killed(Option<Pid>),
    /// An ancestor ended while this process was running.
    ParentLost,
    /// It was stopped for over a second in the middle of an operation on a shared object, while others waited.
    Stalled,
    /// The component has no such function, or its arguments can't be decoded.
    Rejected(String),
    /// The sandbox around it could not be set up: why. Nothing of it has run.
    SandboxFailed(String),
    /// It could not be started for another reason, or it broke the rules between worker and supervisor.
    Failed(String),
}

/// What a trap left behind.
///
/// ```no_run
/// use wasmproc_guest::{ExitStatus, Process};
///
/// fn bake() {
///     panic!("no more flour");
/// }
///
/// let baker = Process::spawn(bake, ()).expect("a process can be started");
/// if let Ok(ExitStatus::Trapped(trap)) = baker.join() {
///     assert!(trap.message.ends_with("no more flour"));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trap {
    /// The panic's place and text, else the trap's reason.
    pub message: String,
    /// Function names, innermost first, one a line; may be empty.
    pub backtrace: String,
}

/// Numbers of signals, as on Linux.
mod signal {
    pub(super) const ABORT: i32 = 6;
    pub(super) const KILL: i32 = 9;
    pub(super) const CPU_TIME: i32 = 24;
    pub(super) const DENIED_SYSCALL: i32 = 31;
}

/// What Python's multiprocessing gives for a process whose function could not even be called.
const FAILURE: i32 = 1;

impl ExitStatus {
    /// Whether the process ended by itself, with code 0.
    ///
    /// ```no_run
    /// # fn example(child: &wasmproc_guest::Process) -> Result<(), wasmproc_guest::Error> {
    /// if !child.join()?.success() {
    ///     println!("start it again");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// One number for it, as the `exitcode` of Python's multiprocessing: the process's own code, or a negative number
    /// of a signal.
    ///
    /// | status | code |
    /// |---|---|
    /// | `Exited(code)` | `code` |
    /// | `Signaled(number)` | `-number` |
    /// | `Killed`, `TimedOut`, `OutOfMemory`, `ParentLost`, `Stalled` | -9, as for SIGKILL |
    /// | `Trapped` | -6, as for SIGABRT |
    /// | `CpuTime` | -24, as for SIGXCPU |
    /// | `DeniedSyscall` | -31, as for SIGSYS |
    /// | `Rejected`, `Failed` | 1 |
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use wasmproc_guest::{Error, Process};
    ///
    /// fn sleep() {
    ///     std::thread::sleep(Duration::from_secs(60));
    /// }
    ///
    /// fn main() -> Result<(), Error> {
    ///     let child = Process::spawn(sleep, ())?;
    ///     child.kill()?;
    ///     assert_eq!(child.join()?.code(), -9);
    ///     Ok(())
    /// }
    /// ```
    pub fn code(&self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(*code),
            Self::Signaled(number) => -i32::from(*number),
            Self::Killed(_) | Self::TimedOut | Self::OutOfMemory | Self::ParentLost | Self::Stalled => -signal::KILL,
            Self::Trapped(_) => -signal::ABORT,
            Self::CpuTime => -signal::CPU_TIME,
            Self::DeniedSyscall(_) => -signal::DENIED_SYSCALL,
            Self::Rejected(_) | Self::SandboxFailed(_) | Self::Failed(_) => FAILURE,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with code {code}"),
            Self::Trapped(trap) => write!(formatter, "trapped: {}", OneLine(&trap.message)),
            Self::Signaled(number) => write!(formatter, "ended by signal {number}"),
            Self::TimedOut => formatter.write_str("killed at its time limit"),
            Self::CpuTime => formatter.write_str("killed at its processor-time limit"),
            Self::OutOfMemory => formatter.write_str("out of memory"),
            Self::DeniedSyscall(number) => {
                write!(formatter, "killed for the denied system call {number}")
            }
            Self::Killed(Some(pid)) => write!(formatter, "killed by process {pid}"),
            Self::Killed(None) => formatter.write_str("killed"),
            Self::ParentLost => formatter.write_str("killed with its parent"),
            Self::Stalled => formatter.write_str("killed because it stopped in the middle of a shared operation"),
            Self::Rejected(reason) => write!(formatter, "rejected: {}", OneLine(reason)),
            Self::SandboxFailed(reason) => write!(formatter, "its sandbox can't be set up: {}", OneLine(reason)),
            Self::Failed(reason) => write!(formatter, "failed: {}", OneLine(reason)),
        }
    }
}

/// A text whose lines are joined by single spaces: another process wrote it, and a status is promised to be one line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.split(char::is_control).map(str::trim).filter(|line| !line.is_empty());
        for (position, line) in lines.enumerate() {
            if position > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(line)?;
        }
        Ok(())
    }
}

impl From<process::ExitStatus> for ExitStatus {
    fn from(status: process::ExitStatus) -> Self {
        match status {
            process::ExitStatus::Exited(code) => Self::Exited(code),
            process::ExitStatus::Trapped(trap) => {
                Self::Trapped(Trap { message: trap.message, backtrace: trap.backtrace })
            }
            process::ExitStatus::Signaled(number) => Self::Signaled(number),
            process::ExitStatus::TimedOut => Self::TimedOut,
            process::ExitStatus::CpuTime => Self::CpuTime,
            process::ExitStatus::OutOfMemory => Self::OutOfMemory,
            process::ExitStatus::DeniedSyscall(number) => Self::DeniedSyscall(number),
            process::ExitStatus::Killed(by) => Self::Killed(by.map(Pid::new)),
            process::ExitStatus::ParentLost => Self::ParentLost,
            process::ExitStatus::Stalled => Self::Stalled,
            process::ExitStatus::Rejected(reason) => Self::Rejected(reason),
            process::ExitStatus::SandboxFailed(reason) => Self::SandboxFailed(reason),
            process::ExitStatus::Failed(reason) => Self::Failed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap(message: &str) -> ExitStatus {
        ExitStatus::Trapped(Trap { message: message.to_owned(), backtrace: String::new() })
    }

    #[test]
    fn codes_are_those_of_pythons_exitcode() {
        assert_eq!(ExitStatus::Exited(0).code(), 0);
        assert_eq!(ExitStatus::Exited(7).code(), 7);
        assert_eq!(ExitStatus::Exited(255).code(), 255);
        assert_eq!(ExitStatus::Signaled(15).code(), -15);
        assert_eq!(ExitStatus::Killed(None).code(), -9);
        assert_eq!(trap("unreachable").code(), -6);
        assert_eq!(ExitStatus::Rejected("no such function".to_owned()).code(), 1);
    }

    #[test]
    fn only_code_0_is_success() {
        assert!(ExitStatus::Exited(0).success());
        assert!(!ExitStatus::Exited(1).success());
        assert!(!ExitStatus::Killed(Some(Pid::new(1))).success());
    }

    #[test]
    fn a_status_prints_as_one_line() {
        let status = trap("panicked at src/main.rs:3:5:\n\u{1b}[31mno more\r\nflour\n");

        assert_eq!(status.to_string(), "trapped: panicked at src/main.rs:3:5: [31mno more flour");
        assert_eq!(ExitStatus::Killed(Some(Pid::new(3))).to_string(), "killed by process 3");
    }
}
