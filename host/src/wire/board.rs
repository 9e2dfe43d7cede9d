//! A page that the supervisor shares with one worker, and with nobody else.
//!
//! The supervisor calls the worker out of a sleep by it, whatever others write into the objects that it sleeps on. The
//! worker notes on it in which object it holds an internal lock, so that nobody can blame it for another one's
//! standstill.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use wasmproc_shm::{Mapping, Memory};

use super::object::ObjectId;

const BYTES: usize = 64;
/// The word that changes when the supervisor has something to say.
pub(crate) const ALARM: usize = 0;
const INSIDE: usize = 2;

#[derive(Debug)]
pub(crate) struct Board {
    page: Mapping<()>,
}

impl Board {
    pub(crate) fn create() -> io::Result<(Board, OwnedFd)> {
        let file = wasmproc_shm::create(c"wasmproc-board", BYTES)?;
        Ok((Board::open(&file)?, file))
    }

    pub(crate) fn open(file: impl AsFd) -> io::Result<Board> {
        Ok(Board { page: Mapping::of(file, BYTES, ())? })
    }

    /// The page, to sleep on its alarm.
    pub(crate) fn page(&self) -> &Mapping<()> {
        &self.page
    }

    pub(crate) fn alarms(&self) -> u32 {
        self.page.word(ALARM).load(Acquire)
    }

    /// Calls the worker.
    pub(crate) fn alarm(&self) {
        // Release: the message that the alarm is about has been sent.
        self.page.word(ALARM).fetch_add(1, Release);
        self.page.wake(ALARM, u32::MAX);
    }

    /// Notes that this worker is about to hold an internal lock of `memory`.
    #[inline]
    pub(crate) fn enter(&self, memory: ObjectId) {
        self.page.long(INSIDE).store(memory.0, Relaxed);
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.page.long(INSIDE).store(0, Release);
    }

    pub(crate) fn is_inside(&self, memory: ObjectId) -> bool {
        self.page.long(INSIDE).load(Acquire) == memory.0
    }
}
