//! Says that it is ready, then waits in the host for as many seconds as its argument says, or for a minute.

use std::time::Duration;

fn main() {
    println!("ready");
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok());
    std::thread::sleep(Duration::from_secs_f64(seconds.unwrap_or(60.0)));
    println!("awake");
}
