//! Scenarios of locks.

use std::time::Duration;

use wasmproc_guest::ErrorKind::{Deadlock, NotOwner};
use wasmproc_guest::{Error, Event, Lock, Process, Queue, RLock, SharedValue};
use wasmproc_test_programs::raw::lock::{self, Kind};
use wasmproc_test_programs::{MOMENT, linger, raw, refusal, scenarios, takes_a_moment, told, until};

scenarios!(
    a_lock_excludes_other_processes,
    a_lock_made_by_a_child_excludes_its_parent,
    a_held_lock_is_waited_for_as_long_as_told,
    a_held_lock_looks_held_to_its_holder_and_to_others,
    waiters_get_a_released_lock_one_after_the_other,
    a_plain_lock_that_its_process_holds_is_a_deadlock_at_once,
    a_reentrant_lock_is_free_after_as_many_releases_as_acquisitions,
    two_holders_in_one_process_exclude_each_other,
    releasing_a_lock_that_is_not_held_is_refused,
    releasing_a_lock_twice_is_refused,
    releasing_the_lock_of_another_is_refused,
    dropping_a_handle_that_holds_releases_the_lock,
    a_plain_number_that_is_no_lock_traps,
);

fn count_up(lock: Lock, counter: SharedValue<u64>, rounds: u32) -> Result<(), String> {
    for _ in 0..rounds {
        let _alone = lock.acquire().map_err(|error| error.to_string())?;
        // Not atomic, on purpose.
        let before = counter.load();
        counter.store(before + 1);
    }
    Ok(())
}

fn a_lock_excludes_other_processes() -> Result<(), Error> {
    let (lock, counter) = (Lock::new()?, SharedValue::new(0u64)?);
    let spawn = |_| Process::spawn(count_up, (lock.clone(), counter.clone(), 2000));
    let children = (0..4).map(spawn).collect::<Result<Vec<_>, _>>()?;
    for child in children {
        assert_eq!(child.result()?, Ok(()));
    }
    assert_eq!(counter.load(), 8000);
    Ok(())
}

fn make_and_hold(locks: Queue<Lock>, release: Event) {
    let lock = Lock::new().expect("a lock");
    let held = lock.acquire().expect("it is free");
    locks.put(&lock).expect("there is room");
    release.wait().expect("main sets it");
    drop(held);
}

fn a_lock_made_by_a_child_excludes_its_parent() -> Result<(), Error> {
    let (locks, release) = (Queue::new()?, Event::new()?);
    let child = Process::spawn(make_and_hold, (locks.clone(), release.clone()))?;
    let lock = locks.get()?;
    assert!(lock.is_locked());
    assert!(lock.try_acquire()?.is_none());
    release.set();
    assert!(!lock.acquire()?.is_abandoned());
    child.result()
}

fn hold(lock: Lock, held: Event, release: Event) {
    let _held = lock.acquire().expect("it comes free");
    held.set();
    release.wait().expect("main sets it");
}

fn a_held_lock_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let (lock, held, release) = (Lock::new()?, Event::new()?, Event::new()?);
    let child = Process::spawn(hold, (lock.clone(), held.clone(), release.clone()))?;
    held.wait()?;
    assert!(lock.try_acquire()?.is_none());
    assert!(takes_a_moment(|| lock.acquire_timeout(MOMENT))?.is_none());
    release.set();
    // 2^64 - 1 nanoseconds.
    assert!(lock.acquire_timeout(Duration::MAX)?.is_some());
    child.result()
}

fn look(plain: &Lock, reentrant: &RLock) -> (bool, bool) {
    (plain.is_locked(), reentrant.is_locked())
}

fn hold_both(plain: Lock, reentrant: RLock, held: Event, release: Event) -> (bool, bool) {
    let _held = (plain.acquire().expect("it is free"), reentrant.acquire().expect("it is free"));
    held.set();
    release.wait().expect("main sets it");
    look(&plain, &reentrant)
}

fn a_held_lock_looks_held_to_its_holder_and_to_others() -> Result<(), Error> {
    let (plain, reentrant) = (Lock::new()?, RLock::new()?);
    assert_eq!(look(&plain, &reentrant), (false, false));
    let (held, release) = (Event::new()?, Event::new()?);
    let child = Process::spawn(hold_both, (plain.clone(), reentrant.clone(), held.clone(), release.clone()))?;
    held.wait()?;
    assert_eq!(look(&plain, &reentrant), (true, true));
    release.set();
    assert_eq!(child.result()?, (true, true));
    assert_eq!(look(&plain, &reentrant), (false, false));
    let outer = reentrant.acquire()?;
    drop(reentrant.acquire()?);
    assert!(reentrant.is_locked(), "held once more");
    drop(outer);
    assert!(!reentrant.is_locked());
    Ok(())
}

fn waiters_get_a_released_lock_one_after_the_other() -> Result<(), Error> {
    let (lock, coming) = (Lock::new()?, SharedValue::new(0u32)?);
    let (inside, passed) = (SharedValue::new(0u32)?, SharedValue::new(0u32)?);
    let mine = lock.acquire()?;
    let visit = |lock: Lock, coming: SharedValue<u32>, inside: SharedValue<u32>, passed: SharedValue<u32>| {
        coming.add(1);
        let held = lock.acquire().expect("it comes free");
        assert_eq!(inside.add(1), 0, "somebody else is inside");
        passed.add(1);
        inside.store(0);
        held.is_abandoned()
    };
    let arguments = || (lock.clone(), coming.clone(), inside.clone(), passed.clone());
    let children = (0..8).map(|_| Process::spawn(visit, arguments())).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 8);
    linger();
    assert_eq!(passed.load(), 0);
    drop(mine);
    for child in children {
        assert!(!child.result()?, "nobody has died");
    }
    assert_eq!(passed.load(), 8);
    Ok(())
}

