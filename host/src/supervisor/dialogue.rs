//! What supervisor and workers say to each other, and what is done with a worker that does not keep to the rules.
//!
//! Everything is bounded: what is taken from one worker before others have their turn, what is kept of messages that are not
//! whole (`unfinished`), and what waits for those that don't read (`workers`).

use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use wasmproc_sandbox::{Cgroup, Usage, WaitStatus};

use super::spawn::View;
use super::table::Event;
use super::{FIRST_WORKER, Supervisor};
use crate::wire::worker::{FromWorker, Start, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::wire::{self, Received};

/// Packets taken from one worker before the others have their turn.
const TURN: usize = 32;

impl Supervisor<'_> {
    pub(super) fn start(&mut self, worker: WorkerId, mut start: Start, views: &[View]) {
        let mut descriptors = Vec::new();
        if start.stdin {
            descriptors.extend(self.stdin.take());
        }
        start.stdin = !descriptors.is_empty();
        let own = self.views.take(start.pid);
        let result = match own {
            Some(own) => Ok(own),
            None => views.iter().map(|view| self.grants[view.grant].try_clone()).collect::<std::io::Result<Vec<_>>>(),
        };
        match result {
            Ok(views) => descriptors.extend(views),
            Err(error) => {
                return self.give_up(worker, format!("its directories can't be passed on: {error}"));
            }
        }
        let message = ToWorker::Start(Box::new(start));
        let arrived = self.tell(worker, &message, descriptors);
        if let ToWorker::Start(start) = message {
            self.workers.started(worker, start, arrived);
        }
    }

    /// Tells a worker something. Returns whether it was there.
    pub(super) fn tell(&mut self, worker: WorkerId, message: &ToWorker, descriptors: Vec<OwnedFd>) -> bool {
        match self.workers.tell(worker, message, descriptors) {
            Ok(()) => self.watch_worker(worker),
            // It is dying, and its death will be reported.
            Err(error) if wire::is_gone(&error) => return false,
            Err(error) => self.give_up(worker, format!("its worker can't be reached: {error}")),
        }
        if let Some(worker) = self.workers.slowest() {
            self.give_up(worker, "its worker can't be reached: it does not read, and no memory is left for what waits");
        }
        true
    }

    /// Watches a worker for what it has to say, if that is to be heard now, and for room for what waits for it.
    fn watch_worker(&mut self, worker: WorkerId) {
        if let Some((socket, flags)) = self.workers.new_interest(worker) {
            let _ = epoll::modify(&self.epoll, socket, EventData::new_u64(FIRST_WORKER + worker.0), flags);
        }
    }

    /// Kills a worker. What it has said until then is heard when it is dead, and that it ends is no news: its socket need not
    /// wake the supervisor any more.
    pub(super) fn kill(&mut self, worker: WorkerId) {
        self.workers.kill(worker);
        if let Some(channel) = self.workers.channel(worker) {
            let _ = epoll::delete(&self.epoll, &*channel);
        }
    }

    /// Gives up a worker whose words can't be understood, or don't come.
    fn give_up(&mut self, worker: WorkerId, reason: impl Into<String>) {
        self.handle(Event::Misbehaved(worker, reason.into()));
    }

    pub(super) fn hear_worker(&mut self, worker: WorkerId, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.workers.flush(worker);
            self.watch_worker(worker);
        }
        // Of one that is gone all is heard that is left.
        let most = if flags.contains(EventFlags::HUP) { usize::MAX } else { TURN };
        self.take_messages(worker, most);
    }

    /// Takes up to `most` packets of a worker, or all that are left if there is no end to that.
    fn take_messages(&mut self, worker: WorkerId, most: usize) {
        for _ in 0..most {
            if most <= TURN && !self.unfinished.may_go_on(worker) {
                self.workers.listen(worker, false);
                return self.watch_worker(worker);
            }
            let Some(channel) = self.workers.channel(worker) else { return };
            let received = channel.try_receive_packet();
            self.unfinished.is_now(worker, channel.unfinished_bytes());
            match received {
                Ok(None) => {}
                Ok(Some(Received::Message(message, _))) => {
                    self.workers.spoke(worker);
                    self.handle(Event::Said(worker, message));
                }
                Ok(Some(Received::Empty)) => return,
                Ok(Some(Received::Closed)) => {
                    let _ = epoll::delete(&self.epoll, &*channel);
                    // One that is dying will be reported.
                    if !self.workers.is_ending(worker) {
                        self.give_up(worker, "its worker closed its control socket and went on");
                    }
                    return;
                }
                Err(error) => {
                    let _ = epoll::delete(&self.epoll, &*channel);
                    return self.give_up(worker, format!("its worker breaks the rules: {error}"));
                }
            }
        }
    }

    /// Hears those again who had to wait with the rest of a message, if there is room for it.
    pub(super) fn unblock(&mut self) {
        if let Some(worker) = self.unfinished.stuck() {
            self.give_up(worker, "its worker breaks the rules: a message was begun and not gone on with");
        }
        while let Some(worker) = self.unfinished.next() {
            self.workers.listen(worker, true);
            self.watch_worker(worker);
        }
    }

    pub(super) fn worker_died(&mut self, worker: WorkerId, status: WaitStatus, usage: Usage) {
        self.silent_since = None;
        // Its last words are still in the socket. Bounded by what a socket holds.
        self.take_messages(worker, usize::MAX);
        self.unfinished.is_now(worker, 0);
        if status == WaitStatus::Signaled(libc::SIGKILL as u8) {
            let kills = self.cgroup.as_ref().map_or(0, Cgroup::memory_kills);
            if kills > self.memory_kills {
                self.memory_kills += 1;
                self.handle(Event::Said(worker, FromWorker::OutOfMemory));
            } else if let Some(start) = self.workers.never_began(worker) {
                self.handle(Event::NeverBegan(worker, start));
            }
        }
        self.workers.remove(worker);
        self.handle(Event::Reaped(worker, status, usage));
    }
}
