//! Connections of values.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, unless_timeout};
use crate::handle::Share;
use crate::handle::sealed::{Attach, Attachments};
use crate::message;
use crate::object_id::ObjectId;
use crate::pipe::{ByteConnection, Incoming};
use crate::settings::within;

/// One end of a pipe: it sends `S`s and receives `R`s. [`pipe`](crate::pipe()) and [`duplex_pipe`](crate::duplex_pipe)
/// make a pair.
///
/// It has one owner at a time. As an argument of a process or in a message it moves: afterwards this process has it no
/// longer, and calls give [`NotOwner`](crate::ErrorKind::NotOwner). So two processes never write into each other's
/// messages. Dropping it closes it, unless it was moved away.
///
/// If its owner dies, the other end reads what is left and then gets [`Closed`](crate::ErrorKind::Closed), as if this one
/// had been dropped; a message that the dead process had not finished sending was never sent.
///
/// ```no_run
/// use wasmproc_guest::{Connection, Error, Process, duplex_pipe};
///
/// fn double(numbers: Connection<u64, u32>) {
///     for number in &numbers {
///         numbers.send(2 * u64::from(number.expect("a number"))).expect("somebody asked");
///     }
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let (here, there) = duplex_pipe()?;
///     Process::spawn(double, there)?;
///     here.send(21)?;
///     println!("{}", here.recv()?);
///     Ok(())
/// }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Connection<S, R = S> {
    bytes: ByteConnection,
    messages: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    pub(crate) fn around(bytes: ByteConnection) -> Self {
        Self { bytes, messages: PhantomData }
    }

    /// The connection with this number, which was moved to this process. Nothing here can check the types.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) if it was not moved here or doesn't exist,
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is something else or open already.
    ///
    /// ```no_run
    /// # fn example(id: wasmproc_guest::ObjectId) -> Result<(), wasmproc_guest::Error> {
    /// let lines = wasmproc_guest::Connection::<String>::open(id)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(id: ObjectId) -> Result<Self, Error> {
        ByteConnection::open(id).map(Self::around)
    }

    /// Its number, for programs that can't be passed the connection itself: see
    /// [`Builder::share`](crate::Builder::share). The two ends of a pipe have different ones.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::Connection<u32>) {
    /// println!("connection {}", connection.id());
    /// # }
    /// ```
    pub fn id(&self) -> ObjectId {
        self.bytes.id()
    }

    /// The same connection without the encoding: its messages as bytes, in postcard.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::Connection<u32>) -> Result<(), wasmproc_guest::Error> {
    /// let encoded: Vec<u8> = connection.bytes().recv()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bytes(&self) -> &ByteConnection {
        &self.bytes
    }

    /// Waits until [`recv`](Connection::recv) would not wait, but no longer than `timeout`. `true` also at the end of the
    /// stream; `false` when the time is over.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) if this end only sends, [`NotOwner`](crate::ErrorKind::NotOwner) if it was
    /// moved away, [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(numbers: &wasmproc_guest::Connection<u32>) -> Result<(), wasmproc_guest::Error> {
    /// while !numbers.poll(std::time::Duration::from_secs(1))? {
    ///     println!("no number yet");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        self.bytes.poll(timeout)
    }

    /// Sends nothing more: the other end reads what is left and then gets [`Closed`](crate::ErrorKind::Closed). Receiving
    /// goes on. Never blocks.
    ///
    /// # Errors
    ///
    /// [`NotOwner`](crate::ErrorKind::NotOwner) if it was moved away.
    ///
    /// ```no_run
    /// # fn example(questions: &wasmproc_guest::Connection<u32, u64>) -> Result<(), wasmproc_guest::Error> {
    /// questions.send(12)?;
    /// questions.close_sending()?;
    /// for answer in questions {
    ///     println!("{}", answer?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn close_sending(&self) -> Result<(), Error> {
        self.bytes.close_sending()
    }

    /// Ready when [`recv`](Connection::recv) would not wait.
    ///
    /// ```no_run
    /// # fn example(numbers: &wasmproc_guest::Connection<u32>) {
    /// numbers.subscribe().block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.bytes.subscribe()
    }

    /// Ready when [`send`](Connection::send) of a short message would not wait.
    ///
    /// ```no_run
    /// # fn example(numbers: &wasmproc_guest::Connection<u32>) {
    /// numbers.subscribe_send().block();
    /// # }
    /// ```
    pub fn subscribe_send(&self) -> crate::Pollable {
        self.bytes.subscribe_send()
    }
}

