//! How a process ends, and what that means for an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a process: issued by the supervisor, never reused in a run. The first process is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(pub u64);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a process ended. Every end has exactly one cause; there is no "other".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// Its main function returned or it called an exit function, with this code.
    Exited(u8),
    /// A WebAssembly trap. `backtrace` has one function a line, innermost first.
    Trapped { message: String, backtrace: String },
    /// A signal of the operating system, sent by nobody of this run.
    Signaled(u8),
    /// The wall-time limit of the process or of the run.
    TimedOut,
    /// The processor-time limit of the process.
    CpuTime,
    /// It needed more memory than its limit allows.
    OutOfMemory,
    /// It made a system call that the sandbox denies: the call's number.
    DeniedSyscall(u32),
    /// Killed on request of this process of the run; `None` for the user or the end of its parent's main function.
    Killed(Option<Pid>),
    /// An ancestor ended while it was running.
    ParentLost,
    /// It stopped in the middle of an operation that others waited for.
    Stalled,
    /// The component has no such function, or can't decode its input.
    Rejected(String),
    /// The sandbox around it could not be set up. Nothing of it has run.
    SandboxFailed(String),
    /// It could not be started for another reason, or broke the rules between worker and supervisor.
    Failed(String),
}

impl Cause {
    /// The exit code that stands for this cause: see the table in the README.
    pub fn exit_code(&self) -> u8 {
        match self {
            Cause::Exited(code) => *code,
            Cause::Trapped { .. } => exit_code::TRAP,
            Cause::Signaled(signal) => exit_code::SIGNAL.saturating_add(*signal),
            Cause::TimedOut => exit_code::TIMED_OUT,
            Cause::CpuTime => exit_code::SIGNAL + libc::SIGXCPU as u8,
            Cause::DeniedSyscall(_) => exit_code::SIGNAL + libc::SIGSYS as u8,
            Cause::OutOfMemory | Cause::Killed(_) | Cause::ParentLost | Cause::Stalled => {
                exit_code::SIGNAL + libc::SIGKILL as u8
            }
            Cause::Rejected(_) => exit_code::CANNOT_RUN,
            Cause::SandboxFailed(_) | Cause::Failed(_) => exit_code::WASMPROC_FAILED,
        }
    }

    /// Whether the process ended by itself, with code 0.
    pub fn success(&self) -> bool {
        *self == Cause::Exited(0)
    }

    /// How long the texts in it are.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Cause::Trapped { message, backtrace } => message.len() + backtrace.len(),
            Cause::Rejected(text) | Cause::Failed(text) => text.len(),
            _ => 0,
        }
    }

    /// What the user can do about it, if anything is known to help.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Cause::TimedOut => Some("allow more with --timeout"),
            Cause::CpuTime => Some("allow more with --cpu-time"),
            Cause::OutOfMemory => Some("allow more with --max-memory or --max-total-memory"),
            Cause::DeniedSyscall(_) => Some("if an ordinary guest did this, please report it"),
            Cause::Signaled(_) => Some("somebody outside of the run, or the kernel, sent it"),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    /// One line, without control characters whatever the guest wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Exited(code) => write!(f, "exited with code {code}"),
            Cause::Trapped { message, .. } => write!(f, "trapped: {}", printable(message)),
            Cause::Signaled(signal) => write!(f, "was killed by signal {signal}"),
            Cause::TimedOut => f.write_str("was killed: its wall-time limit is over"),
            Cause::CpuTime => f.write_str("was killed: its processor-time limit is used up"),
            Cause::OutOfMemory => f.write_str("ran out of memory: it reached its limit"),
            Cause::DeniedSyscall(number) => write!(f, "was killed: it made system call {number}, which is denied"),
            Cause::Killed(None) => f.write_str("was killed"),
            Cause::Killed(Some(pid)) => write!(f, "was killed by process {pid}"),
            Cause::ParentLost => f.write_str("was killed: its parent is gone"),
            Cause::Stalled => {
                f.write_str("was killed: it stopped for over a second in an operation that others wait for")
            }
            Cause::Rejected(message) => write!(f, "refused to start: {}", printable(message)),
            Cause::SandboxFailed(message) => {
                write!(f, "could not be started: its sandbox can't be set up: {}", printable(message))
            }
            Cause::Failed(message) => write!(f, "failed: {}", printable(message)),
        }
    }
}

/// `text` on one line, with control characters, and those that turn the text around, made visible.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' => line.push_str("; "),
            '\t' => line.push(' '),
            hidden if hidden.is_control() || is_directing(hidden) => line.extend(hidden.escape_default()),
            other => line.push(other),
        }
    }
    line
}

/// Whether it changes the direction or the lines of the text around it, without being a control character.
fn is_directing(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// No more than so many bytes of `text`.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        // What it was cut from may be much longer.
        text.shrink_to_fit();
    }
    text
}

/// The exit codes of `wasmproc run` that are not a guest's own.
pub mod exit_code {
    /// The run's time limit, as timeout(1).
    pub const TIMED_OUT: u8 = 124;
    /// wasmproc itself failed, as docker-run(1): a bad flag, no sandbox, no memory.
    pub const WASMPROC_FAILED: u8 = 125;
    /// The file is there and can't be run, as env(1).
    pub const CANNOT_RUN: u8 = 126;
    /// The file is not there, as env(1).
    pub const NOT_FOUND: u8 = 127;
    /// A signal's number is added to this, as in sh(1).
    pub const SIGNAL: u8 = 128;
    /// A trap: as a native program that aborted.
    pub const TRAP: u8 = SIGNAL + 6;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_the_documented_exit_codes() {
        let trap = Cause::Trapped { message: String::new(), backtrace: String::new() };
        let codes = [
            (Cause::Exited(7), 7),
            (trap, 134),
            (Cause::Signaled(15), 143),
            (Cause::TimedOut, 124),
            (Cause::CpuTime, 152),
            (Cause::OutOfMemory, 137),
            (Cause::DeniedSyscall(1), 159),
            (Cause::Killed(None), 137),
            (Cause::Rejected(String::new()), 126),
            (Cause::Failed(String::new()), 125),
        ];
        for (cause, code) in codes {
            assert_eq!(cause.exit_code(), code, "{cause}");
        }
    }

    #[test]
    fn a_hostile_message_cannot_write_to_the_terminal() {
        let message = "red \u{1b}[31m\u{7}\r\nnext line \u{9b}2J \u{202e}drawkcab".to_owned();
        let line = Cause::Rejected(message).to_string();
        assert!(!line.chars().any(|one| one.is_control() || one == '\u{202e}'), "{line:?}");
    }
}
