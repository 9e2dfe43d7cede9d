//! The re-entrant lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::lock::Kind;
use crate::error::Error;
use crate::handle::{Handle, shared_object};
use crate::lock::{Holder, LockGuard};

/// A re-entrant lock: its holder may acquire it again, and it is free when every guard is dropped.
///
/// In everything else it is a [`Lock`](crate::Lock). Clones are the same holder, and so is a lock that this process receives
/// although it has it already: a function may acquire it without knowing whether its caller has.
///
/// ```no_run
/// use wasmproc_guest::{Error, RLock};
///
/// fn withdraw(lock: &RLock, amount: u64) -> Result<(), Error> {
///     let _guard = lock.acquire()?;
///     println!("-{amount}");
///     Ok(())
/// }
///
/// fn transfer(lock: &RLock, amount: u64) -> Result<(), Error> {
///     let _guard = lock.acquire()?;
///     withdraw(lock, amount)?;
///     println!("+{amount}");
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RLock {
    handle: Handle<Holder>,
}

shared_object!([] RLock: "RLock", "RLock", "new()", |handle| RLock { handle });

impl RLock {
    /// Makes a lock that nobody holds.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there are as many objects as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::RLock::new()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Ok(Self { handle: Holder::create(Kind::Reentrant)? })
    }

    /// Waits until the lock is free or its holder is this one, and takes it. It is given back when this guard and those
    /// of the calls before are dropped.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if waiting would close a circle of processes that wait for each other: the
    /// message names them.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::RLock::new()?;
    /// let outer = lock.acquire()?;
    /// let inner = lock.acquire()?;
    /// drop(inner);
    /// println!("still alone");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn acquire(&self) -> Result<LockGuard<'_>, Error> {
        self.handle.acquire()
    }

    /// Takes the lock if it is free or its holder is this one; else `None`. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let lock = wasmproc_guest::RLock::new()?;
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

    /// As [`acquire`](RLock::acquire), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if another holder in this process holds it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// # let lock = wasmproc_guest::RLock::new()?;
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
    /// It is for coroutines, which must not block: they [`try_acquire`](RLock::try_acquire), and
    /// [`subscribe`](RLock::subscribe) to wait.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let one = wasmproc_guest::RLock::new()?;
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
    /// # fn example(lock: &wasmproc_guest::RLock) {
    /// if lock.is_locked() {
    ///     println!("this will take a while");
    /// }
    /// # }
    /// ```
    pub fn is_locked(&self) -> bool {
        self.handle.resource().is_locked()
    }

    /// Ready when the lock is free. Another process may be faster: [`try_acquire`](RLock::try_acquire), and wait again.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// # let lock = wasmproc_guest::RLock::new()?;
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
