//! Starts as many processes as told, which wait for a stop request, says when all are there, and ends with its input.

use std::io::Read;
use wasmproc_guest::{Error, Process};

fn wait() {
    wasmproc_guest::stop_requested().wait();
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    let processes = (0..count).map(|_| Process::spawn(wait, ())).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    println!("{count} processes wait");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for process in &processes {
        process.kill()?;
    }
    Ok(())
}
