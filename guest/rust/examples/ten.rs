//! Ten processes at once: each sleeps a tenth of a second, and all of them sleep at the same time.
//!
//! Nobody joins them. When `main` returns, the program still waits for its children.
//!
//! Prints (in any order, but "asleep" and "awake" once for each process, and "main: done" before the last "awake"):
//! ```text
//! process 1: asleep
//! process 2: asleep
//! ...
//! main: done
//! process 2: awake
//! process 1: awake
//! ...
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process};

fn nap(number: u32) {
    println!("process {number}: asleep");
    sleep(Duration::from_millis(100));
    println!("process {number}: awake");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    for number in 1..=10 {
        Process::spawn(nap, number)?;
    }
    println!("main: done");
    Ok(())
}
