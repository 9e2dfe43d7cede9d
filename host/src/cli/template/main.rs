//! Starts a process for each number and adds up what they return.

use wasmproc_guest::{Error, Process};

fn square(number: u64) -> u64 {
    println!("process {} squares {number}", wasmproc_guest::id());
    number * number
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let processes: Vec<_> = (1..=4).map(|number| Process::spawn(square, number)).collect::<Result<_, _>>()?;
    let mut sum = 0;
    for process in processes {
        sum += process.result()?;
    }
    println!("the sum of the squares is {sum}");
    Ok(())
}
