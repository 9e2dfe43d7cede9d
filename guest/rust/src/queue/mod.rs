//! Queues: messages in order, from any number of processes to any number of processes.
//!
//! `ByteQueue` is the host's queue; `Queue` encodes what it puts there. `wit/queue.md` draws the states.

mod batch;
mod builder;
mod bytes;
mod iter;
mod transfer;
mod typed;

pub use batch::{Batch, Messages};
pub use builder::QueueBuilder;
pub use bytes::ByteQueue;
pub use iter::{IntoItems, Items};
pub use typed::Queue;
