//! Workers of many kinds use shared objects as fast as they can, while somebody outside kills and stops them.
//!
//! `chaos DEATHS`: main replaces who dies, and after so many deaths lets everybody finish and checks what they left. It
//! prints what it counted; a broken promise is a panic of main, or a line that begins with "WRONG".

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wasmproc_guest::{
    Barrier, Condition, Error, ErrorKind, Event, ExitStatus, Lock, Process, Queue, Semaphore, SharedArray, SharedValue,
    duplex_pipe, wait_any_timeout,
};

/// Messages that can be told apart; when they are used up producers only wait for the end.
const MESSAGES: usize = 1 << 23;
/// Nothing may take as long as this.
const FOREVER: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Produce,
    Consume,
    Exclude,
    Permit,
    TakeTurns,
    Meet,
    Converse,
}

const ROLES: [Role; 15] = [
    Role::Produce,
    Role::Produce,
    Role::Consume,
    Role::Consume,
    Role::Exclude,
    Role::Exclude,
    Role::Permit,
    Role::Permit,
    Role::Permit,
    Role::TakeTurns,
    Role::TakeTurns,
    Role::TakeTurns,
    Role::Meet,
    Role::Meet,
    Role::Converse,
];

impl Role {
    fn start(self, world: &World) -> Result<Process, Error> {
        let world = (world.clone(),);
        match self {
            Role::Produce => Process::spawn(produce, world),
            Role::Consume => Process::spawn(consume, world),
            Role::Exclude => Process::spawn(exclude, world),
            Role::Permit => Process::spawn(permit, world),
            Role::TakeTurns => Process::spawn(take_turns, world),
            Role::Meet => Process::spawn(meet, world),
            Role::Converse => Process::spawn(converse, world),
        }
    }
}

/// What everybody has.
#[derive(Clone, Serialize, Deserialize)]
struct World {
    stop: Event,
    queue: Queue<(u64, Vec<u8>)>,
    issued: SharedValue<u64>,
    /// For each message: 1 when its put has returned.
    acknowledged: SharedArray<u8>,
    /// For each message: how often it was taken.
    taken: SharedArray<u8>,
    lock: Lock,
    /// Both the same, whenever nobody holds the lock; and who is inside.
    pair: SharedArray<u64>,
    inside: SharedValue<u32>,
    permits: Semaphore,
    condition: Condition,
    turns: SharedValue<u64>,
    barrier: Barrier,
    wrong: SharedValue<u32>,
}

impl World {
    fn new() -> Result<World, Error> {
        Ok(World {
            stop: Event::new()?,
            queue: Queue::builder().capacity(16 << 10).max_items(64).create()?,
            issued: SharedValue::new(0)?,
            acknowledged: SharedArray::new(MESSAGES)?,
            taken: SharedArray::new(MESSAGES)?,
            lock: Lock::new()?,
            pair: SharedArray::new(2)?,
            inside: SharedValue::new(0)?,
            permits: Semaphore::bounded(2)?,
            condition: Condition::new()?,
            turns: SharedValue::new(0)?,
            barrier: Barrier::new(2)?,
            wrong: SharedValue::new(0)?,
        })
    }

    fn complain(&self, what: &str) {
        self.wrong.add(1);
        println!("WRONG: {what}");
    }

    fn goes_on(&self) -> bool {
        !self.stop.is_set()
    }
}

/// Bytes that tell whether they are whole.
fn body(number: u64) -> Vec<u8> {
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize;
    (0..length).map(|place| (number as usize + place) as u8).collect()
}

fn produce(world: World) {
    while world.goes_on() {
        let number = world.issued.add(1);
        if number as usize >= MESSAGES {
            return world.stop.wait().expect("the end comes");
        }
        match world.queue.put_timeout((number, body(number)), FOREVER) {
            Ok(()) => world.acknowledged.store(number as usize, 1),
            Err(error) => return world.complain(&format!("a put: {error}")),
        }
    }
}

fn consume(world: World) {
    loop {
        match world.queue.get_timeout(Duration::from_millis(50)) {
            Ok(Some((number, bytes))) => {
                if bytes != body(number) {
                    world.complain(&format!("message {number} is torn"));
                }
                if world.taken.add(number as usize, 1) > 0 {
                    world.complain(&format!("message {number} was taken twice"));
                }
            }
            Ok(None) if world.goes_on() => {}
            Ok(None) => return,
            Err(error) => return world.complain(&format!("a get: {error}")),
        }
    }
}

fn exclude(world: World) {
    let me = wasmproc_guest::id().get() as u32;
    while world.goes_on() {
        let held = match world.lock.acquire_timeout(FOREVER) {
            Ok(Some(held)) => held,
            Ok(None) => return world.complain("a lock that nobody gives back"),
            Err(error) => return world.complain(&format!("a lock: {error}")),
        };
        let other = world.inside.swap(me);
        let (left, right) = (world.pair.load(0), world.pair.load(1));
        if held.is_abandoned() {
            world.pair.store(1, left);
        } else if other != 0 || left != right {
            world.complain(&format!("{other} was inside, and the pair is {left} {right}"));
        }
        world.pair.store(0, left + 1);
        world.pair.store(1, left + 1);
        world.inside.store(0);
    }
}

