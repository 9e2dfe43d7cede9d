//! Limits of objects: how many, how much memory, and that those who come and go leave nothing behind.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use wasmproc_test_artifacts::programs;

use super::{has, play_with};
use crate::harness::{Process, Running, Scratch, Wasmproc};

const TEN_AND_TWENTY: [&str; 4] = ["--max-objects", "10", "--max-total-objects", "20"];

#[test]
fn more_objects_than_a_process_or_the_run_may_have_are_refused() {
    play_with(&TEN_AND_TWENTY, programs::OBJECT_LIMITS, "ten_objects_for_each_and_twenty_for_all");
}

#[test]
fn a_ticket_over_the_limit_stays_good() {
    play_with(&TEN_AND_TWENTY, programs::OBJECT_LIMITS, "a_ticket_over_the_limit_stays_good");
}

#[test]
fn each_end_of_a_pipe_is_an_object() {
    play_with(&TEN_AND_TWENTY, programs::OBJECT_LIMITS, "a_pipe_counts_twice");
}

#[test]
fn queues_go_with_the_tickets_and_messages_in_them() {
    let flags = [&TEN_AND_TWENTY[..], &["--max-total-memory", "32MiB"]].concat();
    play_with(&flags, programs::OBJECT_LIMITS, "queues_go_with_the_tickets_in_them");
}

#[test]
fn the_memory_of_objects_counts_for_the_run() {
    play_with(&["--max-total-memory", "105MiB"], programs::OBJECT_LIMITS, "a_hundred_mebibytes_for_all");
}

#[test]
fn long_messages_count_as_long_as_they_are_on_their_way() {
    // 30 of the sender, 30 of the receiver in the same process, 30 for one message and not for another.
    play_with(
        &["--max-total-memory", "120MiB"],
        programs::OBJECT_LIMITS,
        "long_messages_count_as_long_as_they_are_on_their_way",
    );
}

#[test]
fn a_long_message_waits_for_a_descriptor() {
    let folder = Scratch::new();
    let grant = format!("{}::/data", folder.path().display());
    let words = ["run", "--dir", &grant, programs::OBJECT_LIMITS, "a_long_message_waits_for_a_descriptor"];
    Wasmproc::through_shell("ulimit -n 300; exec \"$@\"", words).output().expect(0);
}

#[test]
fn handles_are_refused_at_a_limit_and_those_there_are_go_on() {
    play_with(&[], programs::OBJECT_LIMITS, "handles_until_they_are_refused");
}

#[test]
fn a_lack_of_descriptors_refuses_and_what_there_is_goes_on() {
    for limit in 150..156 {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let words = ["run", programs::OBJECT_LIMITS, "objects_until_the_machine_refuses"];
        Wasmproc::through_shell(&script, words).output().expect(0);
    }
}

#[test]
fn every_scenario_has_its_test() {
    let scenarios = [
        "ten_objects_for_each_and_twenty_for_all",
        "a_ticket_over_the_limit_stays_good",
        "a_pipe_counts_twice",
        "queues_go_with_the_tickets_in_them",
        "a_hundred_mebibytes_for_all",
        "long_messages_count_as_long_as_they_are_on_their_way",
        "handles_until_they_are_refused",
        "objects_until_the_machine_refuses",
        "a_long_message_waits_for_a_descriptor",
    ];
    has(programs::OBJECT_LIMITS, &scenarios);
}

/// What all processes of a run hold together.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    mappings: usize,
    resident_kib: usize,
}

impl Holdings {
    fn of(running: &Running) -> Holdings {
        let mut processes = Process::descendants(running.pid());
        processes.extend(Process::of(running.pid()));
        let mut total = Holdings { descriptors: 0, mappings: 0, resident_kib: 0 };
        for process in processes {
            let count = |file: &str| fs::read_dir(process.file(file)).map_or(0, Iterator::count);
            let maps = fs::read_to_string(process.file("maps")).unwrap_or_default();
            let status = fs::read_to_string(process.file("status")).unwrap_or_default();
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
            total.descriptors += count("fd");
            total.mappings += maps.lines().count();
            total.resident_kib += kib.unwrap_or(0);
        }
        total
    }
}

/// The long form: `WASMPROC_CHURNS=1000000 cargo test --test behaviour objects_leave_nothing_behind -- --nocapture`.
#[test]
fn a_hundred_thousand_objects_leave_nothing_behind() {
    let rounds = std::env::var("WASMPROC_CHURNS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000_u64);
    let running = Wasmproc::run([programs::CHURNS, &rounds.to_string()]).stdin(Stdio::piped());
    let mut running = running.watchdog(Duration::from_secs(200 + rounds / 1000)).start();
    running.expect_stdout("2000 rounds");
    // Spares are there again, and the child is gone.
    sleep(Duration::from_millis(300));
    let before = Holdings::of(&running);
    running.say("");
    running.expect_stdout(&format!("\n{rounds} rounds"));
    sleep(Duration::from_millis(300));
    let after = Holdings::of(&running);
    eprintln!("{before:?} became {after:?}");
    assert!(after.descriptors <= before.descriptors + 16, "{before:?} became {after:?}");
    assert!(after.mappings <= before.mappings + 100, "{before:?} became {after:?}");
    assert!(after.resident_kib <= before.resident_kib + 20 * 1024, "{before:?} became {after:?}");
    running.say("");
    running.end().expect(0);
}
