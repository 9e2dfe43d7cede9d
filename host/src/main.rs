//! The command `wasmproc`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: wasmproc::Allocator = wasmproc::Allocator;

fn main() -> ExitCode {
    wasmproc::cli::fork_ahead();
    wasmproc::init();
    wasmproc::cli::main()
}
