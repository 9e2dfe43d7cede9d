//! What becomes of an object when somebody dies: the table in section 5 of the design.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wasmproc_test_artifacts::programs;

use super::scenarios;
use crate::harness::{Process, Running, Wasmproc, eventually};

scenarios!(
    programs::DEATHS;
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

/// A run of `stops`, whose child has filled its memory.
fn stops(arguments: &[&str]) -> (Running, Process) {
    let arguments = [&[programs::STOPS], arguments].concat();
    let running = Wasmproc::run(arguments).stdin(Stdio::piped()).start();
    running.expect_stdout("ready");
    let child = |process: &Process| {
        let resident = process.status("VmRSS");
        resident.split_whitespace().next().and_then(|kib| kib.parse().ok()).is_some_and(|kib: u64| kib > 40 << 10)
    };
    let workers = running.processes("wasmproc-worker", 2);
    let child = workers.into_iter().filter(Process::is_alive).find(child).expect("the one with the memory");
    (running, child)
}

fn send(process: &Process, signal: Signal) {
    // It may have been killed meanwhile.
    let _ = kill_process(Pid::from_raw(process.pid).expect("not 0"), signal);
}

fn stop(process: &Process) {
    send(process, Signal::STOP);
    eventually("it stands still", || Process::of(process.pid).is_none_or(|now| matches!(now.state, 'T' | 'Z' | 'X')));
}

#[test]
fn a_stopped_holder_of_a_lock_holds_up_nothing_else() {
    let (mut running, child) = stops(&["hold"]);
    stop(&child);
    running.say("");
    running.expect_stdout("1: all go on");
    // Longer than an operation may take; a lock may be held for ever.
    sleep(Duration::from_millis(2500));
    running.say("");
    running.expect_stdout("2: all go on");
    send(&child, Signal::CONT);
    running.say("");
    running.expect_stdout("3: all go on");
    running.end().expect(0);
}

#[test]
fn a_process_stopped_inside_of_an_operation_is_killed_when_others_wait() {
    let (mut running, child) = stops(&["inside", "wait"]);
    // Where it is when it is stopped is up to chance: it is inside about half of its time.
    let mut attempt = 0;
    while child.is_alive() {
        attempt += 1;
        assert!(attempt <= 60, "sixty times it was not inside");
        sleep(Duration::from_millis(7 + attempt * 3 % 11));
        stop(&child);
        running.say("");
        // Whether or not it was inside, this goes on.
        running.expect_stdout(&format!("{attempt}: the child "));
        send(&child, Signal::CONT);
    }
    // Its parent hears of it a moment later.
    eventually("its parent knows how it ended", || {
        running.say("");
        running.has_said("stopped in the middle of a shared operation")
    });
    running.end().expect(0);
}

#[test]
fn a_process_stopped_inside_of_an_operation_goes_on_when_nobody_waited() {
    let (mut running, child) = stops(&["inside"]);
    for attempt in 1..=4 {
        stop(&child);
        // Longer than an operation may take when others wait for it.
        sleep(Duration::from_millis(1300));
        send(&child, Signal::CONT);
        sleep(Duration::from_millis(13));
        running.say("");
        running.expect_stdout(&format!("{attempt}: the child did "));
    }
    assert!(child.is_alive());
    running.end().expect(0);
}
