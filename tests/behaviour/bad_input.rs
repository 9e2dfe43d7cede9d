//! Files that can't be run: each gives one line and a documented exit code, at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use wasmproc_test_artifacts::{programs, text};

use crate::harness::{Scratch, Wasmproc};

/// Runs `file`, which must be refused with one line that has these words in it.
#[track_caller]
fn refused(file: &str, code: i32, words: &[&str]) {
    let ended = Wasmproc::run([file]).output().expect(code);
    assert_eq!(ended.text(), "");
    ended.complains_of(words);
}

#[test]
fn a_file_that_is_not_there_gives_127() {
    refused("/no/such/file.wasm", 127, &["/no/such/file.wasm"]);
    refused("/dev/null/x", 126, &["/dev/null/x"]);
}

#[test]
fn a_directory_is_refused() {
    refused("/", 126, &["directory"]);
}

#[test]
fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
    let scratch = Scratch::new();
    let fifo = scratch.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .expect("a fifo");
    refused(&fifo, 126, &["regular file"]);
    refused("/dev/zero", 126, &["regular file"]);
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    if crate::harness::is_root() {
        return crate::harness::skip("root may read everything");
    }
    let scratch = Scratch::new();
    let file = scratch.copy(programs::SHOW, "secret.wasm");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o0)).expect("it is ours");
    refused(&file, 126, &["secret.wasm"]);
}

#[test]
fn an_empty_file_is_refused() {
    let scratch = Scratch::new();
    refused(&scratch.write("empty.wasm", ""), 126, &["empty"]);
}

/// The libraries that print worlds panic at it.
#[test]
fn a_component_that_wit_has_no_words_for_is_refused() {
    let scratch = Scratch::new();
    let text = r#"(component (import "a:b/c" (instance (type $f (func)) (export "named" (type (eq $f))))))"#;
    let file = scratch.write("named.wat", text);
    let ended = Wasmproc::new(["inspect", &file]).output().expect(126);
    ended.complains_of(&["named.wat", "its world can't be printed"]);
    refused(&file, 126, &["named.wat"]);
}

#[test]
fn a_native_program_is_refused_as_one() {
    refused("/bin/true", 126, &["native program"]);
}

#[test]
fn a_precompiled_artifact_is_refused() {
    let scratch = Scratch::new();
    let cache = scratch.folder("cache");
    Wasmproc::new(["compile", programs::FAILS]).cache(&cache).output().expect(0);
    let mut entries = fs::read_dir(&cache).expect("readable").map(|entry| entry.expect("readable").path());
    let artifact = entries.find(|path| path.extension().is_some_and(|it| it == "cwasm")).expect("an artifact");
    refused(&scratch.copy(artifact.to_str().expect("UTF-8"), "task.cwasm"), 126, &["precompiled"]);
    refused(&scratch.copy(artifact.to_str().expect("UTF-8"), "task.wasm"), 126, &["precompiled"]);
}

#[test]
fn a_component_cut_off_anywhere_is_refused() {
    let scratch = Scratch::new();
    let whole = fs::read(programs::FAILS).expect("it was built");
    let early = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 31, 64, 100, 500, 1000];
    let late = (1..=16).map(|part| whole.len() * part / 17);
    for length in early.into_iter().chain(late).chain([whole.len() - 1]) {
        let file = scratch.write("cut.wasm", &whole[..length]);
        refused(&file, 126, &["cut.wasm"]);
    }
}

#[test]
fn random_bytes_are_refused() {
    let scratch = Scratch::new();
    for seed in 0..12u8 {
        let mut bytes = vec![0; 100 + 997 * usize::from(seed)];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        // Every second one begins as a component or as a module does.
        match seed % 4 {
            1 => bytes[..8].copy_from_slice(b"\0asm\x0d\0\x01\0"),
            3 => bytes[..8].copy_from_slice(b"\0asm\x01\0\0\0"),
            _ => {}
        }
        refused(&scratch.write("noise.wasm", bytes), 126, &["noise.wasm"]);
    }
}

/// Whatever a damaged component does, it is the guest's end and not the host's.
#[test]
fn a_component_with_wrong_bytes_harms_nobody() {
    let scratch = Scratch::new();
    let whole = fs::read(programs::FAILS).expect("it was built");
    for seed in 0..16u64 {
        let mut bytes = whole.clone();
        for hit in 0..4 {
            let place = blake3::hash(&[seed as u8, hit]).as_bytes()[..8].try_into().expect("8 bytes");
            let place = u64::from_le_bytes(place) as usize % bytes.len();
            bytes[place] ^= 1 << (seed % 8);
        }
        let file = scratch.write("damaged.wasm", bytes);
        let ended = Wasmproc::run(["--no-cache", "--timeout=5s", "--max-memory=256MiB", &file]).output();
        let allowed = [0, 1, 124, 126, 134, 137];
        assert!(allowed.contains(&ended.code()), "seed {seed}: {ended:?}");
        assert!(!ended.stderr.contains("host/src"), "the host panicked with seed {seed}: {ended:?}");
    }
}

#[test]
fn wrong_text_is_refused_with_its_error() {
    let scratch = Scratch::new();
    refused(&scratch.write("bad.wat", "(module (func (export \"_start\")"), 126, &["text form"]);
    refused(&scratch.write("prose.wat", "once upon a time"), 126, &["neither WebAssembly nor its text form"]);
}

#[test]
fn a_component_that_is_no_command_is_refused() {
    refused(text::NO_RUN, 126, &["wasi:cli/run"]);
    refused(text::NO_START, 126, &["_start"]);
}

#[test]
fn an_import_that_nobody_provides_is_named() {
    refused(text::UNKNOWN_IMPORT, 126, &["bakery:oven/heat@1.0.0"]);
    refused(text::UNKNOWN_CORE_IMPORT, 126, &["oven", "heat"]);
}

#[test]
fn memory_and_tables_over_the_limit_give_137() {
    for program in [text::HUGE_MEMORY, text::HUGE_TABLE, text::MANY_MEMORIES] {
        let ended = Wasmproc::run(["--max-memory", "128MiB", program]).output().expect(137);
        ended.complains_of(&["--max-memory"]);
    }
    Wasmproc::run(["--max-memory", "4GiB", text::MANY_MEMORIES]).output().expect(0);
    Wasmproc::run(["--max-memory", "4GiB", text::HUGE_TABLE]).output().expect(0);
}

#[test]
fn a_bad_component_among_the_granted_ones_is_named() {
    let scratch = Scratch::new();
    let bad = scratch.write("bad.wasm", "nonsense");
    let ended = Wasmproc::run(["--component", &format!("helper={bad}"), programs::SHOW]).output().expect(126);
    ended.complains_of(&["bad.wasm"]);
    let unknown = format!("helper={}", text::UNKNOWN_IMPORT);
    let ended = Wasmproc::run(["--component", &unknown, programs::SHOW]).output().expect(126);
    ended.complains_of(&["unknown_import.wat", "bakery:oven/heat"]);
}
