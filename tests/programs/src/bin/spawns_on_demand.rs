//! For each line that it reads starts a child and tells what came of it.

use wasmproc_guest::{Error, Process};

fn double(number: u64) -> u64 {
    2 * number
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    println!("ready");
    for line in std::io::stdin().lines() {
        let number: u64 = line.expect("text").parse().expect("a number");
        match Process::spawn(double, number).and_then(Process::result) {
            Ok(doubled) => println!("{doubled}"),
            Err(error) => println!("{error:?}"),
        }
    }
    Ok(())
}
