//! Scenarios of conditions.

use std::time::Duration;

use wasmproc_guest::ErrorKind::{Invalid, NotOwner};
use wasmproc_guest::{Condition, Error, Lock, Process, RLock, SharedValue};
use wasmproc_test_programs::{MOMENT, linger, raw, refusal, scenarios, takes_a_moment, until};

scenarios!(
    a_notification_wakes_as_many_as_told,
    a_notification_for_nobody_is_not_kept,
    a_wait_that_times_out_holds_the_lock_again,
    a_wait_with_a_time_out_says_that_it_was_notified,
    who_has_waited_in_vain_takes_no_notification_from_others,
    a_wait_without_the_lock_is_refused,
    a_wait_with_another_lock_is_refused,
    wait_for_ends_when_its_predicate_holds,
    wait_for_with_a_time_out_says_whether_it_holds,
    a_reentrant_lock_is_given_back_whole_and_taken_again_whole,
    conditions_with_one_lock_wake_their_own_waiters,
    a_condition_hands_a_turn_back_and_forth,
);

type Count = SharedValue<u32>;

/// Who has counted itself in `asleep` waits, as soon as somebody else holds the lock.
fn sleep_until_notified(changed: Condition, asleep: Count, awake: Count) {
    let mut held = changed.acquire().expect("it comes free");
    asleep.add(1);
    changed.wait(&mut held).expect("somebody notifies");
    asleep.add(u32::MAX);
    awake.add(1);
}

fn sleepers(number: u32, changed: &Condition, asleep: &Count, awake: &Count) -> Result<Vec<Process>, Error> {
    let before = asleep.load();
    let arguments = || (changed.clone(), asleep.clone(), awake.clone());
    let sleepers: Result<_, _> = (0..number).map(|_| Process::spawn(sleep_until_notified, arguments())).collect();
    until("all sleep", || {
        let _held = changed.acquire().expect("it comes free");
        asleep.load() == before + number
    });
    sleepers
}

fn a_notification_wakes_as_many_as_told() -> Result<(), Error> {
    let (changed, asleep, awake) = (Condition::new()?, SharedValue::new(0)?, SharedValue::new(0)?);
    let sleepers = sleepers(7, &changed, &asleep, &awake)?;
    let notify = |count| {
        let _held = changed.acquire().expect("it comes free");
        changed.notify(count).expect("it works")
    };
    assert_eq!(notify(0), 0);
    for (count, expected) in [(1, 1), (2, 3)] {
        assert_eq!(notify(count), count);
        until("as many wake", || awake.load() >= expected);
        linger();
        assert_eq!(awake.load(), expected);
    }
    assert!(changed.notify_one()?);
    assert_eq!(notify(100), 3, "more than there are");
    sleepers.into_iter().try_for_each(Process::result)?;
    assert_eq!((asleep.load(), awake.load()), (0, 7));
    assert_eq!(changed.notify_all()?, 0);
    Ok(())
}

fn a_notification_for_nobody_is_not_kept() -> Result<(), Error> {
    let changed = Condition::new()?;
    let mut held = changed.acquire()?;
    assert_eq!((changed.notify_one()?, changed.notify(5)?, changed.notify_all()?), (false, 0, 0));
    assert!(!changed.wait_timeout(&mut held, MOMENT)?);
    Ok(())
}

fn a_wait_that_times_out_holds_the_lock_again() -> Result<(), Error> {
    let lock = Lock::new()?;
    let changed = Condition::with_lock(&lock)?;
    let is_free = |lock: Lock| lock.try_acquire().expect("it works").is_some();
    let mut held = lock.acquire()?;
    for timeout in [MOMENT, MOMENT, Duration::ZERO] {
        let notified = match timeout {
            MOMENT => takes_a_moment(|| changed.wait_timeout(&mut held, timeout))?,
            _ => changed.wait_timeout(&mut held, timeout)?,
        };
        assert!(!notified);
        assert!(!Process::spawn(is_free, lock.clone())?.result()?);
    }
    drop(held);
    assert!(Process::spawn(is_free, lock.clone())?.result()?);
    Ok(())
}

fn a_wait_with_a_time_out_says_that_it_was_notified() -> Result<(), Error> {
    let changed = Condition::new()?;
    let notify = |changed: Condition| {
        // It gets the lock only while the other one waits.
        let _held = changed.acquire().expect("it comes free");
        changed.notify_one().expect("it works")
    };
    for timeout in [Duration::from_secs(40), Duration::MAX] {
        let mut held = changed.acquire()?;
        let child = Process::spawn(notify, changed.clone())?;
        assert!(changed.wait_timeout(&mut held, timeout)?);
        drop(held);
        assert!(child.result()?);
    }
    Ok(())
}

fn wait_in_vain(changed: Condition) -> bool {
    let mut held = changed.acquire().expect("it comes free");
    changed.wait_timeout(&mut held, MOMENT).expect("it works")
}

