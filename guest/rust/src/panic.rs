//! Panics: their text reaches the host, and so the parent.
//!
//! A panic ends an instance with a trap, which has no text of its own.

use std::panic;
use std::sync::Once;

use crate::bindings::wasmproc::ipc::process;
use crate::exit::flush_stdout;

/// From now on a panic tells the host its place and text, then does what it did before: the default hook prints the
/// same to stderr. Later calls do nothing.
pub(crate) fn report_to_host() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            process::panicked(&info.to_string());
            // What was printed without a newline would be lost with the instance.
            flush_stdout();
            previous(info);
        }));
    });
}
