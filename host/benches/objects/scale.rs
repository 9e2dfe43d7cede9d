//! Ten thousand objects and a thousand processes that wait for some of them: what they take, and whether an operation
//! costs more among them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{family, programs, table};

/// After this the last slices of their start are over.
const SETTLE: Duration = Duration::from_secs(3);
/// How often each of them has its turn.
const TURNS: usize = 3;
/// Sets of ten objects, and processes that wait.
const RUNS: [(usize, usize); 3] = [(1, 0), (1000, 0), (1000, 1000)];
const OPERATIONS: [&str; 4] = [
    "acquire + release of a lock",
    "put + get of 64 bytes, one process",
    "event ping-pong",
    "create + drop of an event",
];
/// For all that a run is refused beyond.
const LIMITS: [&str; 8] = [
    "--max-objects",
    "20000",
    "--max-total-objects",
    "20000",
    "--max-processes",
    "1100",
    "--max-total-memory",
    "16GiB",
];

/// What one run came to.
struct Run {
    nanoseconds: Vec<f64>,
    supervisor: Taken,
    all: Taken,
}

/// By one process or several.
#[derive(Default)]
struct Taken {
    descriptors: usize,
    /// Anonymous memory; what several have is shared out among them.
    own_kib: f64,
    /// Memory of shared objects that was touched, each page counted once.
    objects_kib: f64,
}

pub(crate) fn measure() {
    let mut turns: [Vec<Run>; RUNS.len()] = Default::default();
    for _ in 0..TURNS {
        for ((sets, waiters), turns) in RUNS.into_iter().zip(&mut turns) {
            turns.push(run(sets, waiters));
        }
    }
    let titles = RUNS.map(title);
    for (index, operation) in OPERATIONS.into_iter().enumerate() {
        let of_all = |turns: &Vec<Run>| table::median(turns.iter().map(|run| run.nanoseconds[index]).collect());
        let rows: Vec<(&str, f64)> = titles.iter().map(String::as_str).zip(turns.iter().map(of_all)).collect();
        table::print(operation, &rows, "ns");
    }
    for (title, turns) in titles.iter().zip(&turns) {
        let Some(Run { supervisor, all, .. }) = turns.last() else { continue };
        println!(
            "\n{title}\n  supervisor: {} descriptors, {:.0} KiB of its own\n  all processes: {} descriptors, \
             {:.0} KiB of their own, {:.0} KiB of shared objects",
            supervisor.descriptors, supervisor.own_kib, all.descriptors, all.own_kib, all.objects_kib
        );
    }
}

fn run(sets: usize, waiters: usize) -> Run {
    let program = wasmproc_test_artifacts::programs::BENCH_SCALE;
    let mut command = Command::new(programs::wasmproc());
    command.arg("run").args(LIMITS).args([program, &sets.to_string(), &waiters.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wasmproc runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let mut line = || lines.next().expect("it prints").expect("UTF-8");
    assert_eq!(line(), "ready");
    std::thread::sleep(SETTLE);
    let supervisor = taken(&[child.id()]);
    let all = taken(&family::of(child.id()));
    child.stdin.take().expect("it was piped").write_all(b"\n").expect("it reads");
    let nanoseconds: Vec<f64> = line().split(' ').map(|number| number.parse().expect("a number")).collect();
    assert!(child.wait().expect("it is a child").success());
    assert_eq!(nanoseconds.len(), OPERATIONS.len());
    Run { nanoseconds, supervisor, all }
}

fn title((sets, waiters): (usize, usize)) -> String {
    match waiters {
        0 => format!("{} objects", 10 * sets),
        _ => format!("{} objects, {waiters} waiting processes", 10 * sets),
    }
}

fn taken(processes: &[u32]) -> Taken {
    let mut taken = Taken::default();
    for pid in processes {
        taken.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        for line in rollup.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<f64>)) else { continue };
            match name {
                "Pss_Anon:" => taken.own_kib += kib,
                "Pss_Shmem:" => taken.objects_kib += kib,
                _ => {}
            }
        }
    }
    assert!(taken.own_kib > 0.0, "nothing could be measured: run this as root");
    taken
}
