//! Listens for stop requests. Stops with code 42 when asked, or with the argument `deaf` never.

use std::time::Duration;

use wasmproc_guest::{exit, stop_requested};

#[wasmproc_guest::main]
fn main() {
    let stop = stop_requested();
    println!("ready");
    if std::env::args().nth(1).as_deref() == Some("deaf") {
        std::thread::sleep(Duration::from_secs(60));
    }
    stop.wait();
    println!("tidied up");
    exit(42);
}
