//! Scenarios of events.

use std::time::Duration;

use wasmproc_guest::{Error, Event, Process, SharedValue};
use wasmproc_test_programs::{MOMENT, linger, scenarios, takes_a_moment, until};

scenarios!(
    setting_an_event_lets_all_go_and_those_who_come_later,
    a_cleared_event_is_waited_for_again,
    who_waits_goes_on_although_it_is_cleared_at_once,
    an_event_is_waited_for_as_long_as_told,
    an_event_set_by_a_process_that_has_ended_stays_set,
);

fn pass(gate: Event, coming: SharedValue<u32>) {
    coming.add(1);
    gate.wait().expect("it is set");
    assert!(gate.is_set());
}

fn setting_an_event_lets_all_go_and_those_who_come_later() -> Result<(), Error> {
    let (gate, coming) = (Event::new()?, SharedValue::new(0)?);
    let spawn = |_| Process::spawn(pass, (gate.clone(), coming.clone()));
    let children = (0..5).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 5);
    linger();
    assert!(children.iter().all(Process::is_alive));
    gate.set();
    gate.set();
    children.into_iter().try_for_each(Process::result)?;
    gate.wait()?;
    Process::spawn(pass, (gate, coming))?.result()
}

fn a_cleared_event_is_waited_for_again() -> Result<(), Error> {
    let gate = Event::new()?;
    gate.set();
    gate.clear();
    gate.clear();
    assert!(!gate.is_set());
    assert!(!gate.wait_timeout(MOMENT)?);
    gate.set();
    assert!(gate.wait_timeout(Duration::ZERO)?);
    Ok(())
}

fn who_waits_goes_on_although_it_is_cleared_at_once() -> Result<(), Error> {
    let gate = Event::new()?;
    let wait = |gate: Event| gate.wait().expect("it is set");
    let child = Process::spawn(wait, gate.clone())?;
    // It is never set for long enough to be found set.
    until("the child passes", || {
        gate.set();
        gate.clear();
        child.join_timeout(MOMENT).expect("it is a child").is_some()
    });
    child.result()
}

fn an_event_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let gate = Event::new()?;
    assert!(!gate.wait_timeout(Duration::ZERO)?);
    assert!(!takes_a_moment(|| gate.wait_timeout(MOMENT))?);
    let set = |gate: Event| {
        linger();
        gate.set();
    };
    let child = Process::spawn(set, gate.clone())?;
    assert!(gate.wait_timeout(Duration::MAX)?);
    child.result()
}

fn an_event_set_by_a_process_that_has_ended_stays_set() -> Result<(), Error> {
    let gate = Event::new()?;
    let set_and_die = |gate: Event| -> () {
        gate.set();
        panic!("as it must");
    };
    let child = Process::spawn(set_and_die, gate.clone())?;
    assert_eq!(child.join()?.code(), -6);
    assert!(gate.is_set());
    Ok(())
}
