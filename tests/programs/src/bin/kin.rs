//! Watches its parent as a daemon may and as a child may not; leaves children behind that main waits for.

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Process, current, parent};

fn child() -> String {
    match parent().map(|parent| parent.join()) {
        Some(Ok(status)) => format!("the parent {status}"),
        Some(Err(error)) => format!("{:?}", error.kind()),
        None => "no parent".to_owned(),
    }
}

fn hostile() -> String {
    format!("{:?}", parent().map(|parent| parent.kill().map_err(|error| error.kind())))
}

fn late(number: u32) {
    sleep(Duration::from_millis(300));
    println!("late {number}, child of {:?}", current().parent.map(|pid| pid.to_string()));
}

fn middle(number: u32) {
    Process::spawn(late, number).expect("a grandchild");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    println!("joining the parent: {}", Process::spawn(child, ())?.result()?);
    println!("killing the parent: {}", Process::spawn(hostile, ())?.result()?);
    Process::spawn(middle, 1)?;
    Process::spawn(middle, 2)?;
    println!("main returns");
    Ok(())
}
