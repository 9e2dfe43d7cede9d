//! Asks once for each thing that a machine may be short of, and again when it is refused. Says what was refused, and how
//! all of it came out in the end. Given a directory, it passes that on too.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{
    Access, Barrier, ByteQueue, Condition, Connection, Error, ErrorKind, Event, Lock, Process, Queue, RLock, Semaphore,
    SharedValue, exit, pipe, wait_any_timeout,
};

/// Why a request did not succeed.
enum Refusal {
    Here(Error),
    /// A child says that it was refused something.
    InAChild(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Here(error)
    }
}

/// What a child returns: what was refused, in words, because errors don't travel.
type OfAChild<T> = Result<T, String>;

type Request = fn() -> Result<u64, Refusal>;

/// What is asked for, and the number that comes of it.
const REQUESTS: [(&str, Request, u64); 7] = [
    ("a process", process, 42),
    ("processes", processes, 6),
    ("objects", objects, 8),
    ("a message", message, 7),
    ("a long message", long_message, 1 << 20),
    ("a wait", wait, 1),
    ("memory", memory, 24 << 20),
];

/// More often than anything is refused for one failed call.
const ATTEMPTS: usize = 20;

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    for (what, request, expected) in REQUESTS {
        assert_eq!(again_and_again(what, request), expected, "{what}");
    }
    if fs::exists("/data").is_ok_and(|granted| granted) {
        assert_eq!(again_and_again("a directory", directory), 5);
        assert_eq!(again_and_again("a file", file), 3);
    }
    println!("all of it");
    Ok(())
}

fn again_and_again(what: &str, request: Request) -> u64 {
    for _ in 0..ATTEMPTS {
        match request() {
            Ok(value) => return value,
            Err(Refusal::InAChild(refusal)) => println!("refused: {what}: in a child: {refusal}"),
            // A child for which something was missing has ended for that reason.
            Err(Refusal::Here(error)) if [ErrorKind::Limit, ErrorKind::Ended].contains(&error.kind()) => {
                println!("refused: {what}: {error}");
            }
            Err(Refusal::Here(error)) => {
                println!("WRONG: {what}: {:?}: {error}", error.kind());
                exit(3);
            }
        }
        sleep(Duration::from_millis(5));
    }
    println!("WRONG: {what} is refused for ever");
    exit(3)
}

fn in_a_child<T>(result: Result<T, Error>) -> OfAChild<T> {
    result.map_err(|error| error.to_string())
}

fn process() -> Result<u64, Refusal> {
    Ok(Process::spawn(|number: u64| 2 * number, 21)?.result()?)
}

fn processes() -> Result<u64, Refusal> {
    let processes = (1..=3).map(|number: u64| Process::spawn(|number: u64| number, number));
    let processes: Vec<_> = processes.collect::<Result<_, _>>()?;
    Ok(processes.into_iter().map(Process::result).sum::<Result<_, _>>()?)
}

fn adds_seven(lock: Lock, semaphore: Semaphore, number: SharedValue<u64>) -> OfAChild<u64> {
    let _locked = in_a_child(lock.acquire())?;
    let _permit = in_a_child(semaphore.acquire())?;
    Ok(number.add(7))
}

fn objects() -> Result<u64, Refusal> {
    let (lock, semaphore, number) = (Lock::new()?, Semaphore::bounded(1)?, SharedValue::new(1)?);
    let _others = (RLock::new()?, Event::new()?, Condition::new()?, Barrier::new(1)?, Queue::<u64>::new()?);
    let child = Process::spawn(adds_seven, (lock.clone(), semaphore.clone(), number.clone()))?;
    child.result()?.map_err(Refusal::InAChild)?;
    Ok(number.load())
}

fn message() -> Result<u64, Refusal> {
    let (theirs, ours) = pipe::<u64>()?;
    let send = |theirs: Connection<u64>| in_a_child(theirs.send(7));
    let child = Process::spawn(send, theirs)?;
    let sent = child.result()?;
    sent.map_err(Refusal::InAChild)?;
    Ok(ours.recv()?)
}

fn long_message() -> Result<u64, Refusal> {
    let queue = ByteQueue::new()?;
    queue.put(&vec![1; 1 << 20])?;
    Ok(queue.get()?.len() as u64)
}

fn wait() -> Result<u64, Refusal> {
    let event = Event::new()?;
    let child = Process::spawn(|event: Event| event.set(), event.clone())?;
    wait_any_timeout(&[&event, &child], Duration::from_secs(30));
    child.result()?;
    Ok(u64::from(event.is_set()))
}

/// More than a process may use unasked.
fn memory() -> Result<u64, Refusal> {
    let mut bytes: Vec<u8> = Vec::new();
    match bytes.try_reserve_exact(24 << 20) {
        Ok(()) => Ok(bytes.capacity() as u64),
        Err(error) => Err(Refusal::InAChild(error.to_string())),
    }
}

fn length_of(file: String) -> OfAChild<u64> {
    fs::read(file).map(|text| text.len() as u64).map_err(|error| error.to_string())
}

fn directory() -> Result<u64, Refusal> {
    let child = Process::builder(length_of).directory("/data", "/in", Access::ReadOnly);
    child.spawn("/in/note".to_owned())?.result()?.map_err(Refusal::InAChild)
}

fn file() -> Result<u64, Refusal> {
    let written = fs::write("/data/new", "new").map_err(|error| error.to_string());
    written.and_then(|()| length_of("/data/new".to_owned())).map_err(Refusal::InAChild)
}
