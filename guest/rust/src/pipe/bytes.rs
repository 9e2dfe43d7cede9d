//! Connections of bytes: what typed connections are made of, without their encoding.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bindings::wasmproc::ipc::pipe;
use crate::error::{Error, unless_timeout};
use crate::handle::Share;
use crate::handle::sealed::{Attach, Attachments};
use crate::object_id::ObjectId;
use crate::pipe::end::End;
use crate::settings::within;

/// One end of a pipe whose messages are bytes: the fastest one, for data that is bytes anyway.
///
/// In everything but the type of its messages it is a [`Connection`](crate::Connection), which tells who owns it and what
/// happens when a process dies. [`byte_pipe`](crate::byte_pipe) makes a pair, and
/// [`Connection::bytes`](crate::Connection::bytes) is the way from there to here.
///
/// ```no_run
/// use wasmproc_guest::{ByteConnection, Error, Process, byte_pipe};
///
/// fn count(blocks: ByteConnection) -> usize {
///     let mut bytes = 0;
///     while let Ok(block) = blocks.recv() {
///         bytes += block.len();
///     }
///     bytes
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let (sender, receiver) = byte_pipe(None)?;
///     let bytes = Process::spawn(count, receiver)?;
///     sender.send(&[1; 4096])?;
///     drop(sender);
///     println!("{} bytes", bytes.result()?);
///     Ok(())
/// }
/// ```
pub struct ByteConnection {
    end: Arc<End>,
}

impl ByteConnection {
    pub(crate) fn new(connection: pipe::Connection) -> Self {
        Self { end: End::new(connection) }
    }

    /// The connection with this number, which was moved to this process.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ErrorKind::Denied) if it was not moved here or doesn't exist,
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is something else or open already.
    ///
    /// ```no_run
    /// # fn example(id: wasmproc_guest::ObjectId) -> Result<(), wasmproc_guest::Error> {
    /// let connection = wasmproc_guest::ByteConnection::open(id)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(id: ObjectId) -> Result<Self, Error> {
        Ok(Self { end: End::open(id)? })
    }

    /// Its number, for programs that can't be passed the connection itself: see
    /// [`Builder::share`](crate::Builder::share). The two ends of a pipe have different ones.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) {
    /// println!("connection {}", connection.id());
    /// # }
    /// ```
    pub fn id(&self) -> ObjectId {
        self.end.id()
    }

    /// Waits for room and sends a message of at most 64 MiB.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`](crate::Connection::send).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// connection.send(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        Ok(self.end.connection().send(message, None)?)
    }

    /// Sends a message if there is room. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::try_send`](crate::Connection::try_send).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// connection.try_send(b"hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, message: &[u8]) -> Result<(), Error> {
        self.send_timeout(message, Duration::ZERO)
    }

    /// As [`send`](ByteConnection::send), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send_timeout`](crate::Connection::send_timeout).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// connection.send_timeout(b"hello", std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), Error> {
        Ok(self.end.connection().send(message, within(timeout))?)
    }

    /// Waits for a message and takes it.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::recv`](crate::Connection::recv).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// let message: Vec<u8> = connection.recv()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&self) -> Result<Vec<u8>, Error> {
        Ok(self.end.connection().recv(None)?)
    }

    /// Takes a message if there is one. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::recv`](crate::Connection::recv).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// if let Some(message) = connection.try_recv()? {
    ///     println!("{} bytes", message.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self) -> Result<Option<Vec<u8>>, Error> {
        self.recv_timeout(Duration::ZERO)
    }

    /// As [`recv`](ByteConnection::recv), but waits no longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::recv`](crate::Connection::recv).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// let message = connection.recv_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Vec<u8>>, Error> {
        unless_timeout(self.end.connection().recv(within(timeout)))
    }

    /// Waits until `recv` would not wait, but no longer than `timeout`. See
    /// [`Connection::poll`](crate::Connection::poll).
    ///
    /// # Errors
    ///
    /// Those of [`Connection::poll`](crate::Connection::poll).
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// let ready = connection.poll(std::time::Duration::ZERO)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        Ok(self.end.connection().poll(within(timeout))?)
    }

    /// Sends nothing more. See [`Connection::close_sending`](crate::Connection::close_sending).
    ///
    /// # Errors
    ///
    /// [`NotOwner`](crate::ErrorKind::NotOwner) if it was moved away.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) -> Result<(), wasmproc_guest::Error> {
    /// connection.close_sending()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn close_sending(&self) -> Result<(), Error> {
        Ok(self.end.connection().close_sending()?)
    }

    /// Ready when `recv` would not wait.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) {
    /// connection.subscribe().block();
    /// # }
    /// ```
    pub fn subscribe(&self) -> crate::Pollable {
        self.end.connection().subscribe()
    }

    /// Ready when `send` of a short message would not wait.
    ///
    /// ```no_run
    /// # fn example(connection: &wasmproc_guest::ByteConnection) {
    /// connection.subscribe_send().block();
    /// # }
    /// ```
    pub fn subscribe_send(&self) -> crate::Pollable {
        self.end.connection().subscribe_send()
    }

    pub(crate) fn end(&self) -> &Arc<End> {
        &self.end
    }
}

impl Serialize for ByteConnection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.end.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteConnection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { end: End::deserialize(deserializer)? })
    }
}

impl Share for ByteConnection {}

impl Attach for ByteConnection {
    fn attach(&self, attachments: &mut Attachments) {
        attachments.0.push(self.end.attachment());
    }
}

impl fmt::Debug for ByteConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ByteConnection").field("id", &self.id().get()).finish_non_exhaustive()
    }
}
