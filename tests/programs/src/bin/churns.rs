//! Makes and drops objects of all kinds, as many rounds as its first argument says; waits for a line before and after.

use wasmproc_guest::{
    Barrier, ByteQueue, Condition, Error, Event, Lock, Process, Queue, Semaphore, SharedArray, byte_pipe,
};

fn once(round: u64) -> Result<(), Error> {
    match round % 8 {
        0 => drop(Lock::new()?.acquire()?),
        1 => drop(Semaphore::bounded(3)?.acquire()?),
        2 => Event::new()?.set(),
        3 => drop(Condition::new()?.notify_one()?),
        4 => drop(Barrier::new(1)?.wait()?),
        5 => ByteQueue::new()?.put(&[1; 100])?,
        6 => byte_pipe(None)?.0.send(&[1; 100])?,
        _ => drop(SharedArray::<u64>::new(100)?.add(3, 5)),
    }
    Ok(())
}

/// What others have too, what travels, and what is subscribed to.
fn among_others(events: &Queue<Event>) -> Result<(), Error> {
    let event = Event::new()?;
    let pollable = event.subscribe();
    events.put(&event)?;
    let same = events.get()?;
    same.set();
    pollable.block();
    let long = ByteQueue::new()?;
    long.put(&vec![1; 100_000])?;
    long.get()?;
    long.put(&vec![1; 100_000])
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let rounds: u64 = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).expect("a number");
    let events = Queue::new()?;
    for rounds in [2000, rounds] {
        for round in 0..rounds {
            once(round)?;
            if round % 20 == 0 {
                among_others(&events)?;
            }
        }
        let visit = |event: Event| event.set();
        Process::spawn(visit, Event::new()?)?.result()?;
        println!("{rounds} rounds");
        std::io::stdin().read_line(&mut String::new()).expect("a line");
    }
    Ok(())
}
