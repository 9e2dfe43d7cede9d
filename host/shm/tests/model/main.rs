//! Every interleaving of a few actors over the types that ship, found by the model checker.
//!
//! For each object there is what it promises the living, and then an actor that stops for ever at every single step,
//! whom recovery follows: the others must come to their end, and nothing may be lost, doubled or let through.
//!
//! What the model has of the world: the memory of C11 (orderings as they are written), a futex that compares and sleeps
//! in one step, doorbells. What it doesn't have: time. A wait with a limit is one that gives up as soon as it slept.
//!
//! Schedules with few preemptions are tried by default. `SHM_MODEL_PREEMPTIONS=3` tries more of them (minutes), and
//! `SHM_MODEL_PREEMPTIONS=all` every one that there is (hours).

mod actor;
mod barrier;
mod cells;
mod condition;
mod duplex;
mod event;
mod explore;
mod lock;
mod memory;
mod pipe;
mod queue;
mod semaphore;
