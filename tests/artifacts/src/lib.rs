//! Where the guests are that the tests run: a constant for each, made by the build script, which also builds them.
//!
//! `programs` are those in `tests/programs/src/bin`, `text` those in `tests/programs/wat`, `examples` those of the
//! SDK. A guest that no test in `tests/behaviour` names fails this package's build.

include!(concat!(env!("OUT_DIR"), "/constants.rs"));
