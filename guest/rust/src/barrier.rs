//! Barriers: a number of processes wait for each other. `wit/barrier.md` draws the states.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::barrier;
use crate::bindings::wasmproc::ipc::types;
use crate::error::Error;
use crate::handle::{Handle, Resource, shared_object};
use crate::settings::within;

/// A place where a number of processes wait for each other.
///
/// If a process that has the barrier dies (a panic, a kill, a limit; returning is none of these), the barrier is broken:
/// who waits or comes gets [`Broken`](crate::ErrorKind::Broken) until somebody [resets](Barrier::reset) it. So nobody
/// waits for one that will never come. Clones are the same handle.
///
/// ```no_run
/// use wasmproc_guest::{Barrier, Error, Process};
///
/// fn round(barrier: Barrier, number: u32) {
///     println!("{number} is ready");
///     barrier.wait().expect("nobody dies here");
///     println!("{number} goes, like all the others");
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let barrier = Barrier::new(3)?;
///     for number in 1..=3 {
///         Process::spawn(round, (barrier.clone(), number))?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Barrier {
    handle: Handle<barrier::Barrier>,
}

shared_object!([] Barrier: "Barrier", "Barrier", "new(3)", |handle| Barrier { handle });

impl Barrier {
    /// Makes a barrier for `parties` processes: at least 1, and at most as many as the run may have.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for another number, [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let barrier = wasmproc_guest::Barrier::new(3)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(parties: u32) -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(barrier::Barrier::create(parties)?) })
    }

    /// Waits until all parties have come. Returns in what order this one came: 0 is the first.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken) if it is, or if it was broken or reset meanwhile.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) -> Result<(), wasmproc_guest::Error> {
    /// if barrier.wait()? == 0 {
    ///     println!("I was early");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self) -> Result<u32, Error> {
        Ok(self.handle.wait(None)?)
    }

    /// As [`wait`](Barrier::wait), but gives up after `timeout`, which breaks the barrier for all.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout), and those of [`wait`](Barrier::wait).
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) -> Result<(), wasmproc_guest::Error> {
    /// if let Err(error) = barrier.wait_timeout(std::time::Duration::from_secs(1)) {
    ///     println!("without the others: {error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<u32, Error> {
        Ok(self.handle.wait(within(timeout))?)
    }

    /// Breaks it: who waits or comes gets [`Broken`](crate::ErrorKind::Broken). Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken) if its shared state is damaged.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) -> Result<(), wasmproc_guest::Error> {
    /// barrier.abort()?;
    /// assert!(barrier.is_broken());
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(&self) -> Result<(), Error> {
        Ok(self.handle.abort()?)
    }

    /// Makes it as it was at first. Who waits now gets [`Broken`](crate::ErrorKind::Broken). Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken) if its shared state is damaged.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) -> Result<(), wasmproc_guest::Error> {
    /// barrier.reset()?;
    /// assert!(!barrier.is_broken());
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(&self) -> Result<(), Error> {
        Ok(self.handle.reset()?)
    }

    /// How many processes must come. Never blocks.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let barrier = wasmproc_guest::Barrier::new(3)?;
    /// assert_eq!(barrier.parties(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn parties(&self) -> u32 {
        self.handle.parties()
    }

    /// How many wait at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) {
    /// println!("{} of {} are there", barrier.waiting(), barrier.parties());
    /// # }
    /// ```
    pub fn waiting(&self) -> u32 {
        self.handle.waiting()
    }

    /// Whether it is broken. Never blocks.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) {
    /// if barrier.is_broken() {
    ///     println!("somebody died");
    /// }
    /// # }
    /// ```
    pub fn is_broken(&self) -> bool {
        self.handle.is_broken()
    }

    /// Ready when it was passed, broken or reset after this call.
    ///
    /// ```no_run
    /// # fn example(barrier: &wasmproc_guest::Barrier) {
    /// let change = barrier.subscribe();
    /// change.block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.subscribe()
    }
}

impl Resource for barrier::Barrier {
    const NAME: &'static str = "barrier";

    fn open(id: u64) -> Result<Self, types::Error> {
        Self::open(id)
    }

    fn id(&self) -> u64 {
        self.id()
    }
}
