//! A host program that embeds the library: many threads, many runs at once, children of its own meanwhile.
//!
//! It is a test with a main function of its own, because `wasmproc::init` comes first in main and cargo's test
//! harness would be there before. This program is also the executable of its workers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wasmproc::{Cause, Task};
use wasmproc_test_artifacts::{examples, programs};

/// After this the program gives up on itself.
const WATCHDOG: Duration = Duration::from_secs(120);

/// A test, which may use a folder.
type Test = fn(&TempDir);

fn main() -> ExitCode {
    wasmproc::init();
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    watch_over_this_process();
    let scratch = tempfile::tempdir().expect("a folder");
    if std::env::var_os("WASMPROC_CACHE_DIR").is_none_or(|folder| !folder.to_string_lossy().ends_with("-embedding")) {
        return again_with_a_cache_of_its_own();
    }
    let tests: [(&str, Test); 5] = [
        ("many_threads_run_tasks_beside_children_of_their_own", many_threads_run_tasks_beside_children_of_their_own),
        ("a_run_is_ended_and_inspected_from_another_thread", a_run_is_ended_and_inspected_from_another_thread),
        ("a_run_goes_on_when_the_thread_that_prepared_it_ends", a_run_goes_on_when_the_thread_that_prepared_it_ends),
        (
            "tasks_that_are_prepared_and_never_begin_are_no_trouble",
            tasks_that_are_prepared_and_never_begin_are_no_trouble,
        ),
        ("nothing_is_left_in_this_process", nothing_is_left_in_this_process),
    ];
    for (name, test) in tests {
        test(&scratch);
        println!("{name} ... ok");
    }
    ExitCode::SUCCESS
}

/// The variable is read by the library, and only a new process may get another environment safely.
fn again_with_a_cache_of_its_own() -> ExitCode {
    let folder = tempfile::Builder::new().suffix("-embedding").tempdir().expect("a folder");
    let own = std::env::current_exe().expect("its own name");
    let status = Command::new(own).env("WASMPROC_CACHE_DIR", folder.path()).status().expect("it starts");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn watch_over_this_process() {
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        eprintln!("the embedding program hangs");
        std::process::exit(1);
    });
}

fn quiet(task: Task) -> Task {
    let nowhere = || File::options().write(true).open("/dev/null").expect("every Linux has it");
    task.stdout(nowhere()).stderr(nowhere())
}

fn many_threads_run_tasks_beside_children_of_their_own(scratch: &TempDir) {
    thread::scope(|scope| {
        for thread in 0..6u8 {
            scope.spawn(move || {
                for turn in 0..4u8 {
                    let code = thread * 10 + turn;
                    let task = quiet(Task::new(programs::SDK_EXIT).arg(code.to_string()));
                    assert_eq!(task.run().expect("it runs").cause, Cause::Exited(code));
                }
            });
            scope.spawn(move || {
                let file = scratch.path().join(format!("hello-{thread}"));
                let task = Task::new(examples::HELLO).stdout(File::create(&file).expect("a file"));
                assert!(task.run().expect("it runs").cause.success());
                let printed = fs::read_to_string(file).expect("it was written");
                assert_eq!(printed, "main: pid 1, no parent\nchild: pid 2, parent 1\n");
            });
            scope.spawn(move || {
                // A socket of a run that leaked into one of these would keep that run from ending.
                for _ in 0..20 {
                    let output = Command::new("echo").arg("hello").output().expect("it runs");
                    assert_eq!(output.stdout, b"hello\n");
                }
                let status = Command::new("sleep").arg("1").stdin(Stdio::null()).status().expect("it runs");
                assert!(status.success());
            });
        }
    });
}

fn a_run_is_ended_and_inspected_from_another_thread(_: &TempDir) {
    for request in [true, false] {
        let running = quiet(Task::new(programs::FAMILY)).prepare(&mut ()).expect("it compiles");
        let controller = running.controller();
        let run = thread::spawn(move || running.wait(&mut ()).expect("it runs"));
        let began = Instant::now();
        while controller.processes().len() < 7 {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", controller.processes());
            thread::sleep(Duration::from_millis(10));
        }
        let names: BTreeSet<String> = controller.processes().into_iter().map(|process| process.name).collect();
        assert!(names.contains("main") && names.contains("child-1") && names.contains("child-2"), "{names:?}");
        if request {
            controller.stop(Duration::from_secs(5))
        } else {
            controller.kill()
        }
        assert_eq!(run.join().expect("no panic").cause, Cause::Killed(None));
        assert!(controller.processes().is_empty(), "the run is over");
    }
}

/// A parent-death signal fires when the thread ends that made the process, which must not concern a run.
fn a_run_goes_on_when_the_thread_that_prepared_it_ends(_: &TempDir) {
    let prepared = thread::spawn(|| quiet(Task::new(programs::SLEEPS).arg("0.3")).prepare(&mut ()));
    let running = prepared.join().expect("no panic").expect("it compiles");
    assert!(running.wait(&mut ()).expect("it runs").cause.success());
}

/// What they left behind would be found by the next test.
fn tasks_that_are_prepared_and_never_begin_are_no_trouble(_: &TempDir) {
    for _ in 0..20 {
        drop(quiet(Task::new(programs::SDK_EXIT)).prepare(&mut ()).expect("it compiles"));
        assert!(Task::new("/nowhere.wasm").prepare(&mut ()).is_err());
    }
}

fn nothing_is_left_in_this_process(_: &TempDir) {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        if after_name.split_whitespace().nth(1) == Some(&own) {
            children.push(stat);
        }
    }
    assert!(children.is_empty(), "children, or zombies of them: {children:#?}");
    let descriptors: Vec<_> = fs::read_dir("/proc/self/fd")
        .expect("/proc is there")
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| !target.to_string_lossy().contains("/proc/"))
        .collect();
    // The standard streams, what cargo left open, and the executable.
    let suspicious = ["socket:", "pidfd", "eventpoll", "eventfd", "memfd"];
    let left: Vec<_> = descriptors
        .iter()
        .filter(|target| suspicious.iter().any(|kind| target.to_string_lossy().contains(kind)))
        .collect();
    assert!(left.is_empty(), "{descriptors:?}");
}
