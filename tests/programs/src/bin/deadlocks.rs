//! Scenarios of circles of waiters, and of what looks like one.
//!
//! Each process says how it went: `ok`, or the error that it got.

use std::time::Duration;

use wasmproc_guest::ErrorKind::Deadlock;
use wasmproc_guest::{Barrier, Condition, Error, Event, Lock, Process, RLock, SharedValue, active_children};
use wasmproc_test_programs::{linger, refusal, scenarios, told, until};

scenarios!(
    two_processes_with_two_locks,
    three_processes_with_three_locks,
    a_parent_that_joins_who_waits_for_its_lock,
    a_grandparent_that_joins_who_waits_for_its_lock,
    a_reader_of_a_condition_in_a_circle,
    the_others_of_a_circle_go_on,
    a_circle_closes_again_after_it_was_broken,
    a_long_held_lock_with_many_waiters,
    waits_with_a_time_out,
    a_chain_that_ends,
);

/// Takes one, meets the others, and wants the other.
fn grab(mine: Lock, other: Lock, meet: Barrier) -> String {
    let _mine = mine.acquire().expect("nobody else begins with it");
    meet.wait().expect("all come");
    match other.acquire() {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), Deadlock);
            error.to_string()
        }
    }
}

fn circle(number: usize) -> Result<Vec<String>, Error> {
    let locks = (0..number).map(|_| Lock::new()).collect::<Result<Vec<_>, _>>()?;
    let meet = Barrier::new(number as u32)?;
    let spawn = |index: usize| {
        let (mine, other) = (locks[index].clone(), locks[(index + 1) % number].clone());
        Process::builder(grab).name(format!("grabber-{index}")).spawn((mine, other, meet.clone()))
    };
    let processes = (0..number).map(spawn).collect::<Result<Vec<_>, _>>()?;
    processes.into_iter().map(Process::result).collect()
}

/// Exactly one got an error, which names all of them, and all of the locks.
#[track_caller]
fn one_was_told(outcomes: &[String]) {
    let errors: Vec<_> = outcomes.iter().filter(|outcome| *outcome != "ok").collect();
    let [error] = errors[..] else { panic!("{outcomes:?}") };
    for index in 0..outcomes.len() {
        assert!(error.contains(&format!("(grabber-{index})")), "{error}");
    }
    assert_eq!(error.matches("waits for lock").count(), outcomes.len(), "{error}");
}

fn two_processes_with_two_locks() -> Result<(), Error> {
    one_was_told(&circle(2)?);
    Ok(())
}

fn three_processes_with_three_locks() -> Result<(), Error> {
    one_was_told(&circle(3)?);
    Ok(())
}

fn want(lock: Lock) -> String {
    told(lock.acquire())
}

fn a_parent_that_joins_who_waits_for_its_lock() -> Result<(), Error> {
    let lock = Lock::new()?;
    let held = lock.acquire()?;
    let child = Process::spawn(want, lock.clone())?;
    match child.join() {
        // Either of the two may be told.
        Err(error) => {
            assert_eq!(error.kind(), Deadlock);
            drop(held);
            assert_eq!(child.result()?, "ok");
        }
        Ok(_) => assert_eq!(child.result()?, "Deadlock"),
    }
    Ok(())
}

fn bring_up(lock: Lock) -> String {
    match Process::spawn(want, lock).and_then(Process::result) {
        Ok(outcome) => outcome,
        Err(error) => {
            assert_eq!(error.kind(), Deadlock);
            // Nobody else will: the lock is its parent's.
            active_children()[0].kill().expect("it is a child");
            "Deadlock".to_owned()
        }
    }
}

fn a_grandparent_that_joins_who_waits_for_its_lock() -> Result<(), Error> {
    let lock = Lock::new()?;
    let held = lock.acquire()?;
    let child = Process::spawn(bring_up, lock.clone())?;
    match child.join() {
        Err(error) => {
            assert_eq!(error.kind(), Deadlock);
            drop(held);
            assert_eq!(child.result()?, "ok");
        }
        Ok(_) => assert_eq!(child.result()?, "Deadlock"),
    }
    Ok(())
}

