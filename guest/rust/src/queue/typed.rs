//! Queues of values.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, unless_timeout};
use crate::handle::Share;
use crate::handle::sealed::{Attach, Attachments};
use crate::object_id::ObjectId;
use crate::queue::{ByteQueue, QueueBuilder};
use crate::settings::within;

/// Values in order, from any number of processes to any number of processes.
///
/// A value is in the queue whole or not at all, and exactly one process takes it. If a process dies while it puts, the
/// value either is there or was never put; if it dies while it gets, the value either is still there or was taken by it.
/// Nothing is buffered outside of the queue: what was put stays readable when its producer has ended, so a producer may be
/// joined before the queue is drained.
///
/// Values may contain shared objects: whoever takes the value is granted them. Clones are the same handle.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, Queue};
///
/// fn eat(buns: Queue<u32>) -> Result<(), String> {
///     for bun in &buns {
///         println!("bun {}", bun.map_err(|error| error.to_string())?);
///     }
///     Ok(())
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let buns = Queue::bounded(10)?;
///     Process::spawn(eat, buns.clone())?;
///     for bun in 1..=100 {
///         buns.put(bun)?;
///     }
///     buns.close()
/// }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Queue<T> {
    bytes: ByteQueue,
    items: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// Makes a queue whose ring has 64 KiB. When it is full, [`put`](Queue::put) waits until somebody has taken something:
    /// who wants to put more before anybody takes asks for more with [`builder`](Queue::builder).
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit) if there are as many objects, or as much memory is in use, as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let queue = wasmproc_guest::Queue::<String>::new()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Self::builder().create()
    }

    /// Makes a queue of at most `items` values at a time: 1 to 16,777,215. Its ring has 64 KiB.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for another number, [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let tray = wasmproc_guest::Queue::<u32>::bounded(10)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bounded(items: u32) -> Result<Self, Error> {
        Self::builder().max_items(items).create()
    }

    /// A queue of which is said how much it holds.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let pictures = wasmproc_guest::Queue::<Vec<u8>>::builder().capacity(16 << 20).create()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> QueueBuilder<T> {
        QueueBuilder::new()
    }

    /// The queue with this number, which was granted to this process. Nothing here can check that its values are `T`s.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) if it was not granted or doesn't exist,
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is something else.
    ///
    /// ```no_run
    /// # fn example(id: wasmproc_guest::ObjectId) -> Result<(), wasmproc_guest::Error> {
    /// let queue = wasmproc_guest::Queue::<String>::open(id)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(id: ObjectId) -> Result<Self, Error> {
        ByteQueue::open(id).map(Self::around)
    }

    pub(crate) fn around(bytes: ByteQueue) -> Self {
        Self { bytes, items: PhantomData }
    }

    /// Its number, for programs that can't be passed the queue itself: see [`Builder::share`](crate::Builder::share).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// println!("queue {}", queue.id());
    /// # }
    /// ```
    pub fn id(&self) -> ObjectId {
        self.bytes.id()
    }

    /// The same queue without the encoding: its messages as bytes, in postcard.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// let encoded: Vec<u8> = queue.bytes().get()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bytes(&self) -> &ByteQueue {
        &self.bytes
    }

    /// How many values are queued at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// println!("{} are waiting", queue.len());
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        self.bytes.handle().len() as usize
    }

    /// Whether none is queued at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// if queue.is_empty() {
    ///     println!("nothing to do");
    /// }
    /// # }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.bytes.handle().is_empty()
    }

    /// Whether a value would have to wait at this moment. Never blocks.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// if queue.is_full() {
    ///     println!("the eaters are slow");
    /// }
    /// # }
    /// ```
    pub fn is_full(&self) -> bool {
        self.bytes.handle().is_full()
    }

    /// Lets nothing more be put, by anybody. Those who wait to put get [`Closed`](crate::ErrorKind::Closed) at once;
    /// getters take what is left, and then get `Closed`. Does nothing to a queue that is closed. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// queue.close()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) -> Result<(), Error> {
        self.bytes.close()
    }

    /// Whether it is closed. Never blocks.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// if queue.is_closed() {
    ///     println!("no more is coming");
    /// }
    /// # }
    /// ```
    pub fn is_closed(&self) -> bool {
        self.bytes.handle().is_closed()
    }

    /// Says that a value which this process took is dealt with. For queues that somebody [joins](Queue::join).
    ///
    /// # Errors
    ///
    /// [`NotOwner`](crate::ErrorKind::NotOwner) if all that it took are dealt with.
    ///
    /// ```no_run
    /// # fn example(orders: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// for order in orders {
    ///     println!("{} is ready", order?);
    ///     orders.task_done()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_done(&self) -> Result<(), Error> {
        self.bytes.task_done()
    }

    /// Waits until every value that was put has been taken and dealt with.
    ///
    /// # Errors
    ///
    /// [`Abandoned`](crate::ErrorKind::Abandoned), once, if a process died before it had dealt with what it took, and the
    /// rest is dealt with.
    ///
    /// ```no_run
    /// # fn example(orders: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// orders.put("tea".to_owned())?;
    /// orders.join()?;
    /// println!("served");
    /// # Ok(())
    /// # }
    /// ```
    pub fn join(&self) -> Result<(), Error> {
        Ok(self.bytes.handle().join(None)?)
    }

    /// As [`join`](Queue::join), but waits no longer than `timeout`. Says whether all is dealt with.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Queue::join).
    ///
    /// ```no_run
    /// # fn example(orders: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// let served = orders.join_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        Ok(unless_timeout(self.bytes.handle().join(within(timeout)))?.is_some())
    }

    /// Ready when [`get`](Queue::get) would not wait. Another process may be faster.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// queue.subscribe().block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.bytes.subscribe()
    }

    /// Ready when [`put`](Queue::put) of a short value would not wait. Another process may be faster.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::Queue<u32>) {
    /// queue.subscribe_put().block();
    /// # }
    /// ```
    pub fn subscribe_put(&self) -> crate::Pollable {
        self.bytes.subscribe_put()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self::around(self.bytes.clone())
    }
}

impl<T> Share for Queue<T> {}

impl<T> Attach for Queue<T> {
    fn attach(&self, attachments: &mut Attachments) {
        self.bytes.attach(attachments);
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("id", &self.id().get()).finish_non_exhaustive()
    }
}
