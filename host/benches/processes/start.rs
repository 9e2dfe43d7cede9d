//! Start and join of an empty task.

use std::process::Command;
use std::time::Instant;

use crate::table::{self, median};
use crate::{floor, micros, programs};

const ROUNDS: usize = 7;
const STARTS: usize = 200;
/// Of a run that has had its better zygote for most of its time.
const MANY: usize = 2000;

pub(crate) fn measure() {
    let (mut wasmproc, mut many) = (Vec::new(), Vec::new());
    let mut bare = Vec::new();
    let mut floors = [const { Vec::new() }; 2];
    let mut python = [const { Vec::new() }; 3];
    let artifact = floor::empty_task();
    for _ in 0..ROUNDS {
        wasmproc.push(guest(STARTS));
        many.push(guest(MANY));
        bare.push(fork_exit_wait());
        for (to_be_done, results) in floor::TO_BE_DONE.into_iter().zip(&mut floors) {
            results.push(floor::measured(&artifact, to_be_done));
        }
        for (method, results) in ["fork", "forkserver", "spawn"].iter().zip(&mut python) {
            results.push(python_start(method));
        }
    }
    let [fork, forkserver, spawn] = python.map(median);
    let _ = std::fs::remove_file(artifact);
    let [holding_engine, empty_task] = floors.map(median);
    let rows = [
        ("wasmproc, from a guest, confined as shipped", median(wasmproc)),
        ("... that starts two thousand", median(many)),
        ("bare fork + _exit + wait", median(bare)),
        ("... of a process that holds an engine", holding_engine),
        ("... of one whose child runs an empty component", empty_task),
        ("Python multiprocessing, fork", fork),
        ("Python multiprocessing, forkserver", forkserver),
        ("Python multiprocessing, spawn", spawn),
    ];
    table::print("start + join of an empty task, one after the other", &rows, "us");
}

/// Microseconds for one, as the guest's own clock says.
fn guest(starts: usize) -> f64 {
    let program = wasmproc_test_artifacts::programs::BENCH_START;
    programs::printed(Command::new(programs::wasmproc()).args(["run", program, &starts.to_string()]))
}

#[expect(unsafe_code, reason = "the limit that everything else is held against")]
fn fork_exit_wait() -> f64 {
    let times = (0..STARTS).map(|_| {
        let started = Instant::now();
        // SAFETY: the child calls nothing but _exit, which is async-signal-safe.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: always sound.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the pointer is to a live value.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        micros(started.elapsed())
    });
    median(times.collect())
}

fn python_start(method: &str) -> f64 {
    let rounds = if method == "fork" { 100 } else { 20 };
    let script = format!(
        "import multiprocessing as m, time, statistics\n\
         def f(): pass\n\
         if __name__ == '__main__':\n\
         \x20   c = m.get_context('{method}')\n\
         \x20   t = []\n\
         \x20   for _ in range({rounds}):\n\
         \x20       s = time.perf_counter(); p = c.Process(target=f); p.start(); p.join()\n\
         \x20       t.append(time.perf_counter() - s)\n\
         \x20   print(statistics.median(t) * 1e6)\n"
    );
    // A file, because spawned children import it.
    let file = std::env::temp_dir().join(format!("wasmproc-bench-{}.py", std::process::id()));
    std::fs::write(&file, script).expect("the temporary folder can be written to");
    let median = programs::printed(Command::new(programs::python()).arg(&file));
    let _ = std::fs::remove_file(&file);
    median
}
