//! The zygotes of a run: the one that is asked for workers, a better one on its way, and one that retires.
//!
//! A zygote that dies is replaced by init, and what it had not answered is asked of the next. A run that starts many
//! processes has its first zygote replaced by one that took longer to make and forks faster.

use std::os::fd::OwnedFd;

use super::table::Event;
use super::watched::Watched;
use super::{Broken, FIRST_WORKER, RETIRING, Supervisor, ZYGOTE, watch};
use crate::error::Error;
use crate::wire::zygote::{FromZygote, ToZygote, WorkerId};
use crate::wire::{self, Received};

pub(super) type Zygote = Watched<ToZygote, FromZygote>;

/// One of the zygotes that there can be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that is asked for workers.
    Present,
    /// A better one that is not ready yet.
    Renewed,
    /// The one that was asked before, until it has answered.
    Retiring,
}

impl Supervisor<'_> {
    pub(super) fn fork(&mut self, worker: WorkerId) {
        if self.zygote.is_none() {
            return self.unsent_forks.push(worker);
        }
        let socket = match self.workers.expect(worker) {
            Ok(socket) => socket,
            Err(error) => return self.handle(Event::NotForked(worker, error.to_string())),
        };
        if let Some(zygote) = &mut self.zygote {
            match zygote.post(&ToZygote::Fork(worker), vec![socket]) {
                // A zygote that is gone is replaced, and asked again.
                Err(error) if !wire::is_gone(&error) => {
                    self.workers.remove(worker);
                    self.handle(Event::NotForked(worker, error.to_string()));
                }
                _ => {}
            }
        }
    }

    /// Init has started a zygote: the first, or one in the place of a dead one.
    pub(super) fn new_zygote(&mut self, zygote: Zygote) -> Result<(), Broken> {
        // What the dead one still said comes first; what it didn't say never happened.
        self.hear_zygote(Which::Present);
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        self.zygote_closed(Which::Present);
        self.zygote = Some(zygote);
        self.send_forks();
        Ok(())
    }

    /// Asks for the workers that were wanted while there was no zygote.
    fn send_forks(&mut self) {
        for worker in std::mem::take(&mut self.unsent_forks) {
            self.fork(worker);
        }
    }

    /// The better zygote is ready: from now on it is asked.
    pub(super) fn renew_zygote(&mut self) {
        let Some(zygote) = self.renewed.take() else { return };
        self.retiring = self.zygote.replace(zygote);
        for (zygote, token) in [(&mut self.zygote, ZYGOTE), (&mut self.retiring, RETIRING)] {
            if let Some(zygote) = zygote {
                zygote.rename(token);
            }
        }
        self.workers.retire_expected();
        self.let_zygote_retire();
        self.send_forks();
    }

    /// Lets go of the retiring zygote once it has answered everything.
    pub(super) fn let_zygote_retire(&mut self) {
        if !self.workers.expects_any(Which::Retiring) {
            self.retiring = None;
        }
    }

    /// Lets go of all zygotes, which end while the last process does.
    pub(super) fn dismiss_zygotes(&mut self) {
        for zygote in [&mut self.zygote, &mut self.renewed, &mut self.retiring] {
            if let Some(mut zygote) = zygote.take() {
                // One that doesn't read it sees its socket close, and is replaced for nothing.
                let _ = zygote.post(&ToZygote::Dismiss, Vec::new());
            }
        }
    }

    pub(super) fn zygote_mut(&mut self, which: Which) -> &mut Option<Zygote> {
        match which {
            Which::Present => &mut self.zygote,
            Which::Renewed => &mut self.renewed,
            Which::Retiring => &mut self.retiring,
        }
    }

    /// Takes the messages of one of the zygotes.
    pub(super) fn hear_zygote(&mut self, which: Which) {
        if let Some(zygote) = self.zygote_mut(which) {
            zygote.flush();
        }
        loop {
            let Some(zygote) = self.zygote_mut(which) else { return };
            match zygote.try_receive() {
                Ok(Received::Message(FromZygote::Ready, _)) if which == Which::Renewed => return self.renew_zygote(),
                Ok(Received::Message(message, descriptors)) => {
                    self.zygote_said(message, descriptors);
                    self.let_zygote_retire();
                }
                Ok(Received::Empty) => return,
                Ok(Received::Closed) | Err(_) => return self.zygote_closed(which),
            }
        }
    }

    pub(super) fn zygote_closed(&mut self, which: Which) {
        match which {
            // Another one comes: from init, or the renewed one gets ready.
            Which::Present => self.zygote = None,
            Which::Renewed => self.renewed = None,
            Which::Retiring => self.retiring = None,
        }
        let lost = self.workers.forget_expected(which);
        if !lost.is_empty() {
            self.handle(Event::ForksLost(lost));
        }
    }

    pub(super) fn zygote_said(&mut self, message: FromZygote, mut descriptors: Vec<OwnedFd>) {
        match message {
            FromZygote::Ready => {}
            FromZygote::BadArtifact(number, reason) => self.broken = Some(Broken::Artifact(number, reason)),
            FromZygote::Unlinkable(number, reason) => self.broken = Some(Broken::Unlinkable(number, reason)),
            FromZygote::Failed(reason) => {
                let reason = crate::cause::printable(&reason);
                self.broken = Some(Error::failed(format!("the zygote can't work here: {reason}")).into());
            }
            FromZygote::Forked { worker, pid } => {
                let Some(pidfd) = descriptors.pop() else {
                    // It didn't fit into this process. The worker sees its socket close, and ends.
                    self.workers.remove(worker);
                    return self.handle(Event::NotForked(worker, "no descriptor is left".to_owned()));
                };
                let Some(channel) = self.workers.born(worker, pid, pidfd) else { return };
                if let Err(error) = watch(&self.epoll, channel, FIRST_WORKER + worker.0) {
                    // One that can't be heard is none.
                    self.workers.kill(worker);
                    self.workers.remove(worker);
                    self.early_deaths.remove(&pid);
                    return self.handle(Event::NotForked(worker, error.to_string()));
                }
                self.handle(Event::Forked(worker));
                let early_death = self.early_deaths.remove(&pid);
                if !self.workers.is_expecting() {
                    // Numbers are reused in time; what is left over here belongs to nobody.
                    self.early_deaths.clear();
                }
                if let Some((status, usage)) = early_death {
                    self.worker_died(worker, status, usage);
                }
            }
            FromZygote::NotForked { worker, reason } => {
                self.workers.remove(worker);
                self.handle(Event::NotForked(worker, reason));
            }
        }
    }
}
