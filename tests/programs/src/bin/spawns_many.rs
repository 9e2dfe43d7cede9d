//! Starts as many quick children as its argument says, sixteen at a time; before the last one it waits for a line.

use std::collections::VecDeque;

use wasmproc_guest::{Error, Process};

const AT_A_TIME: usize = 16;

fn next(number: u64) -> u64 {
    number + 1
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("a number");
    let mut sum = 0;
    // A few first, so that whoever watches can compare with what is normal.
    for warm_up in [100, count] {
        let mut running: VecDeque<Process<u64>> = VecDeque::new();
        sum = 0;
        for number in 0..warm_up {
            if running.len() == AT_A_TIME {
                sum += running.pop_front().expect("some run").result()?;
            }
            running.push_back(Process::spawn(next, number)?);
        }
        for process in running {
            sum += process.result()?;
        }
        println!("{warm_up} are done");
        std::io::stdin().read_line(&mut String::new()).expect("a line");
    }
    println!("sum {sum}");
    Ok(())
}
