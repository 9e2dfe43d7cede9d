//! What confinement costs: the same with every layer left out that can be left out.

use std::process::{Command, Stdio};
use std::time::Instant;

use wasmproc::Task;

use crate::table::{self, median};
use crate::{micros, programs};

/// The first word of this program's command line when it is to run a task: `task-runner with|without FILE ARGS...`.
pub(crate) const ROLE: &str = "task-runner";

const ROUNDS: usize = 9;
const STARTS: usize = 200;
const RUNS: usize = 60;

pub(crate) fn measure() {
    let start = wasmproc_test_artifacts::programs::BENCH_START;
    let hello = wasmproc_test_artifacts::programs::BENCH_HELLO;
    let (mut starts, mut runs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..RUNS {
        for (index, walls) in ["with", "without"].into_iter().enumerate() {
            runs[index].push(time(command(walls, hello).stdout(Stdio::null())));
            if round < ROUNDS {
                starts[index].push(programs::printed(command(walls, start).arg(STARTS.to_string())));
            }
        }
    }
    for (title, measured) in [("start + join of an empty task", starts), ("a cached run", runs)] {
        let [with, without] = measured.map(median);
        let rows = [("confined as shipped", with), ("the same processes without walls", without)];
        table::print(title, &rows, "us");
        println!("  the sandbox costs {:.0} us", with - without);
    }
}

fn command(walls: &str, program: &str) -> Command {
    let own = std::env::current_exe().expect("this program has a name");
    let mut command = Command::new(own);
    command.args([ROLE, walls, program]).env("WASMPROC_WORKER", programs::wasmproc());
    command
}

fn time(command: &mut Command) -> f64 {
    let started = Instant::now();
    assert!(command.status().expect("the command starts").success(), "{command:?}");
    micros(started.elapsed())
}

/// Runs a task, with or without walls.
pub(crate) fn run(walls: &str, program: &str, arguments: &[String]) {
    let mut task = Task::new(program);
    for argument in arguments {
        task = task.arg(argument);
    }
    if walls == "without" {
        task = task.unconfined();
    }
    let outcome = task.run().expect("it runs");
    assert!(outcome.cause.success(), "{}", outcome.cause);
}
