//! Makes as many sets of objects as its first argument says, and starts as many processes that wait for something of a set
//! of their own as its second one says. When all wait it says "ready", waits for a line, and prints what some operations take
//! among them: nanoseconds for an acquire and release, a put and get, a round trip of events, a create and drop.
//!
//! The objects of a set are ten: each end of a pipe is one, and a condition brings a lock along.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wasmproc_guest::{
    Barrier, ByteQueue, Condition, Connection, Error, Event, Lock, LockGuard, Process, Queue, Semaphore, SharedValue,
    Signal, pipe,
};

const TURNS: u64 = 200_000;
const ROUND_TRIPS: u64 = 5_000;
const MADE: u64 = 2_000;
/// Of how many measurements the middle one is printed.
const ROUNDS: usize = 5;

#[derive(Clone, Serialize, Deserialize)]
struct Set {
    lock: Lock,
    permits: Semaphore<Signal>,
    event: Event,
    changed: Condition,
    barrier: Barrier,
    queue: ByteQueue,
    number: SharedValue<u64>,
}

impl Set {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            lock: Lock::new()?,
            permits: Semaphore::signal(0)?,
            event: Event::new()?,
            changed: Condition::new()?,
            barrier: Barrier::new(2)?,
            queue: Queue::<()>::builder().create_bytes()?,
            number: SharedValue::new(0)?,
        })
    }
}

fn wait(set: Set, receiver: Connection<u32>, number: usize, waiting: SharedValue<u32>) {
    set.number.add(1);
    waiting.add(1);
    // Nothing of it ever comes: the process is killed.
    match number % 7 {
        0 => drop(set.lock.acquire()),
        1 => drop(set.permits.acquire()),
        2 => drop(set.event.wait()),
        3 => drop(set.changed.acquire().and_then(|mut held| set.changed.wait(&mut held))),
        4 => drop(set.barrier.wait()),
        5 => drop(set.queue.get()),
        _ => drop(receiver.recv()),
    }
}

fn answer(ping: Event, pong: Event) {
    loop {
        ping.wait().expect("main sets it");
        ping.clear();
        pong.set();
    }
}

fn each(operations: u64, mut operation: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let began = Instant::now();
    for _ in 0..operations {
        operation()?;
    }
    Ok(began.elapsed().as_nanos() as f64 / operations as f64)
}

/// The middle one of several measurements of each.
fn measure() -> Result<[f64; 4], Error> {
    let (lock, queue) = (Lock::new()?, Queue::<()>::builder().create_bytes()?);
    let (ping, pong) = (Event::new()?, Event::new()?);
    Process::builder(answer).daemon(true).spawn((ping.clone(), pong.clone()))?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push([
            each(TURNS, || lock.acquire().map(|held| drop(black_box(held))))?,
            each(TURNS, || queue.put(&[7; 64]).and_then(|()| queue.get()).map(|message| drop(black_box(message))))?,
            each(ROUND_TRIPS, || {
                ping.set();
                pong.wait()?;
                pong.clear();
                Ok(())
            })?,
            each(MADE, || Event::new().map(drop))?,
        ]);
    }
    Ok([0, 1, 2, 3].map(|which| {
        let mut results: Vec<f64> = rounds.iter().map(|round| round[which]).collect();
        results.sort_by(f64::total_cmp);
        results[ROUNDS / 2]
    }))
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse().expect("a number"));
    let (sets, waiters): (usize, usize) = (numbers.next().expect("sets"), numbers.next().expect("waiters"));
    let pipes = (0..sets).map(|_| pipe::<u32>()).collect::<Result<Vec<_>, _>>()?;
    let sets = (0..sets).map(|_| Set::new()).collect::<Result<Vec<_>, _>>()?;
    let _held: Vec<LockGuard<'_>> = sets.iter().map(|set| set.lock.acquire()).collect::<Result<_, _>>()?;
    let waiting = SharedValue::new(0)?;
    let mut kept = Vec::new();
    for (number, (set, (sender, receiver))) in sets.iter().zip(pipes).enumerate() {
        kept.push(sender);
        if number < waiters {
            let arguments = (set.clone(), receiver, number, waiting.clone());
            Process::builder(wait).daemon(true).spawn(arguments)?;
        } else {
            kept.push(receiver);
        }
    }
    while (waiting.load() as usize) < waiters {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("stdin is there");
    let [lock, queue, event, create] = measure()?;
    println!("{lock} {queue} {event} {create}");
    Ok(())
}
