//! Scenarios of processes that die while they hold an object, wait for one, or are in the middle of an operation.

use std::mem::forget;
use std::thread::sleep;
use std::time::Duration;

use wasmproc_guest::ErrorKind::Broken;
use wasmproc_guest::{Barrier, Condition, Error, Event, Lock, Process, Queue, RLock, Semaphore, SharedValue, Signal};
use wasmproc_test_programs::{DEATHS, ENDS, bury, die, linger, refusal, scenarios, told, until};

scenarios!(
    whoever_comes_next_gets_a_dead_holders_lock_and_is_told,
    whoever_waits_gets_a_dead_holders_lock_and_is_told,
    a_reentrant_lock_is_abandoned_once_however_often_it_was_held,
    every_limit_that_ends_a_holder_leaves_its_lock_to_others,
    all_locks_of_a_dead_family_are_abandoned,
    one_who_dies_waiting_for_a_lock_leaves_it_clean,
    the_permits_of_the_dead_come_back,
    whoever_waits_gets_a_permit_of_the_dead,
    what_the_dead_took_of_a_signal_is_gone_and_what_they_gave_stays,
    one_who_dies_waiting_for_a_permit_takes_none,
    one_who_dies_putting_has_put_nothing,
    one_who_dies_getting_has_taken_nothing,
    what_the_dead_took_is_abandoned_for_those_who_join,
    one_who_dies_waiting_on_a_condition_is_not_notified,
    a_notification_for_the_dead_passes_on,
    the_holder_of_a_conditions_lock_leaves_it_abandoned_to_the_notified,
    one_who_dies_in_a_barrier_breaks_it_until_it_is_reset,
    one_who_has_a_barrier_and_dies_elsewhere_breaks_it,
    a_round_that_is_complete_survives_the_dead,
    a_setter_that_dies_has_set_its_event,
);

fn hold(lock: Lock, held: Event, how: String) {
    forget(lock.acquire().expect("it is free"));
    // So is the handle, whose drop would release the lock.
    forget(lock);
    held.set();
    die(&how);
}

fn whoever_comes_next_gets_a_dead_holders_lock_and_is_told() -> Result<(), Error> {
    for how in ENDS {
        let (lock, held) = (Lock::new()?, Event::new()?);
        let victim = Process::spawn(hold, (lock.clone(), held.clone(), how.to_owned()))?;
        held.wait()?;
        // Those who are not killed may have ended by now.
        assert!(how != "kill" || lock.try_acquire()?.is_none());
        bury(&victim, how);
        let guard = lock.acquire()?;
        assert!(guard.is_abandoned(), "{how}");
        drop(guard);
        assert!(!lock.acquire()?.is_abandoned(), "it is told once");
    }
    Ok(())
}

fn whoever_waits_gets_a_dead_holders_lock_and_is_told() -> Result<(), Error> {
    let (lock, held, coming) = (Lock::new()?, Event::new()?, SharedValue::new(0)?);
    let victim = Process::spawn(hold, (lock.clone(), held.clone(), "kill".to_owned()))?;
    held.wait()?;
    let want = |lock: Lock, coming: SharedValue<u32>| {
        coming.add(1);
        lock.acquire().expect("it comes free").is_abandoned()
    };
    let spawn = |_| Process::spawn(want, (lock.clone(), coming.clone()));
    let waiters = (0..4).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 4);
    linger();
    bury(&victim, "kill");
    let told = waiters.into_iter().map(Process::result).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(told.iter().filter(|abandoned| **abandoned).count(), 1, "{told:?}");
    Ok(())
}

fn a_reentrant_lock_is_abandoned_once_however_often_it_was_held() -> Result<(), Error> {
    let (lock, held) = (RLock::new()?, Event::new()?);
    let hold = |lock: RLock, held: Event| {
        let _guards = (lock.acquire().expect("it is free"), lock.acquire().expect("it is ours"));
        held.set();
        die("kill");
    };
    let victim = Process::spawn(hold, (lock.clone(), held.clone()))?;
    held.wait()?;
    bury(&victim, "kill");
    assert!(lock.acquire()?.is_abandoned());
    let outer = lock.acquire()?;
    assert!(!outer.is_abandoned() && !lock.acquire()?.is_abandoned());
    Ok(())
}

