//! A re-entrant lock, a condition, and a barrier, each with somebody who dies in the middle.
//!
//! Prints (in each part the numbered lines in any order, everything else in this order):
//! ```text
//! rlock: acquired twice, others excluded: true
//! rlock: given back once, others excluded: true
//! rlock: given back twice, others excluded: false
//! rlock: its holder was killed by process 1
//! rlock: abandoned: true
//! condition: 3 wait
//! condition: worker 1 got a cup
//! condition: worker 2 got a cup
//! condition: worker 3 got a cup
//! condition: one of two who wait was killed by process 1
//! condition: the other one got a cup
//! barrier: 1 comes
//! barrier: 2 comes
//! barrier: 3 comes
//! barrier: all went, in order of arrival: [0, 1, 2]
//! barrier: one of three was killed by process 1
//! barrier: the others were told: [Broken, Broken]
//! barrier: broken: true
//! barrier: after a reset all went: [0, 1, 2]
//! ```

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{Barrier, Condition, Error, Event, Process, RLock, Semaphore, SharedValue, Signal};

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    rlock()?;
    condition()?;
    barrier()
}

fn is_excluded(lock: RLock) -> bool {
    lock.try_acquire().expect("the lock is there").is_none()
}

fn hold(lock: RLock, held: Event) {
    let _outer = lock.acquire().expect("the lock is there");
    let _inner = lock.acquire().expect("it may be acquired again");
    held.set();
    sleep(Duration::from_secs(60));
}

fn rlock() -> Result<(), Error> {
    let lock = RLock::new()?;
    let others_excluded = || Process::spawn(is_excluded, lock.clone())?.result();

    let outer = lock.acquire()?;
    let inner = lock.acquire()?;
    println!("rlock: acquired twice, others excluded: {}", others_excluded()?);
    drop(inner);
    println!("rlock: given back once, others excluded: {}", others_excluded()?);
    drop(outer);
    println!("rlock: given back twice, others excluded: {}", others_excluded()?);

    let held = Event::new()?;
    let holder = Process::spawn(hold, (lock.clone(), held.clone()))?;
    held.wait()?;
    holder.kill()?;
    println!("rlock: its holder was {}", holder.join()?);
    println!("rlock: abandoned: {}", lock.acquire()?.is_abandoned());
    Ok(())
}

/// Takes a cup when there is one. `waiting` is raised holding the lock, so who acquires it afterwards knows that this one
/// waits.
fn take_a_cup(changed: Condition, cups: SharedValue<u32>, waiting: Semaphore<Signal>) {
    let mut guard = changed.acquire().expect("the condition is there");
    waiting.release(1).expect("there are few");
    changed.wait_for(&mut guard, || cups.load() > 0).expect("the lock comes back");
    cups.store(cups.load() - 1);
}

fn condition() -> Result<(), Error> {
    let (changed, cups, waiting) = (Condition::new()?, SharedValue::new(0)?, Semaphore::signal(0)?);
    let start = || Process::spawn(take_a_cup, (changed.clone(), cups.clone(), waiting.clone()));

    let workers = [start()?, start()?, start()?];
    for _ in &workers {
        waiting.acquire()?;
    }
    let guard = changed.acquire()?;
    cups.store(3);
    println!("condition: {} wait", changed.notify_all()?);
    drop(guard);
    for (worker, number) in workers.into_iter().zip(1..) {
        worker.result()?;
        println!("condition: worker {number} got a cup");
    }

    let (unlucky, other) = (start()?, start()?);
    waiting.acquire()?;
    waiting.acquire()?;
    unlucky.kill()?;
    println!("condition: one of two who wait was {}", unlucky.join()?);
    let guard = changed.acquire()?;
    cups.store(1);
    changed.notify_one()?;
    drop(guard);
    other.result()?;
    println!("condition: the other one got a cup");
    Ok(())
}

fn meet(barrier: Barrier) -> Result<u32, String> {
    barrier.wait().map_err(|error| format!("{:?}", error.kind()))
}

fn come_and_meet(number: u32, barrier: Barrier) -> Result<u32, String> {
    println!("barrier: {number} comes");
    meet(barrier)
}

fn hesitate(_barrier: Barrier, there: Event) {
    there.set();
    sleep(Duration::from_secs(60));
}

fn barrier() -> Result<(), Error> {
    let barrier = Barrier::new(3)?;
    let three = (1..=3).map(|number| Process::spawn(come_and_meet, (number, barrier.clone())));
    println!("barrier: all went, in order of arrival: {:?}", went(three)?);

    let there = Event::new()?;
    let unlucky = Process::spawn(hesitate, (barrier.clone(), there.clone()))?;
    let others = [Process::spawn(meet, barrier.clone())?, Process::spawn(meet, barrier.clone())?];
    there.wait()?;
    while barrier.waiting() < 2 {
        sleep(Duration::from_millis(1));
    }
    unlucky.kill()?;
    println!("barrier: one of three was {}", unlucky.join()?);
    let told = others.map(|other| other.result().expect("it lives").expect_err("it was broken"));
    println!("barrier: the others were told: [{}]", told.join(", "));
    println!("barrier: broken: {}", barrier.is_broken());

    barrier.reset()?;
    let three = (0..3).map(|_| Process::spawn(meet, barrier.clone()));
    println!("barrier: after a reset all went: {:?}", went(three)?);
    Ok(())
}

/// In what order they came, sorted.
fn went(processes: impl Iterator<Item = Result<Process<Result<u32, String>>, Error>>) -> Result<Vec<u32>, Error> {
    let processes = processes.collect::<Result<Vec<_>, _>>()?;
    let mut places = Vec::new();
    for process in processes {
        places.push(process.result()?.expect("nobody dies here"));
    }
    places.sort_unstable();
    Ok(places)
}
