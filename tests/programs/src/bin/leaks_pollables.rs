//! Makes timers and never drops one.

use wasip2::clocks::monotonic_clock::subscribe_duration;

fn main() {
    loop {
        std::mem::forget(subscribe_duration(u64::MAX));
    }
}
