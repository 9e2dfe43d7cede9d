//! Semaphores: a number of permits. `wit/semaphore.md` draws the states.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::semaphore;
use crate::bindings::wasmproc::ipc::types;
use crate::error::{Error, unless_timeout};
use crate::handle::{Handle, Resource, shared_object};
use crate::settings::within;

/// A number of permits, for as many processes to do something at a time.
///
/// There are two kinds, told apart by `M`. In a [`Bounded`] semaphore permits belong to whoever acquired them: a guard
/// gives one back, and when a process dies, those that it holds come back. A [`Signal`] semaphore is a number that
/// anybody raises and anybody takes from: what a dead process took is gone, what it gave stays.
///
/// Permits belong to the process and not to a handle. Clones are the same handle.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, Semaphore};
///
/// fn sing(booth: Semaphore, song: String) {
///     let _place = booth.acquire().expect("the booth is there");
///     println!("{song}");
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let booth = Semaphore::bounded(4)?;
///     for number in 1..=20 {
///         Process::spawn(sing, (booth.clone(), format!("song {number}")))?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Semaphore<M = Bounded> {
    handle: Handle<semaphore::Semaphore>,
    mode: PhantomData<fn() -> M>,
}

/// A [`Semaphore`] whose permits come back.
///
/// ```no_run
/// use wasmproc_guest::{Bounded, Semaphore};
///
/// fn sing(booth: Semaphore<Bounded>) {}
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Bounded {}

/// A [`Semaphore`] that is a number.
///
/// ```no_run
/// use wasmproc_guest::{Semaphore, Signal};
///
/// fn bake(buns: Semaphore<Signal>) {
///     buns.release(12).expect("fewer than two thousand million");
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Signal {}

/// Holds a permit of a bounded semaphore, and gives it back when it is dropped. See [`Semaphore::acquire`].
///
/// If its process ends in any way, the permit comes back.
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let booth = wasmproc_guest::Semaphore::bounded(4)?;
/// let place = booth.acquire()?;
/// println!("inside");
/// drop(place);
/// # Ok(())
/// # }
/// ```
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a semaphore::Semaphore,
}

shared_object!([M] Semaphore<M>: "Semaphore", "Semaphore::<wasmproc_guest::Bounded>", "bounded(4)", Semaphore::around);

impl Semaphore<Bounded> {
    /// Makes a semaphore with `permits` permits, at least 1: there are never more, and only who holds one gives it back.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for 0 or more than 2,147,483,647, [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bounded(permits: u32) -> Result<Self, Error> {
        Self::create(permits, semaphore::Mode::Bounded)
    }

    /// Waits for a permit and takes it. It is given back when the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// let _place = booth.acquire()?;
    /// println!("there are never more than four inside");
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        self.handle.acquire(None)?;
        Ok(Permit { semaphore: &self.handle })
    }

    /// Takes a permit if one is free; `None` if none is. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// if booth.try_acquire()?.is_none() {
    ///     println!("full");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, Error> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// As [`acquire`](Semaphore::acquire), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// let place = booth.acquire_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'_>>, Error> {
        let acquired = unless_timeout(self.handle.acquire(within(timeout)))?;
        Ok(acquired.map(|()| Permit { semaphore: &self.handle }))
    }
}

impl Semaphore<Signal> {
    /// Makes a semaphore with `permits` permits, which may be 0. Anybody may release more.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for more than 2,147,483,647, [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let buns = wasmproc_guest::Semaphore::signal(0)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn signal(permits: u32) -> Result<Self, Error> {
        Self::create(permits, semaphore::Mode::Signal)
    }

    /// Waits for a permit and takes it, for good.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let buns = wasmproc_guest::Semaphore::signal(12)?;
    /// buns.acquire()?;
    /// println!("one eaten");
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> Result<(), Error> {
        Ok(self.handle.acquire(None)?)
    }

    /// Takes a permit if one is free, and says whether. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let buns = wasmproc_guest::Semaphore::signal(12)?;
    /// while buns.try_acquire()? {
    ///     println!("one eaten");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_acquire(&self) -> Result<bool, Error> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// As [`acquire`](Semaphore::acquire), but waits no longer than `timeout`: then `false`.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let buns = wasmproc_guest::Semaphore::signal(12)?;
    /// let eaten = buns.acquire_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        Ok(unless_timeout(self.handle.acquire(within(timeout)))?.is_some())
    }

    /// Gives `count` permits, whether or not they were taken before. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there would be more than 2,147,483,647,
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let buns = wasmproc_guest::Semaphore::signal(0)?;
    /// buns.release(12)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release(&self, count: u32) -> Result<(), Error> {
        Ok(self.handle.release(count)?)
    }
}

impl<M> Semaphore<M> {
    fn around(handle: Handle<semaphore::Semaphore>) -> Self {
        Self { handle, mode: PhantomData }
    }

    fn create(permits: u32, mode: semaphore::Mode) -> Result<Self, Error> {
        Ok(Self::around(Handle::new(semaphore::Semaphore::create(permits, mode)?)))
    }

    /// How many permits are free at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// assert_eq!(booth.value(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn value(&self) -> u32 {
        self.handle.value()
    }

    /// Ready when a permit is free. Another process may be faster.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let booth = wasmproc_guest::Semaphore::bounded(4)?;
    /// booth.subscribe().block();
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.subscribe()
    }
}

impl<M> Clone for Semaphore<M> {
    fn clone(&self) -> Self {
        Self::around(self.handle.clone())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // It can only fail when the semaphore is broken, which whoever acquires next is told.
        let _ = self.semaphore.release(1);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Permit").finish_non_exhaustive()
    }
}

impl Resource for semaphore::Semaphore {
    const NAME: &'static str = "semaphore";

    fn open(id: u64) -> Result<Self, types::Error> {
        Self::open(id)
    }

    fn id(&self) -> u64 {
        self.id()
    }
}
