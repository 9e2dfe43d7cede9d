//! Measures one thing, named by its argument, and prints a number: nanoseconds for one operation.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wasmproc_guest::{
    Batch, ByteConnection, ByteQueue, Error, Event, Lock, Process, Queue, Semaphore, SharedArray, SharedValue,
    duplex_byte_pipe,
};

const MESSAGES: u64 = 400_000;
const BATCH: usize = 256;
const LOCKS: u64 = 1_000_000;
const ROUND_TRIPS: u64 = 20_000;

#[wasmproc_guest::main]
fn main() -> Result<(), Error> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let result = match name.as_str() {
        "queue-1-1" => queue(1, 1)?,
        "queue-4-4" => queue(4, 4)?,
        "queue-many" => queue_many()?,
        "queue-1MiB" => queue_large()?,
        "lock-resource" => lock_by_resource()?,
        "lock-quick" => lock_quick()?,
        "lock-two" => lock_two()?,
        "semaphore" => semaphore()?,
        "event" => event_ping_pong()?,
        "pipe" => pipe_ping_pong()?,
        "shared-add" => shared_add()?,
        "create" => create_and_drop()?,
        "recovery-median" => recovery(0.5)?,
        "recovery-p99" => recovery(0.99)?,
        "idle" => return idle(),
        other => panic!("there is no measurement {other:?}"),
    };
    println!("{result}");
    Ok(())
}

fn each(elapsed: Duration, operations: u64) -> f64 {
    elapsed.as_nanos() as f64 / operations as f64
}

