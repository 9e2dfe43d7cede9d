//! The workers' descriptors: a control socket and a pidfd each.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::process::{Signal, pidfd_send_signal};

use super::{Which, kernel};
use crate::wire::worker::{FromWorker, Start, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::wire::{self, Channel};

/// What waits for workers that don't read, for all of them together.
const MAX_BACKLOG_BYTES: usize = 512 << 20;
/// The longest beginning that is held until it is known that it was read.
const MAX_HELD_BYTES: usize = 64 << 10;

type Control = Channel<ToWorker, FromWorker>;

/// The workers of a run, from the request to fork them until they are reaped.
#[derive(Debug, Default)]
pub(super) struct Workers {
    /// Asked for, and not announced by the zygote.
    expected: HashMap<WorkerId, (Control, Which)>,
    living: HashMap<WorkerId, Worker>,
    by_pid: HashMap<i32, WorkerId>,
    /// What waits for all of them.
    backlog_bytes: usize,
}

#[derive(Debug)]
struct Worker {
    channel: Control,
    pidfd: OwnedFd,
    pid: i32,
    killed: bool,
    /// What its socket is watched for.
    interest: EventFlags,
    /// What it says is to be heard, and not left in its socket.
    listens: bool,
    beginning: Beginning,
}

impl Worker {
    fn kill(&mut self) {
        self.killed = true;
        // One that is dead already is just about to be reported.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// How far a worker has come with its process.
#[derive(Debug)]
enum Beginning {
    Spare,
    /// It was sent this, has not said anything, and was told nothing else.
    Sent(Box<Start>),
    /// It couldn't be sent this.
    Unsent(Box<Start>),
    Over,
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
        let (interest, beginning) = (EventFlags::IN, Beginning::Spare);
        self.living.insert(worker, Worker { channel, pidfd, pid, killed: false, interest, listens: true, beginning });
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

    /// Sends a message, now or when the worker reads.
    pub(super) fn tell(&mut self, worker: WorkerId, message: &ToWorker, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let Some(worker) = self.living.get_mut(&worker) else { return Ok(()) };
        let before = worker.channel.backlog_bytes();
        let result = worker.channel.post(message, descriptors);
        self.backlog_bytes = self.backlog_bytes - before + worker.channel.backlog_bytes();
        if !matches!(worker.beginning, Beginning::Spare) {
            worker.beginning = Beginning::Over;
        }
        result
    }

    /// It was told to begin. `arrived`: as far as is known.
    pub(super) fn started(&mut self, worker: WorkerId, start: Box<Start>, arrived: bool) {
        let Some(worker) = self.living.get_mut(&worker) else { return };
        worker.beginning = match arrived {
            // The standard input went with it, and long ones are not worth their memory.
            _ if start.stdin || start.bytes() > MAX_HELD_BYTES => Beginning::Over,
            true => Beginning::Sent(start),
            false => Beginning::Unsent(start),
        };
    }

    /// It has said something.
    pub(super) fn spoke(&mut self, worker: WorkerId) {
        if let Some(worker) = self.living.get_mut(&worker) {
            worker.beginning = Beginning::Over;
        }
    }

    /// What a dead worker was to begin with, if it is certain that it had not read that.
    pub(super) fn never_began(&mut self, worker: WorkerId) -> Option<Box<Start>> {
        let worker = self.living.get_mut(&worker)?;
        match std::mem::replace(&mut worker.beginning, Beginning::Over) {
            Beginning::Sent(start) if worker.channel.had_unread() => Some(start),
            Beginning::Unsent(start) => Some(start),
            _ => None,
        }
    }

    /// Sends what waits, as far as the worker reads.
    pub(super) fn flush(&mut self, worker: WorkerId) {
        let Some(worker) = self.living.get_mut(&worker) else { return };
        let before = worker.channel.backlog_bytes();
        // Whoever can't be reached any more is dying.
        let _ = worker.channel.flush();
        self.backlog_bytes = self.backlog_bytes - before + worker.channel.backlog_bytes();
    }

    /// The one for whom most is waiting, if what waits for all of them is too much.
    pub(super) fn slowest(&self) -> Option<WorkerId> {
        if self.backlog_bytes <= MAX_BACKLOG_BYTES {
            return None;
        }
        let slowest = self.living.iter().max_by_key(|(_, worker)| worker.channel.backlog_bytes());
        slowest.map(|(worker, _)| *worker)
    }

    /// From now on it is heard, or what it says stays in its socket.
    pub(super) fn listen(&mut self, worker: WorkerId, listens: bool) {
        if let Some(worker) = self.living.get_mut(&worker) {
            worker.listens = listens;
        }
    }

    /// Its socket, and what that has to be watched for if that has changed.
    pub(super) fn new_interest(&mut self, worker: WorkerId) -> Option<(BorrowedFd<'_>, EventFlags)> {
        let worker = self.living.get_mut(&worker)?;
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, worker.listens);
        interest.set(EventFlags::OUT, worker.channel.has_backlog());
        let changed = std::mem::replace(&mut worker.interest, interest) != interest;
        changed.then(|| (worker.channel.as_fd(), interest))
    }

    /// Whether the process has begun to end. Its socket closes in the course of that.
    pub(super) fn is_ending(&self, worker: WorkerId) -> bool {
        // Who was killed need not be looked at: that takes longer than all else that a worker's end costs here.
        self.living.get(&worker).is_none_or(|worker| worker.killed || kernel::is_ending(worker.pidfd.as_fd()))
    }

    /// The descriptor of the living process behind a worker.
    pub(super) fn pidfd(&self, worker: WorkerId) -> Option<&OwnedFd> {
        self.living.get(&worker).map(|worker| &worker.pidfd)
    }

    pub(super) fn kill(&mut self, worker: WorkerId) {
        if let Some(worker) = self.living.get_mut(&worker) {
            worker.kill();
            // Nobody will read it, and others are not to be given up for it until this one is reaped.
            self.backlog_bytes -= worker.channel.backlog_bytes();
            worker.channel.forget_backlog();
        }
    }

    pub(super) fn kill_all(&mut self) {
        self.living.values_mut().for_each(Worker::kill);
    }

    /// It is reaped, or was never born.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.expected.remove(&worker);
        if let Some(worker) = self.living.remove(&worker) {
            self.backlog_bytes -= worker.channel.backlog_bytes();
            self.by_pid.remove(&worker.pid);
        }
    }
}
