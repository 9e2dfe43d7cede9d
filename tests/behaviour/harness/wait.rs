//! Waiting for what becomes true.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// What must happen "within a second" is given this long on a loaded machine.
pub(super) const A_LOADED_SECOND: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(5);

/// Waits until `condition` holds, and fails when that takes far too long.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "not after {LIMIT:?}: {what}");
        sleep(STEP);
    }
}
