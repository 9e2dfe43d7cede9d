//! kill -9, of whomever, at whatever moment: no process stays, no file stays, nothing is corrupt.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::inotify;
use rustix::process::{Pid, Signal};
use wasmproc_test_artifacts::programs;

use crate::harness::{Footprint, Process, Running, Scratch, Wasmproc, eventually};

/// A run of seven processes that all sleep.
fn family() -> Running {
    let running = Wasmproc::run([programs::FAMILY]).start();
    for line in ["main is ready", "child 1 is ready", "child 2 is ready"] {
        running.expect_stdout(line);
    }
    running
}

#[test]
fn killing_the_supervisor_leaves_nobody() {
    let running = family();
    let footprint = Footprint::of(running.pid());
    running.send(Signal::KILL);
    footprint.is_gone();
    let ended = running.end();
    assert_eq!(ended.status.code(), None, "{ended:?}");
}

#[test]
fn killing_a_supervisor_whose_guests_compute_leaves_nobody() {
    let running = Wasmproc::run([programs::SPINS]).start();
    running.expect_stdout("ready");
    let footprint = Footprint::of(running.pid());
    running.send(Signal::KILL);
    footprint.is_gone();
}

#[test]
fn killing_the_supervisor_at_any_moment_leaves_nobody() {
    // Compiled before, so that the moments lie in the start of a run.
    Wasmproc::run([programs::SHOW]).output().expect(0);
    for delay in 0..24 {
        let running = Wasmproc::run([programs::SLEEPS]).start();
        std::thread::sleep(Duration::from_micros(700 * delay));
        let footprint = Footprint::of(running.pid());
        running.send(Signal::KILL);
        footprint.is_gone();
        // Whoever was born after the look at /proc would still hold stdout.
        running.end();
    }
}

#[test]
fn killing_init_ends_the_run_with_an_error() {
    let running = family();
    let footprint = Footprint::of(running.pid());
    running.process("wasmproc-init").kill();
    let ended = running.end().expect(125);
    ended.complains_of(&["init was killed"]);
    footprint.is_gone();
}

#[test]
fn killing_the_zygote_ends_nothing_and_spawning_goes_on() {
    let mut running = Wasmproc::run([programs::SPAWNS_ON_DEMAND]).stdin(Stdio::piped()).start();
    running.expect_stdout("ready");
    for number in [11, 22, 33, 44] {
        let zygote = running.process("wasmproc-zygote");
        zygote.kill();
        eventually("the zygote is dead", || !zygote.is_alive());
        running.say(&number.to_string());
        running.expect_stdout(&format!("{}\n", 2 * number));
    }
    let footprint = Footprint::of(running.pid());
    let ended = running.end().expect(0);
    assert_eq!(ended.text(), "ready\n22\n44\n66\n88\n");
    footprint.is_gone();
}

/// The zygote dies while it is being asked for workers all the time.
#[test]
fn killing_the_zygote_while_it_forks_loses_no_process() {
    let mut running = Wasmproc::run([programs::SPAWNS_MANY, "600"]).stdin(Stdio::piped()).start();
    running.expect_stdout("100 are done");
    running.say("");
    for _ in 0..3 {
        running.process("wasmproc-zygote").kill();
        // Less often than a zygote may die before the run gives up.
        std::thread::sleep(Duration::from_millis(250));
    }
    running.expect_stdout("600 are done");
    running.say("");
    let ended = running.end().expect(0);
    assert!(ended.text().ends_with("sum 180300\n"), "{ended:?}");
}

