//! A semaphore: twenty people sing in a karaoke booth that holds four.
//!
//! The program counts who is inside, in shared memory, and keeps the highest number. Then four guests fill the booth and
//! stay; one of them is killed, and its place comes back.
//!
//! Prints (the singers in any order, everything else in this order):
//! ```text
//! singer 1: inside
//! singer 2: inside
//! ...
//! 20 sang, never more than 4 at a time
//! the booth is full: 0 places
//! a guest was killed by process 1
//! its place came back
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, Event, Process, Semaphore, SharedArray, Signal};

const PLACES: u32 = 4;
const PEOPLE: u32 = 20;

/// What is counted.
const INSIDE: usize = 0;
const MOST_INSIDE: usize = 1;
const SANG: usize = 2;

fn sing(number: u32, booth: Semaphore, counts: SharedArray<u32>) {
    let _place = booth.acquire().expect("the booth is there");
    let inside = counts.add(INSIDE, 1) + 1;
    counts.update(MOST_INSIDE, |most| most.max(inside));
    println!("singer {number}: inside");
    sleep(Duration::from_millis(5));
    counts.add(SANG, 1);
    // One less: integers wrap around.
    counts.add(INSIDE, u32::MAX);
}

fn stay(booth: Semaphore, inside: Semaphore<Signal>, closing_time: Event) {
    let _place = booth.acquire().expect("the booth is there");
    inside.release(1).expect("there are few guests");
    closing_time.wait().expect("the booth closes at some time");
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let booth = Semaphore::bounded(PLACES)?;
    let counts = SharedArray::new(3)?;
    let singers = (1..=PEOPLE).map(|number| Process::spawn(sing, (number, booth.clone(), counts.clone())));
    for singer in singers.collect::<Result<Vec<_>, _>>()? {
        singer.join()?;
    }
    println!("{} sang, never more than {} at a time", counts.load(SANG), counts.load(MOST_INSIDE));

    a_guest_dies(&booth)
}

fn a_guest_dies(booth: &Semaphore) -> Result<(), Error> {
    let (inside, closing_time) = (Semaphore::signal(0)?, Event::new()?);
    let guests = (0..PLACES).map(|_| Process::spawn(stay, (booth.clone(), inside.clone(), closing_time.clone())));
    let guests = guests.collect::<Result<Vec<_>, _>>()?;
    for _ in &guests {
        inside.acquire()?;
    }
    assert!(booth.try_acquire()?.is_none());
    println!("the booth is full: {} places", booth.value());

    guests[0].kill()?;
    println!("a guest was {}", guests[0].join()?);
    let place = booth.acquire()?;
    println!("its place came back");
    drop(place);
    closing_time.set();
    Ok(())
}
