//! The programs that are measured, for every benchmark.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `wasmproc` that belongs to this build.
pub(crate) fn wasmproc() -> &'static str {
    env!("CARGO_BIN_EXE_wasmproc")
}

/// Python itself: `python3` may be a script that chooses one, which would be measured too.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let answer = asked.expect("python3 is installed").stdout;
        PathBuf::from(String::from_utf8_lossy(&answer).trim())
    })
}

/// The number that a program prints about itself.
pub(crate) fn printed(command: &mut Command) -> f64 {
    let output = command.output().expect("the command starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.trim().parse();
    number.unwrap_or_else(|_| panic!("{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The words after the benchmark's name, without those that cargo adds.
pub(crate) fn wanted() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect()
}
