//! Whole commands, as a shell starts them.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::in_process;
use crate::table::{self, median};
use crate::{micros, programs};

const RUNS: usize = 60;

pub(crate) fn measure() {
    let program = wasmproc_test_artifacts::programs::BENCH_HELLO;
    let artifact = in_process::compile(program);
    let own = std::env::current_exe().expect("this program has a name");
    let mut cached = Vec::new();
    let mut cold = Vec::new();
    let mut plain = Vec::new();
    let mut python = Vec::new();
    for round in 0..RUNS {
        cached.push(time(Command::new(programs::wasmproc()).args(["run", program])));
        plain.push(time(Command::new(&own).arg(in_process::ROLE).arg(&artifact)));
        python.push(time(Command::new(programs::python()).args(["-c", "pass"])));
        if round % 6 == 0 {
            cold.push(time(Command::new(programs::wasmproc()).args(["run", "--no-cache", program])));
        }
    }
    let _ = std::fs::remove_file(artifact);
    let rows = [
        ("wasmproc run, cached", median(cached)),
        ("wasmproc run, compiling", median(cold)),
        ("wasmtime in one process, no sandbox, cached", median(plain)),
        ("python3 -c pass", median(python)),
    ];
    table::print("a hello program, the whole command", &rows, "us");
}

fn time(command: &mut Command) -> f64 {
    // Cargo sets this variable; a shell doesn't.
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).env_remove("LD_LIBRARY_PATH");
    let started = Instant::now();
    let status = command.status().expect("the command starts");
    let elapsed = micros(started.elapsed());
    assert!(status.success(), "{command:?}");
    elapsed
}
