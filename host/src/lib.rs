//! Run WebAssembly components as sandboxed operating-system processes.
//!
//! Every task is an instance in a worker process of its own, with a memory of its own, behind two walls: WebAssembly,
//! and the kernel's namespaces, limits and system-call filter. A crash, a hang, an endless allocation or even an
//! escape out of WebAssembly stays in one expendable process. Components start further tasks through the interfaces
//! of `wasmproc:ipc`, as programs do with Python's multiprocessing.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // First of all: this program is also the executable of its workers.
//!     wasmproc::init();
//!     let outcome = wasmproc::Task::new("plugin.wasm")
//!         .arg("--verbose")
//!         .directory("/srv/data", "/data", wasmproc::Access::ReadOnly)
//!         .timeout(std::time::Duration::from_secs(5))
//!         .run()?;
//!     println!("the plugin {}", outcome.cause);
//!     Ok(())
//! }
//! ```
//!
//! A host program may have threads and may run many tasks at once; see [`init`] for what it needs to have called. One
//! that is linked statically (`crt-static`) has to be built with `--cfg getrandom_backend="linux_getrandom"`: otherwise
//! its workers would look for random numbers in a file, and have none.

#[cfg(not(target_os = "linux"))]
compile_error!("wasmproc needs Linux: its second wall is made of Linux namespaces and seccomp filters");

mod allocator;
mod artifact;
mod cause;
#[doc(hidden)]
pub mod cli;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod init;
mod probe;
mod role;
mod supervisor;
mod task;
pub mod units;
mod wire;
mod worker;
mod zygote;

pub use allocator::Allocator;
pub use artifact::{Artifact, Cache, CacheEntry, Manifest, SourceKind};
pub use cause::{Cause, Pid, exit_code};
pub use error::{Error, ErrorKind, Result};
pub use role::init;
pub use supervisor::{
    Allowed, Attendant, Controller, Interruption, Outcome, ProcessReport, ProcessState, ProcessView, Report,
};
pub use task::{Access, Running, Task};
pub use wasmproc_sandbox::{Identity, Missing, Namespace, Walls};
