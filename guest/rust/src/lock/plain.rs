//! The ordinary lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::lock::Kind;
use crate::error::Error;
use crate::handle::{Handle, shared_object};
use crate::lock::{Holder, LockGuard};

/// A lock: at most one process holds it at a time.
///
/// It protects whatever the program says that it protects: a file, a shared array. If a process dies holding it, the
/// next one to acquire it gets it and is told so: [`LockGuard::is_abandoned`]. It isn't fair: who comes just when it is
/// given back may get it before one that waits.
///
/// Clones are the same holder, and so is a lock that this process receives although it has it already. Two coroutines
/// that exclude each other need a holder each: [`new_holder`](Lock::new_holder).
///
/// ```no_run
/// use wasmproc_guest::{Error, Lock, Process};
///
/// fn add_line(lock: Lock) -> Result<(), String> {
///     let _guard = lock.acquire().map_err(|error| error.to_string())?;
///     // Here it is alone.
///     Ok(())
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let lock = Lock::new()?;
///     for _ in 0..10 {
///         Process::spawn(add_line, lock.clone())?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lock {
    handle: Handle<Holder>,
}

shared_object!([] Lock: "Lock", "Lock", "new()", |handle| Lock { handle });

impl Lock {
    /// Makes a lock that nobody holds.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there are as many objects as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::Lock::new()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Ok(Self { handle: Holder::create(Kind::Plain)? })
    }

    /// Waits until the lock is free, and takes it. It is given back when the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if this process holds it already, or if waiting would close a circle of
    /// processes that wait for each other: the message names them.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::Lock::new()?;
    /// let _guard = lock.acquire()?;
    /// println!("alone, to the end of the block");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn acquire(&self) -> Result<LockGuard<'_>, Error> {
        self.handle.acquire()
    }

    /// Takes the lock if it is free; `None` if it isn't. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::Lock::new()?;
    /// match lock.try_acquire()? {
    ///     Some(_guard) => println!("alone"),
    ///     None => println!("somebody else is at it"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire(&self) -> Result<Option<LockGuard<'_>>, Error> {
        self.handle.acquire_timeout(Duration::ZERO)
    }

    /// As [`acquire`](Lock::acquire), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if this process holds it already.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// # let lock = wasmproc_guest::Lock::new()?;
    /// if lock.acquire_timeout(std::time::Duration::from_secs(1))?.is_none() {
    ///     println!("not within a second");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<LockGuard<'_>>, Error> {
        self.handle.acquire_timeout(timeout)
    }

    /// Another holder of the same lock in this process: it and this one exclude each other.
    ///
    /// It is for coroutines, which must not block: they [`try_acquire`](Lock::try_acquire), and
    /// [`subscribe`](Lock::subscribe) to wait.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let one = wasmproc_guest::Lock::new()?;
    /// let other = one.new_holder()?;
    /// let _guard = one.acquire()?;
    /// assert!(other.try_acquire()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_holder(&self) -> Result<Self, Error> {
        Ok(Self { handle: self.handle.another()? })
    }

    /// Whether somebody holds it at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(lock: &wasmproc_guest::Lock) {
    /// if lock.is_locked() {
    ///     println!("this will take a while");
    /// }
    /// # }
    /// ```
    pub fn is_locked(&self) -> bool {
        self.handle.resource().is_locked()
    }

    /// Ready when the lock is free. Another process may be faster: [`try_acquire`](Lock::try_acquire), and wait again.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// # let lock = wasmproc_guest::Lock::new()?;
    /// let free = lock.subscribe();
    /// let _guard = loop {
    ///     match lock.try_acquire()? {
    ///         Some(guard) => break guard,
    ///         None => free.block(),
    ///     }
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.resource().subscribe()
    }

    pub(crate) fn handle(&self) -> &Handle<Holder> {
        &self.handle
    }
}
