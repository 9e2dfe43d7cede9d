//! Many messages in one call.

use crate::bindings::wasmproc::ipc::queue;

/// Messages of bytes, one behind the other: what [`ByteQueue`](crate::ByteQueue) puts and gets many of in one call.
///
/// ```no_run
/// use wasmproc_guest::{Batch, ByteQueue};
///
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let queue = ByteQueue::new()?;
/// let batch: Batch = ["one", "two", "three"].iter().collect();
/// queue.put_many(&batch)?;
/// for message in &queue.get_many(10)? {
///     println!("{} bytes", message.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Batch(queue::Batch);

impl Batch {
    /// A batch of nothing.
    ///
    /// ```no_run
    /// let batch = wasmproc_guest::Batch::new();
    /// assert!(batch.is_empty());
    /// ```
    pub fn new() -> Self {
        Self(queue::Batch { bytes: Vec::new(), lengths: Vec::new() })
    }

    /// Adds a message.
    ///
    /// # Panics
    ///
    /// If it is longer than 4 GiB.
    ///
    /// ```no_run
    /// let mut batch = wasmproc_guest::Batch::new();
    /// batch.push(b"one");
    /// ```
    pub fn push(&mut self, message: &[u8]) {
        self.0.bytes.extend_from_slice(message);
        self.0.lengths.push(u32::try_from(message.len()).expect("a message is shorter than 4 GiB"));
    }

    /// Removes all messages, and keeps the memory for the next ones.
    ///
    /// ```no_run
    /// let mut batch = wasmproc_guest::Batch::new();
    /// batch.push(b"one");
    /// batch.clear();
    /// assert!(batch.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.0.bytes.clear();
        self.0.lengths.clear();
    }

    /// How many messages there are.
    ///
    /// ```no_run
    /// let batch: wasmproc_guest::Batch = ["one", "two"].iter().collect();
    /// assert_eq!(batch.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.0.lengths.len()
    }

    /// Whether there is none.
    ///
    /// ```no_run
    /// assert!(wasmproc_guest::Batch::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.lengths.is_empty()
    }

    /// The messages in order.
    ///
    /// ```no_run
    /// let batch: wasmproc_guest::Batch = ["one", "two"].iter().collect();
    /// let bytes: usize = batch.iter().map(<[u8]>::len).sum();
    /// ```
    pub fn iter(&self) -> Messages<'_> {
        Messages { bytes: &self.0.bytes, lengths: self.0.lengths.iter() }
    }

    pub(crate) fn of(batch: queue::Batch) -> Self {
        Self(batch)
    }

    pub(crate) fn raw(&self) -> &queue::Batch {
        &self.0
    }

    /// For messages that are encoded where they will be sent from: `write` adds to the end of the bytes.
    pub(crate) fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let before = self.0.bytes.len();
        write(&mut self.0.bytes)?;
        let length = self.0.bytes.len() - before;
        self.0.lengths.push(u32::try_from(length).expect("a message is shorter than 4 GiB"));
        Ok(())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Batch {
    fn from_iter<I: IntoIterator<Item = T>>(messages: I) -> Self {
        let mut batch = Self::new();
        batch.extend(messages);
        batch
    }
}

impl<T: AsRef<[u8]>> Extend<T> for Batch {
    fn extend<I: IntoIterator<Item = T>>(&mut self, messages: I) {
        for message in messages {
            self.push(message.as_ref());
        }
    }
}

/// The messages of a [`Batch`].
///
/// ```no_run
/// # let batch = wasmproc_guest::Batch::new();
/// for message in batch.iter() {
///     println!("{} bytes", message.len());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    lengths: std::slice::Iter<'a, u32>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = *self.lengths.next()? as usize;
        let (message, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Some(message)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lengths.size_hint()
    }
}

impl ExactSizeIterator for Messages<'_> {}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a [u8];
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_its_messages() {
        let batch: Batch = ["one", "", "three"].iter().collect();

        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(batch.len(), 3);
    }
}
