//! Holding a lock.

use std::fmt;

use crate::bindings::wasmproc::ipc::types;
use crate::lock::holder::Holder;

/// Holds a [`Lock`](crate::Lock), an [`RLock`](crate::RLock) or the lock of a [`Condition`](crate::Condition), and
/// gives it back when it is dropped.
///
/// A panic and [`exit`](crate::exit()) don't drop it: the process ends, and the next one to acquire the lock is told that it
/// was abandoned.
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let lock = wasmproc_guest::Lock::new()?;
/// let guard = lock.acquire()?;
/// println!("alone");
/// drop(guard);
/// # Ok(())
/// # }
/// ```
#[must_use = "the lock is given back when this is dropped"]
pub struct LockGuard<'a> {
    holder: &'a Holder,
    abandoned: bool,
    /// False after a wait on a condition that could not acquire the lock again.
    held: bool,
}

impl<'a> LockGuard<'a> {
    #[inline]
    pub(crate) fn new(holder: &'a Holder, acquired: types::Acquired) -> Self {
        Self { holder, abandoned: acquired == types::Acquired::Abandoned, held: true }
    }

    /// Whether the process that held the lock before died holding it: what the lock protects may be halfway through a
    /// change.
    ///
    /// Only the first one to acquire it after the death is told. Whoever repairs what is protected, or finds that nothing
    /// is wrong, goes on as ever.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// # fn check_the_books() {}
    /// let lock = wasmproc_guest::Lock::new()?;
    /// let guard = lock.acquire()?;
    /// if guard.is_abandoned() {
    ///     check_the_books();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    pub(crate) fn holder(&self) -> &'a Holder {
        self.holder
    }

    /// The lock was given back and acquired again.
    pub(crate) fn acquired_again(&mut self, acquired: types::Acquired) {
        self.abandoned = acquired == types::Acquired::Abandoned;
    }

    /// The lock was given back and not acquired again.
    pub(crate) fn lost(&mut self) {
        self.held = false;
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.held {
            // False would mean that it isn't held, which is what is wanted.
            self.holder.release();
        }
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LockGuard").field("is_abandoned", &self.abandoned).finish_non_exhaustive()
    }
}
