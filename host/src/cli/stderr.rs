//! Lines on stderr that no run waits for: whoever doesn't read them must not keep limits and signals from being heard.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// As much as a pipe takes without waiting whenever it says that it has room.
const PIECE_BYTES: usize = 4096;
/// What is kept for a reader that comes late.
const MOST_BYTES: usize = 1 << 20;
/// How late it may come when there is nothing else to be done.
const PATIENCE: Duration = Duration::from_secs(5);

/// What stderr had no room for.
static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes a line, now or with a later one.
pub(super) fn say(line: &str) {
    let mut waiting = match WAITING.try_lock() {
        Ok(waiting) => waiting,
        Err(TryLockError::Poisoned(waiting)) => waiting.into_inner(),
        // Memory ran out, or something else went wrong, while a line was being written: these are the last words.
        Err(TryLockError::WouldBlock) => return drop(writeln!(io::stderr(), "{line}")),
    };
    if waiting.len() + line.len() < MOST_BYTES {
        waiting.extend_from_slice(line.as_bytes());
        waiting.push(b'\n');
    }
    write(&mut waiting, Duration::ZERO);
}

/// Writes what waits, if it is read within some seconds. For when everything else is over.
pub(super) fn finish() {
    write(&mut WAITING.lock().unwrap_or_else(PoisonError::into_inner), PATIENCE);
}

/// Writes as much as there is room for until then.
fn write(waiting: &mut Vec<u8>, patience: Duration) {
    let began = Instant::now();
    while !waiting.is_empty() && has_room(patience.saturating_sub(began.elapsed())) {
        let piece = waiting.len().min(PIECE_BYTES);
        match io::stderr().write(&waiting[..piece]) {
            Ok(written) => drop(waiting.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // Nobody can be told that stderr is closed.
            Err(_) => waiting.clear(),
        }
    }
}

fn has_room(patience: Duration) -> bool {
    let stderr = rustix::stdio::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let patience = Timespec::try_from(patience).ok();
    rustix::event::poll(&mut polled, patience.as_ref()) != Ok(0)
}
