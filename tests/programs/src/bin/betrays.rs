//! Processes that fall into wrong hands, again and again until one is let go, and one that must not notice.
//!
//! `betrays HOW COUNT`: the first time they are so many at once. `talk`: each says a bit of everything to its supervisor
//! before. `kin`: it has a child that sleeps. `panic`: the first one panics, and is not taken over. `stop`: it listens for
//! stop requests, and main asks the first one to stop again and again. Main tells how each of them ended, and at last what
//! the bystander had to wait for.

use std::time::{Duration, Instant};

use wasmproc_guest::{
    ByteQueue, Error, Event, Lock, Process, Queue, active_children, stop_requested, wait_any_timeout,
};

const LONG: Duration = Duration::from_secs(60);
const STOPS: u32 = 2000;
const GRACE: Duration = Duration::from_secs(2);
/// What a hostile process returns that was let go, and nobody else would think of.
const LET_GO: u64 = 0x0123_4567_89ab_cdef;

fn double(number: u64) -> u64 {
    2 * number
}

fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

fn sleep() {
    std::thread::sleep(LONG);
}

/// Asks for most of what there is to ask for. What it returns has been waited for in the event loop, and has carried a long
/// message.
fn talk() -> Result<(Event, ByteQueue), Error> {
    assert_eq!(Process::spawn(double, 21)?.result()?, 42);
    assert_eq!(Process::spawn(length, vec![7; 10_000])?.result()?, 10_000);
    let sleeper = Process::builder(sleep).name("sleeper").spawn(())?;
    assert_eq!(active_children().len(), 1);
    let event = Event::new()?;
    wait_any_timeout(&[&sleeper, &event], Duration::from_millis(1));
    sleeper.terminate_with_grace(Duration::from_millis(1))?;
    sleeper.join()?;
    let messages: Queue<Lock> = Queue::new()?;
    messages.put(Lock::new()?)?;
    let lock = messages.get()?;
    drop(lock.acquire()?);
    let long = ByteQueue::new()?;
    long.put(&vec![1; 1 << 20])?;
    assert_eq!(long.get()?.len(), 1 << 20);
    Ok((event, long))
}

fn hostile(how: String, round: u32, ready: Event) -> Result<u64, String> {
    let lock = Lock::new().map_err(|error| error.to_string())?;
    let _held = lock.acquire().map_err(|error| error.to_string())?;
    let _waited_for = match how.as_str() {
        "talk" => Some(talk().map_err(|error| error.to_string())?),
        "panic" if round == 0 => panic!("a text that a traitor has at its disposal"),
        _ => None,
    };
    if how == "stop" {
        assert!(!stop_requested().is_set(), "nobody has asked");
        ready.set();
    }
    let kin = (how == "kin").then(|| Process::builder(sleep).name("kin").spawn(()));
    println!("take me over");
    if let Some(Ok(kin)) = kin {
        kin.kill().map_err(|error| error.to_string())?;
    }
    Ok(LET_GO)
}

/// Starts children and shares objects as long as there is no end. Returns how often, and the longest that one round
/// took, in microseconds.
fn bystander(stop: Event) -> Result<(u64, u64), String> {
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    while !stop.is_set() || rounds < 10 {
        let began = Instant::now();
        work(rounds).map_err(|error| format!("round {rounds}: {error}"))?;
        longest = longest.max(began.elapsed());
        rounds += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((rounds, longest.as_micros() as u64))
}

fn work(round: u64) -> Result<(), Error> {
    let (lock, queue) = (Lock::new()?, Queue::new()?);
    let _held = lock.acquire()?;
    queue.put(round)?;
    assert_eq!(queue.get()?, round);
    assert_eq!(Process::spawn(double, round)?.result()?, 2 * round);
    // More than one packet holds.
    assert_eq!(Process::spawn(length, vec![7; 20_000])?.result()?, 20_000);
    Ok(())
}

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().unwrap_or_default();
    let count = arguments.next().map_or(1, |count| count.parse().expect("a number"));
    let (stop, ready) = (Event::new()?, Event::new()?);
    let bystander = Process::builder(bystander).name("bystander").spawn(stop.clone())?;
    for round in 0.. {
        let start = |_| Process::builder(hostile).name("hostile").spawn((how.clone(), round, ready.clone()));
        let all: Vec<_> = (0..if round == 0 { count } else { 1 }).map(start).collect::<Result<_, _>>()?;
        if how == "stop" && round == 0 {
            ready.wait()?;
            (0..STOPS).try_for_each(|_| all[0].terminate_with_grace(GRACE))?;
        }
        let mut let_go = false;
        for hostile in all {
            let result = hostile.result();
            println!("hostile: {result:?}");
            let_go |= matches!(result, Ok(Ok(LET_GO)));
        }
        if let_go {
            break;
        }
    }
    stop.set();
    match bystander.result()? {
        Ok((rounds, longest)) => println!("undisturbed in {rounds} rounds, the longest of {longest} us"),
        Err(error) => println!("WRONG: {error}"),
    }
    Ok(())
}
