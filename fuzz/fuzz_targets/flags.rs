//! The command line: sizes, times, directories, variables, components.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| wasmproc::fuzzing::command_line(text));
