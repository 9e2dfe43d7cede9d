//! What a run notices of another one that takes all it can get.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use wasmproc_test_artifacts::programs;

use crate::programs::{printed, wasmproc};
use crate::table::{self, median};

const ROUNDS: usize = 5;

pub(crate) fn measure() {
    let bombs = ["spin", "fork", "crowd", "churn", "memory", "output"];
    let mut computing = vec![Vec::new(); 1 + bombs.len()];
    let mut starting = vec![Vec::new(); 1 + bombs.len()];
    for _ in 0..ROUNDS {
        for (index, bomb) in std::iter::once(None).chain(bombs.map(Some)).enumerate() {
            let _bomb = bomb.map(Bomb::new);
            computing[index].push(victim(programs::BENCH_COMPUTE, &[]));
            starting[index].push(victim(programs::BENCH_START, &["200"]));
        }
    }
    let names = [
        "alone",
        "beside one that computes",
        "... a fork bomb",
        "... 200 that compute",
        "... 200 that start and join processes",
        "... a memory bomb",
        "... an output flood",
    ];
    for (title, measured, unit) in [("a sieve and a hash", computing, "ms"), ("start + join", starting, "us")] {
        let rows: Vec<_> = names.into_iter().zip(measured.into_iter().map(median)).collect();
        table::print(title, &rows, unit);
    }
}

fn victim(program: &str, arguments: &[&str]) -> f64 {
    printed(Command::new(wasmproc()).args(["run", program]).args(arguments))
}

/// A run that takes what it can get, until this value goes.
struct Bomb(Child);

impl Bomb {
    fn new(kind: &str) -> Bomb {
        // A run is a session of its own unless it is started at a terminal, where this makes it one. It becomes the command
        // itself, so that it can be killed.
        let mut command = Command::new("setsid");
        command
            .args([wasmproc(), "run", programs::BENCH_BOMBS, kind])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the command starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut String::new()).expect("it says that it is ready");
        // Somebody reads all of it.
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        if ["fork", "crowd", "churn"].contains(&kind) {
            thread::sleep(std::time::Duration::from_secs(2));
        }
        Bomb(child)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
