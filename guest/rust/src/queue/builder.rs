//! How much a queue holds.

use std::fmt;
use std::marker::PhantomData;

use crate::bindings::wasmproc::ipc::queue;
use crate::error::Error;
use crate::queue::{ByteQueue, Queue};

/// A queue to be: made by [`Queue::builder`].
///
/// ```no_run
/// use wasmproc_guest::{Error, Queue};
///
/// # fn main() -> Result<(), Error> {
/// let pictures: Queue<Vec<u8>> = Queue::builder().capacity(16 << 20).max_items(10).create()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "there is no queue before `create` is called"]
pub struct QueueBuilder<T> {
    capacity_bytes: Option<u64>,
    max_items: Option<u32>,
    items: PhantomData<fn(T) -> T>,
}

impl<T> QueueBuilder<T> {
    pub(crate) fn new() -> Self {
        Self { capacity_bytes: None, max_items: None, items: PhantomData }
    }

    /// Bytes of the ring that messages travel in, rounded up to a power of two: 4 KiB to 1 GiB, by default 64 KiB.
    ///
    /// A message takes 8 bytes beside its own, rounded up to 8. One that is longer than the ring travels in memory of its
    /// own, which is slower: who sends large messages often asks for a large ring.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Queue::<u32>::builder();
    /// let builder = builder.capacity(1 << 20);
    /// ```
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity_bytes = Some(bytes);
        self
    }

    /// The most messages at a time, 1 to 16,777,215. By default only the bytes count.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Queue::<u32>::builder();
    /// let builder = builder.max_items(10);
    /// ```
    pub fn max_items(mut self, items: u32) -> Self {
        self.max_items = Some(items);
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a size that is out of bounds, [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let queue = wasmproc_guest::Queue::<u32>::builder().create()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(self) -> Result<Queue<T>, Error> {
        self.create_bytes().map(Queue::around)
    }

    /// Makes a queue of bytes.
    ///
    /// # Errors
    ///
    /// Those of [`create`](QueueBuilder::create).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let blocks = wasmproc_guest::Queue::<()>::builder().capacity(1 << 20).create_bytes()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_bytes(self) -> Result<ByteQueue, Error> {
        ByteQueue::create(queue::Options { capacity_bytes: self.capacity_bytes, max_items: self.max_items })
    }
}

impl<T> Clone for QueueBuilder<T> {
    fn clone(&self) -> Self {
        Self { items: PhantomData, ..*self }
    }
}

impl<T> fmt::Debug for QueueBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueueBuilder")
            .field("capacity_bytes", &self.capacity_bytes)
            .field("max_items", &self.max_items)
            .finish()
    }
}
