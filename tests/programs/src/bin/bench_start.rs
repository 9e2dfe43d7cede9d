//! Starts and joins an empty task as often as told, and prints the median of the microseconds that one took.

use std::time::Instant;
use wasmproc_guest::{Error, Process};

fn nothing() {}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let times: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        Process::spawn(nothing, ())?.join()?;
        all.push(started.elapsed().as_secs_f64() * 1e6);
    }
    all.sort_by(f64::total_cmp);
    println!("{}", all[times / 2]);
    Ok(())
}
