//! What processes say to each other: locks, queues and the rest, with two processes and more, and with deaths among them.
//!
//! Most tests are scenarios that a guest plays: arranging, acting and asserting happen in processes of the guest, where the
//! objects are. Such a test has the name of its scenario, fails when the guest does, and shows what it said. What
//! can only be seen from outside (memory, descriptors, stopped processes, stderr) is asserted here.

mod barrier;
mod condition;
mod deadlock;
mod deaths;
mod event;
mod kills;
mod limits;
mod lock;
mod pipe;
mod queue;
mod semaphore;
mod shared;
mod tickets;
mod waiting;

use std::time::Duration;

use crate::harness::{Ended, Wasmproc};

/// Runs a scenario of a guest with these flags.
#[track_caller]
fn play_with(flags: &[&str], guest: &str, scenario: &str) -> Ended {
    let arguments = flags.iter().copied().chain([guest, scenario]);
    let ended = Wasmproc::run(arguments).watchdog(Duration::from_secs(90)).output().expect(0);
    assert!(scenario == "list" || !ended.stderr.contains("deadlock: "), "{ended:?}");
    ended
}

#[track_caller]
fn play(guest: &str, scenario: &str) {
    play_with(&[], guest, scenario);
}

/// Asserts that a guest has these scenarios and no others: one that is not played would rot.
#[track_caller]
fn has(guest: &str, scenarios: &[&str]) {
    let mut known = play_with(&[], guest, "list").lines();
    let mut played = scenarios.to_vec();
    known.sort();
    played.sort();
    assert_eq!(known, played);
}

/// A test for each scenario, and one that none was forgotten.
macro_rules! scenarios {
    ($guest:expr; $($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                $crate::objects::play($guest, stringify!($name));
            }
        )*

        #[test]
        fn every_scenario_has_its_test() {
            $crate::objects::has($guest, &[$(stringify!($name)),*]);
        }
    };
}

use scenarios;
