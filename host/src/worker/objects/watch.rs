//! Waiting for an object in the event loop.

#![expect(unsafe_code, reason = "registering a descriptor in the event loop")]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use tokio::io::Interest as Readiness;
use tokio::io::unix::AsyncFd;
use wasmtime_wasi::p2::Pollable;

use super::super::duplicate;
use super::shared::{Map, Opened, Shared};

/// What about an object somebody waits for.
#[derive(Clone, Copy)]
pub(in super::super) enum Interest {
    /// A lock or a permit is free, an event is set, a message is there.
    Take,
    /// There is room for a message.
    Give,
    /// A condition or a barrier has changed since there were this many changes.
    Since(u32),
}

/// Behind a pollable of an object.
pub(in super::super) struct Watch {
    shared: Arc<Shared>,
    interest: Interest,
    bell: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    pub(in super::super) fn new(shared: Arc<Shared>, interest: Interest) -> Watch {
        Watch { shared, interest, bell: None }
    }

    /// Whether it is ready. If not, the doorbell will ring.
    fn is_ready(&self) -> bool {
        match (&self.shared.opened, self.interest) {
            (Opened::Lock(lock), _) => lock.poll(),
            (Opened::Semaphore(semaphore), _) => semaphore.poll(),
            (Opened::Event(event), _) => event.poll(),
            (Opened::Condition(condition), Interest::Since(before)) => condition.poll(before),
            (Opened::Barrier(barrier), Interest::Since(before)) => barrier.poll(before),
            (Opened::Queue(queue), Interest::Give) => queue.poll_room(),
            (Opened::Pipe(pipe), Interest::Give) => pipe.poll_send(),
            _ if self.shared.parcel.load(Relaxed) != 0 => true,
            (Opened::Queue(queue), _) => queue.poll_items(),
            (Opened::Pipe(pipe), _) => pipe.poll_receive(),
            (Opened::Condition(_) | Opened::Barrier(_) | Opened::Cells(_), _) => true,
        }
    }

    /// The doorbell in the event loop. Each watch has its own, for a loop tells each descriptor's news once.
    fn bell(&mut self) -> Option<&AsyncFd<OwnedFd>> {
        if self.bell.is_none() {
            let bell = duplicate(self.map()?.wakers().bell()?).ok()?;
            // SAFETY: the descriptor is owned by what it is registered in, and is not taken out again.
            self.bell = Some(unsafe { AsyncFd::register_with_interest(bell, Readiness::READABLE) }.ok()?);
        }
        self.bell.as_ref()
    }

    fn map(&self) -> Option<&Map> {
        Some(match &self.shared.opened {
            Opened::Lock(lock) => lock.memory(),
            Opened::Semaphore(semaphore) => semaphore.memory(),
            Opened::Event(event) => event.memory(),
            Opened::Condition(condition) => condition.memory(),
            Opened::Barrier(barrier) => barrier.memory(),
            Opened::Queue(queue) => queue.memory(),
            Opened::Pipe(pipe) => pipe.memory(),
            Opened::Cells(_) => return None,
        })
    }
}

#[async_trait]
impl Pollable for Watch {
    async fn ready(&mut self) {
        if self.is_ready() {
            return;
        }
        // Without a doorbell (no descriptor is left) the guest is told to look for itself, rather than sleep for ever.
        if self.bell().is_none() {
            return;
        }
        loop {
            // Cleared before the object is looked at, so that a ring in between is noticed.
            let Some(bell) = &self.bell else { return };
            let Ok(mut rung) = bell.readable().await else { return };
            rung.clear_ready();
            drop(rung);
            if self.is_ready() {
                return;
            }
        }
    }
}
