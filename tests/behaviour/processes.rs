//! Processes that start processes.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use wasmproc_test_artifacts::programs;

use crate::harness::{EXECUTABLE, Process, Scratch, Wasmproc, eventually, skip};

/// What a process of the host holds: open descriptors, resident KiB.
fn holdings(pid: i32) -> (usize, u64) {
    let process = Process::of(pid).expect("it is alive");
    let descriptors = fs::read_dir(process.file("fd")).expect("it is ours").count();
    let resident = process.status("VmRSS").split_whitespace().next().and_then(|kib| kib.parse().ok());
    (descriptors, resident.expect("a number of KiB"))
}

#[test]
fn ten_thousand_children_leave_nothing_behind() {
    let running = Wasmproc::run([programs::SPAWNS_MANY, "10000"]).stdin(Stdio::piped());
    let mut running = running.watchdog(Duration::from_secs(150)).start();
    running.expect_stdout("100 are done");
    let (descriptors, resident) = holdings(running.pid());
    let processes = Process::descendants(running.pid()).len();
    running.say("");
    running.expect_stdout("10000 are done");
    // Spares come and go; the dead are gone.
    eventually("as few processes as before", || Process::descendants(running.pid()).len() <= processes + 2);
    let (descriptors_now, resident_now) = holdings(running.pid());
    assert!(descriptors_now <= descriptors + 8, "{descriptors} descriptors became {descriptors_now}");
    assert!(resident_now <= resident + 8 * 1024, "{resident} KiB became {resident_now}");
    running.say("");
    let ended = running.end().expect(0);
    assert!(ended.text().ends_with("sum 50005000\n"), "{ended:?}");
}

#[test]
fn a_burst_of_starts_leaves_the_supervisor_at_rest() {
    // More than fit into the zygote's socket at once.
    let running = Wasmproc::run([programs::MULTIPLIES, "400"]).stdin(Stdio::piped());
    let running = running.watchdog(Duration::from_secs(90)).start();
    running.expect_stdout("all wait");
    let supervisor = Process::of(running.pid()).expect("it is alive");
    let used = || supervisor.cpu_time().expect("it is alive");
    let before = used();
    sleep(Duration::from_secs(2));
    let used = used() - before;
    assert!(used < Duration::from_millis(500), "it used {used:?} of two seconds, and nobody wants anything of it");
    running.end().expect(0);
}

/// Kernels divide processors among sessions first.
#[test]
fn a_run_is_a_session_of_its_own_that_gives_way_when_it_is_a_crowd() {
    // Whoever runs the tests may sit at a terminal.
    let arguments = [EXECUTABLE, "run", programs::MULTIPLIES, "200"];
    let running = Wasmproc::through(&["setsid", "--wait"], arguments).stdin(Stdio::piped());
    let mut running = running.watchdog(Duration::from_secs(90)).start();
    running.expect_stdout("all wait");
    let names = ["wasmproc", "wasmproc-init", "wasmproc-zygote", "wasmproc-worker"];
    let processes = names.map(|name| running.process(name));
    let [supervisor, init, zygote, worker] = processes.each_ref().map(Process::session);
    assert_ne!(init, supervisor);
    assert_eq!([zygote, worker], [init, init]);
    let [supervisor, .., worker] = &processes;
    if supervisor.autogroup().is_none() {
        return skip("this kernel has no autogroups");
    }
    let is_behind = |process: &Process| !process.autogroup().is_some_and(|group| group.ends_with("nice 0"));
    eventually("it gives way", || is_behind(worker));
    assert!(!is_behind(supervisor), "nobody else does");
    running.say("go on");
    eventually("it is no crowd any more", || !is_behind(&processes[1]));
    running.say("end");
    running.end().expect(0);
}

#[test]
fn terminating_takes_the_subtree_and_grace_lets_it_finish() {
    let ended = Wasmproc::run([programs::TERMINATES]).output().expect(0);
    let mut lines = ended.lines();
    lines.retain(|line| line != "grandchild: started");
    let expected =
        ["subtree: killed by process 1", "children left: 0", "polite: thank you", "deaf: killed by process 1"];
    assert_eq!(lines, expected, "{ended:?}");
}

#[test]
fn children_can_be_given_less_and_never_more() {
    let scratch = Scratch::new();
    scratch.folder("shared");
    scratch.write("shared/note", "hello");
    scratch.write("secret", "secret");
    let grant = format!("{}::/data", scratch.path().display());
    let ended = Wasmproc::run(["--env", "MODE=fast", "--dir", &grant, programs::NARROWS]).output().expect(0);
    let expected = "\
inherited /data/shared/note: hello
narrowed /in/note: hello
narrowed /in/../secret: PermissionDenied
narrowed /data/secret: NotFound
none /data/secret: NotFound
writable /in/new: written
read-only /in/new: refused
/etc: Err(Denied)
/: Err(Denied)
/data/../etc: Err(Invalid)
/data/nothing: Err(Denied)
variables MODE=fast
variables MODE=fast MORE=1
variables ONLY=1
arguments narrows.wasm a b
memory out of memory
cpu killed at its processor-time limit
time killed at its time limit
unlimited exited with code 0
";
    assert_eq!(ended.text(), expected, "{ended:?}");
}

#[test]
fn wrong_functions_arguments_and_options_are_errors() {
    let ended = Wasmproc::run([programs::MISTAKES]).output().expect(0);
    let lines = ended.lines();
    let says = |what: &str| {
        let answer = lines.iter().find_map(|line| line.strip_prefix(&format!("{what}: ")));
        answer.unwrap_or_else(|| panic!("nothing of {what}: {ended:?}")).to_owned()
    };
    assert_eq!(says("right"), "3");
    for rejected in ["no function", "malformed", "bad arguments"] {
        let answer = says(rejected);
        assert!(answer.starts_with("Ended: ") && answer.contains("rejected: "), "{rejected}: {answer}");
    }
    // No function of the right signature is there, so the engine itself refuses the call.
    assert!(says("wild index").contains("trapped: "), "{}", says("wild index"));
    for invalid in ["no component", "no such command", "long name"] {
        assert!(says(invalid).starts_with("Invalid: "), "{invalid}: {}", says(invalid));
    }
    for too_large in ["much text", "much input"] {
        assert!(says(too_large).starts_with("TooLarge: "), "{too_large}: {}", says(too_large));
    }
    assert_eq!(says("some input"), (15 << 20).to_string());
    assert_eq!(says("some output"), (15 << 20).to_string());
    assert!(says("much output").contains("16 MiB"), "{}", says("much output"));
    let panic = says("a panic");
    assert!(panic.starts_with("Ended: ") && panic.contains("the oven is cold"), "{panic}");
}

#[test]
fn a_child_may_watch_its_parent_and_do_no_more() {
    let ended = Wasmproc::run([programs::KIN]).output().expect(0);
    let mut lines = ended.lines();
    lines[3..].sort();
    let expected = [
        "joining the parent: Ok(None)",
        "killing the parent: Err(Denied)",
        "main returns",
        // To its children it has ended now, although it waits for them.
        "late 1",
        "late 2",
        "the parent exited with code 0",
    ];
    assert_eq!(lines, expected, "{ended:?}");
}
