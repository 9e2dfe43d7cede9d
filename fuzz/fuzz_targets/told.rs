//! What processes and compile workers say: it comes to the user as text, and as nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wasmproc::fuzzing::told(bytes));
