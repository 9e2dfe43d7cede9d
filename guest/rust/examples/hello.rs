//! The first process: `main` starts a second one on a function, and both say who they are.
//!
//! Prints (in this order):
//! ```text
//! main: pid 1, no parent
//! child: pid 2, parent 1
//! ```

use wasmproc_guest::{Error, Process, current};

fn greet() {
    introduce("child");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    introduce("main");
    Process::spawn(greet, ())?;
    Ok(())
}

fn introduce(who: &str) {
    let me = current();
    match me.parent {
        Some(parent) => println!("{who}: pid {}, parent {parent}", me.id),
        None => println!("{who}: pid {}, no parent", me.id),
    }
}
