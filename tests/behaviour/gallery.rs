//! The SDK's examples: what must be seen of each.

use wasmproc_test_artifacts::examples;

use crate::harness::Wasmproc;

/// The lines that an example prints; it must end well and complain of nothing.
#[track_caller]
fn lines(example: &str) -> Vec<String> {
    let ended = Wasmproc::run([example]).output().expect(0);
    assert_eq!(ended.stderr, "", "{ended:?}");
    ended.lines()
}

/// Those that begin with `prefix`, without it.
fn column<'a>(lines: &'a [String], prefix: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(prefix)).collect()
}

#[track_caller]
fn position(lines: &[String], line: &str) -> usize {
    lines.iter().position(|other| other == line).unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
}

#[test]
fn hello_shows_pids_and_parents() {
    assert_eq!(lines(examples::HELLO), ["main: pid 1, no parent", "child: pid 2, parent 1"]);
}

#[test]
fn args_goes_on_while_its_child_works() {
    let lines = lines(examples::ARGS);
    assert_eq!(column(&lines, "main: "), ["*", "**", "***", "****", "*****", "done"]);
    let sung = ["line 1 of sing", "line 2 of sing", "line 3 of sing", "line 4 of sing"];
    assert_eq!(column(&lines, "child: "), sung);
    assert!(position(&lines, "main: done") < position(&lines, "child: line 4 of sing"), "{lines:#?}");
}

#[test]
fn isolation_gives_the_child_a_memory_of_its_own() {
    assert_eq!(lines(examples::ISOLATION), ["child: 100", "main: 99"]);
}

#[test]
fn ten_run_at_once_and_are_waited_for() {
    let lines = lines(examples::TEN);
    let awake: Vec<usize> = (1..=10).map(|number| position(&lines, &format!("process {number}: awake"))).collect();
    let asleep: Vec<usize> = (1..=10).map(|number| position(&lines, &format!("process {number}: asleep"))).collect();
    assert_eq!(lines.len(), 21, "{lines:#?}");
    assert!(position(&lines, "main: done") < *awake.iter().max().expect("ten"), "main did not wait: {lines:#?}");
    let first_awake = *awake.iter().min().expect("ten");
    assert!(asleep.iter().filter(|&&one| one < first_awake).count() > 1, "one after the other: {lines:#?}");
}

#[test]
fn join_keeps_the_order() {
    let lines = lines(examples::JOIN);
    assert_eq!(lines[..2], ["first mail sent", "second mail sent"]);
    let mut numbered = lines[2..7].to_vec();
    numbered.sort();
    assert_eq!(numbered, ["mail 1 sent", "mail 2 sent", "mail 3 sent", "mail 4 sent", "mail 5 sent"]);
    assert_eq!(lines[7..], ["last mail sent"]);
}

#[test]
fn clock_process_runs_with_its_fields() {
    let lines = lines(examples::CLOCK_PROCESS);
    assert_eq!(lines.len(), 40, "{lines:#?}");
    for number in 1..=10 {
        assert_eq!(column(&lines, &format!("clock {number}: ")), ["tick 1", "tick 2", "tick 3"]);
        let result = position(&lines, &format!("clock {number} ticked 3 times"));
        assert!(position(&lines, &format!("clock {number}: tick 3")) < result, "{lines:#?}");
    }
}

#[test]
fn daemon_ends_with_main_and_has_no_children() {
    let lines = lines(examples::DAEMON);
    assert!(!lines.contains(&"daemon: awake".to_owned()), "{lines:#?}");
    position(&lines, "parent: exited with code 0");
    position(&lines, "daemon's child: refused (Invalid)");
    let last_star = lines.iter().rposition(|line| line == "*").unwrap_or_else(|| panic!("no star: {lines:#?}"));
    assert!(last_star < position(&lines, "main: done"), "{lines:#?}");
    assert!(position(&lines, "main: done") < position(&lines, "worker: finished"), "{lines:#?}");
}

#[test]
fn heartbeat_stops_with_main_and_is_watched_by_it() {
    let lines = lines(examples::HEARTBEAT);
    let end = position(&lines, "main: done");
    assert_eq!(end, lines.len() - 1, "a heart beats after main: {lines:#?}");
    assert_eq!(lines[end - 2..end], ["host: beating", "disk: exited with code 3"]);
    assert!(position(&lines, "worker: started") < position(&lines, "worker: finished"));
    assert!(column(&lines, "host ok").len() > 1, "{lines:#?}");
    assert_eq!(column(&lines, "disk ok").len(), 1, "{lines:#?}");
}

#[test]
fn lifecycle_shows_every_state_and_end() {
    let expected = "\
prepared: name None, alive false, exit status None
started: name process-2, pid 2, alive true, exit status None
join with timeout: None
terminated within a second: true
ended: alive false, exit status killed by process 1, code -9
named: sleeper
return: exited with code 0, code 0
exit(7): exited with code 7, code 7
panic: trapped, code -6
kill: killed by process 1, code -9
";
    // The panic is told on stderr, so this example does complain.
    let ended = Wasmproc::run([examples::LIFECYCLE]).output().expect(0);
    assert_eq!(ended.text(), expected);
    assert!(ended.stderr.contains("as it must"), "{ended:?}");
}
