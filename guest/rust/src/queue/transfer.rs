//! Putting values into a queue and getting them out.

use std::borrow::Borrow;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::carrier;
use crate::error::{Error, unless_timeout};
use crate::message;
use crate::queue::{Batch, Items, Queue};
use crate::settings::within;
use crate::wire;

impl<T: Serialize> Queue<T> {
    /// Waits for room and puts a value: itself, or a reference to it.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed); [`TooLarge`](crate::ErrorKind::TooLarge) for over 64 MiB;
    /// [`Limit`](crate::ErrorKind::Limit) if there is no memory for a value that is longer than the ring, or if 10,000
    /// shared objects are on their way in this queue; [`Encoding`](crate::ErrorKind::Encoding) if it can't be
    /// serialised; [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let names = wasmproc_guest::Queue::<String>::new()?;
    /// let name = "bob".to_owned();
    /// names.put(&name)?;
    /// names.put(name)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put(&self, item: impl Borrow<T>) -> Result<(), Error> {
        self.put_within(item.borrow(), None)
    }

    /// Puts a value if there is room. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) if it is full, and those of [`put`](Queue::put).
    ///
    /// ```no_run
    /// use wasmproc_guest::ErrorKind;
    ///
    /// # fn example(tray: &wasmproc_guest::Queue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// match tray.try_put(7) {
    ///     Err(error) if error.kind() == ErrorKind::Timeout => println!("the tray is full"),
    ///     result => result?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_put(&self, item: impl Borrow<T>) -> Result<(), Error> {
        self.put_within(item.borrow(), within(Duration::ZERO))
    }

    /// As [`put`](Queue::put), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) if it is still full then, and those of [`put`](Queue::put).
    ///
    /// ```no_run
    /// # fn example(tray: &wasmproc_guest::Queue<u32>) -> Result<(), wasmproc_guest::Error> {
    /// tray.put_timeout(7, std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_timeout(&self, item: impl Borrow<T>, timeout: Duration) -> Result<(), Error> {
        self.put_within(item.borrow(), within(timeout))
    }

    /// Puts many values with one call of the host, waiting for room as need be. Returns how many it has put: fewer than
    /// all if the queue was closed meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Queue::put), [`TooLarge`](crate::ErrorKind::TooLarge) besides for a value that is longer than
    /// the ring: nothing was put then.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let squares = wasmproc_guest::Queue::<u64>::new()?;
    /// squares.put_many((1..=100).map(|number| number * number))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_many<I>(&self, items: I) -> Result<usize, Error>
    where
        I: IntoIterator,
        I::Item: Borrow<T>,
    {
        let channel = self.bytes().handle().opened();
        let mut batch = Batch::new();
        // For each value, how many tickets are in those up to it.
        let mut tickets_up_to = Vec::new();
        let (encoded, tickets) = carrier::into_message(channel.clone(), || {
            items.into_iter().try_for_each(|item| {
                batch.push_with(|bytes| wire::encode_behind(item.borrow(), bytes))?;
                tickets_up_to.push(carrier::tickets());
                Ok(())
            })
        });
        let put = match encoded {
            Ok(()) => self.bytes().put_many(&batch),
            Err(error) => Err(Error::during(error, "the messages can't be serialised")),
        };
        let put_tickets = match put {
            Ok(0) | Err(_) => 0,
            Ok(items) => tickets_up_to[items - 1],
        };
        carrier::take_back(&**channel, tickets.into_iter().skip(put_tickets));
        put
    }

    fn put_within(&self, item: &T, timeout: Option<u64>) -> Result<(), Error> {
        let handle = self.bytes().handle();
        message::send(handle.opened(), item, |bytes| handle.put(bytes, timeout))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Waits for a value and takes it.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) if nothing is left and nothing will come;
    /// [`Limit`](crate::ErrorKind::Limit) if there is no memory for it; [`Encoding`](crate::ErrorKind::Encoding) if the
    /// message isn't a `T`, which is lost then; [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// println!("hello {}", names.get()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self) -> Result<T, Error> {
        let handle = self.bytes().handle();
        let message = handle.get(None)?;
        message::receive(handle.opened(), &message)
    }

    /// Takes a value if there is one; `None` if there is none. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Queue::get).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// while let Some(name) = names.try_get()? {
    ///     println!("hello {name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_get(&self) -> Result<Option<T>, Error> {
        self.get_timeout(Duration::ZERO)
    }

    /// As [`get`](Queue::get), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Queue::get).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// let name = names.get_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<T>, Error> {
        let handle = self.bytes().handle();
        let message = unless_timeout(handle.get(within(timeout)))?;
        message.map(|message| message::receive(handle.opened(), &message)).transpose()
    }

    /// Waits for a value, and takes what there is with one call of the host: at least one value, at most `max_items`
    /// (which is at least 1), and at most 1 MiB beside the first.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Queue::get). If one of the values isn't a `T`, all of them are lost.
    ///
    /// ```no_run
    /// # fn example(squares: &wasmproc_guest::Queue<u64>) -> Result<(), wasmproc_guest::Error> {
    /// let sum: u64 = squares.get_many(100)?.iter().sum();
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many(&self, max_items: usize) -> Result<Vec<T>, Error> {
        self.decode(&self.bytes().get_many(max_items)?)
    }

    /// As [`get_many`](Queue::get_many), but waits for the first no longer than `timeout`: then there is none.
    ///
    /// # Errors
    ///
    /// Those of [`get_many`](Queue::get_many).
    ///
    /// ```no_run
    /// # fn example(squares: &wasmproc_guest::Queue<u64>) -> Result<(), wasmproc_guest::Error> {
    /// let some = squares.get_many_timeout(100, std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many_timeout(&self, max_items: usize, timeout: Duration) -> Result<Vec<T>, Error> {
        self.decode(&self.bytes().get_many_timeout(max_items, timeout)?)
    }

    /// Takes the values until the queue is closed and empty, waiting for each.
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Queue<String>) -> Result<(), wasmproc_guest::Error> {
    /// for name in names.iter().take(3) {
    ///     println!("hello {}", name?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> Items<'_, T> {
        Items(self)
    }

    fn decode(&self, batch: &Batch) -> Result<Vec<T>, Error> {
        let channel = self.bytes().handle().opened();
        batch.iter().map(|message| message::receive(channel, message)).collect()
    }
}
