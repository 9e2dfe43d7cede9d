//! Who somebody is in shared memory.

use std::num::NonZeroU32;

/// A process, in the words of shared memory. The supervisor issues it and never issues it again.
///
/// Not a pid of the operating system: those are reused, and differ between namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease(NonZeroU32);

impl Lease {
    const LARGEST: u32 = (1 << 29) - 2;

    /// What the supervisor itself owns things under while it recovers them.
    pub const SUPERVISOR: Lease = Lease(NonZeroU32::new(Lease::LARGEST + 1).expect("it is not zero"));

    /// The lease with this number; `None` for 0 and for numbers that don't fit into the words of shared memory.
    #[must_use]
    pub fn new(number: u32) -> Option<Lease> {
        if number > Lease::LARGEST {
            return None;
        }
        NonZeroU32::new(number).map(Lease)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// The place that one process has in the table of one object: what it holds and waits for stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(pub u32);
