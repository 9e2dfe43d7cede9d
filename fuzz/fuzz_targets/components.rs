//! Files to run, in any form: parsed, validated, made into components, described, compiled.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    wasmproc::fuzzing::component(bytes);
});
