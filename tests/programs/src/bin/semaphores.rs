//! Scenarios of semaphores.

use std::time::Duration;

use wasmproc_guest::ErrorKind::{Invalid, Limit, NotOwner};
use wasmproc_guest::{Error, Event, Process, Semaphore, SharedValue, Signal};
use wasmproc_test_programs::raw::semaphore::{self, Mode};
use wasmproc_test_programs::{MOMENT, linger, refusal, scenarios, takes_a_moment, told, until};

scenarios!(
    there_are_never_more_inside_than_permits,
    a_permit_is_waited_for_as_long_as_told,
    a_bounded_semaphore_takes_no_permit_that_was_not_acquired,
    a_bounded_semaphore_takes_no_permit_of_another_process,
    permits_belong_to_the_process_and_not_to_a_handle,
    a_signal_is_raised_by_anybody_and_taken_by_anybody,
    a_signal_of_several_lets_as_many_go,
    a_signal_does_not_overflow,
    numbers_of_permits_that_are_out_of_bounds_are_invalid,
);

const MOST: u32 = i32::MAX as u32;

fn visit(places: Semaphore, inside: SharedValue<u32>, most: SharedValue<u32>) {
    for _ in 0..300 {
        let _place = places.acquire().expect("one comes free");
        let now = inside.add(1) + 1;
        most.update(|most| most.max(now));
        inside.add(u32::MAX);
    }
}

fn there_are_never_more_inside_than_permits() -> Result<(), Error> {
    let places = Semaphore::bounded(2)?;
    let (inside, most) = (SharedValue::new(0)?, SharedValue::new(0)?);
    let spawn = |_| Process::spawn(visit, (places.clone(), inside.clone(), most.clone()));
    for child in (0..5).map(spawn).collect::<Result<Vec<_>, _>>()? {
        child.result()?;
    }
    assert!((1..=2).contains(&most.load()), "{}", most.load());
    assert_eq!((inside.load(), places.value()), (0, 2));
    Ok(())
}

fn hold(places: Semaphore, held: Event, release: Event) {
    let _place = places.acquire().expect("one is free");
    held.set();
    release.wait().expect("main sets it");
}

fn a_permit_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let (places, held, release) = (Semaphore::bounded(1)?, Event::new()?, Event::new()?);
    let child = Process::spawn(hold, (places.clone(), held.clone(), release.clone()))?;
    held.wait()?;
    assert!(places.try_acquire()?.is_none());
    assert!(takes_a_moment(|| places.acquire_timeout(MOMENT))?.is_none());
    release.set();
    assert!(places.acquire_timeout(Duration::MAX)?.is_some());
    assert_eq!(places.value(), 1);
    child.result()
}

fn a_bounded_semaphore_takes_no_permit_that_was_not_acquired() -> Result<(), Error> {
    let places = semaphore::Semaphore::create(3, Mode::Bounded)?;
    assert_eq!(refusal(places.release(1)), NotOwner);
    places.acquire(None)?;
    places.acquire(None)?;
    assert_eq!(refusal(places.release(3)), NotOwner);
    assert_eq!(refusal(places.release(u32::MAX)), NotOwner);
    assert_eq!(places.value(), 1);
    places.release(2)?;
    assert_eq!(refusal(places.release(1)), NotOwner);
    assert_eq!(places.value(), 3);
    Ok(())
}

fn give_back(places: Semaphore) -> String {
    told(semaphore::Semaphore::open(places.id().get()).expect("it was granted").release(1))
}

fn a_bounded_semaphore_takes_no_permit_of_another_process() -> Result<(), Error> {
    let places = Semaphore::bounded(1)?;
    let _mine = places.acquire()?;
    assert_eq!(Process::spawn(give_back, places.clone())?.result()?, "NotOwner");
    assert_eq!(places.value(), 0);
    Ok(())
}

fn permits_belong_to_the_process_and_not_to_a_handle() -> Result<(), Error> {
    let places = semaphore::Semaphore::create(2, Mode::Bounded)?;
    let same = semaphore::Semaphore::open(places.id())?;
    places.acquire(None)?;
    same.acquire(Some(0))?;
    drop(same);
    assert_eq!(places.value(), 0, "dropping a handle gives nothing back while there is another");
    places.release(2)?;
    assert_eq!(places.value(), 2);
    Ok(())
}

fn a_signal_is_raised_by_anybody_and_taken_by_anybody() -> Result<(), Error> {
    let buns = Semaphore::signal(0)?;
    assert!(!buns.try_acquire()?);
    let bake = |buns: Semaphore<Signal>| buns.release(3).expect("there are few");
    Process::spawn(bake, buns.clone())?.result()?;
    // The baker has ended, and what it gave stays.
    assert_eq!(buns.value(), 3);
    for _ in 0..3 {
        assert!(buns.acquire_timeout(Duration::MAX)?);
    }
    assert!(!takes_a_moment(|| buns.acquire_timeout(MOMENT))?);
    Ok(())
}

fn a_signal_of_several_lets_as_many_go() -> Result<(), Error> {
    let (buns, coming, eaten) = (Semaphore::signal(0)?, SharedValue::new(0u32)?, SharedValue::new(0u32)?);
    let eat = |buns: Semaphore<Signal>, coming: SharedValue<u32>, eaten: SharedValue<u32>| {
        coming.add(1);
        buns.acquire().expect("one comes");
        eaten.add(1);
    };
    let spawn = |_| Process::spawn(eat, (buns.clone(), coming.clone(), eaten.clone()));
    let eaters = (0..5).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 5);
    linger();
    buns.release(3)?;
    until("three eat", || eaten.load() == 3);
    linger();
    assert_eq!((eaten.load(), buns.value()), (3, 0));
    buns.release(2)?;
    eaters.into_iter().try_for_each(Process::result)
}

fn a_signal_does_not_overflow() -> Result<(), Error> {
    let number = Semaphore::signal(MOST - 1)?;
    number.release(1)?;
    assert_eq!(number.value(), MOST);
    for more in [1, 2, MOST, u32::MAX] {
        assert_eq!(refusal(number.release(more)), Limit, "{more}");
    }
    assert_eq!(number.value(), MOST);
    number.acquire()?;
    assert_eq!(number.value(), MOST - 1);
    Ok(())
}

fn numbers_of_permits_that_are_out_of_bounds_are_invalid() -> Result<(), Error> {
    for permits in [0, MOST + 1, u32::MAX] {
        assert_eq!(refusal(Semaphore::bounded(permits)), Invalid, "{permits}");
    }
    for permits in [MOST + 1, u32::MAX] {
        assert_eq!(refusal(Semaphore::signal(permits)), Invalid, "{permits}");
    }
    assert_eq!(Semaphore::bounded(MOST)?.value(), MOST);
    Ok(())
}
