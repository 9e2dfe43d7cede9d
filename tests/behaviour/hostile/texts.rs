//! What attackers write where somebody reads it: names, and the reasons of ends.

use std::fs;
use std::time::Duration;

use super::{SPAWN, TRAPPED, betrayed, said, send};
use crate::harness::{Scratch, Stage, Wasmproc};
use wasmproc_test_artifacts::programs;

/// What the guest says of itself, and what an attacker puts in its place: as long, and for a terminal.
const TEXT: &str = "a text that a traitor has at its disposal";
const EVIL: &str = "\u{1b}[31m\u{9b}2J\r\nwasmproc: all is well\u{202e}\u{7f}\u{7}....";

/// As [`EVIL`], at places that are lines of a backtrace.
fn evil(packet: &[u8]) -> Vec<u8> {
    assert_eq!(TEXT.len(), EVIL.len());
    replaced(
        &replaced(packet, TEXT.as_bytes(), EVIL.as_bytes()),
        b"betrays::hostile",
        "\u{1b}]0;\u{9b}2J\u{7f}abcdefg".as_bytes(),
    )
}

fn replaced(packet: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let place = packet.windows(what.len()).position(|window| window == what).expect("it is in there");
    let mut packet = packet.to_vec();
    packet[place..place + by.len().min(what.len())].copy_from_slice(&by[..what.len()]);
    packet
}

#[test]
fn reasons_of_ends_reach_terminal_and_report_without_control_characters() {
    let outcome = betrayed(&["panic"], |stage| {
        let trapped = said(stage, TRAPPED);
        let hostile = stage.puppet();
        send(stage, hostile, &evil(&trapped));
        stage.dies(hostile);
        // A text that is none.
        let hostile = stage.puppet();
        send(stage, hostile, &replaced(&trapped, TEXT.as_bytes(), &[0xff; 64]));
        stage.dies(hostile);
    });
    let (cause, _, description) = &outcome.hostile()[1];
    assert_eq!(cause, "trapped");
    assert!(description.contains("all is well"), "{description:?}");
    let trap = &outcome.report["processes"].as_array().expect("a list").iter();
    let backtraces = trap.clone().filter_map(|process| process["backtrace"].as_str());
    let texts: String = backtraces.chain(outcome.hostile().iter().map(|(.., text)| text.as_str())).collect();
    assert!(is_harmless(&texts), "{texts:?}");
    assert!(is_harmless(&outcome.ended.stderr), "{:?}", outcome.ended.stderr);
    assert!(!outcome.ended.stderr.contains("\nwasmproc: all is well"), "{:?}", outcome.ended.stderr);
    outcome.failed_for(2, "decoded");
}

#[test]
fn names_reach_the_tree_of_processes_and_the_report_without_control_characters() {
    let scratch = Scratch::new();
    let report = scratch.at("report.txt");
    let ended = Wasmproc::run([&format!("--report={report}"), programs::BETRAYS, "kin"]).taken_over(|stage| {
        let hostile = stage.puppet();
        let spawn = asked_for_kin(stage);
        for name in ["\u{1b}[m", "\u{202e}", "\r\n\t", "\u{7f}\u{9b}"] {
            let name = &name.as_bytes()[..3];
            send(stage, hostile, &replaced(&spawn, b"kin", name));
        }
        // Time for the processes to begin.
        stage.wait(Duration::from_millis(300));
        let supervisor = rustix::process::Pid::from_raw(stage.supervisor()).expect("not 0");
        rustix::process::kill_process(supervisor, rustix::process::Signal::QUIT).expect("it is there");
        stage.wait(Duration::from_millis(300));
        stage.kill(hostile);
        stage.dies(hostile);
        let last = stage.puppet();
        stage.release(last);
    });
    let ended = ended.expect("it ends").expect(0);
    let report = fs::read_to_string(report).expect("a report");
    assert!(ended.stderr.contains("(\\u{202e})") && report.contains("\\u{202e}"), "{}\n{report}", ended.stderr);
    assert!(is_harmless(&ended.stderr) && is_harmless(&report), "{:?}\n{report:?}", ended.stderr);
}

fn asked_for_kin(stage: &mut Stage<'_, '_>) -> Vec<u8> {
    super::recorded(stage, |packet| {
        packet.len() > 3 && packet[3..].starts_with(SPAWN) && packet.windows(5).any(|window| window == b"\x01\x03kin")
    })
}

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|one| (one.is_control() && one != '\n') || one == '\u{202e}')
}

#[test]
fn names_of_files_reach_the_terminal_without_control_characters() {
    let scratch = Scratch::new();
    let name = "file\u{1b}[31m\r\u{7}\nof mine";
    for command in ["run", "inspect", "compile"] {
        let missing = Wasmproc::new([command, &scratch.at(name)]).output().expect(127);
        missing.complains_of(&["[31m", "of mine"]);
        assert!(!missing.stderr.trim_end().contains(char::is_control), "{missing:?}");
    }
}
