//! A queue: a baker puts a hundred numbered buns on a tray that holds ten, and two eaters eat them.
//!
//! The eaters come when the tray is full, so the baker has to wait. Then it is done again with an eater who takes a bun
//! and is killed before it has eaten it: that bun is lost with it, and with no other, and whoever waits until all are
//! eaten is told.
//!
//! Prints (in this order):
//! ```text
//! the tray is full: 10 buns
//! 100 eaten, each once: true
//! never more than 10 on the tray: true
//! the baker waited: true
//! one who took bun 1 was killed by process 1
//! 99 eaten, each once: true
//! bun 1 was eaten: false
//! all eaten? queue 3: a process that took messages died before it was done (Abandoned)
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Error, ErrorKind, Event, Process, Queue, SharedValue};

const BUNS: u32 = 100;
const PLACES: u32 = 10;

/// Returns how often it had to wait, and the most buns that it saw on the tray.
fn bake(tray: Queue<u32>, full: Event) -> Result<(u32, usize), String> {
    let (mut waits, mut most) = (0, 0);
    for bun in 1..=BUNS {
        match tray.try_put(bun) {
            Err(error) if error.kind() == ErrorKind::Timeout => {
                full.set();
                waits += 1;
                tray.put(bun).map_err(|error| error.to_string())?;
            }
            result => result.map_err(|error| error.to_string())?,
        }
        most = most.max(tray.len());
    }
    tray.close().map_err(|error| error.to_string())?;
    Ok((waits, most))
}

/// Returns the buns that it ate.
fn eat(tray: Queue<u32>) -> Result<Vec<u32>, String> {
    let mut eaten = Vec::new();
    for bun in &tray {
        eaten.push(bun.map_err(|error| error.to_string())?);
        tray.task_done().map_err(|error| error.to_string())?;
    }
    Ok(eaten)
}

/// Takes one, and never gets to eat it.
fn take_one(tray: Queue<u32>, taken: SharedValue<u32>, has_taken: Event) {
    taken.store(tray.get().expect("there are buns"));
    has_taken.set();
    sleep(Duration::from_secs(60));
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let (tray, full) = (Queue::bounded(PLACES)?, Event::new()?);
    let baker = Process::spawn(bake, (tray.clone(), full.clone()))?;
    full.wait()?;
    println!("the tray is full: {} buns", tray.len());
    report(&everything_eaten(&tray)?);
    tray.join()?;
    let (waits, most) = baker.result()?.expect("the baker has flour");
    println!("never more than {PLACES} on the tray: {}", most <= PLACES as usize);
    println!("the baker waited: {}", waits > 0);

    an_eater_dies()
}

fn an_eater_dies() -> Result<(), Error> {
    let (tray, full) = (Queue::bounded(PLACES)?, Event::new()?);
    Process::spawn(bake, (tray.clone(), full))?;
    let (taken, has_taken) = (SharedValue::new(0)?, Event::new()?);
    let unlucky = Process::spawn(take_one, (tray.clone(), taken.clone(), has_taken.clone()))?;
    has_taken.wait()?;
    unlucky.kill()?;
    println!("one who took bun {} was {}", taken.load(), unlucky.join()?);

    let eaten = everything_eaten(&tray)?;
    report(&eaten);
    println!("bun {} was eaten: {}", taken.load(), eaten.contains(&taken.load()));
    match tray.join() {
        Ok(()) => println!("all eaten? yes"),
        Err(error) => println!("all eaten? {error:?}"),
    }
    Ok(())
}

fn everything_eaten(tray: &Queue<u32>) -> Result<Vec<u32>, Error> {
    let eaters = [Process::spawn(eat, tray.clone())?, Process::spawn(eat, tray.clone())?];
    let mut eaten = Vec::new();
    for eater in eaters {
        eaten.extend(eater.result()?.expect("an eater finds the tray"));
    }
    eaten.sort_unstable();
    Ok(eaten)
}

fn report(eaten: &[u32]) {
    let each_once = eaten.is_sorted_by(|one, next| one < next);
    println!("{} eaten, each once: {each_once}", eaten.len());
}
