//! The library in a program that is not its own worker executable, such as this one: cargo's test.

use std::fs::File;

use wasmproc::{Cause, ErrorKind, Task};
use wasmproc_test_artifacts::{programs, text};

use crate::harness::{Scratch, Wasmproc};

#[test]
fn the_executable_beside_a_test_program_is_found() {
    let scratch = Scratch::new();
    let output = File::create(scratch.at("out")).expect("a file");
    let task = Task::new(programs::SHOW).arg("one").env("MODE", "fast").use_cache(false).list_processes(true);
    let outcome = task.stdout(output).stderr(File::create(scratch.at("err")).expect("a file")).run().expect("it runs");
    assert_eq!((outcome.cause.clone(), outcome.exit_code()), (Cause::Exited(0), 0));
    assert_eq!(outcome.report.processes.len(), 1);
    let printed = std::fs::read_to_string(scratch.at("out")).expect("it was written");
    assert!(printed.contains("argument \"one\"") && printed.contains("variable MODE=fast"), "{printed}");
}

#[test]
fn errors_have_kinds_and_ends_have_causes() {
    let failed = |file: &str| Task::new(file).use_cache(false).run().expect_err(file);
    assert_eq!(failed("/no/such/file").kind(), ErrorKind::NotFound);
    assert_eq!(failed("/bin/true").kind(), ErrorKind::CannotRun);
    assert_eq!(failed(text::UNKNOWN_IMPORT).kind(), ErrorKind::CannotRun);
    assert_eq!(Task::new(programs::SHOW).max_processes(0).run().expect_err("none").kind(), ErrorKind::Invalid);
    let timeout = std::time::Duration::from_millis(100);
    let outcome = Task::new(text::START_LOOPS).use_cache(false).timeout(timeout).run().expect("it runs");
    assert_eq!(outcome.cause, Cause::TimedOut);
}

#[test]
fn a_worker_executable_that_is_none_is_a_clear_error() {
    let scratch = Scratch::new();
    let script = scratch.copy("/bin/sh", "sleeper");
    let nobody = scratch.at("nobody");
    for (worker, word) in
        [(nobody.as_str(), "WASMPROC_WORKER"), ("/", "WASMPROC_WORKER"), ("/bin/true", ""), (&script, "")]
    {
        let ended = Wasmproc::run(["--no-cache", programs::SHOW]).env("WASMPROC_WORKER", worker).output();
        // That it isn't wasmproc is seen only when it has died.
        assert!([125, 126].contains(&ended.code()), "{worker}: {ended:?}");
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("wasmproc: ") && last.contains(word), "{worker}: {ended:?}");
        assert_eq!(ended.text(), "");
    }
}

#[test]
fn a_named_worker_executable_is_used() {
    let scratch = Scratch::new();
    let copy = scratch.copy(crate::harness::EXECUTABLE, "other-name");
    Wasmproc::run([programs::SDK_EXIT, "7"]).env("WASMPROC_WORKER", &copy).output().expect(7);
}

/// An upgrade replaces the executable while a run goes on, which starts a new zygote from the old one.
#[test]
fn replacing_the_executable_during_a_run_is_harmless() {
    let scratch = Scratch::new();
    let copy = scratch.copy(crate::harness::EXECUTABLE, "wasmproc");
    let running = Wasmproc::through(&[&copy], ["run", programs::SPAWNS_ON_DEMAND]).stdin(std::process::Stdio::piped());
    let mut running = running.start();
    running.expect_stdout("ready");
    std::fs::remove_file(&copy).expect("it is ours");
    scratch.write("wasmproc", "another version");
    running.process("wasmproc-zygote").kill();
    running.say("21");
    running.expect_stdout("42");
    running.end().expect(0);
}
