//! A process type: a struct with fields of its own and a `run` method, instead of a function.
//!
//! The value travels to the new process, fields and all; what `run` returns travels back. Ten of them run at once.
//!
//! Prints (the ticks of the ten clocks mixed; the results in this order, each after its own clock's ticks):
//! ```text
//! clock 1: tick 1
//! clock 2: tick 1
//! clock 1: tick 2
//! ...
//! clock 1 ticked 3 times
//! clock 2 ticked 3 times
//! ...
//! ```

use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmproc_guest::{Error, Task};

#[derive(Serialize, Deserialize)]
struct Clock {
    number: u32,
    interval: Duration,
    ticks: u32,
}

impl Clock {
    fn new(number: u32) -> Self {
        Self { number, interval: Duration::from_millis(20), ticks: 0 }
    }
}

impl Task for Clock {
    type Output = Self;

    fn run(mut self) -> Self {
        while self.ticks < 3 {
            sleep(self.interval);
            self.ticks += 1;
            println!("clock {}: tick {}", self.number, self.ticks);
        }
        self
    }
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let clocks = (1..=10).map(|number| Clock::new(number).spawn()).collect::<Result<Vec<_>, _>>()?;

    for clock in clocks {
        let clock = clock.result()?;
        println!("clock {} ticked {} times", clock.number, clock.ticks);
    }
    Ok(())
}
