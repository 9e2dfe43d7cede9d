//! What somebody sees who uses the command: every promise of its documentation, tested from outside.
//!
//! One module for each kind of promise. Guests come from `wasmproc_test_artifacts`; `harness` runs the command under
//! a watchdog. Times are asserted from below only, and what must happen "within a second" is given five.

mod bad_input;
mod cache;
mod chaos;
mod commands;
mod escapes;
mod exit_codes;
#[cfg(target_arch = "x86_64")]
mod faults;
mod gallery;
mod grants;
mod harness;
#[cfg(target_arch = "x86_64")]
mod hostile;
mod killed;
mod library;
mod limits;
mod objects;
#[cfg(target_arch = "x86_64")]
mod policies;
mod processes;
mod run;
mod signals;
mod surroundings;
mod walls;
