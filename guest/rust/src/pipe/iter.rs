//! Going through what comes in at a connection until the other end is gone.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::pipe::Connection;

/// Takes messages until the end of the stream. See [`Connection::iter`].
///
/// ```no_run
/// # fn example(lines: &wasmproc_guest::Connection<String>) -> Result<(), wasmproc_guest::Error> {
/// for line in lines {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Incoming<'a, S, R>(pub(crate) &'a Connection<S, R>);

impl<S, R: DeserializeOwned> Iterator for Incoming<'_, S, R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Result<R, Error>> {
        match self.0.recv() {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            message => Some(message),
        }
    }
}

impl<'a, S, R: DeserializeOwned> IntoIterator for &'a Connection<S, R> {
    type Item = Result<R, Error>;
    type IntoIter = Incoming<'a, S, R>;

    fn into_iter(self) -> Incoming<'a, S, R> {
        self.iter()
    }
}

impl<S, R> fmt::Debug for Incoming<'_, S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Incoming").field(self.0).finish()
    }
}
