//! Processes, side by side with what people use today: `cargo bench --bench processes [SECTION...]`.
//!
//! Both sides of every comparison run in this one program, by turns, and what is printed are medians and their ratio.
//! The sections are `start`, `command`, `memory` and `compute`; without a name all of them run. Needs python3.

mod command;
mod compute;
mod in_process;
mod memory;
mod start;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

fn main() {
    wasmproc::init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [first, artifact] = arguments.as_slice()
        && first == in_process::ROLE
    {
        return in_process::run(&PathBuf::from(artifact));
    }
    let wanted = |section: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == section);
    for (name, section) in [
        ("start", start::measure as fn()),
        ("command", command::measure),
        ("memory", memory::measure),
        ("compute", compute::measure),
    ] {
        if wanted(name) {
            section();
        }
    }
}

/// The `wasmproc` that belongs to this build.
fn wasmproc() -> &'static str {
    env!("CARGO_BIN_EXE_wasmproc")
}

/// Python itself: `python3` may be a script that chooses one, which would be measured too.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let answer = asked.expect("python3 is installed").stdout;
        PathBuf::from(String::from_utf8_lossy(&answer).trim())
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
