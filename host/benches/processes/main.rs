//! Processes, side by side with what people use today: `cargo bench --bench processes [SECTION...]`.
//!
//! Both sides of every comparison run in this one program, by turns, and what is printed are medians and their ratio.
//! The sections are `start`, `command`, `memory`, `compute`, `sandbox` and `neighbours`; without a name all of them run. Needs python3.

mod command;
mod compute;
mod floor;
mod in_process;
mod memory;
mod neighbours;
mod programs;
mod sandbox;
mod start;
mod table;

use std::path::Path;
use std::time::Duration;

fn main() {
    wasmproc::init();
    let arguments = programs::wanted();
    if let [first, artifact] = arguments.as_slice()
        && first == in_process::ROLE
    {
        return in_process::run(Path::new(artifact));
    }
    if let [first, walls, program, arguments @ ..] = arguments.as_slice()
        && first == sandbox::ROLE
    {
        return sandbox::run(walls, program, arguments);
    }
    if let [first, artifact, to_be_done] = arguments.as_slice()
        && first == floor::ROLE
    {
        return floor::run(Path::new(artifact), to_be_done);
    }
    let wanted = |section: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == section);
    for (name, section) in [
        ("start", start::measure as fn()),
        ("command", command::measure),
        ("memory", memory::measure),
        ("compute", compute::measure),
        ("sandbox", sandbox::measure),
        ("neighbours", neighbours::measure),
    ] {
        if wanted(name) {
            section();
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
