//! The number of a shared object.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a shared object (a lock, a queue, one end of a pipe...): issued by the supervisor, never used twice in
/// a run.
///
/// It is a name and not a right: only a process to which the object was granted can open it. It is for programs that
/// can't be passed the object itself, such as those in another language: see [`Builder::share`](crate::Builder::share).
///
/// ```no_run
/// # fn main() -> Result<(), wasmproc_guest::Error> {
/// let lock = wasmproc_guest::Lock::new()?;
/// println!("lock {}", lock.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(u64);

impl ObjectId {
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// The bare number.
    ///
    /// ```no_run
    /// # fn example(lock: &wasmproc_guest::Lock) {
    /// let number: u64 = lock.id().get();
    /// # }
    /// ```
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// From what [`Display`](fmt::Display) writes, for an id that came as an argument.
impl FromStr for ObjectId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}
