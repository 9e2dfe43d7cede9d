//! Circles of waiters: one of them is told, and the user once. What only looks like a circle is left alone.

use wasmproc_test_artifacts::programs;

use super::{has, play};
use crate::harness::{Ended, Wasmproc};

/// Plays a scenario in which as many circles close.
#[track_caller]
fn play_circles(scenario: &str, circles: usize) -> Ended {
    let ended = Wasmproc::run([programs::DEADLOCKS, scenario]).output().expect(0);
    let lines = ended.stderr.lines().filter(|line| line.contains("deadlock: ")).count();
    assert_eq!(lines, circles, "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), circles, "{ended:?}");
    ended
}

/// Asserts that its only line on stderr is one complaint that names all of these.
#[track_caller]
fn names(ended: &Ended, words: &[&str]) {
    ended.complains_of(&[&["deadlock: ", "gets an error"], words].concat());
}

#[test]
fn of_two_processes_with_two_locks_one_is_told_and_the_user_once() {
    let ended = play_circles("two_processes_with_two_locks", 1);
    names(
        &ended,
        &["process 2 (grabber-0) waits for lock", "process 3 (grabber-1) waits for lock", "held by process 2"],
    );
}

#[test]
fn of_three_processes_with_three_locks_one_is_told_and_the_user_once() {
    let ended = play_circles("three_processes_with_three_locks", 1);
    names(&ended, &["(grabber-0) waits for lock", "(grabber-1) waits for lock", "(grabber-2) waits for lock"]);
}

#[test]
fn a_parent_that_joins_who_waits_for_its_lock_is_a_circle() {
    let ended = play_circles("a_parent_that_joins_who_waits_for_its_lock", 1);
    names(&ended, &["process 1 (main) waits for the end of process 2", "process 2 (process-2) waits for lock"]);
}

#[test]
fn a_grandparent_that_joins_who_waits_for_its_lock_is_a_circle() {
    let ended = play_circles("a_grandparent_that_joins_who_waits_for_its_lock", 1);
    names(&ended, &["process 1 (main) waits for the end of process 2", "held by process 1"]);
}

#[test]
fn a_notified_waiter_that_wants_its_lock_back_can_be_in_a_circle() {
    let ended = play_circles("a_reader_of_a_condition_in_a_circle", 1);
    names(&ended, &["process 1 (main) waits for lock", "process 2 (process-2) waits for lock"]);
}

#[test]
fn the_others_of_a_circle_go_on() {
    play_circles("the_others_of_a_circle_go_on", 1);
}

#[test]
fn a_circle_that_closes_again_is_told_again() {
    play_circles("a_circle_closes_again_after_it_was_broken", 3);
}

#[test]
fn a_long_held_lock_with_many_waiters_is_no_circle() {
    play(programs::DEADLOCKS, "a_long_held_lock_with_many_waiters");
}

#[test]
fn waits_with_a_time_out_are_no_circle() {
    play(programs::DEADLOCKS, "waits_with_a_time_out");
}

#[test]
fn a_chain_that_ends_is_no_circle() {
    play(programs::DEADLOCKS, "a_chain_that_ends");
}

#[test]
fn every_scenario_has_its_test() {
    let circles = [
        "two_processes_with_two_locks",
        "three_processes_with_three_locks",
        "a_parent_that_joins_who_waits_for_its_lock",
        "a_grandparent_that_joins_who_waits_for_its_lock",
        "a_reader_of_a_condition_in_a_circle",
        "the_others_of_a_circle_go_on",
        "a_circle_closes_again_after_it_was_broken",
    ];
    let others = ["a_long_held_lock_with_many_waiters", "waits_with_a_time_out", "a_chain_that_ends"];
    has(programs::DEADLOCKS, &[&circles[..], &others].concat());
}