/// The one that retires ends last, when there is no other any more.
#[test]
fn killing_the_better_zygote_before_the_first_has_gone_ends_nothing() {
    let mut running = Wasmproc::run([programs::SPAWNS_ON_DEMAND]).stdin(Stdio::piped()).start();
    running.expect_stdout("ready");
    let answers = |running: &mut Running, number: i32| {
        running.say(&number.to_string());
        running.expect_stdout(&format!("{}\n", 2 * number));
    };
    (101..115).for_each(|number| answers(&mut running, number));
    let first = running.process("wasmproc-zygote");
    let pid = Pid::from_raw(first.pid).expect("not 0");
    rustix::process::kill_process(pid, Signal::STOP).expect("it is there");
    (115..117).for_each(|number| answers(&mut running, number));
    let others = || Process::descendants(running.pid()).into_iter().filter(|process| process.name == first.name);
    let better = || others().find(|process| *process != first && process.pid != first.pid);
    eventually("there is a better zygote", || better().is_some());
    // As long as it takes to be ready at most.
    std::thread::sleep(Duration::from_millis(500));
    better().expect("it lives").kill();
    std::thread::sleep(Duration::from_millis(100));
    rustix::process::kill_process(pid, Signal::CONT).expect("it is there");
    (201..211).for_each(|number| answers(&mut running, number));
    running.end().expect(0);
}

/// The first zygote makes its engine while its run is still being compiled.
#[test]
fn killing_the_zygote_before_there_is_a_run_ends_nothing() {
    let scratch = Scratch::new();
    let big = big_component(&scratch);
    let running = Wasmproc::run([&big]).cache(scratch.at("cache")).start();
    running.process("wasmproc-zygote").kill();
    running.end().expect(0);
}

#[test]
fn a_killed_worker_is_reported_with_its_signal() {
    let running = Wasmproc::run([programs::SLEEPS]).start();
    running.expect_stdout("ready");
    running.process("wasmproc-worker").kill();
    let ended = running.end().expect(137);
    ended.complains_of(&["process 1 (main)", "signal 9"]);
}

#[test]
fn killing_all_workers_ends_the_run() {
    let running = family();
    let footprint = Footprint::of(running.pid());
    for worker in running.processes("wasmproc-worker", 7) {
        worker.kill();
    }
    running.end().expect(137);
    footprint.is_gone();
}

#[test]
fn killed_spares_are_replaced() {
    let mut running = Wasmproc::run([programs::SPAWNS_ON_DEMAND]).stdin(Stdio::piped()).start();
    running.expect_stdout("ready");
    // All but the first worker, which runs main, are spares now. Killed, they are replaced.
    let workers = running.processes("wasmproc-worker", 3);
    for spare in workers.iter().filter(|worker| is_spare(worker)) {
        spare.kill();
        eventually("the spare is dead", || !spare.is_alive());
    }
    running.processes("wasmproc-worker", 3);
    running.say("21");
    running.expect_stdout("42");
    running.end().expect(0);
}

