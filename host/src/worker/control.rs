//! The worker's side of its control socket: requests and their replies, and news that arrive unasked.
//!
//! A request blocks until its reply is there; what else arrives meanwhile is remembered. Pollables wait for news with
//! the event loop. Both may be used by turns, because whoever reads the socket stores what it finds for all.

#![expect(unsafe_code, reason = "registering a descriptor in the event loop")]

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::duplicate;
use crate::wire::object::{Blocker, ObjectReply, ObjectRequest};
use crate::wire::worker::{FromWorker, Output, Refusal, Reply, Request, Start, ToWorker};
use crate::wire::{Channel, Received};
use crate::{Cause, Pid};

/// The control socket, shared by all that use it within this worker.
#[derive(Clone)]
pub(super) struct Control {
    shared: Arc<Mutex<State>>,
}

/// What came of waiting for a process.
pub(super) enum Joined {
    Ended(Cause),
    TimedOut,
    /// It waits in turn for something that this process holds: the circle.
    Deadlock(String),
}

/// How long a wait without a time-out lasts before it is reported.
pub(super) const REPORT_AFTER: Duration = Duration::from_millis(100);

struct State {
    channel: Channel<FromWorker, ToWorker>,
    last_request: u64,
    replies: HashMap<u64, (Result<Reply, Refusal>, Vec<OwnedFd>)>,
    /// Processes whose end the supervisor has been asked to tell, or tells anyway, and how many handles they have.
    watched: HashMap<Pid, usize>,
    ended: HashMap<Pid, (Cause, Output)>,
    stop: bool,
    /// How often this process reported that it waits.
    last_wait: u64,
    /// The wait that will never end, and why.
    deadlock: Option<(u64, String)>,
    /// The socket in the event loop, once somebody has waited for it there.
    readiness: Option<Arc<AsyncFd<OwnedFd>>>,
    /// Who waits in the event loop for news.
    waiting: Vec<Waker>,
}

impl Control {
    pub(super) fn new(channel: Channel<FromWorker, ToWorker>) -> Control {
        let state = State {
            channel,
            last_request: 0,
            replies: HashMap::new(),
            watched: HashMap::new(),
            ended: HashMap::new(),
            stop: false,
            last_wait: 0,
            deadlock: None,
            readiness: None,
            waiting: Vec::new(),
        };
        Control { shared: Arc::new(Mutex::new(state)) }
    }

    /// Waits until this process is told what it is. `None` when the supervisor is gone.
    pub(super) fn wait_for_start(&self) -> io::Result<Option<(Box<Start>, Vec<OwnedFd>)>> {
        let channel = &mut self.state().channel;
        // Until there is something to receive, which is left where it is. Who is killed in a wait to receive may take a
        // message out all the same, and then nobody could know whether the process has begun.
        let mut polled = [PollFd::new(&*channel, PollFlags::IN)];
        // Whatever else ends this wait, receiving waits again.
        let _ = rustix::event::poll(&mut polled, None);
        match channel.receive()? {
            Some((ToWorker::Start(start), descriptors)) => Ok(Some((start, descriptors))),
            // The supervisor says nothing else first.
            _ => Ok(None),
        }
    }

    /// Sends a message that has no reply.
    pub(super) fn tell(&self, message: &FromWorker) -> io::Result<()> {
        self.state().channel.send(message, &[])
    }

    /// Sends a request that has no reply.
    pub(super) fn notify(&self, request: Request) -> io::Result<()> {
        self.tell(&FromWorker::Request { id: 0, request })
    }

    /// Sends a request and waits for the reply. The outer error means that the supervisor is gone.
    pub(super) fn request(&self, request: Request) -> io::Result<Result<Reply, Refusal>> {
        Ok(self.ask(request)?.0)
    }

    /// Sends a request about a shared object, and waits for the reply and what comes with it.
    pub(super) fn request_object(
        &self,
        request: ObjectRequest,
    ) -> io::Result<Result<(ObjectReply, Vec<OwnedFd>), Refusal>> {
        match self.ask(Request::Object(request))? {
            (Ok(Reply::Object(reply)), descriptors) => Ok(Ok((reply, descriptors))),
            (Ok(_), _) => Err(io::Error::new(io::ErrorKind::InvalidData, "the supervisor answered another question")),
            (Err(refusal), _) => Ok(Err(refusal)),
        }
    }