fn hold_and_break(lock: Lock, limit: String) {
    let _held = lock.acquire().expect("it is free");
    match limit.as_str() {
        "memory" => drop(std::hint::black_box(vec![1u8; 600 << 20])),
        "cpu" => loop {
            std::hint::black_box(0);
        },
        _ => sleep(Duration::from_secs(40)),
    }
}

fn every_limit_that_ends_a_holder_leaves_its_lock_to_others() -> Result<(), Error> {
    for limit in ["memory", "cpu", "time"] {
        let lock = Lock::new()?;
        let builder = Process::builder(hold_and_break);
        let builder = match limit {
            "memory" => builder.max_memory(64 << 20),
            "cpu" => builder.cpu_time(Duration::from_millis(200)),
            _ => builder.timeout(Duration::from_millis(300)),
        };
        let victim = builder.spawn((lock.clone(), limit.to_owned()))?;
        assert!(!victim.join()?.success());
        assert!(lock.acquire()?.is_abandoned(), "{limit}");
    }
    Ok(())
}

fn family(locks: Vec<Lock>, ready: SharedValue<u32>) {
    let (mine, others) = locks.split_first().expect("there is one");
    forget(mine.acquire().expect("it is free"));
    ready.add(1);
    if !others.is_empty() {
        Process::spawn(family, (others.to_vec(), ready)).expect("a child");
    }
    die("kill");
}

fn all_locks_of_a_dead_family_are_abandoned() -> Result<(), Error> {
    let (locks, ready) = ((0..4).map(|_| Lock::new()).collect::<Result<Vec<_>, _>>()?, SharedValue::new(0)?);
    let eldest = Process::spawn(family, (locks.clone(), ready.clone()))?;
    until("all hold one", || ready.load() == 4);
    bury(&eldest, "kill");
    for lock in &locks {
        assert!(lock.acquire()?.is_abandoned());
    }
    Ok(())
}

fn want(lock: Lock, coming: Event) {
    coming.set();
    let _held = lock.acquire();
}

fn one_who_dies_waiting_for_a_lock_leaves_it_clean() -> Result<(), Error> {
    let (lock, coming) = (Lock::new()?, Event::new()?);
    let held = lock.acquire()?;
    let victim = Process::spawn(want, (lock.clone(), coming.clone()))?;
    coming.wait()?;
    linger();
    bury(&victim, "kill");
    drop(held);
    assert!(!lock.acquire()?.is_abandoned());
    Ok(())
}

fn hold_places(places: Semaphore, number: usize, held: Event, how: String) {
    for _ in 0..number {
        forget(places.acquire().expect("one is free"));
    }
    held.set();
    die(&how);
}

fn the_permits_of_the_dead_come_back() -> Result<(), Error> {
    let places = Semaphore::bounded(5)?;
    let _mine = places.acquire()?;
    for how in ENDS {
        let held = Event::new()?;
        let victim = Process::spawn(hold_places, (places.clone(), 3, held.clone(), how.to_owned()))?;
        held.wait()?;
        bury(&victim, how);
        until("three come back", || places.value() == 4);
    }
    linger();
    assert_eq!(places.value(), 4, "and no more");
    Ok(())
}

fn whoever_waits_gets_a_permit_of_the_dead() -> Result<(), Error> {
    let (places, held, coming) = (Semaphore::bounded(2)?, Event::new()?, SharedValue::new(0)?);
    let victim = Process::spawn(hold_places, (places.clone(), 2, held.clone(), "kill".to_owned()))?;
    held.wait()?;
    let visit = |places: Semaphore, coming: SharedValue<u32>| {
        coming.add(1);
        drop(places.acquire().expect("one comes"));
    };
    let spawn = |_| Process::spawn(visit, (places.clone(), coming.clone()));
    let waiters = (0..3).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 3);
    linger();
    bury(&victim, "kill");
    waiters.into_iter().try_for_each(Process::result)?;
    assert_eq!(places.value(), 2);
    Ok(())
}

