//! How other threads of a host program reach a run.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rustix::event::EventfdFlags;

use super::ProcessView;
use crate::error::{Context, Result};

/// What a run can be told from outside.
#[derive(Debug)]
pub(super) enum Order {
    Stop { grace: Duration },
    Kill,
    Inspect(Sender<Vec<ProcessView>>),
}

/// Ends or inspects a run from any thread. Cheap to clone; outliving the run does no harm.
#[derive(Debug, Clone)]
pub struct Controller {
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
}

/// The run's end of its controllers.
#[derive(Debug)]
pub(crate) struct Orders {
    orders: Receiver<Order>,
    bell: Arc<OwnedFd>,
}

/// A controller and its other end.
pub(crate) fn connected() -> Result<(Controller, Orders)> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let bell = rustix::event::eventfd(0, flags).context(|| "can't make an eventfd".to_owned())?;
    let bell = Arc::new(bell);
    // Bounded: a host program that gives orders faster than they are taken waits.
    let (sender, receiver) = crossbeam_channel::bounded(64);
    Ok((Controller { orders: sender, bell: bell.clone() }, Orders { orders: receiver, bell }))
}

impl Controller {
    /// Asks the run to end; kills what is left after `grace`, and at once a run that doesn't listen to requests.
    pub fn stop(&self, grace: Duration) {
        self.give(Order::Stop { grace });
    }

    /// Kills the run.
    pub fn kill(&self) {
        self.give(Order::Kill);
    }

    /// The processes that are alive, parents first; none if the run is over.
    pub fn processes(&self) -> Vec<ProcessView> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.give(Order::Inspect(answer));
        answered.recv().unwrap_or_default()
    }

    fn give(&self, order: Order) {
        // A run that is over takes no more orders.
        if self.orders.send(order).is_ok() {
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }
}

impl Orders {
    /// Readable when there are orders.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(super) fn take(&self) -> Vec<Order> {
        let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
        self.orders.try_iter().collect()
    }
}
