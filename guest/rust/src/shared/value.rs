//! One number in shared memory.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::handle::{Handle, shared_object};
use crate::shared::elements::Elements;
use crate::shared::{Element, Number};

/// A number that several processes read and change.
///
/// Every call but `new` is a single atomic step, in one order that all processes see: what a lock beside Python's `Value`
/// is for, [`add`](SharedValue::add) and [`update`](SharedValue::update) do without one. A process that dies has changed
/// it or hasn't. Clones are the same handle. It is a [`SharedArray`](crate::SharedArray) of one element.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, SharedValue};
///
/// fn count(counter: SharedValue<u64>) {
///     for _ in 0..1000 {
///         counter.add(1);
///     }
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let counter = SharedValue::new(0)?;
///     let workers = (0..10).map(|_| Process::spawn(count, counter.clone()));
///     for worker in workers.collect::<Result<Vec<_>, _>>()? {
///         worker.join()?;
///     }
///     assert_eq!(counter.load(), 10_000);
///     Ok(())
/// }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct SharedValue<T: Element> {
    handle: Handle<Elements<T>>,
}

shared_object!([T: Element] SharedValue<T>: "SharedValue", "SharedValue::<u32>", "new(7)", |handle| SharedValue { handle });

impl<T: Element> SharedValue<T> {
    /// Puts a number into shared memory.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there are as many objects, or as much memory is in use, as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let temperature = wasmproc_guest::SharedValue::new(36.6)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(value: T) -> Result<Self, Error> {
        let shared = Self { handle: Elements::create(1)? };
        shared.store(value);
        Ok(shared)
    }

    /// The number.
    ///
    /// ```no_run
    /// # fn example(counter: &wasmproc_guest::SharedValue<u32>) {
    /// println!("{}", counter.load());
    /// # }
    /// ```
    #[inline]
    pub fn load(&self) -> T {
        self.handle.load(0)
    }

    /// Changes the number.
    ///
    /// ```no_run
    /// # fn example(counter: &wasmproc_guest::SharedValue<u32>) {
    /// counter.store(7);
    /// # }
    /// ```
    #[inline]
    pub fn store(&self, value: T) {
        self.handle.swap(0, value);
    }

    /// Changes the number, and returns what was there.
    ///
    /// ```no_run
    /// # fn example(counter: &wasmproc_guest::SharedValue<u32>) {
    /// let before = counter.swap(7);
    /// # }
    /// ```
    #[inline]
    pub fn swap(&self, value: T) -> T {
        self.handle.swap(0, value)
    }

    /// Stores `new` if `current` is there, bit for bit. `Ok` or `Err`, what was there is returned.
    ///
    /// # Errors
    ///
    /// What is there instead of `current`.
    ///
    /// ```no_run
    /// # fn example(leader: &wasmproc_guest::SharedValue<u64>) {
    /// let me = wasmproc_guest::id().get();
    /// if leader.compare_exchange(0, me).is_ok() {
    ///     println!("I am the leader");
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T> {
        self.handle.compare_exchange(0, current, new)
    }

    /// Replaces the number by what `change` makes of it, in one atomic step, and returns what was there.
    ///
    /// `change` is called again when another process was faster, so it should do nothing else.
    ///
    /// ```no_run
    /// # fn example(highest: &wasmproc_guest::SharedValue<u32>) {
    /// highest.update(|highest| highest.max(7));
    /// # }
    /// ```
    pub fn update(&self, change: impl FnMut(T) -> T) -> T {
        self.handle.fetch_update(0, change)
    }
}

impl<T: Number> SharedValue<T> {
    /// Adds to the number, in one atomic step, and returns what was there. Integers wrap around.
    ///
    /// ```no_run
    /// # fn example(counter: &wasmproc_guest::SharedValue<u32>) {
    /// let ticket = counter.add(1);
    /// # }
    /// ```
    #[inline]
    pub fn add(&self, value: T) -> T {
        T::add(&self.handle, 0, value)
    }
}

impl<T: Element> Clone for SharedValue<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}
