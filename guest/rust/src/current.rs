//! Who this process is, and who is around it.

use crate::bindings::wasmproc::ipc::process;
use crate::pid::Pid;
use crate::process::{Process, Untyped};

/// Who a process is. See [`current`].
///
/// ```no_run
/// let me = wasmproc_guest::current();
/// println!("{} ({}), started by {:?}", me.name, me.id, me.parent);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Current {
    /// Its pid.
    pub id: Pid,
    /// Its name: for people, and need not be unique.
    pub name: String,
    /// The process that started it; `None` in the first process of a run.
    pub parent: Option<Pid>,
    /// Whether it is a daemon: it ends with its parent's main function, and may not have children.
    pub daemon: bool,
}

/// This process.
///
/// ```no_run
/// if wasmproc_guest::current().daemon {
///     println!("no children for me");
/// }
/// ```
pub fn current() -> Current {
    let info = process::current();
    Current { id: Pid::new(info.id), name: info.name, parent: info.parent.map(Pid::new), daemon: info.daemon }
}

/// The pid of this process: short for `current().id`.
///
/// ```no_run
/// println!("[{}] ready", wasmproc_guest::id());
/// ```
pub fn id() -> Pid {
    current().id
}

/// The parent of this process; `None` in the first process of a run.
///
/// It is there to be asked who it is, and to be watched: for its children a parent has ended when its main function has
/// returned. (If it ends in another way, its children end with it.) A child can't stop its parent.
///
/// ```no_run
/// if let Some(parent) = wasmproc_guest::parent() {
///     println!("started by {}", parent.name());
///     parent.subscribe().block();
///     println!("it needs nothing more");
/// }
/// ```
pub fn parent() -> Option<Process<Untyped>> {
    process::parent().map(Process::of_function)
}

/// The children of this process that are alive.
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// for child in wasmproc_guest::active_children() {
///     child.terminate()?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn active_children() -> Vec<Process<Untyped>> {
    process::active_children().into_iter().map(Process::of_function).collect()
}

/// How many processes can run at the same time on this machine: at least 1.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process};
///
/// fn work(part: usize) -> u64 {
///     part as u64
/// }
///
/// # fn main() -> Result<(), Error> {
/// let parts = 0..wasmproc_guest::parallelism();
/// let workers = parts.map(|part| Process::spawn(work, part)).collect::<Result<Vec<_>, _>>()?;
/// for worker in workers {
///     println!("{}", worker.result()?);
/// }
/// # Ok(())
/// # }
/// ```
pub fn parallelism() -> usize {
    // A `usize` of WebAssembly has 32 bits.
    process::parallelism() as usize
}
