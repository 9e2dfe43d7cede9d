//! Standard streams: straight to the descriptors, unbuffered, without a second thread.
//!
//! The descriptors are shared with other processes, so their non-blocking flag is left alone. Whether an operation
//! would block is asked with poll(2) each time; the event loop is used only for waiting. A regular file can't be
//! waited for and is always ready.

#![expect(unsafe_code, reason = "registering a descriptor in the event loop")]

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::control::Control;
use crate::wire::worker::FromWorker;

/// The most that one call moves.
const CHUNK_BYTES: usize = 64 * 1024;

/// One of the standard streams.
#[derive(Clone)]
pub(super) struct Stream {
    descriptor: Arc<OwnedFd>,
    terminal: bool,
    allowance: Arc<Allowance>,
}

impl Stream {
    pub(super) fn new(descriptor: OwnedFd, terminal: bool, allowance: Arc<Allowance>) -> Stream {
        Stream { descriptor: Arc::new(descriptor), terminal, allowance }
    }
}

/// What a process may still write to its standard streams, all of them together.
pub(super) struct Allowance {
    bytes: AtomicU64,
    told: AtomicBool,
    control: Control,
}

impl Allowance {
    pub(super) fn new(bytes: u64, control: Control) -> Allowance {
        Allowance { bytes: AtomicU64::new(bytes), told: AtomicBool::new(false), control }
    }

    /// How many of `wanted` bytes may be written now. When they run out the supervisor is told.
    fn take(&self, wanted: usize) -> usize {
        let left = self.bytes.load(Relaxed);
        if left == u64::MAX {
            return wanted;
        }
        let taken = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
        self.bytes.store(left - taken as u64, Relaxed);
        if taken < wanted && !self.told.swap(true, Relaxed) {
            // If the supervisor is gone, so is this process soon.
            let _ = self.control.tell(&FromWorker::OutputLimit);
        }
        taken
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdinStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Used by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Input { descriptor: self.descriptor.clone() })
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Output { descriptor: self.descriptor.clone(), allowance: self.allowance.clone() })
    }
}

struct Input {
    descriptor: Arc<OwnedFd>,
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        wait(&self.descriptor, PollFlags::IN, Interest::READABLE).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 || !is_ready(self.descriptor.as_fd(), PollFlags::IN) {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; size.min(CHUNK_BYTES)];
        match rustix::io::read(&self.descriptor, &mut buffer) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer.into())
            }
            // Another reader of the same terminal or pipe was faster.
            Err(Errno::AGAIN | Errno::INTR) => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

struct Output {
    descriptor: Arc<OwnedFd>,
    allowance: Arc<Allowance>,
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        wait(&self.descriptor, PollFlags::OUT, Interest::WRITABLE).await;
    }
}

impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if is_ready(self.descriptor.as_fd(), PollFlags::OUT) { CHUNK_BYTES } else { 0 })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let allowed = self.allowance.take(bytes.len());
        let mut rest = &bytes[..allowed];
        while !rest.is_empty() {
            match rustix::io::write(&self.descriptor, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                // Somebody else made it non-blocking.
                Err(Errno::AGAIN) => block(self.descriptor.as_fd(), PollFlags::OUT),
                Err(error) => return Err(failed(error)),
            }
        }
        if allowed == bytes.len() { Ok(()) } else { Err(failed(Errno::FBIG)) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

fn failed(error: Errno) -> StreamError {
    let error = io::Error::from(error);
    match error.kind() {
        ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(wasmtime::Error::from(error)),
    }
}

/// Waits in the event loop until `descriptor` is ready, or can't be waited for.
async fn wait(descriptor: &Arc<OwnedFd>, events: PollFlags, interest: Interest) {
    if is_ready(descriptor.as_fd(), events) {
        return;
    }
    // SAFETY: the descriptor is kept open by the reference that is registered, and is not taken out again.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor.clone(), interest) };
    let Ok(registered) = registered else {
        // Registered already by another stream of the same descriptor, or no descriptor is left: wait here instead.
        return block(descriptor.as_fd(), events);
    };
    while !is_ready(descriptor.as_fd(), events) {
        match registered.ready(interest).await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}

fn is_ready(descriptor: BorrowedFd<'_>, events: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::from_borrowed_fd(descriptor, events)];
    // An error shows itself in the operation that follows.
    rustix::event::poll(&mut polled, Some(&now)) != Ok(0)
}

fn block(descriptor: BorrowedFd<'_>, events: PollFlags) {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, events)];
    let _ = rustix::event::poll(&mut polled, None);
}
