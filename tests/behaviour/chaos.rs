//! Somebody kills and stops workers at random while they use shared objects. What the objects promise holds all the same.
//!
//! The short form runs with the other tests. The long one:
//! `WASMPROC_CHAOS=20000 cargo test --test behaviour chaos -- --nocapture`.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use wasmproc_test_artifacts::programs;

use crate::harness::{Process, Running, Scratch, Wasmproc};

/// How many deaths there are in the short form.
const SHORT: u64 = 150;
/// One in so many is stopped instead of killed.
const STOPS: u32 = 8;

#[test]
fn objects_keep_their_promises_while_workers_are_killed_and_stopped() {
    let deaths = std::env::var("WASMPROC_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(SHORT);
    let scratch = Scratch::new();
    let report = scratch.path().join("report.json");
    let report_flag = format!("--report={}", report.display());
    let watchdog = Duration::from_secs(120 + deaths / 10);
    let running = Wasmproc::run([&report_flag, programs::CHAOS, &deaths.to_string()]).watchdog(watchdog).start();
    running.expect_stdout("begun");

    let seed = rand::random();
    let signals = harass(&running, seed, Instant::now() + watchdog);
    let ended = running.end().expect(0);

    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(report).expect("the report is there")).expect("JSON");
    println!("seed {seed}: {signals} signals\n{}{} recoveries", ended.text(), report["recoveries"]);
    assert!(!ended.text().contains("WRONG"), "seed {seed}: {ended:?}");
    assert!(ended.text().contains("\n0 wrong\n"), "seed {seed}: {ended:?}");
    assert!(report["recoveries"].as_u64() > Some(0), "somebody was killed inside: {report}");
}

/// Kills and stops workers, all but the first one, until the program says that it is enough.
fn harass(running: &Running, seed: u64, until: Instant) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let main = running.process("wasmproc-worker").pid;
    let mut signals = 0;
    while !running.has_said("enough") && Instant::now() < until {
        let mut victims = Process::descendants(running.pid());
        victims.retain(|process| process.name == "wasmproc-worker" && process.pid != main);
        for _ in 0..4 {
            let Some(victim) = victims.get(random.random_range(0..victims.len().max(1))) else { break };
            let pid = Pid::from_raw(victim.pid).expect("not 0");
            if random.random_range(0..STOPS) == 0 {
                let _ = kill_process(pid, Signal::STOP);
                std::thread::sleep(Duration::from_millis(random.random_range(0..20)));
                // One that was stopped for good is as good as one that was killed, if others wait for it.
                let _ = kill_process(pid, Signal::CONT);
            } else {
                let _ = kill_process(pid, Signal::KILL);
            }
            signals += 1;
            std::thread::sleep(Duration::from_micros(random.random_range(0..3_000)));
        }
    }
    signals
}