fn permit(world: World) {
    while world.goes_on() {
        match world.permits.acquire_timeout(FOREVER) {
            Ok(Some(permit)) => drop(permit),
            Ok(None) => return world.complain("a permit that never comes back"),
            Err(error) => return world.complain(&format!("a semaphore: {error}")),
        }
    }
}

/// Takes turns by a condition: each waits for a change that another one makes.
fn take_turns(world: World) {
    while world.goes_on() {
        let Ok(mut held) = world.condition.acquire() else { return world.complain("the lock of a condition") };
        let turn = world.turns.add(1);
        if let Err(error) = world.condition.notify(1) {
            return world.complain(&format!("a notification: {error}"));
        }
        let changed = || world.turns.load() > turn + 1 || world.stop.is_set();
        match world.condition.wait_for_timeout(&mut held, Duration::from_millis(20), changed) {
            Ok(_) => {}
            Err(error) => return world.complain(&format!("a condition: {error}")),
        }
    }
}

fn meet(world: World) {
    while world.goes_on() {
        match world.barrier.wait_timeout(Duration::from_millis(200)) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Broken | ErrorKind::Timeout) => {
                world.barrier.reset().expect("a barrier can be reset");
            }
            Err(error) => return world.complain(&format!("a barrier: {error}")),
        }
    }
}

fn echo(end: wasmproc_guest::Connection<u64>) {
    for number in &end {
        if number.and_then(|number| end.send(number)).is_err() {
            return;
        }
    }
}

fn converse(world: World) {
    while world.goes_on() {
        let (mine, its) = duplex_pipe::<u64, u64>().expect("a pipe");
        let Ok(_other) = Process::builder(echo).daemon(true).spawn((its,)) else {
            return world.complain("no process for the other end");
        };
        for number in 0..1_000 {
            if !world.goes_on() || mine.send(number).is_err() {
                break;
            }
            match mine.recv_timeout(FOREVER) {
                Ok(Some(answer)) if answer == number => {}
                // It was killed.
                Err(error) if error.kind() == ErrorKind::Closed => break,
                other => return world.complain(&format!("{number} was answered by {other:?}")),
            }
        }
    }
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let deaths: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100);
    let world = World::new()?;
    let start = |role: Role| loop {
        // Somebody may have been killed while it was made.
        match role.start(&world) {
            Ok(process) => break process,
            Err(error) => eprintln!("again: {error}"),
        }
    };
    let mut running: Vec<Process> = ROLES.iter().copied().map(start).collect();
    println!("begun");
    let (mut killed, mut killed_consumers, mut stalled) = (0, 0, 0);
    while killed < deaths {
        let things: Vec<_> = running.iter().map(|process| process as &dyn wasmproc_guest::Waitable).collect();
        for place in wait_any_timeout(&things, Duration::from_secs(5)) {
            let status = running[place].join()?;
            if status.success() {
                world.complain(&format!("{place} ended by itself"));
            }
            stalled += u64::from(status == ExitStatus::Stalled);
            if !matches!(status, ExitStatus::Signaled(_) | ExitStatus::Stalled) {
                world.complain(&format!("{place} {status}"));
            }
            killed += 1;
            killed_consumers += u64::from(ROLES[place] == Role::Consume);
            running[place] = start(ROLES[place]);
        }
    }
    println!("enough");
    world.stop.set();
    let ended = Instant::now();
    for process in &running {
        // Some of these may still be killed.
        process.join()?;
    }
    drop(running);
    // What consumers left.
    consume(world.clone());
    check(&world, killed_consumers)?;
    println!("{killed} killed, {stalled} of them stalled, the end took {} s", ended.elapsed().as_secs());
    Ok(())
}

fn check(world: &World, killed_consumers: u64) -> Result<(), Error> {
    let issued = (world.issued.load() as usize).min(MESSAGES);
    let (acknowledged, taken) = (world.acknowledged.read(..issued), world.taken.read(..issued));
    let put = acknowledged.iter().filter(|put| **put > 0).count();
    let lost = acknowledged.iter().zip(&taken).filter(|(put, taken)| **put > 0 && **taken == 0).count() as u64;
    // A consumer that is killed between taking a message and counting it takes one with it.
    if lost > killed_consumers {
        world.complain(&format!("{lost} messages are lost, and only {killed_consumers} consumers were killed"));
    }
    let (left, right) = (world.pair.load(0), world.pair.load(1));
    println!("{put} messages put, {lost} taken along by killed consumers, {left} turns at the lock");
    let held = world.lock.acquire()?;
    if left != right && !held.is_abandoned() {
        world.complain(&format!("the pair is {left} {right}"));
    }
    if world.permits.value() != 2 {
        world.complain(&format!("{} of 2 permits came back", world.permits.value()));
    }
    println!("{} wrong", world.wrong.load());
    Ok(())
}