fn a_plain_lock_that_its_process_holds_is_a_deadlock_at_once() -> Result<(), Error> {
    let lock = Lock::new()?;
    let held = lock.acquire()?;
    assert_eq!(refusal(lock.acquire()), Deadlock);
    assert_eq!(refusal(lock.acquire_timeout(Duration::from_secs(40))), Deadlock);
    assert!(lock.try_acquire()?.is_none());
    drop(held);
    assert!(!lock.is_locked());
    Ok(())
}

fn a_reentrant_lock_is_free_after_as_many_releases_as_acquisitions() -> Result<(), Error> {
    let is_free = |lock: RLock| lock.try_acquire().expect("it works").is_some();
    let lock = RLock::new()?;
    let mut guards = Vec::new();
    for _ in 0..3 {
        guards.push(lock.acquire()?);
    }
    guards.push(lock.try_acquire()?.expect("it is ours"));
    while let Some(guard) = guards.pop() {
        assert!(!Process::spawn(is_free, lock.clone())?.result()?, "{} guards are left", guards.len() + 1);
        drop(guard);
    }
    assert!(Process::spawn(is_free, lock.clone())?.result()?);
    Ok(())
}

fn two_holders_in_one_process_exclude_each_other() -> Result<(), Error> {
    let (plain, reentrant) = (Lock::new()?, RLock::new()?);
    let (plain_too, reentrant_too) = (plain.new_holder()?, reentrant.new_holder()?);
    let held = (plain.acquire()?, reentrant.acquire()?);
    assert!(plain_too.try_acquire()?.is_none());
    assert!(reentrant_too.try_acquire()?.is_none());
    // Nobody but this process, which would wait, could release it.
    assert_eq!(refusal(plain_too.acquire()), Deadlock);
    assert_eq!(refusal(reentrant_too.acquire()), Deadlock);
    drop(held);
    assert!(plain_too.try_acquire()?.is_some() && reentrant_too.try_acquire()?.is_some());
    Ok(())
}

fn releasing_a_lock_that_is_not_held_is_refused() -> Result<(), Error> {
    for kind in [Kind::Plain, Kind::Reentrant] {
        let lock = lock::Lock::create(kind)?;
        assert_eq!(refusal(lock.release()), NotOwner);
        assert!(!lock::quick_release(lock.plain_handle()));
        lock.acquire(None)?;
        lock.release()?;
    }
    Ok(())
}

fn releasing_a_lock_twice_is_refused() -> Result<(), Error> {
    for kind in [Kind::Plain, Kind::Reentrant] {
        let lock = lock::Lock::create(kind)?;
        lock.acquire(None)?;
        lock.release()?;
        assert_eq!(refusal(lock.release()), NotOwner);
        assert!(!lock::quick_release(lock.plain_handle()));
        assert!(!lock.is_locked());
    }
    let reentrant = lock::Lock::create(Kind::Reentrant)?;
    reentrant.acquire(None)?;
    reentrant.acquire(None)?;
    reentrant.release()?;
    assert!(lock::quick_release(reentrant.plain_handle()));
    assert_eq!(refusal(reentrant.release()), NotOwner);
    Ok(())
}

fn release(lock: Lock) -> (String, bool) {
    let handle = raw::lock::Lock::open(lock.id().get()).expect("it was granted");
    (told(handle.release()), lock::quick_release(handle.plain_handle()))
}

fn releasing_the_lock_of_another_is_refused() -> Result<(), Error> {
    let lock = Lock::new()?;
    let held = lock.acquire()?;
    let refused = ("NotOwner".to_owned(), false);
    assert_eq!(release(lock.clone()), refused, "another handle of this process");
    assert_eq!(Process::spawn(release, lock.clone())?.result()?, refused, "another process");
    assert!(lock.is_locked());
    drop(held);
    assert!(!lock.is_locked());
    Ok(())
}

fn dropping_a_handle_that_holds_releases_the_lock() -> Result<(), Error> {
    for kind in [Kind::Plain, Kind::Reentrant] {
        let lock = lock::Lock::create(kind)?;
        let other = lock::Lock::open(lock.id())?;
        other.acquire(None)?;
        assert!(lock.is_locked());
        drop(other);
        assert!(!lock.is_locked());
        assert_eq!(lock.acquire(Some(0))?, raw::types::Acquired::Clean);
    }
    Ok(())
}

fn try_number(number: u32) {
    lock::try_acquire(number);
}

fn try_array() {
    let array = raw::shared::SharedArray::create(raw::shared::Width::Bits8, 1).expect("an array");
    lock::quick_release(array.plain_handle());
}

fn try_dropped() {
    let lock = lock::Lock::create(Kind::Plain).expect("a lock");
    let number = lock.plain_handle();
    drop(lock);
    lock::try_acquire(number);
}

fn a_plain_number_that_is_no_lock_traps() -> Result<(), Error> {
    for number in [0, 7, u32::MAX] {
        assert_eq!(Process::spawn(try_number, number)?.join()?.code(), -6, "{number}");
    }
    assert_eq!(Process::spawn(try_array, ())?.join()?.code(), -6);
    assert_eq!(Process::spawn(try_dropped, ())?.join()?.code(), -6);
    Ok(())
}