fn what_the_dead_took_of_a_signal_is_gone_and_what_they_gave_stays() -> Result<(), Error> {
    for how in DEATHS {
        let (buns, ready) = (Semaphore::signal(2)?, Event::new()?);
        let eat_and_bake = |buns: Semaphore<Signal>, ready: Event, how: String| {
            buns.acquire().expect("there is one");
            buns.acquire().expect("there is another");
            buns.release(3).expect("there are few");
            ready.set();
            die(&how);
        };
        let victim = Process::spawn(eat_and_bake, (buns.clone(), ready.clone(), how.to_owned()))?;
        ready.wait()?;
        bury(&victim, how);
        linger();
        assert_eq!(buns.value(), 3, "{how}");
    }
    Ok(())
}

fn one_who_dies_waiting_for_a_permit_takes_none() -> Result<(), Error> {
    let (places, coming) = (Semaphore::bounded(1)?, Event::new()?);
    let mine = places.acquire()?;
    let want = |places: Semaphore, coming: Event| {
        coming.set();
        drop(places.acquire());
    };
    let victim = Process::spawn(want, (places.clone(), coming.clone()))?;
    coming.wait()?;
    linger();
    bury(&victim, "kill");
    drop(mine);
    drop(places.acquire()?);
    assert_eq!(places.value(), 1);
    Ok(())
}

fn one_who_dies_putting_has_put_nothing() -> Result<(), Error> {
    let (queue, coming) = (Queue::bounded(1)?, Event::new()?);
    queue.put(1)?;
    let put = |queue: Queue<u32>, coming: Event| {
        coming.set();
        drop(queue.put(2));
    };
    let victim = Process::spawn(put, (queue.clone(), coming.clone()))?;
    coming.wait()?;
    linger();
    bury(&victim, "kill");
    assert_eq!((queue.get()?, queue.try_get()?), (1, None));
    queue.put(3)?;
    assert_eq!(queue.get()?, 3);
    Ok(())
}

fn one_who_dies_getting_has_taken_nothing() -> Result<(), Error> {
    let (queue, coming) = (Queue::new()?, Event::new()?);
    let get = |queue: Queue<u32>, coming: Event| {
        coming.set();
        drop(queue.get());
    };
    let victim = Process::spawn(get, (queue.clone(), coming.clone()))?;
    coming.wait()?;
    linger();
    bury(&victim, "kill");
    queue.put(1)?;
    assert_eq!(queue.get()?, 1);
    Ok(())
}

fn what_the_dead_took_is_abandoned_for_those_who_join() -> Result<(), Error> {
    for how in DEATHS {
        let (queue, taken) = (Queue::new()?, Event::new()?);
        queue.put(1)?;
        let take = |queue: Queue<u32>, taken: Event, how: String| {
            queue.get().expect("one is there");
            taken.set();
            die(&how);
        };
        let victim = Process::spawn(take, (queue.clone(), taken.clone(), how.to_owned()))?;
        taken.wait()?;
        let joiner = Process::spawn(|queue: Queue<u32>| told(queue.join()), queue.clone())?;
        linger();
        bury(&victim, how);
        assert_eq!(joiner.result()?, "Abandoned", "{how}");
        queue.join()?;
    }
    Ok(())
}

fn sleep_until_notified(changed: Condition, asleep: SharedValue<u32>) {
    let mut held = changed.acquire().expect("it comes free");
    asleep.add(1);
    changed.wait(&mut held).expect("somebody notifies");
}

fn sleepers(number: u32, changed: &Condition) -> Result<Vec<Process>, Error> {
    let asleep = SharedValue::new(0)?;
    let spawn = |_| Process::spawn(sleep_until_notified, (changed.clone(), asleep.clone()));
    let sleepers = (0..number).map(spawn).collect();
    until("all sleep", || {
        let _held = changed.acquire().expect("it comes free");
        asleep.load() == number
    });
    sleepers
}

fn one_who_dies_waiting_on_a_condition_is_not_notified() -> Result<(), Error> {
    let changed = Condition::new()?;
    let mut sleepers = sleepers(3, &changed)?;
    bury(&sleepers.remove(0), "kill");
    assert_eq!(changed.notify_all()?, 2);
    sleepers.into_iter().try_for_each(Process::result)
}

