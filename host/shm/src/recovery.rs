//! What the supervisor does for a process that is dead and reaped.

use crate::barrier::Barrier;
use crate::claim::Claim;
use crate::condition::Condition;
use crate::event::Event;
use crate::layout::{CLAIM, FLAGS, Layout};
use crate::lease::{Lease, Seat};
use crate::memory::Memory;
use crate::ownership::{Leaves, Ownership};
use crate::pipe::{End, Pipe};
use crate::queue::Queue;
use crate::semaphore::Semaphore;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Its main function returned, or it dropped the object.
    Peaceful,
    /// Anything else.
    Violent,
}

/// What recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Findings {
    /// Nothing of the dead process was left.
    Nothing,
    /// It held the object, or was inside an operation on it.
    Held,
    /// An internal lock is in use: try again in a moment.
    Busy,
}

/// Frees what `dead` held of an object, repairs what it left halfway, and wakes whoever it may have left asleep.
///
/// Only for a process that is dead and reaped, or that can't use the object any more. May be repeated. Never waits.
pub fn recover<M: Memory>(memory: M, layout: Layout, dead: Lease, seat: Seat, end: End, death: Death) -> Findings {
    let found = match layout {
        Layout::Lock => Some(Ownership::new(&memory, FLAGS).recover(dead, Leaves::Mark)),
        Layout::Semaphore { .. } => Semaphore::new(memory, layout, Lease::SUPERVISOR, seat).recover(dead, seat),
        Layout::Event => {
            Event::new(memory).recover();
            Some(false)
        }
        Layout::Condition { .. } => Condition::new(memory, layout, Lease::SUPERVISOR, seat).recover(dead, seat),
        Layout::Barrier { .. } => Barrier::new(memory, layout, Lease::SUPERVISOR, seat).recover(dead, seat, death),
        Layout::Queue { .. } => Some(Queue::new(memory, layout, Lease::SUPERVISOR, seat).recover(dead, seat)),
        Layout::Pipe { .. } => {
            Pipe::new(memory, layout, end).close();
            Some(false)
        }
        Layout::Cells { .. } => Some(false),
    };
    match found {
        Some(true) => Findings::Held,
        Some(false) => Findings::Nothing,
        None => Findings::Busy,
    }
}

/// Puts an object's first state into zeroed memory. Before anybody else has it.
pub fn initialise<M: Memory>(memory: &M, layout: Layout) {
    if let Layout::Semaphore { permits, .. } = layout {
        Semaphore::initialise(memory, permits);
    }
}

/// Who holds which internal lock of an object: position, lease number, and for the how-manieth time it is held.
pub fn possessions<M: Memory>(memory: &M, layout: Layout) -> Vec<(usize, u32, u32)> {
    let claims: &[usize] = match layout {
        Layout::Queue { .. } => &Queue::<M>::CLAIMS,
        Layout::Semaphore { .. } | Layout::Condition { .. } | Layout::Barrier { .. } => &[CLAIM],
        _ => &[],
    };
    let possession = |at: &usize| {
        let (holder, count) = Claim::new(memory, *at).possession();
        (holder != 0).then_some((*at, holder, count))
    };
    claims.iter().filter_map(possession).collect()
}

/// The number of the lease that holds a lock; 0 for nobody, and for what is no lock.
pub fn holder<M: Memory>(memory: &M, layout: Layout) -> u32 {
    if layout == Layout::Lock { Ownership::new(memory, FLAGS).holder() } else { 0 }
}