/// Whether a worker was not given the pipe that main reads from: beside it there are two, for what it prints.
fn is_spare(worker: &Process) -> bool {
    let descriptors = fs::read_dir(worker.file("fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count() == 2
}

/// Until it hears of a death, the supervisor gives work to the dead.
#[test]
fn a_process_that_was_given_to_a_killed_spare_begins_in_another_one() {
    let mut running = Wasmproc::run([programs::SPAWNS_ON_DEMAND]).stdin(Stdio::piped()).start();
    running.expect_stdout("ready");
    for number in 1..=30 {
        let workers = running.processes("wasmproc-worker", 3);
        workers.into_iter().filter(is_spare).for_each(|spare| spare.kill());
        std::thread::sleep(Duration::from_micros(100 * (number % 10)));
        running.say(&number.to_string());
        running.expect_stdout(&format!("\n{}\n", 2 * number));
    }
    running.end().expect(0);
}

#[test]
fn killing_the_compiler_is_an_error_and_leaves_the_cache_clean() {
    let scratch = Scratch::new();
    let big = big_component(&scratch);
    let running = Wasmproc::run([&big]).cache(scratch.at("cache")).start();
    let mut compiler = None;
    eventually("the compiler is at work", || {
        // Init, which waits for its setup meanwhile, is a descendant too.
        let is_compiler = |process: &Process| {
            std::fs::read(process.file("cmdline")).is_ok_and(|line| line.starts_with(b"wasmproc-compiler"))
        };
        compiler = Process::descendants(running.pid()).into_iter().find(is_compiler);
        compiler.is_some()
    });
    std::thread::sleep(Duration::from_millis(50));
    compiler.expect("found").kill();
    let ended = running.end();
    assert!([125, 126].contains(&ended.code()), "{ended:?}");
    ended.complains_of(&["compil"]);
    assert_entries_are_whole(Path::new(&scratch.at("cache")));
}

#[test]
fn killing_the_supervisor_while_it_compiles_leaves_nobody() {
    let scratch = Scratch::new();
    let cache = scratch.folder("cache");
    for delay in 1..=12 {
        let running = Wasmproc::run([programs::CAT]).cache(&cache).start();
        std::thread::sleep(Duration::from_millis(8 * delay));
        let footprint = Footprint::of(running.pid());
        running.send(Signal::KILL);
        footprint.is_gone();
        running.end();
        assert_entries_are_whole(Path::new(&cache));
    }
    Wasmproc::run([programs::CAT]).cache(&cache).output().expect(0);
}

#[test]
fn killing_the_supervisor_while_it_writes_the_cache_leaves_whole_entries() {
    let scratch = Scratch::new();
    let big = big_component(&scratch);
    let cache = scratch.folder("cache");
    for _ in 0..5 {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("inotify");
        inotify::add_watch(&watch, cache.as_str(), inotify::WatchFlags::CREATE).expect("a watch");
        let running = Wasmproc::run([&big]).cache(&cache).start();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        inotify::Reader::new(&watch, &mut buffer).next().expect("a file is made");
        running.send(Signal::KILL);
        running.end();
        assert_entries_are_whole(Path::new(&cache));
        for name in fs::read_dir(&cache).expect("readable") {
            fs::remove_file(name.expect("readable").path()).expect("ours");
        }
    }
    Wasmproc::run([&big]).cache(&cache).output().expect(0);
}

/// A component whose compilation takes a while and whose artifact is megabytes.
pub(crate) fn big_component(scratch: &Scratch) -> String {
    let mut text = String::from("(component (core module $m\n");
    for function in 0..3000 {
        text += "(func (param i32) (result i32) local.get 0";
        for step in 0..40 {
            text += &format!(" i32.const {} i32.mul i32.const {step} i32.add", function + 3);
        }
        text += ")\n";
    }
    text += "(func (export \"run\") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i \"run\")))
        (instance $c (export \"run\" (func $run)))
        (export \"wasi:cli/run@0.2.6\" (instance $c)))";
    scratch.write("big.wat", text)
}

/// Asserts that a cache has nothing in it but artifacts and what belongs to them.
#[track_caller]
fn assert_entries_are_whole(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for entry in entries {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(name.ends_with(".cwasm") || name.ends_with(".json"), "{name} was left behind");
        assert!(!name.starts_with(".tmp"), "{name} was left behind");
    }
}

/// Nobody tells then that the killed are dead.
#[test]
fn a_stopped_init_does_not_keep_a_run_from_ending() {
    let running = Wasmproc::run(["--timeout", "3s", programs::SLEEPS]).start();
    running.expect_stdout("ready");
    let init = Pid::from_raw(running.process("wasmproc-init").pid).expect("not 0");
    rustix::process::kill_process(init, Signal::STOP).expect("it is there");
    let ended = running.end().expect(125);
    ended.complains_of(&["init"]);
}

/// Who is stopped can't see that its supervisor is gone.
#[test]
fn killing_a_supervisor_whose_init_is_stopped_leaves_nobody() {
    let running = Wasmproc::run([programs::SPINS]).start();
    running.expect_stdout("ready");
    let init = Pid::from_raw(running.process("wasmproc-init").pid).expect("not 0");
    rustix::process::kill_process(init, Signal::STOP).expect("it is there");
    let footprint = Footprint::of(running.pid());
    running.send(Signal::KILL);
    footprint.is_gone();
}

#[test]
fn a_killed_compiler_is_told_as_such() {
    let scratch = Scratch::new();
    // Takes some seconds to compile.
    let deep = format!("(module (func (export \"_start\") {} {}))", "(block ".repeat(30_000), ")".repeat(30_000));
    scratch.write("deep.wat", &deep);
    let running = Wasmproc::run(["--no-cache", &scratch.at("deep.wat")]).start();
    running.process("wasmproc-compil").kill();
    running.end().expect(125).complains_of(&["deep.wat", "the compiler was killed"]);
}
