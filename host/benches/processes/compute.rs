//! Code that only computes.

use std::process::Command;

use crate::in_process;
use crate::programs::{self, printed};
use crate::table::{self, median};

const ROUNDS: usize = 5;

pub(crate) fn measure() {
    let program = wasmproc_test_artifacts::programs::BENCH_COMPUTE;
    let artifact = in_process::compile(program);
    let own = std::env::current_exe().expect("this program has a name");
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(printed(Command::new(programs::wasmproc()).args(["run", program])));
        plain.push(printed(Command::new(&own).arg(in_process::ROLE).arg(&artifact)));
    }
    let _ = std::fs::remove_file(artifact);
    let rows = [("wasmproc", median(ours)), ("wasmtime in one process, no sandbox", median(plain))];
    table::print("a sieve and a hash, by the guest's own clock", &rows, "ms");
}
