//! Memory isn't shared: a global variable of the child is a variable of its own.
//!
//! Not even what `main` wrote before the start is in the child: every instance begins with the first value. Whatever
//! the child needs, it gets as an argument; what it found out, it returns.
//!
//! Prints (in this order):
//! ```text
//! child: 100
//! main: 99
//! ```

use std::sync::atomic::{AtomicU32, Ordering};

use wasmproc_guest::{Error, Process};

static COUNTER: AtomicU32 = AtomicU32::new(99);

fn add_one() {
    let before = COUNTER.fetch_add(1, Ordering::Relaxed);
    println!("child: {}", before + 1);
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    Process::spawn(add_one, ())?.result()?;
    println!("main: {}", COUNTER.load(Ordering::Relaxed));
    Ok(())
}