fn a_notification_for_the_dead_passes_on() -> Result<(), Error> {
    // Whichever of the two was notified: if the other one dies, it wakes, and if it dies itself, the other one does.
    for victim in [0, 1] {
        let changed = Condition::new()?;
        let mut sleepers = sleepers(2, &changed)?;
        let held = changed.acquire()?;
        assert!(changed.notify_one()?);
        linger();
        bury(&sleepers.remove(victim), "kill");
        drop(held);
        sleepers.remove(0).result()?;
    }
    Ok(())
}

fn the_holder_of_a_conditions_lock_leaves_it_abandoned_to_the_notified() -> Result<(), Error> {
    let (lock, asleep) = (Lock::new()?, Event::new()?);
    let changed = Condition::with_lock(&lock)?;
    let wait = |changed: Condition, asleep: Event| {
        let mut held = changed.acquire().expect("it is free");
        asleep.set();
        changed.wait(&mut held).expect("somebody notifies");
        held.is_abandoned()
    };
    let sleeper = Process::spawn(wait, (changed.clone(), asleep.clone()))?;
    asleep.wait()?;
    let notify_and_die = |changed: Condition| -> () {
        forget(changed.acquire().expect("it comes free"));
        changed.notify_one().expect("it works");
        forget(changed);
        panic!("as it must");
    };
    bury(&Process::spawn(notify_and_die, changed.clone())?, "panic");
    assert!(sleeper.result()?);
    Ok(())
}

fn wait_in(barrier: Barrier) -> String {
    told(barrier.wait())
}

fn one_who_dies_in_a_barrier_breaks_it_until_it_is_reset() -> Result<(), Error> {
    let barrier = Barrier::new(3)?;
    let waiters = [Process::spawn(wait_in, barrier.clone())?, Process::spawn(wait_in, barrier.clone())?];
    until("two wait", || barrier.waiting() == 2);
    let [victim, other] = waiters;
    bury(&victim, "kill");
    assert_eq!(other.result()?, "Broken");
    until("it is broken", || barrier.is_broken());
    assert_eq!(refusal(barrier.wait()), Broken);
    barrier.reset()?;
    let others = [Process::spawn(wait_in, barrier.clone())?, Process::spawn(wait_in, barrier.clone())?];
    barrier.wait()?;
    for other in others {
        assert_eq!(other.result()?, "ok");
    }
    Ok(())
}

fn one_who_has_a_barrier_and_dies_elsewhere_breaks_it() -> Result<(), Error> {
    for how in DEATHS {
        let (barrier, ready) = (Barrier::new(2)?, Event::new()?);
        let have = |_barrier: Barrier, ready: Event, how: String| {
            ready.set();
            die(&how);
        };
        let victim = Process::spawn(have, (barrier.clone(), ready.clone(), how.to_owned()))?;
        let waiter = Process::spawn(wait_in, barrier.clone())?;
        ready.wait()?;
        bury(&victim, how);
        assert_eq!(waiter.result()?, "Broken", "{how}");
    }
    Ok(())
}

fn a_round_that_is_complete_survives_the_dead() -> Result<(), Error> {
    for _ in 0..10 {
        let barrier = Barrier::new(3)?;
        let waiters = [Process::spawn(wait_in, barrier.clone())?, Process::spawn(wait_in, barrier.clone())?];
        until("two wait", || barrier.waiting() == 2);
        let complete_and_die = |barrier: Barrier| -> () {
            barrier.wait().expect("it is the last");
            panic!("as it must");
        };
        bury(&Process::spawn(complete_and_die, barrier.clone())?, "panic");
        for waiter in waiters {
            assert_eq!(waiter.result()?, "ok");
        }
    }
    Ok(())
}

fn a_setter_that_dies_has_set_its_event() -> Result<(), Error> {
    for how in DEATHS {
        let event = Event::new()?;
        let waiter = Process::spawn(|event: Event| told(event.wait()), event.clone())?;
        let set = |event: Event, how: String| {
            event.set();
            die(&how);
        };
        let victim = Process::spawn(set, (event.clone(), how.to_owned()))?;
        event.wait()?;
        bury(&victim, how);
        assert_eq!(waiter.result()?, "ok", "{how}");
        assert!(event.is_set());
    }
    Ok(())
}
