//! Scenarios of processes that are killed at moments of which nobody knows where in an operation they lie.

use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::{ByteQueue, Error, Lock, Process, Queue, Semaphore, SharedArray, SharedValue, id};
use wasmproc_test_programs::{bury, scenarios, until};

scenarios!(
    kills_amid_puts_lose_tear_and_double_nothing,
    kills_amid_gets_lose_tear_and_double_nothing,
    kills_amid_critical_sections_are_told_and_exclude_nobody,
    kills_amid_permits_conserve_them,
);

#[track_caller]
fn kill(victim: &Process) {
    bury(victim, "kill");
}

/// Different at every turn, so that the moment of a kill is too.
fn short_while(turn: u64) {
    sleep(Duration::from_micros(200 + turn * 7919 % 4000));
}

const TURNS: u64 = 40;
const SIZES: [usize; 5] = [8, 64, 3000, 20_000, 100_000];

/// A message of which any part tells which one it is.
fn message(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(SIZES[number as usize % SIZES.len()] / 8)
}

#[track_caller]
fn number_of(message_: &[u8]) -> u64 {
    let (words, rest) = message_.as_chunks::<8>();
    let number = u64::from_le_bytes(words[0]);
    assert!(rest.is_empty() && message_ == message(number), "message {number} is torn");
    number
}

fn put_for_ever(queue: ByteQueue, acknowledged: SharedValue<u64>, mut number: u64) {
    loop {
        queue.put(&message(number)).expect("it is open");
        number += 1;
        acknowledged.store(number);
    }
}

fn kills_amid_puts_lose_tear_and_double_nothing() -> Result<(), Error> {
    let (queue, acknowledged) = (ByteQueue::new()?, SharedValue::new(0)?);
    let mut next = 0;
    for turn in 0..TURNS {
        let victim = Process::spawn(put_for_ever, (queue.clone(), acknowledged.clone(), next))?;
        let mut taken = 0;
        // What comes meanwhile makes room for more.
        while taken < turn % 5 {
            assert_eq!(number_of(&queue.get()?), next);
            (next, taken) = (next + 1, taken + 1);
        }
        short_while(turn);
        kill(&victim);
        while let Some(message) = queue.try_get()? {
            assert_eq!(number_of(&message), next);
            next += 1;
        }
        // The last one may have been put and not acknowledged.
        let known = acknowledged.load();
        assert!(next == known || next == known + 1, "{known} were acknowledged, {next} came");
        acknowledged.store(next);
    }
    Ok(())
}

fn get_for_ever(queue: ByteQueue, seen: SharedArray<u8>) {
    loop {
        let message = queue.get().expect("it is open");
        seen.add(number_of(&message) as usize, 1);
    }
}

fn kills_amid_gets_lose_tear_and_double_nothing() -> Result<(), Error> {
    const EACH: u64 = 50;
    let (queue, seen) = (ByteQueue::new()?, SharedArray::new((TURNS * EACH) as usize)?);
    let whole = Queue::<()>::open(queue.id())?;
    let mut lost = 0;
    for turn in 0..TURNS {
        let getters = [(); 2].map(|()| Process::spawn(get_for_ever, (queue.clone(), seen.clone())));
        let [victim, other] = getters;
        let (victim, other) = (victim?, other?);
        for number in turn * EACH..(turn + 1) * EACH {
            queue.put(&message(number))?;
            if number % EACH == EACH / 2 {
                short_while(turn);
                victim.kill()?;
            }
        }
        victim.join()?;
        until("the rest is taken", || {
            assert!(other.is_alive(), "{:?}", other.join());
            whole.is_empty()
        });
        other.kill()?;
        other.join()?;
        // Each of the dead may have taken one that it had no time to count.
        let turns = seen.read((turn * EACH) as usize..((turn + 1) * EACH) as usize);
        assert!(turns.iter().all(|&times| times <= 1), "{turns:?}");
        lost += turns.iter().filter(|&&times| times == 0).count();
        assert!(lost <= 2 * (turn as usize + 1), "{lost} were lost");
    }
    Ok(())
}

fn count_in_pairs(lock: Lock, pair: SharedArray<u64>, inside: SharedValue<u64>) {
    loop {
        let guard = lock.acquire().expect("no circle");
        let me = id().get();
        let before = inside.swap(me);
        assert!(before == 0 || guard.is_abandoned(), "process {before} is inside too");
        if guard.is_abandoned() {
            pair.store(1, pair.load(0));
        }
        assert_eq!(pair.load(0), pair.load(1));
        pair.add(0, 1);
        pair.add(1, 1);
        assert_eq!(inside.swap(0), me, "somebody else was inside");
        drop(guard);
    }
}

fn kills_amid_critical_sections_are_told_and_exclude_nobody() -> Result<(), Error> {
    let (lock, pair, inside) = (Lock::new()?, SharedArray::new(2)?, SharedValue::new(0)?);
    let spawn = || Process::spawn(count_in_pairs, (lock.clone(), pair.clone(), inside.clone()));
    let survivor = spawn()?;
    for turn in 0..TURNS {
        let victim = spawn()?;
        short_while(turn);
        kill(&victim);
        let before = pair.load(0);
        until("the survivor goes on", || pair.load(0) > before + 2);
    }
    assert!(survivor.is_alive(), "{:?}", survivor.join()?);
    kill(&survivor);
    drop(lock.acquire_timeout(Duration::from_secs(40))?.expect("it is left to us"));
    Ok(())
}

fn come_and_go(places: Semaphore) {
    loop {
        let one = places.acquire().expect("one comes free");
        drop((places.try_acquire().expect("it works"), one));
    }
}

fn kills_amid_permits_conserve_them() -> Result<(), Error> {
    let places = Semaphore::bounded(3)?;
    for turn in 0..TURNS {
        let victims = [(); 3].map(|()| Process::spawn(come_and_go, places.clone()));
        short_while(turn);
        for victim in victims {
            kill(&victim?);
        }
        until("all come back", || places.value() == 3);
    }
    Ok(())
}
