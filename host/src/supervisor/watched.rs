//! A channel in the supervisor's epoll set. It is watched for room as long as something waits for that, and no longer: a
//! socket has room nearly always, and would keep the supervisor awake.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::Shutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{Channel, Received};

/// A channel to init or to a zygote. (Those to workers are many, and are told apart by more: see `workers`.)
#[derive(Debug)]
pub(super) struct Watched<Out, In> {
    channel: Channel<Out, In>,
    epoll: Rc<OwnedFd>,
    token: u64,
    /// Also for room.
    for_room: bool,
}

impl<Out: Serialize, In: DeserializeOwned> Watched<Out, In> {
    /// Watches `channel`; events of it come with `token`.
    pub(super) fn new(epoll: &Rc<OwnedFd>, channel: Channel<Out, In>, token: u64) -> io::Result<Self> {
        epoll::add(epoll, &channel, EventData::new_u64(token), EventFlags::IN)?;
        Ok(Watched { channel, epoll: epoll.clone(), token, for_room: false })
    }

    /// From now on events of it come with `token`.
    pub(super) fn rename(&mut self, token: u64) {
        self.token = token;
        self.watch();
    }

    /// Sends a message if the peer reads, else when it does. Fails as [`Channel::post`] does.
    pub(super) fn post(&mut self, message: &Out, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let posted = self.channel.post(message, descriptors);
        self.watch_for_room(self.channel.has_backlog());
        posted
    }

    /// Sends what waits, as far as the peer reads.
    pub(super) fn flush(&mut self) {
        if self.for_room {
            // One that can't be reached any more is heard of when it is read from.
            let all = self.channel.flush().unwrap_or(true);
            self.watch_for_room(!all);
        }
    }

    /// Receives a message if there is one. Never waits.
    pub(super) fn try_receive(&mut self) -> io::Result<Received<In>> {
        self.channel.try_receive()
    }

    /// Sends nothing more, which the peer sees.
    pub(super) fn shut_down(&self) {
        let _ = rustix::net::shutdown(&self.channel, Shutdown::Write);
    }

    fn watch_for_room(&mut self, for_room: bool) {
        if std::mem::replace(&mut self.for_room, for_room) != for_room {
            self.watch();
        }
    }

    fn watch(&self) {
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, self.for_room);
        // It is in the set, and stays there.
        let _ = epoll::modify(&self.epoll, &self.channel, EventData::new_u64(self.token), flags);
    }
}

impl<Out, In> AsFd for Watched<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
