//! What a command may be started with that would end it in strange ways later.
#![expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]

use rustix::process::{Resource, Rlimit};

use super::terminal;
use crate::cause::exit_code;

/// Less than this is not enough for what the command does.
const LEAST_STACK_BYTES: u64 = 128 << 10;
/// What a stack usually may grow to.
const STACK_BYTES: u64 = 8 << 20;

/// Takes back what would do harm, for this process and those that it starts, or ends it with one line.
pub(super) fn settle() {
    settle_signals();
    if !has_a_stack() {
        terminal::complain("there is too little stack for wasmproc here: raise ulimit -s to 128 or more");
        std::process::exit(exit_code::WASMPROC_FAILED.into());
    }
}

/// Ignored signals stay ignored over the start of a program: without SIGCHLD nobody's end would be told. And a file that
/// may not become as large is an error, and no reason to die.
fn settle_signals() {
    for (signal, disposition) in [(libc::SIGCHLD, libc::SIG_DFL), (libc::SIGXFSZ, libc::SIG_IGN)] {
        // SAFETY: neither the default nor ignoring a signal runs code of ours.
        unsafe { libc::signal(signal, disposition) };
    }
}

/// A stack grows up to the limit as it is by then, so it is raised as far as it may be.
fn has_a_stack() -> bool {
    let limit = rustix::process::getrlimit(Resource::Stack);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_none_or(|current| current >= LEAST_STACK_BYTES) {
        return true;
    }
    let raised = Rlimit { current: Some(STACK_BYTES.min(allowed)), maximum: limit.maximum };
    allowed >= LEAST_STACK_BYTES && rustix::process::setrlimit(Resource::Stack, raised).is_ok()
}
