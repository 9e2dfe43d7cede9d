//! Write parallel programs as WebAssembly components, in the manner of Python's multiprocessing.
//!
//! A component has no threads, so several processes *are* its parallelism. [`Process::spawn`] calls a function in a
//! process of its own: a new instance of the same component, with a memory of its own, in a sandboxed process of the
//! operating system. The host is `wasmproc`; this crate is the side of the program that runs in it.
//!
//! ```no_run
//! use wasmproc_guest::{Error, Process};
//!
//! fn add(a: i32, b: i32) -> i32 {
//!     a + b
//! }
//!
//! #[wasmproc_guest::main]
//! fn main() -> Result<(), Error> {
//!     let sum = Process::spawn(add, (1, 2))?;
//!     println!("1 + 2 = {}", sum.result()?);
//!     Ok(())
//! }
//! ```
//!
//! # What a process shares with its parent
//!
//! Nothing but what it is handed. A `static` that the parent changed has its first value in the child; a closure must
//! not capture variables; arguments and results are copied, so they implement serde's `Serialize` and
//! `DeserializeOwned`. They travel as [postcard](https://docs.rs/postcard), a format that doesn't describe itself: types
//! that ask their input what comes next (`serde_json::Value`, untagged enums, flattened structs) can't be decoded
//! from it.
//!
//! # How a process ends
//!
//! [`Process::join`] waits and tells the [`ExitStatus`]; [`Process::result`] waits and gives what the function
//! returned. A process that isn't a daemon keeps its parent from ending: when `main` returns, daemons are killed and
//! other children are waited for. A process that ends in any other way takes all its descendants with it.
//!
//! # Waiting for several things
//!
//! Whatever can be waited for has a `subscribe` method that gives a [`Pollable`]. It is the type of the `wasip2` crate,
//! so `wasip2::io::poll::poll` waits for several of them, and executors such as `wstd` can await them.
//!
//! # Outside WebAssembly
//!
//! The crate compiles for other targets, so that editors, lints and unit tests of pure code work there. There is no
//! host to ask: a call that needs one panics.

#[doc(hidden)]
pub mod bindings;
mod builder;
mod current;
mod entry;
mod error;
mod exit;
mod exit_status;
mod function;
mod locator;
mod panic;
mod pid;
mod prepared;
mod process;
mod run_main;
mod settings;
mod stop;
pub mod target;
mod task;
mod trampoline;
mod wire;

pub use builder::{Access, Builder};
pub use current::{Current, active_children, current, id, parallelism, parent};
pub use error::{Error, ErrorKind};
pub use exit::exit;
pub use exit_status::{ExitStatus, Trap};
pub use function::Function;
pub use pid::Pid;
pub use prepared::Prepared;
pub use process::{Process, Untyped};
pub use stop::{StopRequest, stop_requested};
pub use task::Task;
pub use wasip2::io::poll::Pollable;

/// Makes `fn main` the main function of a program that starts processes.
///
/// Every program that uses this crate needs it, once, in its `main.rs`: it also writes the component's export that
/// processes begin at. `main` may return whatever the main function of any program may: nothing, a `Result` whose
/// error is printed to stderr and becomes exit code 1, or an [`ExitCode`](std::process::ExitCode), which reaches the
/// host unchanged.
///
/// A panic's text is printed to stderr as ever, and also reaches the parent, in [`ExitStatus::Trapped`].
///
/// ```no_run
/// use std::process::ExitCode;
///
/// #[wasmproc_guest::main]
/// fn main() -> ExitCode {
///     ExitCode::from(7)
/// }
/// ```
///
/// # Functions for other components
///
/// `functions(...)` names the functions that *other* components may start with [`Process::named`]. Functions that the
/// program itself starts need not be named. A function's name is the last segment of its path.
///
/// ```no_run
/// mod numbers {
///     pub fn triple(number: i64) -> i64 {
///         3 * number
///     }
/// }
///
/// fn double(number: i64) -> i64 {
///     2 * number
/// }
///
/// #[wasmproc_guest::main(functions(double, numbers::triple))]
/// fn main() {}
/// ```
///
/// # An asynchronous main
///
/// Put the executor's attribute below this one: `#[wasmproc_guest::main]`, then `#[wstd::main]`, then `async fn main`.
pub use wasmproc_guest_macros::main;

/// The programs in the README, so that they are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What the expansion of [`main`] needs. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::{self, export};
    pub use crate::entry::{Entry, NamedFunctions, call_named};
    pub use crate::run_main::run;
}
