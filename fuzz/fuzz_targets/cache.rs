//! The cache: damaged and made-up entries are refused.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder can be made"));

fuzz_target!(|bytes: &[u8]| wasmproc::fuzzing::entry(FOLDER.path(), bytes));
