//! Watches its parent, and can do no more to it; leaves children behind that main waits for.

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process, Untyped, parent};

fn mother() -> Process<Untyped> {
    parent().expect("it is a child")
}

fn impatient() -> String {
    format!("{:?}", mother().join_timeout(Duration::from_millis(50)).map_err(|error| error.kind()))
}

fn hostile() -> String {
    format!("{:?}", mother().kill().map_err(|error| error.kind()))
}

fn patient() {
    let status = mother().join().expect("it returns some time");
    println!("the parent {status}");
}

fn late(number: u32) {
    sleep(Duration::from_millis(300));
    println!("late {number}");
}

fn middle(number: u32) {
    Process::spawn(late, number).expect("a grandchild");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    println!("joining the parent: {}", Process::spawn(impatient, ())?.result()?);
    println!("killing the parent: {}", Process::spawn(hostile, ())?.result()?);
    Process::spawn(patient, ())?;
    Process::spawn(middle, 1)?;
    Process::spawn(middle, 2)?;
    println!("main returns");
    Ok(())
}