fn who_has_waited_in_vain_takes_no_notification_from_others() -> Result<(), Error> {
    let (changed, asleep, awake) = (Condition::new()?, SharedValue::new(0)?, SharedValue::new(0)?);
    let hasty = (0..4).map(|_| Process::spawn(wait_in_vain, changed.clone())).collect::<Result<Vec<_>, _>>()?;
    for process in hasty {
        assert!(!process.result()?);
    }
    assert!(!wait_in_vain(changed.clone()));
    let sleepers = sleepers(2, &changed, &asleep, &awake)?;
    assert_eq!(changed.notify(5)?, 2);
    sleepers.into_iter().try_for_each(Process::result)?;
    assert_eq!((awake.load(), changed.notify_all()?), (2, 0));
    Ok(())
}

fn a_wait_without_the_lock_is_refused() -> Result<(), Error> {
    let changed = raw::condition::Condition::create()?;
    let lock = raw::lock::Lock::create(raw::lock::Kind::Plain)?;
    assert_eq!(refusal(changed.wait(&lock, Some(0))), NotOwner);
    let holder = raw::lock::Lock::open(lock.id())?;
    holder.acquire(None)?;
    assert_eq!(refusal(changed.wait(&lock, Some(0))), NotOwner, "another handle holds it");
    Ok(())
}

fn a_wait_with_another_lock_is_refused() -> Result<(), Error> {
    let (changed, other) = (Condition::new()?, Lock::new()?);
    let mut guard = other.acquire()?;
    assert_eq!(refusal(changed.wait(&mut guard)), Invalid);
    assert!(other.is_locked());
    Ok(())
}

fn count_to(changed: Condition, number: Count, end: u32) {
    for _ in 0..end {
        linger();
        let _held = changed.acquire().expect("it comes free");
        number.add(1);
        changed.notify_all().expect("it works");
    }
}

fn wait_for_ends_when_its_predicate_holds() -> Result<(), Error> {
    let (changed, number) = (Condition::new()?, SharedValue::new(0)?);
    let child = Process::spawn(count_to, (changed.clone(), number.clone(), 4))?;
    let mut held = changed.acquire()?;
    let mut asked = 0;
    changed.wait_for(&mut held, || {
        asked += 1;
        number.load() == 4
    })?;
    assert!(asked > 1, "asked once: it was not waited for");
    // A predicate that holds already is not waited for.
    changed.wait_for(&mut held, || true)?;
    drop(held);
    child.result()
}

fn wait_for_with_a_time_out_says_whether_it_holds() -> Result<(), Error> {
    let (changed, number) = (Condition::new()?, SharedValue::new(0)?);
    let mut held = changed.acquire()?;
    assert!(!takes_a_moment(|| changed.wait_for_timeout(&mut held, MOMENT, || false))?);
    assert!(!changed.wait_for_timeout(&mut held, Duration::ZERO, || false)?);
    assert!(changed.wait_for_timeout(&mut held, Duration::ZERO, || true)?);
    let child = Process::spawn(count_to, (changed.clone(), number.clone(), 3))?;
    assert!(changed.wait_for_timeout(&mut held, Duration::MAX, || number.load() == 3)?);
    drop(held);
    child.result()
}

fn a_reentrant_lock_is_given_back_whole_and_taken_again_whole() -> Result<(), Error> {
    let lock = RLock::new()?;
    let changed = Condition::with_rlock(&lock)?;
    let outer = lock.acquire()?;
    let mut inner = lock.acquire()?;
    // It gets the lock, which is held twice here, only while this process waits.
    let notify = |changed: Condition| {
        let _held = changed.acquire().expect("it comes free");
        changed.notify_one().expect("it works")
    };
    let child = Process::spawn(notify, changed.clone())?;
    changed.wait(&mut inner)?;
    assert!(child.result()?);
    let is_free = |lock: RLock| lock.try_acquire().expect("it works").is_some();
    drop(inner);
    assert!(!Process::spawn(is_free, lock.clone())?.result()?);
    drop(outer);
    assert!(Process::spawn(is_free, lock.clone())?.result()?);
    Ok(())
}

fn conditions_with_one_lock_wake_their_own_waiters() -> Result<(), Error> {
    let lock = Lock::new()?;
    let (red, blue) = (Condition::with_lock(&lock)?, Condition::with_lock(&lock)?);
    let (asleep, red_awake, blue_awake) = (SharedValue::new(0)?, SharedValue::new(0)?, SharedValue::new(0)?);
    let reds = sleepers(2, &red, &asleep, &red_awake)?;
    let blues = sleepers(2, &blue, &asleep, &blue_awake)?;
    assert_eq!(red.notify_all()?, 2);
    reds.into_iter().try_for_each(Process::result)?;
    assert_eq!((red_awake.load(), blue_awake.load()), (2, 0));
    assert_eq!(blue.notify_all()?, 2);
    blues.into_iter().try_for_each(Process::result)
}

fn take_turns(changed: Condition, turn: Count, mine: u32) {
    for _ in 0..200 {
        let mut held = changed.acquire().expect("it comes free");
        changed.wait_for(&mut held, || turn.load() == mine).expect("it comes");
        turn.store(1 - mine);
        changed.notify_one().expect("it works");
    }
}

fn a_condition_hands_a_turn_back_and_forth() -> Result<(), Error> {
    let (changed, turn) = (Condition::new()?, SharedValue::new(0)?);
    let child = Process::spawn(take_turns, (changed.clone(), turn.clone(), 1))?;
    take_turns(changed, turn, 0);
    child.result()
}
