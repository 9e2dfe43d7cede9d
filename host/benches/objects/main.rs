//! Shared objects, side by side with Python's multiprocessing, channels between threads and the kernel's pipe:
//! `cargo bench --bench objects [NAME...]`.
//!
//! Everything is measured from guest to guest, confined as shipped. Both sides of every comparison run in this one
//! program, by turns, and what is printed are medians and their ratio. Needs python3.

mod family;
mod idle;
mod native;
#[path = "../processes/programs.rs"]
mod programs;
mod python;
mod scale;
#[path = "../processes/table.rs"]
mod table;

use std::process::Command;

use table::median;

/// How often each side has its turn.
const ROUNDS: usize = 5;

/// Nanoseconds for one operation.
type Measurement = fn() -> f64;

/// One comparison: what the guest calls it, and what Python does for the same.
struct Comparison {
    title: &'static str,
    ours: &'static [(&'static str, &'static str)],
    python: Option<&'static str>,
    others: &'static [(&'static str, Measurement)],
}

const COMPARISONS: &[Comparison] = &[
    Comparison {
        title: "queue, 64 bytes, one to one",
        ours: &[("put and get", "queue-1-1"), ("put-many and get-many, 256 at once", "queue-many")],
        python: Some(python::QUEUE_1_1),
        others: &[("crossbeam channel between threads", native::channel), ("pipe of the kernel", native::pipe)],
    },
    Comparison {
        title: "queue, 64 bytes, four to four",
        ours: &[("put and get", "queue-4-4")],
        python: Some(python::QUEUE_4_4),
        others: &[],
    },
    Comparison {
        title: "queue, 1 MiB, one to one, time for one message",
        ours: &[("put and get", "queue-1MiB")],
        python: Some(python::QUEUE_LARGE),
        others: &[],
    },
    Comparison {
        title: "lock, acquire + release, one process",
        ours: &[("through the resource", "lock-resource"), ("the quick way", "lock-quick")],
        python: Some(python::LOCK),
        others: &[],
    },
    Comparison {
        title: "lock, acquire + release, two processes, time for one of them to have it",
        ours: &[("the quick way", "lock-two")],
        python: Some(python::LOCK_TWO),
        others: &[],
    },
    Comparison {
        title: "semaphore of one, acquire + release, one process",
        ours: &[("through the resource", "semaphore")],
        python: Some(python::SEMAPHORE),
        others: &[],
    },
    Comparison {
        title: "event ping-pong, one round trip",
        ours: &[("set, wait, clear", "event")],
        python: Some(python::EVENT),
        others: &[],
    },
    Comparison {
        title: "pipe ping-pong, 64 bytes, one round trip",
        ours: &[("send and recv", "pipe")],
        python: Some(python::PIPE),
        others: &[],
    },
    Comparison {
        title: "atomic add on a shared value",
        ours: &[("add", "shared-add")],
        python: Some(python::VALUE),
        others: &[],
    },
    Comparison {
        title: "a lock's holder is killed: until the next one has the lock",
        ours: &[("median of 300", "recovery-median"), ("99th of 100", "recovery-p99")],
        python: None,
        others: &[],
    },
    Comparison { title: "create + drop of an object", ours: &[("event", "create")], python: None, others: &[] },
];

fn main() {
    wasmproc::init();
    let wanted = programs::wanted();
    for comparison in COMPARISONS {
        let named = |name: &String| comparison.title.contains(name.as_str());
        if wanted.is_empty() || wanted.iter().any(named) {
            compare(comparison);
        }
    }
    for (name, measure) in [("idle", idle::measure as fn()), ("scale", scale::measure)] {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure();
        }
    }
}

fn compare(comparison: &Comparison) {
    let mut ours = vec![Vec::new(); comparison.ours.len()];
    let mut others = vec![Vec::new(); comparison.others.len()];
    let mut python = Vec::new();
    for _ in 0..ROUNDS {
        for ((_, name), results) in comparison.ours.iter().zip(&mut ours) {
            results.push(guest(name));
        }
        python.extend(comparison.python.map(python::measure));
        for ((_, measure), results) in comparison.others.iter().zip(&mut others) {
            results.push(measure());
        }
    }
    let ours = comparison.ours.iter().zip(ours).map(|((name, _), results)| (format!("wasmproc, {name}"), results));
    let others = comparison.others.iter().zip(others).map(|((name, _), results)| ((*name).to_owned(), results));
    let python = (!python.is_empty()).then(|| ("Python multiprocessing".to_owned(), python));
    let rows: Vec<(String, f64)> =
        ours.chain(python).chain(others).map(|(name, results)| (name, median(results))).collect();
    let rows: Vec<(&str, f64)> = rows.iter().map(|(name, result)| (name.as_str(), *result)).collect();
    table::print(comparison.title, &rows, "ns");
}

/// Nanoseconds for one, as the guest's own clock says.
fn guest(name: &str) -> f64 {
    let program = wasmproc_test_artifacts::programs::BENCH_OBJECTS;
    programs::printed(Command::new(programs::wasmproc()).args(["run", program, name]))
}
