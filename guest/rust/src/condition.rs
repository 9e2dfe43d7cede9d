//! Conditions: processes that hold a lock wait until another one notifies them. `wit/condition.md` draws the states.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::lock::Kind;
use crate::bindings::wasmproc::ipc::{condition, types};
use crate::error::{Error, ErrorKind};
use crate::handle::sealed::{Attach, Attachments};
use crate::handle::{Handle, Resource, Share};
use crate::lock::{Holder, Lock, LockGuard, RLock};
use crate::object_id::ObjectId;
use crate::settings::within;

/// Processes wait until another one says that something has changed. What it is about is protected by a lock, which
/// the condition brings along.
///
/// If a process dies after it was notified and before it could act, another one that waits is notified in its place. A
/// wait may end without a notification (when a process died): look at what you wait for, in a loop, or leave that to
/// [`wait_for`](Condition::wait_for). Clones are the same handle and the same holder of the lock.
///
/// ```no_run
/// use wasmproc_guest::{Condition, Error, Process, SharedValue};
///
/// fn eat(changed: Condition, buns: SharedValue<u32>) -> Result<(), String> {
///     let mut guard = changed.acquire().map_err(|error| error.to_string())?;
///     changed.wait_for(&mut guard, || buns.load() > 0).map_err(|error| error.to_string())?;
///     buns.store(buns.load() - 1);
///     Ok(())
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let (changed, buns) = (Condition::new()?, SharedValue::new(0)?);
///     Process::spawn(eat, (changed.clone(), buns.clone()))?;
///     let _guard = changed.acquire()?;
///     buns.store(1);
///     changed.notify_one()?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Condition {
    handle: Handle<condition::Condition>,
    lock: Handle<Holder>,
}

