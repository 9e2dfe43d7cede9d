//! The supervisor's table: whatever workers say and whatever else happens, it keeps its promises.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wasmproc::fuzzing::history(bytes));
