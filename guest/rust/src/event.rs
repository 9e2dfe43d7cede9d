//! Events: a flag that processes wait for. `wit/event.md` draws the states.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::event;
use crate::bindings::wasmproc::ipc::types;
use crate::error::{Error, unless_timeout};
use crate::handle::{Handle, Resource, shared_object};
use crate::settings::within;

/// A flag that processes wait for.
///
/// A process that dies leaves nothing halfway: it has set the flag or it hasn't. Clones are the same handle.
///
/// ```no_run
/// use wasmproc_guest::{Error, Event, Process};
///
/// fn car(green: Event) {
///     green.wait().expect("there is a light");
///     println!("off it goes");
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let green = Event::new()?;
///     Process::spawn(car, green.clone())?;
///     green.set();
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event {
    handle: Handle<event::Event>,
}

shared_object!([] Event: "Event", "Event", "new()", |handle| Event { handle });

impl Event {
    /// Makes an event that is not set.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there are as many objects as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let green = wasmproc_guest::Event::new()?;
    /// assert!(!green.is_set());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(event::Event::create()?) })
    }

    /// Sets it: everybody who waits goes on. Does nothing if it is set. Never blocks.
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) {
    /// green.set();
    /// # }
    /// ```
    pub fn set(&self) {
        self.handle.set();
    }

    /// Clears it. Never blocks.
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) {
    /// green.clear();
    /// # }
    /// ```
    pub fn clear(&self) {
        self.handle.clear();
    }

    /// Whether it is set at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) {
    /// println!("{}", if green.is_set() { "green" } else { "red" });
    /// # }
    /// ```
    pub fn is_set(&self) -> bool {
        self.handle.is_set()
    }

    /// Waits until it is set. Who waits when it is set goes on, even if it is cleared again at once.
    ///
    /// # Errors
    ///
    /// None as things are: if nobody sets it, this waits for ever.
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) -> Result<(), wasmproc_guest::Error> {
    /// green.wait()?;
    /// println!("off it goes");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self) -> Result<(), Error> {
        Ok(self.handle.wait(None)?)
    }

    /// As [`wait`](Event::wait), but waits no longer than `timeout`. Says whether it was set.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Event::wait).
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) -> Result<(), wasmproc_guest::Error> {
    /// while !green.wait_timeout(std::time::Duration::from_secs(1))? {
    ///     println!("still red");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        Ok(unless_timeout(self.handle.wait(within(timeout)))?.is_some())
    }

    /// Ready when it is set.
    ///
    /// ```no_run
    /// # fn example(green: &wasmproc_guest::Event) {
    /// green.subscribe().block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.subscribe()
    }
}

impl Resource for event::Event {
    const NAME: &'static str = "event";

    fn open(id: u64) -> Result<Self, types::Error> {
        Self::open(id)
    }

    fn id(&self) -> u64 {
        self.id()
    }
}