impl Condition {
    /// Makes a condition with a re-entrant lock of its own.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if there are as many objects as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let changed = wasmproc_guest::Condition::new()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Self::around(Holder::create(Kind::Reentrant)?)
    }

    /// Makes a condition of a lock that is there already, which several conditions may have in common.
    ///
    /// # Errors
    ///
    /// [`Limit`](ErrorKind::Limit) if there are as many objects as there may be.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Condition, Lock};
    ///
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let tray = Lock::new()?;
    /// let not_full = Condition::with_lock(&tray)?;
    /// let not_empty = Condition::with_lock(&tray)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_lock(lock: &Lock) -> Result<Self, Error> {
        Self::around(lock.handle().clone())
    }

    /// As [`with_lock`](Condition::with_lock), for a re-entrant lock.
    ///
    /// # Errors
    ///
    /// Those of [`with_lock`](Condition::with_lock).
    ///
    /// ```no_run
    /// use wasmproc_guest::{Condition, RLock};
    ///
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let changed = Condition::with_rlock(&RLock::new()?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_rlock(lock: &RLock) -> Result<Self, Error> {
        Self::around(lock.handle().clone())
    }

    fn around(lock: Handle<Holder>) -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(condition::Condition::create()?), lock })
    }

    /// Its number, for programs in another language: see [`Builder::share`](crate::Builder::share). The lock has a number
    /// of its own.
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) {
    /// println!("condition {}", changed.id());
    /// # }
    /// ```
    pub fn id(&self) -> ObjectId {
        self.handle.id()
    }

    /// Acquires the lock of the condition. See [`Lock::acquire`].
    ///
    /// # Errors
    ///
    /// Those of [`Lock::acquire`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let changed = wasmproc_guest::Condition::new()?;
    /// let guard = changed.acquire()?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn acquire(&self) -> Result<LockGuard<'_>, Error> {
        self.lock.acquire()
    }

    /// Gives the lock back (all of it, if it was acquired several times), waits for a notification, and acquires the
    /// lock again.
    ///
    /// The guard may be that of the condition or of the lock that it was made with. Afterwards it says whether the lock
    /// was abandoned meanwhile.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](ErrorKind::Deadlock) if the lock could not be acquired again: then the guard holds it no longer.
    /// [`Invalid`](ErrorKind::Invalid) for the guard of another lock.
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition, is_ready: fn() -> bool) -> Result<(), wasmproc_guest::Error> {
    /// let mut guard = changed.acquire()?;
    /// while !is_ready() {
    ///     changed.wait(&mut guard)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, guard: &mut LockGuard<'_>) -> Result<(), Error> {
        self.wait_within(guard, None).map(|_| ())
    }

    /// As [`wait`](Condition::wait), but waits no longer than `timeout` for the notification. Says whether there was
    /// one. Acquiring the lock again takes as long as it takes.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Condition::wait).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) -> Result<(), wasmproc_guest::Error> {
    /// let mut guard = changed.acquire()?;
    /// let notified = changed.wait_timeout(&mut guard, std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, guard: &mut LockGuard<'_>, timeout: Duration) -> Result<bool, Error> {
        self.wait_within(guard, within(timeout))
    }

    /// Waits until `predicate` is true, which is asked now and after each notification, while the lock is held.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Condition::wait).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition, buns: &wasmproc_guest::SharedValue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// let mut guard = changed.acquire()?;
    /// changed.wait_for(&mut guard, || buns.load() > 0)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for(&self, guard: &mut LockGuard<'_>, mut predicate: impl FnMut() -> bool) -> Result<(), Error> {
        while !predicate() {
            self.wait(guard)?;
        }
        Ok(())
    }

    /// As [`wait_for`](Condition::wait_for), but waits no longer than `timeout`. Says whether `predicate` is true.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Condition::wait).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition, buns: &wasmproc_guest::SharedValue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// let mut guard = changed.acquire()?;
    /// let second = std::time::Duration::from_secs(1);
    /// if !changed.wait_for_timeout(&mut guard, second, || buns.load() > 0)? {
    ///     println!("no buns today");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for_timeout(
        &self,
        guard: &mut LockGuard<'_>,
        timeout: Duration,
        mut predicate: impl FnMut() -> bool,
    ) -> Result<bool, Error> {
        let start = Instant::now();
        while !predicate() {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            self.wait_timeout(guard, left)?;
        }
        Ok(true)
    }

    /// Notifies one of those who wait, and says whether there was one. The caller should hold the lock. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) -> Result<(), wasmproc_guest::Error> {
    /// let guard = changed.acquire()?;
    /// changed.notify_one()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify_one(&self) -> Result<bool, Error> {
        Ok(self.notify(1)? == 1)
    }

    /// Notifies up to `count` of those who wait, and says how many there were. See
    /// [`notify_one`](Condition::notify_one).
    ///
    /// # Errors
    ///
    /// [`Broken`](ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) -> Result<(), wasmproc_guest::Error> {
    /// let guard = changed.acquire()?;
    /// let notified = changed.notify(3)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify(&self, count: u32) -> Result<u32, Error> {
        Ok(self.handle.notify(count)?)
    }

    /// Notifies all who wait, and says how many there were. See [`notify_one`](Condition::notify_one).
    ///
    /// # Errors
    ///
    /// [`Broken`](ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) -> Result<(), wasmproc_guest::Error> {
    /// let guard = changed.acquire()?;
    /// changed.notify_all()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify_all(&self) -> Result<u32, Error> {
        Ok(self.handle.notify_all()?)
    }

    /// Ready when there was a notification, for whomever, after this call. It takes no notification away from those who
    /// wait.
    ///
    /// ```no_run
    /// # fn example(changed: &wasmproc_guest::Condition) {
    /// let notified = changed.subscribe();
    /// notified.block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.subscribe()
    }

    fn wait_within(&self, guard: &mut LockGuard<'_>, timeout: Option<u64>) -> Result<bool, Error> {
        let holder = guard.holder();
        if holder.id() != self.lock.id().get() {
            let (lock, own) = (holder.id(), self.lock.id());
            return Err(Error::invalid(format!("a wait with lock {lock} on a condition whose lock is {own}")));
        }
        match self.handle.wait(holder.resource(), timeout) {
            Ok(woken) => {
                guard.acquired_again(woken.lock);
                Ok(woken.notified)
            }
            Err(error) => {
                let error = Error::from(error);
                if matches!(error.kind(), ErrorKind::Deadlock | ErrorKind::NotOwner) {
                    guard.lost();
                }
                Err(error)
            }
        }
    }
}

impl Share for Condition {}

impl Attach for Condition {
    fn attach(&self, attachments: &mut Attachments) {
        attachments.0.extend([self.handle.attachment(), self.lock.attachment()]);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, lock) = (self.handle.id().get(), self.lock.id().get());
        formatter.debug_struct("Condition").field("id", &id).field("lock", &lock).finish_non_exhaustive()
    }
}

impl Resource for condition::Condition {
    const NAME: &'static str = "condition";

    fn open(id: u64) -> Result<Self, types::Error> {
        Self::open(id)
    }

    fn id(&self) -> u64 {
        self.id()
    }
}
