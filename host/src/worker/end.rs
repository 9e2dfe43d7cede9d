//! How an instance ended, as its worker sees it.

use wasmtime::{FrameInfo, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::host::Host;
use crate::cause::{self, exit_code};
use crate::wire::MAX_REASON_BYTES;
use crate::wire::worker::FromWorker;

/// The end of an instance.
pub(super) enum End {
    Finished { code: u8, output: Option<Vec<u8>> },
    Trapped { message: String, backtrace: String },
    OutOfMemory,
    Rejected(String),
    SandboxFailed(String),
    Failed(String),
}

impl End {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            End::Finished { code, .. } => *code,
            End::Trapped { .. } => exit_code::TRAP,
            End::OutOfMemory => exit_code::SIGNAL + libc::SIGKILL as u8,
            End::Rejected(_) => exit_code::CANNOT_RUN,
            End::SandboxFailed(_) | End::Failed(_) => exit_code::WASMPROC_FAILED,
        }
    }

    pub(super) fn into_message(self) -> FromWorker {
        match self {
            End::Finished { code, output } => FromWorker::Finished { code, output },
            End::Trapped { message, backtrace } => FromWorker::Trapped { message, backtrace },
            End::OutOfMemory => FromWorker::OutOfMemory,
            End::Rejected(reason) => FromWorker::Rejected(cut(reason)),
            End::SandboxFailed(reason) => FromWorker::SandboxFailed(cut(reason)),
            End::Failed(reason) => FromWorker::Failed(cut(reason)),
        }
    }
}

/// Whether the kernel has refused memory: before the guest has run, and so not on account of its limit.
pub(super) fn is_lack(error: &wasmtime::Error) -> bool {
    let errno = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        io.or_else(|| cause.downcast_ref::<rustix::io::Errno>().map(|errno| errno.raw_os_error()))
    };
    error.chain().any(|cause| errno(cause) == Some(libc::ENOMEM))
}

/// What an error out of wasmtime means: an exit function, a lack of memory, or a trap.
pub(super) fn of_error(error: &wasmtime::Error, host: &Host) -> End {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return End::Finished { code: *code as u8, output: None };
    }
    // A program that gets no memory ends itself so; what else it traps for has another reason.
    let gave_up = error.downcast_ref::<Trap>().is_none_or(|trap| *trap == Trap::UnreachableCodeReached);
    if gave_up && host.limiter.denied() {
        return End::OutOfMemory;
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(backtrace).unwrap_or_default();
    let message = host.panic.clone().unwrap_or_else(|| error.root_cause().to_string());
    End::Trapped { message: cut(message), backtrace: cut(backtrace) }
}

/// One function a line.
fn backtrace(backtrace: &WasmBacktrace) -> String {
    let line = |(number, frame): (usize, &FrameInfo)| {
        let offset = frame.module_offset().map(|offset| format!("{offset:#8x} - ")).unwrap_or_default();
        let module = frame.module().name().unwrap_or("<unknown>");
        let function = match frame.func_name() {
            Some(name) => readable(name),
            None => format!("<wasm function {}>", frame.func_index()),
        };
        format!("{number}: {offset}{module}!{function}")
    };
    backtrace.frames().iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// The name that a function has in its source, if it is one of Rust's or C++'s. (wasmtime would take any name for a type of
/// C++, of which `i` is one.)
fn readable(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return rust.to_string();
    }
    let mangled = name.starts_with("_Z").then(|| cpp_demangle::Symbol::new(name).ok()).flatten();
    mangled.and_then(|symbol| symbol.demangle().ok()).unwrap_or_else(|| name.to_owned())
}

pub(super) fn cut(text: String) -> String {
    cause::cut(text, MAX_REASON_BYTES)
}
