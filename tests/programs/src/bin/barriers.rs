//! Scenarios of barriers.

use std::time::Duration;

use wasmproc_guest::ErrorKind::{Broken, Invalid, Timeout};
use wasmproc_guest::{Barrier, Error, Process, SharedArray};
use wasmproc_test_programs::{MOMENT, refusal, scenarios, takes_a_moment, told, until};

scenarios!(
    all_go_when_the_last_has_come_and_each_has_a_place,
    a_thousand_passes_keep_everybody_together,
    aborting_breaks_it_until_it_is_reset,
    resetting_breaks_the_round_and_not_the_barrier,
    a_time_out_breaks_it_for_all,
    a_broken_barrier_can_be_used_again_after_a_reset,
    a_barrier_for_one_is_passed_at_once,
    a_process_that_returns_or_lets_go_does_not_break_it,
    numbers_of_parties_that_are_out_of_bounds_are_invalid,
);

fn place(barrier: Barrier) -> u32 {
    barrier.wait().expect("all come")
}

fn outcome(barrier: Barrier) -> String {
    told(barrier.wait())
}

/// Processes that wait in a barrier for one more than they are.
fn waiters(barrier: &Barrier) -> Result<Vec<Process<String>>, Error> {
    let number = barrier.parties() - 1;
    let waiters: Result<_, _> = (0..number).map(|_| Process::spawn(outcome, barrier.clone())).collect();
    until("all wait", || barrier.waiting() == number);
    waiters
}

#[track_caller]
fn all_are_told(waiters: Vec<Process<String>>, what: &str) -> Result<(), Error> {
    for waiter in waiters {
        assert_eq!(waiter.result()?, what);
    }
    Ok(())
}

fn all_go_when_the_last_has_come_and_each_has_a_place() -> Result<(), Error> {
    let barrier = Barrier::new(5)?;
    let children = (0..4).map(|_| Process::spawn(place, barrier.clone())).collect::<Result<Vec<_>, _>>()?;
    until("four wait", || barrier.waiting() == 4);
    assert!(children.iter().all(Process::is_alive));
    assert_eq!(barrier.wait()?, 4, "the last");
    let mut places = children.into_iter().map(Process::result).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3]);
    assert_eq!((barrier.parties(), barrier.waiting(), barrier.is_broken()), (5, 0, false));
    Ok(())
}

fn pass_often(barrier: Barrier, rounds: SharedArray<u32>, mine: usize) {
    for round in 1..=1000 {
        rounds.store(mine, round);
        barrier.wait().expect("nobody dies");
        let others = rounds.to_vec();
        // Another one may have come to the next one, and no further.
        assert!(others.iter().all(|other| (round..=round + 1).contains(other)), "{round}: {others:?}");
    }
}

fn a_thousand_passes_keep_everybody_together() -> Result<(), Error> {
    let (barrier, rounds) = (Barrier::new(3)?, SharedArray::new(3)?);
    let spawn = |mine| Process::spawn(pass_often, (barrier.clone(), rounds.clone(), mine));
    let children = (0..3).map(spawn).collect::<Result<Vec<_>, _>>()?;
    children.into_iter().try_for_each(Process::result)
}

fn aborting_breaks_it_until_it_is_reset() -> Result<(), Error> {
    let barrier = Barrier::new(3)?;
    let waiters = waiters(&barrier)?;
    barrier.abort()?;
    barrier.abort()?;
    all_are_told(waiters, "Broken")?;
    assert!(barrier.is_broken());
    assert_eq!(refusal(barrier.wait()), Broken);
    assert_eq!(refusal(barrier.wait_timeout(Duration::ZERO)), Broken);
    assert_eq!(Process::spawn(outcome, barrier.clone())?.result()?, "Broken");
    barrier.reset()?;
    assert!(!barrier.is_broken());
    Ok(())
}

fn resetting_breaks_the_round_and_not_the_barrier() -> Result<(), Error> {
    let barrier = Barrier::new(3)?;
    let waiters = waiters(&barrier)?;
    barrier.reset()?;
    all_are_told(waiters, "Broken")?;
    assert_eq!((barrier.is_broken(), barrier.waiting()), (false, 0));
    barrier.reset()?;
    assert!(!barrier.is_broken());
    Ok(())
}

fn a_time_out_breaks_it_for_all() -> Result<(), Error> {
    let barrier = Barrier::new(3)?;
    let wait = |barrier: Barrier| told(barrier.wait_timeout(Duration::MAX));
    let waiter = Process::spawn(wait, barrier.clone())?;
    until("it waits", || barrier.waiting() == 1);
    assert_eq!(refusal(takes_a_moment(|| barrier.wait_timeout(MOMENT))), Timeout);
    assert_eq!(waiter.result()?, "Broken");
    assert!(barrier.is_broken());
    barrier.reset()?;
    assert_eq!(refusal(barrier.wait_timeout(Duration::ZERO)), Timeout);
    assert!(barrier.is_broken());
    Ok(())
}

fn a_broken_barrier_can_be_used_again_after_a_reset() -> Result<(), Error> {
    let barrier = Barrier::new(4)?;
    for _ in 0..20 {
        let broken = waiters(&barrier)?;
        barrier.abort()?;
        // Before all of them have noticed.
        barrier.reset()?;
        let passing = waiters(&barrier)?;
        assert_eq!(barrier.wait_timeout(Duration::MAX)?, 3);
        all_are_told(broken, "Broken")?;
        all_are_told(passing, "ok")?;
    }
    Ok(())
}

fn a_barrier_for_one_is_passed_at_once() -> Result<(), Error> {
    let barrier = Barrier::new(1)?;
    for _ in 0..3 {
        assert_eq!(barrier.wait()?, 0);
        assert_eq!(barrier.wait_timeout(Duration::ZERO)?, 0);
    }
    Ok(())
}

fn a_process_that_returns_or_lets_go_does_not_break_it() -> Result<(), Error> {
    let barrier = Barrier::new(2)?;
    let look = |barrier: Barrier| barrier.is_broken();
    assert!(!Process::spawn(look, barrier.clone())?.result()?);
    let exit = |_barrier: Barrier| -> () { wasmproc_guest::exit(3) };
    assert_eq!(Process::spawn(exit, barrier.clone())?.join()?.code(), 3);
    let waiter = waiters(&barrier)?;
    assert_eq!(barrier.wait()?, 1);
    all_are_told(waiter, "ok")
}

fn numbers_of_parties_that_are_out_of_bounds_are_invalid() -> Result<(), Error> {
    for parties in [0, 100_000, u32::MAX] {
        assert_eq!(refusal(Barrier::new(parties)), Invalid, "{parties}");
    }
    Ok(())
}
