//! The command `wasmproc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasmproc::cli::fork_ahead();
    wasmproc::init();
    wasmproc::cli::main()
}
