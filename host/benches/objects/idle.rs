//! What a thousand processes cost that wait for a message which doesn't come.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{family, programs};

/// After this the last slices of their start are over.
const SETTLE: Duration = Duration::from_secs(3);
const TIME: Duration = Duration::from_secs(10);

pub(crate) fn measure() {
    let mut run = Command::new(programs::wasmproc());
    run.args(["run", wasmproc_test_artifacts::programs::BENCH_OBJECTS, "idle"]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wasmproc runs");
    let mut line = String::new();
    BufReader::new(run.stdout.take().expect("it was piped")).read_line(&mut line).expect("it prints");
    assert_eq!(line, "ready\n");
    std::thread::sleep(SETTLE);
    let before = processor_time(run.id());
    std::thread::sleep(TIME);
    let used = processor_time(run.id()).saturating_sub(before);
    run.stdin.take().expect("it was piped").write_all(b"\n").expect("it reads");
    run.wait().expect("it is a child");
    println!("\n1,000 processes wait for a message\n  processor time of all of them in {TIME:?}: {used:?}");
}

fn processor_time(ancestor: u32) -> Duration {
    let nanoseconds = |pid: u32| -> u64 {
        let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        schedstat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(family::of(ancestor).into_iter().map(nanoseconds).sum())
}
