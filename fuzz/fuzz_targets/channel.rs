//! Control sockets: packets are put together and decoded as they should, and nothing is left of them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wasmproc::fuzzing::packets(bytes));
