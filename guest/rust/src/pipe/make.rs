//! Making pipes.

use crate::bindings::wasmproc::ipc::pipe::{self, Options};
use crate::error::Error;
use crate::pipe::{ByteConnection, Connection};

/// Makes a pipe whose first end sends and whose second end receives, with a ring of 64 KiB.
///
/// # Errors
///
/// [`Limit`](crate::ErrorKind::Limit) if there are as many objects, or as much memory is in use, as there may be.
///
/// ```no_run
/// use wasmproc_guest::{Connection, Error, Process, pipe};
///
/// fn print(lines: Connection<String>) {
///     for line in &lines {
///         println!("{}", line.expect("the other end sends text"));
///     }
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let (sender, receiver) = pipe()?;
///     Process::spawn(print, receiver)?;
///     sender.send("hello".to_owned())
/// }
/// ```
pub fn pipe<T>() -> Result<(Connection<T>, Connection<T>), Error> {
    make(false, None).map(typed)
}

/// As [`pipe`], with rings of another size: see [`QueueBuilder::capacity`](crate::QueueBuilder::capacity).
///
/// # Errors
///
/// Those of [`pipe`], [`Invalid`](crate::ErrorKind::Invalid) besides for a size that is out of bounds.
///
/// ```no_run
/// use wasmproc_guest::pipe_with_capacity;
///
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let (sender, receiver) = pipe_with_capacity::<Vec<f64>>(16 << 20)?;
/// # Ok(())
/// # }
/// ```
pub fn pipe_with_capacity<T>(bytes: u64) -> Result<(Connection<T>, Connection<T>), Error> {
    make(false, Some(bytes)).map(typed)
}

/// Makes a pipe both of whose ends send and receive: what the one sends, the other receives. Each direction has a ring
/// of 64 KiB.
///
/// # Errors
///
/// Those of [`pipe`].
///
/// ```no_run
/// use wasmproc_guest::{Connection, Error, Process, duplex_pipe};
///
/// fn square(questions: Connection<u64, u32>) {
///     while let Ok(number) = questions.recv() {
///         questions.send(u64::from(number).pow(2)).expect("somebody asked");
///     }
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let (here, there) = duplex_pipe::<u32, u64>()?;
///     Process::spawn(square, there)?;
///     here.send(12)?;
///     println!("{}", here.recv()?);
///     Ok(())
/// }
/// ```
#[expect(clippy::type_complexity, reason = "two ends with two types each")]
pub fn duplex_pipe<A, B>() -> Result<(Connection<A, B>, Connection<B, A>), Error> {
    make(true, None).map(typed)
}

/// As [`duplex_pipe`], with rings of another size: see [`QueueBuilder::capacity`](crate::QueueBuilder::capacity).
///
/// # Errors
///
/// Those of [`pipe_with_capacity`].
///
/// ```no_run
/// use wasmproc_guest::duplex_pipe_with_capacity;
///
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let (here, there) = duplex_pipe_with_capacity::<Vec<f64>, f64>(16 << 20)?;
/// # Ok(())
/// # }
/// ```
#[expect(clippy::type_complexity, reason = "two ends with two types each")]
pub fn duplex_pipe_with_capacity<A, B>(bytes: u64) -> Result<(Connection<A, B>, Connection<B, A>), Error> {
    make(true, Some(bytes)).map(typed)
}

/// As [`pipe`], for messages of bytes; `capacity_bytes` as in
/// [`QueueBuilder::capacity`](crate::QueueBuilder::capacity), 64 KiB with `None`.
///
/// # Errors
///
/// Those of [`pipe_with_capacity`].
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let (sender, receiver) = wasmproc_guest::byte_pipe(None)?;
/// # Ok(())
/// # }
/// ```
pub fn byte_pipe(capacity_bytes: Option<u64>) -> Result<(ByteConnection, ByteConnection), Error> {
    make(false, capacity_bytes)
}

/// As [`duplex_pipe`], for messages of bytes. See [`byte_pipe`].
///
/// # Errors
///
/// Those of [`pipe_with_capacity`].
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let (here, there) = wasmproc_guest::duplex_byte_pipe(Some(1 << 20))?;
/// # Ok(())
/// # }
/// ```
pub fn duplex_byte_pipe(capacity_bytes: Option<u64>) -> Result<(ByteConnection, ByteConnection), Error> {
    make(true, capacity_bytes)
}

fn make(duplex: bool, capacity_bytes: Option<u64>) -> Result<(ByteConnection, ByteConnection), Error> {
    let (first, second) = pipe::create(Options { duplex, capacity_bytes })?;
    Ok((ByteConnection::new(first), ByteConnection::new(second)))
}

fn typed<A, B>((first, second): (ByteConnection, ByteConnection)) -> (Connection<A, B>, Connection<B, A>) {
    (Connection::around(first), Connection::around(second))
}