impl<S: Serialize, R> Connection<S, R> {
    /// Waits for room and sends a message: the value itself, or a reference to it.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) if the other end is gone, or this one was closed for sending;
    /// [`Denied`](crate::ErrorKind::Denied) if this end only receives; [`TooLarge`](crate::ErrorKind::TooLarge) for over 64
    /// MiB; [`Limit`](crate::ErrorKind::Limit) if there is no memory for a message that is longer than the ring;
    /// [`Encoding`](crate::ErrorKind::Encoding) if it can't be serialised; [`NotOwner`](crate::ErrorKind::NotOwner) if the
    /// connection was moved away; [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// names.send("bob".to_owned())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, message: impl Borrow<S>) -> Result<(), Error> {
        self.send_within(message.borrow(), None)
    }

    /// Sends a message if there is room. Never blocks.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) if the pipe is full, and those of [`send`](Connection::send).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// names.try_send("bob".to_owned())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, message: impl Borrow<S>) -> Result<(), Error> {
        self.send_within(message.borrow(), within(Duration::ZERO))
    }

    /// As [`send`](Connection::send), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) if the pipe is still full then, and those of [`send`](Connection::send).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// names.send_timeout("bob".to_owned(), std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_timeout(&self, message: impl Borrow<S>, timeout: Duration) -> Result<(), Error> {
        self.send_within(message.borrow(), within(timeout))
    }

    fn send_within(&self, message: &S, timeout: Option<u64>) -> Result<(), Error> {
        let end = self.bytes.end();
        message::send(end, message, |bytes| end.connection().send(bytes, timeout))
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Waits for a message and takes it.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) at the end of the stream: the other end is gone and all is read;
    /// [`Denied`](crate::ErrorKind::Denied) if this end only sends; [`Limit`](crate::ErrorKind::Limit) if there is no
    /// memory for the message; [`Encoding`](crate::ErrorKind::Encoding) if it isn't an `R`: it is lost then;
    /// [`NotOwner`](crate::ErrorKind::NotOwner) if the connection was moved away; [`Broken`](crate::ErrorKind::Broken).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// println!("hello {}", names.recv()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&self) -> Result<R, Error> {
        let message = self.bytes.recv()?;
        message::receive(self.bytes.end(), &message)
    }

    /// Takes a message if there is one; `None` if there is none. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Connection::recv).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// if let Some(name) = names.try_recv()? {
    ///     println!("hello {name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self) -> Result<Option<R>, Error> {
        self.recv_timeout(Duration::ZERO)
    }

    /// As [`recv`](Connection::recv), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Connection::recv).
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// let name = names.recv_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<R>, Error> {
        let message = unless_timeout(self.bytes.end().connection().recv(within(timeout)))?;
        message.map(|message| message::receive(self.bytes.end(), &message)).transpose()
    }

    /// Takes messages until the end of the stream, waiting for each.
    ///
    /// ```no_run
    /// # fn example(names: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
    /// for name in names.iter().take(3) {
    ///     println!("hello {}", name?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> Incoming<'_, S, R> {
        Incoming(self)
    }
}

impl<S, R> Share for Connection<S, R> {}

impl<S, R> Attach for Connection<S, R> {
    fn attach(&self, attachments: &mut Attachments) {
        self.bytes.attach(attachments);
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("id", &self.id().get()).finish_non_exhaustive()
    }
}
