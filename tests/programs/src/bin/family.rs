//! A family of seven: main has two children, each of them two of its own. All sleep; main says when all are there.

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process};

const LONG: Duration = Duration::from_secs(60);

fn grandchild() {
    sleep(LONG);
}

fn child(number: u32) {
    for _ in 0..2 {
        Process::spawn(grandchild, ()).expect("a grandchild");
    }
    println!("child {number} is ready");
    sleep(LONG);
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    for number in 1..=2 {
        Process::builder(child).name(format!("child-{number}")).spawn(number)?;
    }
    println!("main is ready");
    sleep(LONG);
    Ok(())
}