/// A wait gives its own lock back, and no other.
fn a_reader_of_a_condition_in_a_circle() -> Result<(), Error> {
    let (outer, changed, ready) = (RLock::new()?, Condition::new()?, Event::new()?);
    let wait = |outer: RLock, changed: Condition, ready: Event| {
        let _outer = outer.acquire().expect("it is free");
        let mut inner = changed.acquire().expect("it comes free");
        ready.set();
        let outcome = changed.wait(&mut inner);
        outcome.map(|()| "ok".to_owned()).unwrap_or_else(|error| format!("{:?}", error.kind()))
    };
    let waiter = Process::spawn(wait, (outer.clone(), changed.clone(), ready.clone()))?;
    ready.wait()?;
    let inner = changed.acquire()?;
    assert!(changed.notify_one()?);
    // It was notified and wants the inner lock, which is held here, where the outer one is wanted.
    let mine = outer.acquire().map(drop);
    drop(inner);
    let outcomes = [told(mine), waiter.result()?];
    assert!(outcomes == ["ok", "Deadlock"] || outcomes == ["Deadlock", "ok"], "{outcomes:?}");
    Ok(())
}

fn count(lock: Lock, counter: SharedValue<u32>, stop: Event) {
    while !stop.is_set() {
        let _held = lock.acquire().expect("no circle");
        counter.add(1);
    }
}

fn the_others_of_a_circle_go_on() -> Result<(), Error> {
    let (lock, counter, stop) = (Lock::new()?, SharedValue::new(0)?, Event::new()?);
    let spawn = || Process::spawn(count, (lock.clone(), counter.clone(), stop.clone()));
    let others = [spawn()?, spawn()?];
    one_was_told(&circle(2)?);
    let before = counter.load();
    until("they go on", || counter.load() > before + 10);
    stop.set();
    others.into_iter().try_for_each(Process::result)
}

fn a_circle_closes_again_after_it_was_broken() -> Result<(), Error> {
    for _ in 0..3 {
        one_was_told(&circle(2)?);
    }
    Ok(())
}

fn a_long_held_lock_with_many_waiters() -> Result<(), Error> {
    let (lock, coming) = (Lock::new()?, SharedValue::new(0u32)?);
    let held = lock.acquire()?;
    let want = |lock: Lock, coming: SharedValue<u32>| {
        coming.add(1);
        told(lock.acquire())
    };
    let spawn = |_| Process::spawn(want, (lock.clone(), coming.clone()));
    let waiters = (0..20).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 20);
    // Long enough for circles to be looked for several times.
    std::thread::sleep(Duration::from_millis(1500));
    drop(held);
    for waiter in waiters {
        assert_eq!(waiter.result()?, "ok");
    }
    Ok(())
}

fn waits_with_a_time_out() -> Result<(), Error> {
    let (one, two, meet) = (Lock::new()?, Lock::new()?, Barrier::new(2)?);
    let grab = |mine: Lock, other: Lock, meet: Barrier| {
        let _mine = mine.acquire().expect("nobody else begins with it");
        meet.wait().expect("both come");
        let got = other.acquire_timeout(Duration::from_millis(700)).expect("it is no deadlock").is_some();
        // Not before the other one has tried for as long.
        meet.wait().expect("both come");
        got
    };
    let child = Process::spawn(grab, (one.clone(), two.clone(), meet.clone()))?;
    assert!(!grab(two, one, meet));
    assert!(!child.result()?);
    Ok(())
}

fn a_chain_that_ends() -> Result<(), Error> {
    // Each waits for the next one, and the last one for an event: nobody waits in a circle.
    let (locks, ready) = ((0..5).map(|_| Lock::new()).collect::<Result<Vec<_>, _>>()?, SharedValue::new(0u32)?);
    let go = Event::new()?;
    let link = |mine: Lock, next: Option<Lock>, ready: SharedValue<u32>, go: Event| {
        let _mine = mine.acquire().expect("nobody else begins with it");
        ready.add(1);
        until("all begin", || ready.load() == 5);
        match next {
            Some(next) => told(next.acquire()),
            None => told(go.wait()),
        }
    };
    let spawn = |index: usize| {
        Process::spawn(link, (locks[index].clone(), locks.get(index + 1).cloned(), ready.clone(), go.clone()))
    };
    let links = (0..5).map(spawn).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(Duration::from_secs(1));
    go.set();
    for link in links {
        assert_eq!(link.result()?, "ok");
    }
    linger();
    assert!(locks.iter().all(|lock| !lock.is_locked()));
    let lock = &locks[0];
    let held = lock.acquire()?;
    // That one is found without anybody else.
    assert_eq!(refusal(lock.acquire()), Deadlock);
    drop(held);
    Ok(())
}
