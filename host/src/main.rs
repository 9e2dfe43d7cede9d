//! The command `wasmproc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasmproc::init();
    wasmproc::cli::main()
}
