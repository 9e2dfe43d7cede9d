//! Ending this process.

use std::io::{self, Write};

use crate::bindings::wasmproc::ipc::process;

/// Ends this process with an exit code, as returning from `main` would: daemons are killed, other children waited for.
///
/// Unlike [`std::process::exit`], whose code reaches the host as 0 or 1, every code passes through. Destructors don't
/// run; what was printed is flushed first. In a process that was started on a function, there is no result then:
/// [`Process::result`](crate::Process::result) gives an error even for code 0.
///
/// ```no_run
/// fn check(flour: u32) {
///     if flour == 0 {
///         wasmproc_guest::exit(7);
///     }
/// }
/// ```
pub fn exit(code: u8) -> ! {
    flush_stdout();
    process::exit(code);
    unreachable!("the host ends a process that asks for it")
}

/// Hands on what was printed without a newline at its end.
pub(crate) fn flush_stdout() {
    // A process that is about to end has nobody to tell that its output is closed; std's own exit ignores it as well.
    let _ = io::stdout().flush();
}
