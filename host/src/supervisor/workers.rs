//! The workers' descriptors: a control socket and a pidfd each.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Signal, pidfd_send_signal};

use super::Which;
use crate::wire::worker::{FromWorker, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::wire::{self, Channel};

type Control = Channel<ToWorker, FromWorker>;

/// The workers of a run, from the request to fork them until they are reaped.
#[derive(Debug, Default)]
pub(super) struct Workers {
    /// Asked for, and not announced by the zygote.
    expected: HashMap<WorkerId, (Control, Which)>,
    living: HashMap<WorkerId, Worker>,
    by_pid: HashMap<i32, WorkerId>,
}

#[derive(Debug)]
struct Worker {
    channel: Control,
    pidfd: OwnedFd,
    pid: i32,
}

impl Workers {
    /// Makes the control socket of a worker that is about to be forked, and returns the worker's end.
    pub(super) fn expect(&mut self, worker: WorkerId) -> io::Result<OwnedFd> {
        let (ours, theirs) = wire::pair()?;
        self.expected.insert(worker, (Channel::new(ours), Which::Present));
        Ok(theirs)
    }

    /// The zygote has announced it.
    pub(super) fn born(&mut self, worker: WorkerId, pid: i32, pidfd: OwnedFd) -> Option<&Control> {
        let (channel, _) = self.expected.remove(&worker)?;
        self.by_pid.insert(pid, worker);
        self.living.insert(worker, Worker { channel, pidfd, pid });
        self.living.get(&worker).map(|worker| &worker.channel)
    }

    /// Gives up the workers that a zygote never announced, and says which they are. One that lives all the same sees
    /// its socket close, and ends.
    pub(super) fn forget_expected(&mut self, of: Which) -> Vec<WorkerId> {
        let lost = self.expected.iter().filter(|(_, (_, zygote))| *zygote == of).map(|(worker, _)| *worker).collect();
        self.expected.retain(|_, (_, zygote)| *zygote != of);
        lost
    }

    /// The present zygote retires: it still has to announce those.
    pub(super) fn retire_expected(&mut self) {
        for (_, zygote) in self.expected.values_mut() {
            *zygote = Which::Retiring;
        }
    }

    pub(super) fn expects_any(&self, of: Which) -> bool {
        self.expected.values().any(|(_, zygote)| *zygote == of)
    }

    /// Whether some zygote still has to announce a worker.
    pub(super) fn is_expecting(&self) -> bool {
        !self.expected.is_empty()
    }

    /// The worker that has this number in the run's namespace.
    pub(super) fn find(&self, pid: i32) -> Option<WorkerId> {
        self.by_pid.get(&pid).copied()
    }

    pub(super) fn channel(&mut self, worker: WorkerId) -> Option<&mut Control> {
        self.living.get_mut(&worker).map(|worker| &mut worker.channel)
    }

    /// The descriptor of the living process behind a worker.
    pub(super) fn pidfd(&self, worker: WorkerId) -> Option<&OwnedFd> {
        self.living.get(&worker).map(|worker| &worker.pidfd)
    }

    pub(super) fn kill(&self, worker: WorkerId) {
        if let Some(worker) = self.living.get(&worker) {
            // One that is dead already is just about to be reported.
            let _ = pidfd_send_signal(&worker.pidfd, Signal::KILL);
        }
    }

    pub(super) fn kill_all(&self) {
        for worker in self.living.keys() {
            self.kill(*worker);
        }
    }

    /// It is reaped, or was never born.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.expected.remove(&worker);
        if let Some(worker) = self.living.remove(&worker) {
            self.by_pid.remove(&worker.pid);
        }
    }
}