/// The clock starts when everybody has started.
fn wait_for_all(ready: &SharedValue<u32>, others: u32) {
    while ready.load() < others {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn put_all(queue: ByteQueue, ready: SharedValue<u32>, go: Event, messages: u64) {
    ready.add(1);
    go.wait().expect("main sets it");
    for _ in 0..messages {
        queue.put(&[7; 64]).expect("it is open");
    }
}

fn get_all(queue: ByteQueue, ready: SharedValue<u32>) -> u64 {
    ready.add(1);
    let mut taken = 0;
    while let Ok(message) = queue.get() {
        taken += black_box(message).len() as u64 / 64;
    }
    taken
}

fn queue(producers: u64, consumers: u64) -> Result<f64, Error> {
    let queue = Queue::<()>::builder().capacity(1 << 20).create_bytes()?;
    let (ready, go) = (SharedValue::new(0u32)?, Event::new()?);
    let getters = (0..consumers).map(|_| Process::spawn(get_all, (queue.clone(), ready.clone())));
    let getters: Vec<_> = getters.collect::<Result<_, _>>()?;
    let mine = MESSAGES / producers;
    let putters = (0..producers).map(|_| Process::spawn(put_all, (queue.clone(), ready.clone(), go.clone(), mine)));
    let putters: Vec<_> = putters.collect::<Result<_, _>>()?;
    wait_for_all(&ready, (producers + consumers) as u32);
    let began = Instant::now();
    go.set();
    for putter in putters {
        putter.join()?;
    }
    queue.close()?;
    let mut taken = 0;
    for getter in getters {
        taken += getter.result()?;
    }
    assert_eq!(taken, MESSAGES);
    Ok(each(began.elapsed(), MESSAGES))
}

fn get_batches(queue: ByteQueue, ready: SharedValue<u32>) -> u64 {
    ready.add(1);
    let mut taken = 0;
    while let Ok(batch) = queue.get_many(BATCH) {
        taken += black_box(batch).len() as u64;
    }
    taken
}

fn queue_many() -> Result<f64, Error> {
    const BATCHES: u64 = 10_000;
    let queue = Queue::<()>::builder().capacity(1 << 20).create_bytes()?;
    let ready = SharedValue::new(0u32)?;
    let getter = Process::spawn(get_batches, (queue.clone(), ready.clone()))?;
    let mut batch = Batch::new();
    for _ in 0..BATCH {
        batch.push(&[7; 64]);
    }
    wait_for_all(&ready, 1);
    let began = Instant::now();
    for _ in 0..BATCHES {
        queue.put_many(&batch)?;
    }
    queue.close()?;
    let taken = getter.result()?;
    assert_eq!(taken, BATCHES * BATCH as u64);
    Ok(each(began.elapsed(), taken))
}

fn queue_large() -> Result<f64, Error> {
    const LARGE: u64 = 4_000;
    let queue = Queue::<()>::builder().capacity(4 << 20).create_bytes()?;
    let ready = SharedValue::new(0u32)?;
    let getter = Process::spawn(get_all, (queue.clone(), ready.clone()))?;
    let message = vec![7; 1 << 20];
    wait_for_all(&ready, 1);
    let began = Instant::now();
    for _ in 0..LARGE {
        queue.put(&message)?;
    }
    queue.close()?;
    getter.result()?;
    Ok(each(began.elapsed(), LARGE))
}

fn lock_by_resource() -> Result<f64, Error> {
    use wasmproc_guest::bindings::wasmproc::ipc::lock;

    let lock = lock::Lock::create(lock::Kind::Plain)?;
    let began = Instant::now();
    for _ in 0..LOCKS {
        black_box(lock.acquire(None)?);
        lock.release()?;
    }
    Ok(each(began.elapsed(), LOCKS))
}

fn lock_quick() -> Result<f64, Error> {
    let lock = Lock::new()?;
    let began = Instant::now();
    for _ in 0..LOCKS {
        drop(black_box(lock.acquire()?));
    }
    Ok(each(began.elapsed(), LOCKS))
}

fn contend(lock: Lock, ready: SharedValue<u32>, go: Event) -> u64 {
    ready.add(1);
    go.wait().expect("main sets it");
    let began = Instant::now();
    for _ in 0..LOCKS / 2 {
        drop(black_box(lock.acquire().expect("nobody dies")));
    }
    began.elapsed().as_millis() as u64
}

fn lock_two() -> Result<f64, Error> {
    let (lock, ready, go) = (Lock::new()?, SharedValue::new(0u32)?, Event::new()?);
    let arguments = || (lock.clone(), ready.clone(), go.clone());
    let others = [Process::spawn(contend, arguments())?, Process::spawn(contend, arguments())?];
    wait_for_all(&ready, 2);
    let began = Instant::now();
    go.set();
    let [one, two] = others.map(|other| other.result());
    let elapsed = began.elapsed();
    eprintln!("half of them took one process {} ms, the other half the other one {} ms", one?, two?);
    Ok(each(elapsed, LOCKS))
}

fn semaphore() -> Result<f64, Error> {
    let semaphore = Semaphore::bounded(1)?;
    let began = Instant::now();
    for _ in 0..LOCKS {
        drop(black_box(semaphore.acquire()?));
    }
    Ok(each(began.elapsed(), LOCKS))
}

fn answer_events(ping: Event, pong: Event) {
    for _ in 0..ROUND_TRIPS {
        ping.wait().expect("main sets it");
        ping.clear();
        pong.set();
    }
}

fn event_ping_pong() -> Result<f64, Error> {
    let (ping, pong) = (Event::new()?, Event::new()?);
    let other = Process::spawn(answer_events, (ping.clone(), pong.clone()))?;
    let began = Instant::now();
    for _ in 0..ROUND_TRIPS {
        ping.set();
        pong.wait()?;
        pong.clear();
    }
    other.join()?;
    Ok(each(began.elapsed(), ROUND_TRIPS))
}

fn echo(end: ByteConnection) {
    while let Ok(message) = end.recv() {
        end.send(&message).expect("main is there");
    }
}

fn pipe_ping_pong() -> Result<f64, Error> {
    let (mine, its) = duplex_byte_pipe(None)?;
    let other = Process::spawn(echo, (its,))?;
    let began = Instant::now();
    for _ in 0..ROUND_TRIPS {
        mine.send(&[7; 64])?;
        black_box(mine.recv()?);
    }
    let elapsed = began.elapsed();
    drop(mine);
    other.join()?;
    Ok(each(elapsed, ROUND_TRIPS))
}

fn shared_add() -> Result<f64, Error> {
    let array = SharedArray::<u64>::new(1)?;
    let began = Instant::now();
    for _ in 0..LOCKS {
        black_box(array.add(0, 1));
    }
    Ok(each(began.elapsed(), LOCKS))
}

fn create_and_drop() -> Result<f64, Error> {
    const OBJECTS: u64 = 10_000;
    let began = Instant::now();
    for _ in 0..OBJECTS {
        drop(Event::new()?);
    }
    Ok(each(began.elapsed(), OBJECTS))
}

fn hold(lock: Lock) {
    let _held = lock.acquire().expect("it is free");
    std::thread::sleep(Duration::from_secs(1000));
}

/// From the call that kills a lock's holder until the next one has the lock.
fn recovery(quantile: f64) -> Result<f64, Error> {
    const KILLS: usize = 300;
    let mut times = Vec::with_capacity(KILLS);
    for _ in 0..KILLS {
        let lock = Lock::new()?;
        let holder = Process::spawn(hold, (lock.clone(),))?;
        while !lock.is_locked() {
            std::thread::sleep(Duration::from_micros(100));
        }
        let began = Instant::now();
        holder.kill()?;
        assert!(lock.acquire()?.is_abandoned());
        times.push(began.elapsed().as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[(KILLS as f64 * quantile) as usize])
}

fn wait_for_message(queue: ByteQueue, ready: SharedValue<u32>) {
    ready.add(1);
    queue.get().expect_err("it is closed");
}

/// A thousand processes wait for a message, and main for the end of its stdin.
fn idle() -> Result<(), Error> {
    const WAITERS: u32 = 1000;
    let queue = Queue::<()>::builder().create_bytes()?;
    let ready = SharedValue::new(0u32)?;
    let start = |_| Process::spawn(wait_for_message, (queue.clone(), ready.clone()));
    let waiters: Vec<Process> = (0..WAITERS).map(start).collect::<Result<_, _>>()?;
    wait_for_all(&ready, WAITERS);
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("stdin is there");
    queue.close()?;
    for waiter in waiters {
        waiter.join()?;
    }
    Ok(())
}
