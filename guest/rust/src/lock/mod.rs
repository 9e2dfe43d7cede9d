//! Locks: mutual exclusion between processes.
//!
//! `Lock` and `RLock` differ in what happens when their holder acquires them again, and in nothing else. `wit/lock.md`
//! draws the states.

mod guard;
mod holder;
mod plain;
mod reentrant;

pub use guard::LockGuard;
pub(crate) use holder::Holder;
pub use plain::Lock;
pub use reentrant::RLock;