    fn ask(&self, request: Request) -> io::Result<(Result<Reply, Refusal>, Vec<OwnedFd>)> {
        let mut state = self.state();
        state.last_request += 1;
        let id = state.last_request;
        state.channel.send(&FromWorker::Request { id, request }, &[])?;
        loop {
            if let Some(reply) = state.replies.remove(&id) {
                return Ok(reply);
            }
            state.wait(None)?;
        }
    }

    /// Reports that this process waits without a time-out. Returns the number of the wait.
    pub(super) fn report_blocked(&self, on: Blocker) -> io::Result<u64> {
        let sequence = {
            let mut state = self.state();
            state.last_wait += 1;
            state.last_wait
        };
        self.notify(Request::Object(ObjectRequest::Blocked { sequence, on }))?;
        Ok(sequence)
    }

    /// Takes back what [`Control::report_blocked`] reported.
    pub(super) fn report_unblocked(&self) {
        // If the supervisor is gone, so is the circle.
        let _ = self.notify(Request::Object(ObjectRequest::Unblocked));
    }

    /// Why the wait with this number will never end, if that is known now.
    pub(super) fn deadlock(&self, sequence: u64) -> io::Result<Option<String>> {
        let mut state = self.state();
        state.drain()?;
        Ok(state.deadlock.take_if(|(wait, _)| *wait == sequence).map(|(_, message)| message))
    }

    /// Makes sure that the end of `pid`, which has one handle more, will be told.
    pub(super) fn watch(&self, pid: Pid) -> io::Result<()> {
        let handles = {
            let mut state = self.state();
            let handles = state.watched.entry(pid).or_insert(0);
            *handles += 1;
            *handles
        };
        if handles == 1 { self.notify(Request::Watch(pid)) } else { Ok(()) }
    }

    /// How `pid`, which is watched, has ended. Doesn't wait.
    pub(super) fn cause(&self, pid: Pid) -> io::Result<Option<Cause>> {
        let mut state = self.state();
        state.drain()?;
        Ok(state.cause(pid))
    }

    /// Waits for the end of `pid`, which is watched.
    pub(super) fn wait_for_end(&self, pid: Pid, timeout: Option<Duration>) -> io::Result<Joined> {
        if timeout.is_some() {
            return self.wait_until_end(pid, timeout);
        }
        // Most waits are short. A long one may be part of a circle.
        match self.wait_until_end(pid, Some(REPORT_AFTER))? {
            Joined::TimedOut => {}
            joined => return Ok(joined),
        }
        self.report_blocked(Blocker::End(pid))?;
        let joined = self.wait_until_end(pid, None);
        self.report_unblocked();
        joined
    }

