//! Pollables, and waiting for whichever comes first.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use wasmproc_test_artifacts::programs;

use super::scenarios;
use crate::harness::{Process, Running, Wasmproc};

scenarios!(
    programs::WAITS;
    a_lock_is_ready_when_it_is_released_or_its_holder_dies,
    a_semaphore_is_ready_when_a_permit_comes_or_a_holder_dies,
    an_event_is_ready_when_it_is_set,
    a_condition_is_ready_when_somebody_was_notified,
    a_barrier_is_ready_when_it_is_passed_broken_or_reset,
    a_barrier_is_ready_when_one_who_has_it_dies,
    a_queue_is_ready_when_a_message_comes_or_none_will,
    a_full_queue_is_ready_when_there_is_room_or_it_is_closed,
    a_pipe_is_ready_when_a_message_comes_or_none_will,
    a_full_pipe_is_ready_when_there_is_room_or_nobody_reads,
    a_process_is_ready_when_it_has_ended,
    all_that_are_ready_are_told_in_order,
    nothing_is_told_when_the_time_is_over,
    one_among_five_hundred_is_found,
    an_end_is_noticed_whoever_of_many_reads_the_news,
    an_end_is_noticed_when_the_process_was_dropped,
    several_pipes_are_read_to_their_end,
    both_ends_of_a_pipe_and_a_process_are_told_apart,
    a_pollable_is_used_again_and_again,
    what_was_ready_before_it_was_subscribed_to_is_ready,
);

/// Processor time that all processes of a run have used.
fn used(running: &Running) -> Duration {
    let mut processes = Process::descendants(running.pid());
    processes.extend(Process::of(running.pid()));
    let used: Vec<Duration> = processes.iter().filter_map(Process::cpu_time).collect();
    assert!(used.len() > 300, "processes that can be looked at: {}", used.len());
    used.iter().sum()
}

#[test]
fn hundreds_of_waiters_and_a_thousand_pollables_use_hardly_any_time() {
    const WATCHED: Duration = Duration::from_secs(4);
    let running = Wasmproc::run([programs::IDLES, "300"]).stdin(Stdio::piped());
    let running = running.watchdog(Duration::from_secs(120)).start();
    running.expect_stdout("all wait");
    // The first slice of every wait ends within a second, and the next one is longer.
    sleep(Duration::from_secs(2));
    let before = used(&running);
    assert!(before > Duration::ZERO, "this kernel doesn't tell");
    sleep(WATCHED);
    let used = used(&running) - before;
    eprintln!("300 waiting processes and 1000 pollables used {used:?} of {WATCHED:?}");
    assert!(used <= Duration::from_millis(400), "{used:?} of processor time in {WATCHED:?}");
    running.end().expect(0);
}
