//! Has a child that the test stops and lets go on, and says at every line of its input how things are.
//!
//! The child is known by its memory: it fills 48 MiB. Its part is the first argument: to `hold` a lock and 1 permit of 2;
//! or to be `inside` of puts of long messages nearly all of its time, at most one of them done until somebody takes it.

use std::time::Duration;
use wasmproc_guest::{ByteQueue, Error, Event, Lock, Process, Queue, Semaphore, SharedValue};

const LONG: usize = 12 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

fn memory() -> Vec<u8> {
    std::hint::black_box(vec![7; 48 << 20])
}

fn hold(lock: Lock, places: Semaphore, held: Event) {
    let _memory = memory();
    let _held = (lock.acquire().expect("it is free"), places.acquire().expect("one is free"));
    held.set();
    std::thread::sleep(Duration::from_secs(100));
}

fn put_and_get(queue: ByteQueue, held: Event, rounds: SharedValue<u64>) {
    let memory = memory();
    held.set();
    loop {
        queue.put(&memory[..LONG]).expect("it is open");
        if queue.get().expect("it is open").len() == LONG {
            rounds.add(1);
        }
    }
}

fn lines(mut say: impl FnMut() -> Result<String, Error>) -> Result<(), Error> {
    println!("ready");
    for (number, _) in (1..).zip(std::io::stdin().lines()) {
        println!("{number}: {}", say()?);
    }
    Ok(())
}

fn beside_a_holder() -> Result<(), Error> {
    let (lock, places, held) = (Lock::new()?, Semaphore::bounded(2)?, Event::new()?);
    let child = Process::spawn(hold, (lock.clone(), places.clone(), held.clone()))?;
    held.wait()?;
    lines(|| {
        assert!(lock.acquire_timeout(Duration::from_millis(20))?.is_none(), "it is held");
        // What the child has and doesn't hold goes on, and what it doesn't have anyway.
        drop(places.acquire()?);
        let (own, queue) = (Lock::new()?, Queue::new()?);
        let visit = |own: Lock, queue: Queue<u32>| {
            let _held = own.acquire().expect("it comes free");
            queue.put(1).expect("there is room");
        };
        Process::spawn(visit, (own.clone(), queue.clone()))?.result()?;
        drop(own.acquire()?);
        queue.get()?;
        Ok(if child.is_alive() { "all go on".to_owned() } else { "the child is dead".to_owned() })
    })?;
    child.kill()?;
    assert!(lock.acquire()?.is_abandoned());
    Ok(())
}

fn beside_one_inside() -> Result<(), Error> {
    let queue = Queue::<()>::builder().capacity(32 << 20).create_bytes()?;
    let (held, rounds) = (Event::new()?, SharedValue::new(0u64)?);
    let child = Process::spawn(put_and_get, (queue.clone(), held.clone(), rounds.clone()))?;
    held.wait()?;
    let mut words = std::env::args().skip(2);
    let waits = words.next().is_some_and(|word| word == "wait");
    lines(|| {
        if waits {
            queue.put_timeout(b"short", PATIENCE)?;
            queue.get_timeout(PATIENCE)?;
        }
        match child.exit_status() {
            Some(status) => Ok(format!("the child {status}")),
            None => Ok(format!("the child did {} rounds", rounds.load())),
        }
    })?;
    child.kill()
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    match std::env::args().nth(1).as_deref() {
        Some("hold") => beside_a_holder(),
        Some("inside") => beside_one_inside(),
        other => panic!("{other:?}"),
    }
}