    fn wait_until_end(&self, pid: Pid, timeout: Option<Duration>) -> io::Result<Joined> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state();
        loop {
            state.drain()?;
            if let Some(cause) = state.cause(pid) {
                return Ok(Joined::Ended(cause));
            }
            let present = state.last_wait;
            if let Some((_, message)) = state.deadlock.take_if(|(wait, _)| *wait == present) {
                return Ok(Joined::Deadlock(message));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Joined::TimedOut);
            }
            state.wait(left)?;
        }
    }

    /// Takes the output of `pid`, which has ended.
    pub(super) fn take_output(&self, pid: Pid) -> Option<Output> {
        let mut state = self.state();
        let (_, output) = state.ended.get_mut(&pid)?;
        Some(std::mem::replace(output, Output::None))
    }

    /// Forgets a process if this was the last handle to it, and has the supervisor forget it too if it has an output that
    /// is kept for us, or has not ended.
    pub(super) fn forget(&self, pid: Pid) -> io::Result<()> {
        let is_kept = {
            let mut state = self.state();
            match state.watched.get_mut(&pid) {
                Some(handles @ 2..) => {
                    *handles -= 1;
                    return Ok(());
                }
                _ => drop(state.watched.remove(&pid)),
            }
            // One that has not ended keeps its news: they are dropped when they arrive.
            !matches!(state.ended.remove(&pid), Some((_, Output::None | Output::Here(_))))
        };
        if is_kept { self.notify(Request::Forget(pid)) } else { Ok(()) }
    }

    /// Lets time pass, unless this process is asked to stop.
    pub(super) fn pause(&self, pause: Duration) {
        let end = Instant::now() + pause;
        let mut state = self.state();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // A supervisor that is gone asks everybody to stop.
            if left.is_zero() || state.stop || state.wait(Some(left)).is_err() {
                return;
            }
        }
    }

    /// Whether somebody asked this process to stop. Doesn't wait.
    pub(super) fn stop_requested(&self) -> bool {
        let mut state = self.state();
        // A supervisor that is gone asks everybody to stop.
        state.stop |= state.drain().is_err();
        state.stop
    }

    /// Waits in the event loop until `pid` has ended.
    pub(super) async fn ended(&self, pid: Pid) {
        self.until(|state| state.ended.contains_key(&pid)).await;
    }

    /// Waits in the event loop until somebody asks this process to stop.
    pub(super) async fn stopping(&self) {
        self.until(|state| state.stop).await;
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        let readiness = self.readiness();
        poll_fn(|context| {
            loop {
                let mut state = self.state();
                // If the supervisor is gone nothing will ever come; the guest learns it from its next call.
                if state.drain().is_err() || condition(&state) {
                    return Poll::Ready(());
                }
                let Ok(readiness) = &readiness else { return Poll::Ready(()) };
                match readiness.poll_read_ready(context) {
                    // Cleared before the socket is read again, so that what arrives in between is noticed.
                    Poll::Ready(Ok(mut ready)) => ready.clear_ready(),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {
                        state.wake_at_news(context.waker());
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
    }

    fn readiness(&self) -> io::Result<Arc<AsyncFd<OwnedFd>>> {
        let mut state = self.state();
        if let Some(readiness) = &state.readiness {
            return Ok(readiness.clone());
        }
        let socket = duplicate(state.channel.as_fd())?;
        // SAFETY: the descriptor is owned by what it is registered in, and is not taken out again.
        let readiness = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        let readiness = Arc::new(readiness);
        state.readiness = Some(readiness.clone());
        Ok(readiness)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // There is one thread, and a panic ends it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn cause(&self, pid: Pid) -> Option<Cause> {
        self.ended.get(&pid).map(|(cause, _)| cause.clone())
    }

    /// Waits until the socket is readable, and stores what it brings.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        // A time-out that no clock can hold is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut polled = [PollFd::new(&self.channel, PollFlags::IN)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => self.drain(),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores what has arrived. An error means that the supervisor is gone.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            match self.channel.try_receive()? {
                Received::Message(message, descriptors) => self.store(message, descriptors),
                Received::Empty => return Ok(()),
                Received::Closed => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    fn store(&mut self, message: ToWorker, descriptors: Vec<OwnedFd>) {
        match message {
            ToWorker::Reply { request, result } => {
                // The end of a child is told unasked, and can come right behind its birth.
                if let Ok(Reply::Spawned { pid, .. }) = &result {
                    *self.watched.entry(*pid).or_insert(0) += 1;
                }
                self.replies.insert(request, (result, descriptors));
            }
            ToWorker::Ended { pid, cause, output } if self.watched.contains_key(&pid) => {
                self.ended.insert(pid, (cause, output));
                self.tell_news();
            }
            ToWorker::Stop => {
                self.stop = true;
                self.tell_news();
            }
            ToWorker::Deadlock { sequence, message } => self.deadlock = Some((sequence, message)),
            // An end that nobody waits for any more; a second start, which the supervisor never sends.
            ToWorker::Ended { .. } | ToWorker::Start(_) => {}
        }
    }

    /// Whoever reads the socket may find what another one waits for, and the event loop tells only of what nobody has read.
    fn wake_at_news(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn tell_news(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}
