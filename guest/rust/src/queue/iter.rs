//! Going through a queue until it is closed.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::queue::Queue;

/// Takes the messages of a queue until it is closed and empty. See [`Queue::iter`].
///
/// ```no_run
/// # fn example(buns: &wasmproc_guest::Queue<u32>) -> Result<(), wasmproc_guest::Error> {
/// for bun in buns {
///     println!("bun {}", bun?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Items<'a, T>(pub(crate) &'a Queue<T>);

/// As [`Items`], with the queue in it.
///
/// ```no_run
/// fn eat(buns: wasmproc_guest::Queue<u32>) -> Vec<u32> {
///     buns.into_iter().flatten().collect()
/// }
/// ```
pub struct IntoItems<T>(Queue<T>);

fn next<T: DeserializeOwned>(queue: &Queue<T>) -> Option<Result<T, Error>> {
    match queue.get() {
        Err(error) if error.kind() == ErrorKind::Closed => None,
        item => Some(item),
    }
}

impl<T: DeserializeOwned> Iterator for Items<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        next(self.0)
    }
}

impl<T: DeserializeOwned> Iterator for IntoItems<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        next(&self.0)
    }
}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Queue<T> {
    type Item = Result<T, Error>;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

impl<T: DeserializeOwned> IntoIterator for Queue<T> {
    type Item = Result<T, Error>;
    type IntoIter = IntoItems<T>;

    fn into_iter(self) -> IntoItems<T> {
        IntoItems(self)
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Items").field(self.0).finish()
    }
}

impl<T> fmt::Debug for IntoItems<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("IntoItems").field(&self.0).finish()
    }
}
