//! What guests that consist of several scenarios have in common.
//!
//! A scenario is a function that a test names on the command line. It panics when something is not as it must be, in
//! whichever process: `Process::result` hands a child's panic on to its parent.
//!
//! A child that says "I am about to wait" may not have begun to: `linger` gives it time. A scenario must hold in either
//! case; lingering only makes it more likely that it sees what it is about.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use wasmproc_guest::bindings::wasmproc::ipc as raw;
use wasmproc_guest::{Error, ErrorKind, Process, exit};

/// The guests in the README of the project, so that they are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// What is waited for in vain.
pub const MOMENT: Duration = Duration::from_millis(50);
/// What is never waited for in vain: the run is given up before.
const LONG: Duration = Duration::from_secs(45);

pub type Scenario = fn() -> Result<(), Error>;

/// Writes `main`: it runs the scenario that the first argument names, or tells the names of all.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        #[wasmproc_guest::main]
        fn main() -> Result<(), wasmproc_guest::Error> {
            $crate::run(&[$((stringify!($name), $name as $crate::Scenario)),*])
        }
    };
}

pub fn run(scenarios: &[(&str, Scenario)]) -> Result<(), Error> {
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "list".to_owned());
    if wanted == "list" {
        scenarios.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let (_, scenario) = scenarios.iter().find(|(name, _)| *name == wanted).expect("there is such a scenario");
    scenario()
}

/// Why it was refused. It must have been.
#[track_caller]
pub fn refusal<T: Debug>(result: Result<T, impl Into<Error>>) -> ErrorKind {
    match result {
        Ok(value) => panic!("it was let through: {value:?}"),
        Err(error) => error.into().kind(),
    }
}

/// A result as a child tells it to its parent: `ok`, or the kind of the error.
pub fn told<T>(result: Result<T, impl Into<Error>>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.into().kind()),
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LONG, "not after {LONG:?}: {what}");
        sleep(Duration::from_millis(1));
    }
}

/// Time for somebody who is about to wait.
pub fn linger() {
    sleep(MOMENT);
}

/// Does it, and asserts that it took a moment.
#[track_caller]
pub fn takes_a_moment<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    assert!(began.elapsed() >= MOMENT, "only {:?}", began.elapsed());
    result
}

/// The ways in which a process ends that has something, as [`die`] and [`bury`] know them.
pub const ENDS: [&str; 4] = ["kill", "panic", "exit", "return"];
/// Those of them that are a death, and no orderly end.
pub const DEATHS: [&str; 2] = ["kill", "panic"];

/// The victim's part, at the end of its function.
pub fn die(how: &str) {
    match how {
        "kill" => sleep(LONG),
        "panic" => panic!("as it must"),
        "exit" => exit(3),
        "return" => {}
        other => unreachable!("{other}"),
    }
}

/// The parent's part, when the victim has got so far.
#[track_caller]
pub fn bury<R>(victim: &Process<R>, how: &str) {
    if how == "kill" {
        victim.kill().expect("it is a child");
    }
    let code = victim.join().expect("it ends").code();
    let expected = [("kill", -9), ("panic", -6), ("exit", 3), ("return", 0)];
    assert!(expected.contains(&(how, code)), "{how}: {code}");
}
