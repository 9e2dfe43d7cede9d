//! Arguments: a function of two parameters runs in a process, and `main` goes on meanwhile.
//!
//! The lines of the two mix. `main` doesn't wait, so its last line comes before the child's last one.
//!
//! Prints (each column in its order):
//! ```text
//! main: *                child: line 1 of sing
//! main: **               child: line 2 of sing
//! main: ***              child: line 3 of sing
//! main: ****             child: line 4 of sing
//! main: *****
//! main: done
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process};

fn repeat(word: String, times: u32) {
    for line in 1..=times {
        sleep(Duration::from_millis(100));
        println!("child: line {line} of {word}");
    }
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    Process::spawn(repeat, ("sing".to_owned(), 4))?;

    for count in 1..=5 {
        println!("main: {}", "*".repeat(count));
        sleep(Duration::from_millis(20));
    }
    println!("main: done");
    Ok(())
}
