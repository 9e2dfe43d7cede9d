//! Queues of bytes: what typed queues are made of, without their encoding.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bindings::wasmproc::ipc::{queue, types};
use crate::carrier::Channel;
use crate::error::{Error, unless_timeout};
use crate::handle::{Handle, Opened, Resource, shared_object};
use crate::queue::Batch;
use crate::settings::within;

/// A queue whose messages are bytes: the fastest one, for data that is bytes anyway.
///
/// In everything but the type of its messages it is a [`Queue`](crate::Queue), which tells what happens when a process
/// dies. [`Queue::bytes`](crate::Queue::bytes) is the way from there to here.
///
/// ```no_run
/// use wasmproc_guest::{ByteQueue, Error, Process};
///
/// fn checksum(blocks: ByteQueue) -> u32 {
///     let mut sum = 0;
///     while let Ok(block) = blocks.get() {
///         sum = block.iter().fold(sum, |sum: u32, &byte| sum.wrapping_add(byte.into()));
///     }
///     sum
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let blocks = ByteQueue::new()?;
///     let sum = Process::spawn(checksum, blocks.clone())?;
///     blocks.put(&[1; 4096])?;
///     blocks.close()?;
///     println!("{}", sum.result()?);
///     Ok(())
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteQueue {
    handle: Handle<queue::Queue>,
}

shared_object!([] ByteQueue: "ByteQueue", "ByteQueue", "new()", |handle| ByteQueue { handle });

impl ByteQueue {
    /// Makes a queue whose ring has 64 KiB. [`Queue::builder`](crate::Queue::builder) makes other ones.
    ///
    /// # Errors
    ///
    /// [`Limit`](crate::ErrorKind::Limit).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let queue = wasmproc_guest::ByteQueue::new()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Result<Self, Error> {
        Self::create(queue::Options { capacity_bytes: None, max_items: None })
    }

    pub(crate) fn create(options: queue::Options) -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(queue::Queue::create(options)?) })
    }

    /// Waits for room and puts a message of at most 64 MiB.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::put`](crate::Queue::put).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// queue.put(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, message: &[u8]) -> Result<(), Error> {
        Ok(self.handle.put(message, None)?)
    }

    /// Puts a message if there is room. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::try_put`](crate::Queue::try_put).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// queue.try_put(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_put(&self, message: &[u8]) -> Result<(), Error> {
        self.put_timeout(message, Duration::ZERO)
    }

    /// Waits for room no longer than `timeout`, and puts a message.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::put_timeout`](crate::Queue::put_timeout).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// queue.put_timeout(b"hello", std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), Error> {
        Ok(self.handle.put(message, within(timeout))?)
    }

    /// Puts many messages in one call. See [`Queue::put_many`](crate::Queue::put_many).
    ///
    /// # Errors
    ///
    /// Those of [`Queue::put_many`](crate::Queue::put_many).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// let batch: wasmproc_guest::Batch = ["one", "two"].iter().collect();
    /// assert_eq!(queue.put_many(&batch)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_many(&self, batch: &Batch) -> Result<usize, Error> {
        if batch.is_empty() {
            return Ok(0);
        }
        Ok(self.handle.put_many(batch.raw(), None)? as usize)
    }

    /// Waits for a message and takes it.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get`](crate::Queue::get).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// let message: Vec<u8> = queue.get()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self) -> Result<Vec<u8>, Error> {
        Ok(self.handle.get(None)?)
    }

    /// Takes a message if there is one. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get`](crate::Queue::get).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// if let Some(message) = queue.try_get()? {
    ///     println!("{} bytes", message.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_get(&self) -> Result<Option<Vec<u8>>, Error> {
        self.get_timeout(Duration::ZERO)
    }

    /// As [`get`](ByteQueue::get), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get`](crate::Queue::get).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// let message = queue.get_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<Vec<u8>>, Error> {
        unless_timeout(self.handle.get(within(timeout)))
    }

    /// Waits for a message, and takes what there is, in one call. See [`Queue::get_many`](crate::Queue::get_many).
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get_many`](crate::Queue::get_many).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// for message in &queue.get_many(100)? {
    ///     println!("{} bytes", message.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many(&self, max_items: usize) -> Result<Batch, Error> {
        Ok(Batch::of(self.handle.get_many(at_most(max_items), None)?))
    }

    /// As [`get_many`](ByteQueue::get_many), but waits for the first no longer than `timeout`: then the batch is empty.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get_many`](crate::Queue::get_many).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// let batch = queue.get_many_timeout(100, std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many_timeout(&self, max_items: usize, timeout: Duration) -> Result<Batch, Error> {
        let batch = unless_timeout(self.handle.get_many(at_most(max_items), within(timeout)))?;
        Ok(batch.map_or_else(Batch::new, Batch::of))
    }

    /// Lets nothing more be put. See [`Queue::close`](crate::Queue::close).
    ///
    /// # Errors
    ///
    /// [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// queue.close()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) -> Result<(), Error> {
        Ok(self.handle.close()?)
    }

    /// Says that a message which this process took is dealt with. See [`Queue::task_done`](crate::Queue::task_done).
    ///
    /// # Errors
    ///
    /// Those of [`Queue::task_done`](crate::Queue::task_done).
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) -> Result<(), wasmproc_guest::Error> {
    /// let message = queue.get()?;
    /// queue.task_done()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_done(&self) -> Result<(), Error> {
        Ok(self.handle.task_done()?)
    }

    /// Ready when `get` would not wait. Another process may be faster.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) {
    /// queue.subscribe().block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.handle.subscribe()
    }

    /// Ready when `put` of a short message would not wait. Another process may be faster.
    ///
    /// ```no_run
    /// # fn example(queue: &wasmproc_guest::ByteQueue) {
    /// queue.subscribe_put().block();
    /// # }
    /// ```
    pub fn subscribe_put(&self) -> crate::Pollable {
        self.handle.subscribe_put()
    }

    pub(crate) fn handle(&self) -> &Handle<queue::Queue> {
        &self.handle
    }
}

/// A number of messages as the host takes it: no queue has more than that.
fn at_most(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

impl Resource for queue::Queue {
    const NAME: &'static str = "queue";

    fn open(id: u64) -> Result<Self, types::Error> {
        Self::open(id)
    }

    fn id(&self) -> u64 {
        self.id()
    }
}

impl Channel for Opened<queue::Queue> {
    fn ticket(&self, object: crate::ObjectId) -> Result<u64, types::Error> {
        (**self).ticket(object.get())
    }

    fn redeem(&self, ticket: u64) -> Result<u64, types::Error> {
        (**self).redeem(ticket)
    }
}
