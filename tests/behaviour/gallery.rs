//! The SDK's examples: what must be seen of each.

use wasmproc_test_artifacts::examples;

use crate::harness::{Scratch, Wasmproc};

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

#[test]
fn tickets_are_sold_once_also_when_a_buyer_is_killed() {
    let scratch = Scratch::new();
    let grant = format!("{}::/data", scratch.path().display());
    let ended = Wasmproc::run(["--dir", &grant, examples::TICKETS]).output().expect(0);
    let lines = ended.lines();
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("sold 5, left 0"), 2, "{lines:#?}");
    assert_eq!((count("bought one"), count("sold out"), count("saw ")), (10, 30, 40), "{lines:#?}");
    assert_eq!(count("it was killed by process 1"), 1, "{lines:#?}");
    assert_eq!(count("the lock was abandoned, 5 left"), 1, "{lines:#?}");
}

#[test]
fn ktv_never_has_more_guests_than_places_and_gets_a_dead_guests_place_back() {
    let lines = lines(examples::KTV);
    for singer in 1..=20 {
        let inside = format!("singer {singer}: inside");
        assert_eq!(lines.iter().filter(|line| **line == inside).count(), 1, "{lines:#?}");
    }
    let expected = [
        "20 sang, never more than 4 at a time",
        "the booth is full: 0 places",
        "a guest was killed by process 1",
        "its place came back",
    ];
    assert_eq!(lines[lines.len() - 4..], expected);
}

#[test]
fn traffic_stops_on_red_also_when_the_light_is_killed() {
    let lines = lines(examples::TRAFFIC);
    let on = position(&lines, "the light is on");
    for car in 1..=10 {
        assert!(position(&lines, &format!("car {car}: waits")) < on, "{lines:#?}");
    }
    let others: Vec<&String> = lines.iter().filter(|line| !line.ends_with("waits")).collect();
    let expected = [
        "the light is on",
        "the light was killed by process 1",
        "another light is on",
        "100 cars passed, 0 of them on red",
    ];
    assert_eq!(others, expected);
}

#[test]
fn buns_are_eaten_once_and_one_that_was_taken_along_is_told() {
    let expected = [
        "the tray is full: 10 buns",
        "100 eaten, each once: true",
        "never more than 10 on the tray: true",
        "the baker waited: true",
        "one who took bun 1 was killed by process 1",
        "99 eaten, each once: true",
        "bun 1 was eaten: false",
        "all eaten? queue 3: a process that took messages died before it was done (Abandoned)",
    ];
    assert_eq!(lines(examples::BUNS), expected);
}

#[test]
fn pipe_keeps_order_and_ends_with_whoever_was_at_the_other_end() {
    let expected = [
        "main: 1 squared is 1",
        "main: 2 squared is 4",
        "main: 3 squared is 9",
        "other: end of the stream after 3 numbers",
        "main: end of the stream",
        "main: the other one was killed by process 1",
        "main: 4 squared is 16",
        "main: 5 squared is 25",
        "main: end of the stream",
        "main: nobody receives (Closed)",
    ];
    assert_eq!(lines(examples::PIPE), expected);
}

#[test]
fn rlock_condition_barrier_do_what_they_are_called_also_when_somebody_dies() {
    let lines = lines(examples::RLOCK_CONDITION_BARRIER);
    let mut coming = lines[11..14].to_vec();
    coming.sort();
    assert_eq!(coming, ["barrier: 1 comes", "barrier: 2 comes", "barrier: 3 comes"], "{lines:#?}");
    let before = [
        "rlock: acquired twice, others excluded: true",
        "rlock: given back once, others excluded: true",
        "rlock: given back twice, others excluded: false",
        "rlock: its holder was killed by process 1",
        "rlock: abandoned: true",
        "condition: 3 wait",
        "condition: worker 1 got a cup",
        "condition: worker 2 got a cup",
        "condition: worker 3 got a cup",
        "condition: one of two who wait was killed by process 1",
        "condition: the other one got a cup",
    ];
    let after = [
        "barrier: all went, in order of arrival: [0, 1, 2]",
        "barrier: one of three was killed by process 1",
        "barrier: the others were told: [Broken, Broken]",
        "barrier: broken: true",
        "barrier: after a reset all went: [0, 1, 2]",
    ];
    assert_eq!(lines[..11], before);
    assert_eq!(lines[14..], after);
}
