//! Starts processes that wait, each for something else, and waits for a thousand pollables itself until its input ends.

use std::io::Read;

use wasmproc_guest::{
    Barrier, Condition, Error, Event, Lock, Pollable, Process, Queue, Semaphore, SharedValue, Signal, Waitable,
    wait_any,
};

type Things = (Lock, Semaphore<Signal>, Event, Condition, Barrier, Queue<u32>);

fn wait(things: Things, number: u32, waiting: SharedValue<u32>) {
    let (lock, buns, event, changed, barrier, queue) = things;
    waiting.add(1);
    match number % 7 {
        0 => drop(lock.acquire()),
        1 => drop(buns.acquire()),
        2 => drop(event.wait()),
        3 => drop(changed.acquire().and_then(|mut held| changed.wait(&mut held))),
        4 => drop(barrier.wait()),
        5 => drop(queue.get()),
        _ => drop(wait_any(&[&lock, &buns, &event, &changed, &barrier, &queue])),
    }
}

fn watch(events: Vec<Event>, waiting: SharedValue<u32>) {
    let pollables: Vec<Pollable> = events.iter().map(Event::subscribe).collect();
    let things: Vec<&dyn Waitable> = pollables.iter().map(|pollable| pollable as &dyn Waitable).collect();
    waiting.add(1);
    wait_any(&things);
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let count: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("a number");
    let lock = Lock::new()?;
    let _held = lock.acquire()?;
    let things =
        (lock.clone(), Semaphore::signal(0)?, Event::new()?, Condition::new()?, Barrier::new(900)?, Queue::new()?);
    let waiting = SharedValue::new(0)?;
    let spawn = |number| Process::spawn(wait, (things.clone(), number, waiting.clone()));
    let waiters = (0..count).map(spawn).collect::<Result<Vec<_>, _>>()?;
    let events = (0..1000).map(|_| Event::new()).collect::<Result<Vec<_>, _>>()?;
    let watcher = Process::spawn(watch, (events, waiting.clone()))?;
    while waiting.load() <= count {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    println!("all wait");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    for waiter in &waiters {
        waiter.kill()?;
    }
    watcher.kill()
}
