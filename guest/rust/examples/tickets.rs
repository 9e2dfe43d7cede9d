//! A lock around a file: twenty people buy the last five tickets, of which a JSON file keeps count.
//!
//! Everybody looks first, without the lock, and then buys holding it. It makes a difference: who only looked would sell
//! the same ticket twice. Then it is done again, and the first buyer is killed while it holds the lock. The next one gets
//! the lock and is told that it was abandoned; since the file is replaced in one step, it is whole.
//!
//! The file is in a directory that the program was granted: `wasmproc run --dir DIRECTORY::/data tickets.wasm`.
//!
//! Prints (the buyers in any order, everything else in this order; 20 lines "saw" in each part):
//! ```text
//! 5 tickets, 20 people
//! buyer 1: saw 5
//! buyer 1: bought one, 4 left
//! buyer 2: saw 4
//! buyer 3: saw 4
//! ...
//! buyer 20: sold out
//! sold 5, left 0
//! 5 tickets, 20 people, and one who dies
//! the one who dies holds the lock
//! it was killed by process 1
//! ...
//! buyer 1: the lock was abandoned, 5 left
//! ...
//! sold 5, left 0
//! ```

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmproc_guest::{Error, Event, Lock, Process};

const FILE: &str = "/data/tickets.json";
const TICKETS: u32 = 5;
const PEOPLE: u32 = 20;

#[derive(Serialize, Deserialize)]
struct Office {
    tickets: u32,
}

impl Office {
    fn read() -> Self {
        let text = fs::read_to_string(FILE).expect("run this with --dir DIRECTORY::/data");
        serde_json::from_str(&text).expect("the file is as it was written")
    }

    /// A file is written in several steps, in the middle of any of which a process may die. It gets its name in one.
    fn write(&self) {
        let text = serde_json::to_string(self).expect("a number can be written as JSON");
        let new = format!("{FILE}.new");
        fs::write(&new, text).expect("run this with --dir DIRECTORY::/data");
        fs::rename(new, FILE).expect("it is the same directory");
    }
}

fn buy(number: u32, lock: Lock) -> bool {
    println!("buyer {number}: saw {}", Office::read().tickets);
    let guard = lock.acquire().expect("the lock is there");
    let mut office = Office::read();
    if guard.is_abandoned() {
        println!("buyer {number}: the lock was abandoned, {} left", office.tickets);
    }
    if office.tickets == 0 {
        println!("buyer {number}: sold out");
        return false;
    }
    // Long enough for others to come: without the lock they would find the same ticket.
    sleep(Duration::from_millis(2));
    office.tickets -= 1;
    office.write();
    println!("buyer {number}: bought one, {} left", office.tickets);
    true
}

fn die_at_the_counter(lock: Lock, at_the_counter: Event) {
    let _guard = lock.acquire().expect("the lock is there");
    at_the_counter.set();
    sleep(Duration::from_secs(60));
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    println!("{TICKETS} tickets, {PEOPLE} people");
    Office { tickets: TICKETS }.write();
    let lock = Lock::new()?;
    sell(&lock)?;

    println!("{TICKETS} tickets, {PEOPLE} people, and one who dies");
    Office { tickets: TICKETS }.write();
    let at_the_counter = Event::new()?;
    let unlucky = Process::spawn(die_at_the_counter, (lock.clone(), at_the_counter.clone()))?;
    at_the_counter.wait()?;
    println!("the one who dies holds the lock");
    unlucky.kill()?;
    println!("it was {}", unlucky.join()?);
    sell(&lock)
}

fn sell(lock: &Lock) -> Result<(), Error> {
    let buyers = (1..=PEOPLE).map(|number| Process::spawn(buy, (number, lock.clone())));
    let mut sold = 0;
    for buyer in buyers.collect::<Result<Vec<_>, _>>()? {
        sold += u32::from(buyer.result()?);
    }
    println!("sold {sold}, left {}", Office::read().tickets);
    Ok(())
}
