//! An event: a hundred cars wait for green. Some arrive late, and nobody passes on red.
//!
//! The event says that it is green. A car that waited for it takes the crossing, looks again, and passes. The light
//! takes the crossing too when it changes, so it doesn't change under a car. What colour it is stands in shared memory
//! besides: that is how the cars count who passes on red. When some have passed, the light is killed, perhaps in the middle
//! of a change, which the next one at the crossing puts right; a second light takes over.
//!
//! Prints (the cars in any order, everything else in this order):
//! ```text
//! car 1: waits
//! car 2: waits
//! ...
//! car 10: waits
//! the light is on
//! ...
//! the light was killed by process 1
//! another light is on
//! ...
//! 100 cars passed, 0 of them on red
//! ```

use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmproc_guest::{Error, Event, Lock, Process, Semaphore, SharedArray, Signal};

const CARS: u32 = 100;
/// They come before the light is on.
const EARLY: u32 = 10;
const HALF: u32 = 50;

/// What stands in shared memory.
const IS_GREEN: usize = 0;
const PASSED: usize = 1;
const PASSED_ON_RED: usize = 2;

/// What cars and lights have in common.
#[derive(Clone, Serialize, Deserialize)]
struct Road {
    green: Event,
    crossing: Lock,
    state: SharedArray<u32>,
    waiting: Semaphore<Signal>,
    passed: Semaphore<Signal>,
}

impl Road {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            green: Event::new()?,
            crossing: Lock::new()?,
            state: SharedArray::new(3)?,
            waiting: Semaphore::signal(0)?,
            passed: Semaphore::signal(0)?,
        })
    }

    fn turn(&self, is_green: bool) -> Result<(), Error> {
        let _crossing = self.crossing.acquire()?;
        self.state.store(IS_GREEN, is_green.into());
        if is_green {
            self.green.set()
        } else {
            self.green.clear()
        }
        Ok(())
    }
}

fn light(road: Road) {
    loop {
        for is_green in [true, false] {
            road.turn(is_green).expect("the road is there");
            sleep(Duration::from_millis(5));
        }
    }
}

fn car(number: u32, road: Road) -> Result<(), String> {
    // The late ones come while the light changes.
    sleep(Duration::from_millis(u64::from(number.saturating_sub(EARLY)) / 2));
    if !road.green.is_set() {
        println!("car {number}: waits");
        road.waiting.release(1).map_err(|error| error.to_string())?;
    }
    loop {
        road.green.wait().map_err(|error| error.to_string())?;
        let crossing = road.crossing.acquire().map_err(|error| error.to_string())?;
        if crossing.is_abandoned() {
            // A light died while it changed, perhaps between the one and the other.
            road.state.store(IS_GREEN, road.green.is_set().into());
        }
        // It may have turned red while this car waited for those before it.
        if road.green.is_set() {
            if road.state.load(IS_GREEN) == 0 {
                road.state.add(PASSED_ON_RED, 1);
            }
            road.state.add(PASSED, 1);
            return road.passed.release(1).map_err(|error| error.to_string());
        }
    }
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let road = Road::new()?;
    let mut cars =
        (1..=EARLY).map(|number| Process::spawn(car, (number, road.clone()))).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..EARLY {
        road.waiting.acquire()?;
    }
    println!("the light is on");
    let first = Process::builder(light).daemon(true).spawn(road.clone())?;

    for number in EARLY + 1..=CARS {
        cars.push(Process::spawn(car, (number, road.clone()))?);
    }
    for _ in 0..HALF {
        road.passed.acquire()?;
    }
    first.kill()?;
    println!("the light was {}", first.join()?);
    println!("another light is on");
    Process::builder(light).daemon(true).spawn(road.clone())?;

    for car in cars {
        car.result()?.expect("a car has no accidents");
    }
    println!("{} cars passed, {} of them on red", road.state.load(PASSED), road.state.load(PASSED_ON_RED));
    Ok(())
}
