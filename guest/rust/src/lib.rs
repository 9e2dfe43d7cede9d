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
//! | | the child has |
//! |---|---|
//! | memory, a `static` that was changed | nothing of it: its own begins with the first values |
//! | arguments and the result | a copy |
//! | a lock, a queue, an event... among the arguments | the same object |
//! | a [`Connection`] among the arguments | the connection, which the parent has no longer |
//! | directories, environment, limits | the parent's, or less: see [`Builder`] |
//! | standard output and error | the parent's; its standard input is empty |
//!
//! A closure must not capture variables. Arguments and results are copied, so they implement serde's `Serialize` and
//! `DeserializeOwned`. They travel as [postcard](https://docs.rs/postcard), a format that doesn't describe itself: types
//! that ask their input what comes next (`serde_json::Value`, untagged enums, flattened structs) can't be decoded
//! from it.
//!
//! # Shared objects
//!
//! | | for | when a process dies holding it, or in the middle |
//! |---|---|---|
//! | [`Queue`], [`ByteQueue`] | values from many to many | a value is there whole or not at all; what it took is its own |
//! | [`pipe()`], [`duplex_pipe`] | values between two | the other end reads what is left, then `Closed` |
//! | [`Lock`], [`RLock`] | one at a time | the next one gets the lock and [is told](LockGuard::is_abandoned) |
//! | [`Semaphore`] | so many at a time; counting | its permits come back ([`Bounded`]) |
//! | [`Event`] | a flag to wait for | nothing |
//! | [`Condition`] | waiting for a change under a lock | a notification that it did not use goes to another one |
//! | [`Barrier`] | waiting for each other | it is broken, and everybody is told |
//! | [`SharedValue`], [`SharedArray`] | numbers in shared memory | no number is halfway |
//!
//! ```no_run
//! use wasmproc_guest::{Error, Process, Queue};
//!
//! fn square(numbers: Queue<u64>, squares: Queue<u64>) -> Result<(), String> {
//!     for number in &numbers {
//!         let number = number.map_err(|error| error.to_string())?;
//!         squares.put(number * number).map_err(|error| error.to_string())?;
//!     }
//!     Ok(())
//! }
//!
//! #[wasmproc_guest::main]
//! fn main() -> Result<(), Error> {
//!     let (numbers, squares) = (Queue::new()?, Queue::new()?);
//!     for _ in 0..wasmproc_guest::parallelism() {
//!         Process::spawn(square, (numbers.clone(), squares.clone()))?;
//!     }
//!     numbers.put_many(1..=100_u64)?;
//!     numbers.close()?;
//!     println!("{}", squares.iter().take(100).sum::<Result<u64, _>>()?);
//!     Ok(())
//! }
//! ```
//!
//! A handle can be part of the arguments of a process and of the messages of queues and connections, at any depth and as a
//! field of any type; whoever receives it is granted the object. It can't be part of a result: that is an
//! [`Encoding`](ErrorKind::Encoding) error. Handles are cheap to clone, and clones are the same handle. An object lives as
//! long as some process has it or a message with it is on its way.
//!
//! # How a process ends
//!
//! [`Process::join`] waits and tells the [`ExitStatus`]; [`Process::result`] waits and gives what the function
//! returned. A process that isn't a daemon keeps its parent from ending: when `main` returns, daemons are killed and
//! other children are waited for. A process that ends in any other way takes all its descendants with it.
//!
//! # Waiting for several things
//!
//! [`wait_any`] waits for whichever comes first of processes, shared objects and [`Timer`]s, any number of them.
//!
//! Whatever can be waited for has a `subscribe` method that gives a [`Pollable`]. It is the type of the `wasip2` crate,
//! so `wasip2::io::poll::poll` waits for several of them, and executors such as `wstd` can await them.
//!
//! # Outside WebAssembly
//!
//! The crate compiles for other targets, so that editors, lints and unit tests of pure code work there. There is no
//! host to ask: a call that needs one panics.

mod barrier;
#[doc(hidden)]
pub mod bindings;
mod builder;
mod carrier;
mod condition;
mod current;
mod entry;
mod error;
mod event;
mod exit;
mod exit_status;
mod function;
mod handle;
mod locator;
mod lock;
mod message;
mod object_id;
mod panic;
mod pid;
mod pipe;
mod prepared;
mod process;
mod queue;
mod run_main;
mod semaphore;
mod settings;
mod shared;
mod stop;
pub mod target;
mod task;
mod timer;
mod trampoline;
mod wait;
mod wire;

pub use barrier::Barrier;
pub use builder::{Access, Builder};
pub use condition::Condition;
pub use current::{Current, active_children, current, id, parallelism, parent};
pub use error::{Error, ErrorKind};
pub use event::Event;
pub use exit::exit;
pub use exit_status::{ExitStatus, Trap};
pub use function::Function;
pub use handle::Share;
pub use lock::{Lock, LockGuard, RLock};
pub use object_id::ObjectId;
pub use pid::Pid;
pub use pipe::{
    ByteConnection, Connection, Incoming, byte_pipe, duplex_byte_pipe, duplex_pipe, duplex_pipe_with_capacity, pipe,
    pipe_with_capacity,
};
pub use prepared::Prepared;
pub use process::{Process, Untyped};
pub use queue::{Batch, ByteQueue, IntoItems, Items, Messages, Queue, QueueBuilder};
pub use semaphore::{Bounded, Permit, Semaphore, Signal};
pub use shared::{Element, Number, SharedArray, SharedValue};
pub use stop::{StopRequest, stop_requested};
pub use task::Task;
pub use timer::Timer;
pub use wait::{Subscription, Waitable, wait_any, wait_any_timeout};
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
