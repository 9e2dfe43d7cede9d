//! Signals to the command: stop by request, then by force; show; pause.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use wasmproc_test_artifacts::programs;

use crate::harness::{EXECUTABLE, Footprint, Process, Running, Scratch, Wasmproc, eventually, skip};

#[test]
fn stopping_signals_end_the_whole_tree_with_their_code() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let running = Wasmproc::run([programs::FAMILY]).start();
        running.expect_stdout("main is ready");
        let footprint = Footprint::of(running.pid());
        running.send(signal);
        running.end().expect(code);
        footprint.is_gone();
    }
}

/// As a terminal sends it: to every process of the foreground group at once.
#[test]
fn an_interrupt_from_the_terminal_is_the_supervisors_alone_to_act_on() {
    let running = Wasmproc::run([programs::LISTENS]).start();
    running.expect_stdout("ready");
    running.send_to_group(Signal::INT);
    let ended = running.end().expect(42);
    assert_eq!(ended.text(), "ready\ntidied up\n");
}

#[test]
fn a_guest_that_computes_is_ended_too() {
    let running = Wasmproc::run([programs::SPINS]).start();
    running.expect_stdout("ready");
    running.send(Signal::TERM);
    running.end().expect(143);
}

#[test]
fn a_guest_that_listens_ends_by_itself() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let running = Wasmproc::run(["--grace", "30s", programs::LISTENS]).start();
        running.expect_stdout("ready");
        running.send(signal);
        let ended = running.end().expect(42);
        assert_eq!(ended.text(), "ready\ntidied up\n");
    }
}

#[test]
fn a_guest_that_only_seems_to_listen_has_until_the_grace_is_over() {
    let running = Wasmproc::run(["--grace", "700ms", programs::LISTENS, "deaf"]).start();
    running.expect_stdout("ready");
    let footprint = Footprint::of(running.pid());
    let asked = std::time::Instant::now();
    running.send(Signal::INT);
    running.end().expect(130);
    assert!(asked.elapsed() >= Duration::from_millis(700), "{:?}", asked.elapsed());
    footprint.is_gone();
}

#[test]
fn a_signal_while_compiling_ends_the_compiler() {
    let running = Wasmproc::run(["--no-cache", programs::MISTAKES]).start();
    eventually("the compiler is there", || !Process::descendants(running.pid()).is_empty());
    let footprint = Footprint::of(running.pid());
    running.send(Signal::TERM);
    let ended = running.end().expect(143);
    assert_eq!(ended.text(), "");
    footprint.is_gone();
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let running = Wasmproc::through_shell("trap '' HUP; exec \"$@\"", ["run", programs::LISTENS]).start();
    running.expect_stdout("ready");
    running.send(Signal::HUP);
    running.send(Signal::QUIT);
    running.expect_stderr("processes");
    running.send(Signal::TERM);
    running.end().expect(42);
}

#[test]
fn sigquit_shows_the_tree_and_the_run_goes_on() {
    let mut running = Wasmproc::run([programs::FAMILY]).start();
    running.expect_stdout("child 1 is ready");
    running.expect_stdout("child 2 is ready");
    running.send(Signal::QUIT);
    running.expect_stderr("7 processes");
    for who in ["process 1 (main)", "(child-1)", "(child-2)", "waits in a host call"] {
        running.expect_stderr(who);
    }
    assert!(running.is_running());
    running.send(Signal::INT);
    let ended = running.end().expect(130);
    let line = |start: &str| ended.stderr.lines().find(|line| line.trim_start().starts_with(start));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (main, child) = (line("process 1 (main)").expect("shown"), line("process 2 (child-1)").expect("shown"));
    assert!(indent(main) < indent(child), "{ended:?}");
}

#[test]
fn sigquit_tells_a_guest_that_computes_from_one_that_waits() {
    let running = Wasmproc::run([programs::SPINS]).start();
    running.expect_stdout("ready");
    running.send(Signal::QUIT);
    running.expect_stderr("is computing");
}

/// A shell with job control at a terminal of its own, which runs `script`. `None` where script(1) is missing.
fn at_a_terminal(scratch: &Scratch, script: &str) -> Option<Running> {
    let file = scratch.write("script", format!("set -m\n{script}"));
    let words = ["script", "-qec", &format!("sh {file}"), "/dev/null"];
    if !std::path::Path::new("/usr/bin/script").exists() {
        skip("there is no script(1) to make a terminal");
        return None;
    }
    Some(Wasmproc::through(&words, [""; 0]).stdin(Stdio::piped()).start())
}

#[test]
fn an_interrupt_that_is_typed_asks_the_guest_to_stop() {
    let scratch = Scratch::new();
    let script = format!("{EXECUTABLE} run {}\necho ended $?", programs::LISTENS);
    let Some(mut running) = at_a_terminal(&scratch, &script) else { return };
    running.expect_stdout("ready");
    running.press("\x03");
    running.expect_stdout("tidied up");
    running.expect_stdout("ended 42");
    running.end().expect(0);
}

/// Its worker, too: it stops computing.
#[test]
fn a_run_that_is_stopped_at_the_terminal_uses_no_processor() {
    let scratch = Scratch::new();
    let script = format!("{EXECUTABLE} run {}\necho stopped $?\nread -r _\nfg %1", programs::SPINS);
    let Some(mut running) = at_a_terminal(&scratch, &script) else { return };
    running.expect_stdout("ready");
    let worker = running.process("wasmproc-worker");
    running.press("\x1a");
    running.expect_stdout("stopped 148");
    eventually("the worker is stopped", || Process::of(worker.pid).is_some_and(|process| process.state == 'T'));
    running.say("");
    eventually("the worker goes on", || Process::of(worker.pid).is_some_and(|process| process.state == 'R'));
}

#[test]
fn a_run_that_is_stopped_at_the_terminal_goes_on_in_the_foreground() {
    let scratch = Scratch::new();
    let script = format!("{EXECUTABLE} run {}\necho stopped $?\nfg %1\necho ended $?", programs::CAT);
    let Some(mut running) = at_a_terminal(&scratch, &script) else { return };
    running.say("before");
    // Once as the terminal's echo, once from the guest.
    running.expect_stdout("before\r\nbefore\r\n");
    let supervisor = running.process("wasmproc");
    running.press("\x1a");
    running.expect_stdout("stopped 148");
    eventually("it goes on", || Process::of(supervisor.pid).is_some_and(|process| process.state != 'T'));
    running.say("after");
    running.expect_stdout("after\r\nafter\r\n");
    // The end of input, as typed at the beginning of a line.
    running.press("\x04");
    running.expect_stdout("ended 0");
    running.end().expect(0);
}
