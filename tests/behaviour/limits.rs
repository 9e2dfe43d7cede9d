//! Limits: reached, they end what broke them or refuse what would, and nothing else.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;
use wasmproc_test_artifacts::{programs, text};

use crate::harness::{Scratch, Wasmproc, is_root, skip};

#[test]
fn memory_below_the_limit_is_there_to_use() {
    Wasmproc::run(["--max-memory", "200MiB", programs::HOLDS_MEMORY, "128"]).output().expect(0);
    Wasmproc::run([programs::HOLDS_MEMORY, "900"]).output().expect(0);
}

#[test]
fn the_default_memory_limit_is_1_gib() {
    let ended = Wasmproc::run([programs::HOLDS_MEMORY, "1100"]).output().expect(137);
    assert!(ended.stderr.contains("--max-memory"), "{ended:?}");
}

#[test]
fn tables_that_grow_for_ever_meet_the_memory_limit() {
    let ended = Wasmproc::run(["--max-memory", "64MiB", text::GROWS_TABLES]).output().expect(137);
    ended.complains_of(&["--max-memory"]);
}

#[test]
fn the_total_memory_limit_counts_all_processes_together() {
    let total = ["--max-total-memory", "100MiB"];
    let ended = Wasmproc::run(total.iter().chain(&[programs::HOLDS_MEMORY, "120"])).output().expect(137);
    assert!(ended.stderr.contains("--max-total-memory"), "{ended:?}");
    Wasmproc::run(total.iter().chain(&[programs::HOLDS_MEMORY, "60"])).output().expect(0);
    let less_than_its_code = Wasmproc::run(["--max-total-memory", "64KiB", programs::HOLDS_MEMORY, "0"]).output();
    less_than_its_code.expect(125).complains_of(&["compiled code", "--max-total-memory"]);
}

#[test]
fn what_the_host_keeps_for_a_guest_counts_as_its_memory() {
    let limited = |limit| Wasmproc::run(["--max-memory", limit, programs::FILLS_HOST, "16", "14"]).output();
    let ended = limited("200MiB").expect(0);
    assert_eq!(ended.text(), "holds 16 MiB\nthe child had 14680064 bytes\n");
    // Enough for what the guest has itself.
    let ended = limited("50MiB").expect(137);
    assert_eq!(ended.text(), "holds 16 MiB\n");
    ended.complains_of(&["process 1 (main) ran out of memory", "--max-memory"]);
    let child = Wasmproc::run([programs::FILLS_HOST, "16", "14", "50"]).output().expect(0);
    assert_eq!(child.text(), "holds 16 MiB\nthe child: out of memory\n");
}

#[test]
fn the_process_limit_refuses_and_what_runs_goes_on() {
    let ended = Wasmproc::run(["--max-processes", "10", programs::SPAWNS_UNTIL_REFUSED]).output().expect(0);
    assert_eq!(ended.lines()[1], "9 are alive");
    assert_refused_and_recovered(&ended.lines(), "--max-processes");
    let alone = Wasmproc::run(["--max-processes", "1", wasmproc_test_artifacts::examples::HELLO]).output().expect(1);
    assert!(alone.stderr.contains("--max-processes"), "{alone:?}");
}

#[test]
fn a_lack_of_descriptors_refuses_and_what_runs_goes_on() {
    // With one more each time the last descriptor is missed by another party: for a socket, for a pidfd...
    for limit in 128..140 {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let ended = Wasmproc::through_shell(&script, ["run", programs::SPAWNS_UNTIL_REFUSED]).output().expect(0);
        assert_refused_and_recovered(&ended.lines(), "");
    }
}

#[test]
fn a_lack_of_processes_refuses_and_what_runs_goes_on() {
    if !is_root() {
        return skip("only root can become a user who runs nothing else");
    }
    // A user of this test alone: the kernel counts all processes of a user.
    const USER: u32 = 54_301;
    let scratch = Scratch::new();
    let executable = scratch.copy(crate::harness::EXECUTABLE, "wasmproc");
    let program = scratch.copy(programs::SPAWNS_UNTIL_REFUSED, "guest.wasm");
    let cache = scratch.folder("cache");
    std::os::unix::fs::chown(&cache, Some(USER), Some(USER)).expect("root may");
    scratch.give_to(USER);
    // Compiled before, because the compiler needs threads of its own.
    let user = format!("--reuid={USER}");
    let group = format!("--regid={USER}");
    let words = ["setpriv", &user, &group, "--clear-groups", "env", "HOME=/"];
    Wasmproc::through(&words, [&executable, "compile", &program]).cache(&cache).output().expect(0);
    let limited = [&words[..], &["prlimit", "--nproc=20"]].concat();
    let ended = Wasmproc::through(&limited, [&executable, "run", &program]).cache(&cache).output().expect(0);
    assert_refused_and_recovered(&ended.lines(), "");
}

/// What `spawns_until_refused` prints when all is well.
#[track_caller]
fn assert_refused_and_recovered(lines: &[String], word: &str) {
    let [refusal, alive, killed, killed_too, again] = lines else { panic!("{lines:#?}") };
    let (count, refusal) = refusal.split_once(" children, then ").expect("both are told");
    assert!(count.parse::<usize>().expect("a number") >= 2, "{lines:#?}");
    assert!(refusal.starts_with("Limit: ") && refusal.contains(word), "{lines:#?}");
    assert_eq!(*alive, format!("{count} are alive"));
    assert_eq!([killed, killed_too], ["killed by process 1"; 2]);
    assert_eq!(again, "there is room again");
}

#[test]
fn files_that_are_never_closed_meet_a_limit() {
    let scratch = Scratch::new();
    scratch.write("file", "x");
    let grant = format!("{}::/data", scratch.path().display());
    let ended = Wasmproc::run(["--dir", &grant, programs::LEAKS_FILES, "/data/file"]).output().expect(0);
    assert!(ended.text().contains(" files open, then: "), "{ended:?}");
}

#[test]
fn open_files_are_limited_by_a_flag() {
    let scratch = Scratch::new();
    scratch.write("file", "x");
    let grant = format!("{}::/data", scratch.path().display());
    let words = ["--max-open-files", "120", "--dir", &grant, programs::LEAKS_FILES, "/data/file"];
    let said = Wasmproc::run(words).output().expect(0).text();
    let count: usize = said.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!((60..120).contains(&count), "{said}");
    let ended = Wasmproc::run(["--max-open-files", "10", programs::SLEEPS, "0"]).output().expect(125);
    assert!(ended.stderr.contains("--max-open-files"), "{ended:?}");
}

#[test]
fn output_over_its_limit_is_refused_and_said_once() {
    let ended = Wasmproc::run(["--max-output", "1MiB", programs::FLOODS]).output();
    assert_eq!(ended.stdout.len(), 1 << 20);
    assert_eq!(ended.stderr.matches("--max-output").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("stdout refused"), "the same limit holds for stderr");
    assert_eq!(ended.code(), 134, "it panics, for it can't say why");
}

#[test]
fn files_become_no_longer_than_the_limit() {
    let scratch = Scratch::new();
    let file = std::fs::File::create(scratch.at("output")).expect("a file");
    let ended = Wasmproc::run(["--max-file-size", "64KiB", programs::FLOODS]).stdout(file).output().expect(1);
    assert!(ended.stderr.contains("stdout refused"), "{ended:?}");
    let length = std::fs::metadata(scratch.at("output")).expect("it is there").len();
    assert_eq!(length, 64 << 10);
}

#[test]
fn handles_that_are_never_dropped_end_their_process_only() {
    let ended = Wasmproc::run(["--timeout", "50s", programs::LEAKS_POLLABLES]).output().expect(134);
    assert!(ended.stderr.contains("process 1 (main)"), "{ended:?}");
}

#[test]
fn without_a_limit_nothing_is_ended() {
    let ended = Wasmproc::run([programs::SLEEPS, "1.2"]).output().expect(0);
    assert!(ended.elapsed >= Duration::from_millis(1200), "{ended:?}");
    assert_eq!(ended.text(), "ready\nawake\n");
}

/// Descriptors that are sent and not yet received, of the user that runs the tests.
fn on_their_way(count: usize) -> (UnixStream, UnixStream) {
    let (sender, receiver) = UnixStream::pair().expect("sockets");
    let stdin = rustix::stdio::stdin();
    let descriptors = vec![stdin; count];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(count))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&sender, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).expect("they are sent");
    (sender, receiver)
}

/// The kernel counts what all processes of a user have on their way, and refuses more to one that may have fewer open.
#[test]
fn a_file_is_compiled_while_others_have_descriptors_on_their_way() {
    // More than a compile worker may have open; not so many that tests beside this one notice.
    let _sockets = on_their_way(70);
    Wasmproc::run(["--no-cache", programs::SHOW]).output().expect(0);
}

/// By the text of what is told of processes, long before by their number.
#[test]
fn a_report_lists_processes_up_to_64_mib_and_counts_the_others() {
    const CHILDREN: usize = 70;
    let scratch = Scratch::new();
    let (json, text) = (scratch.at("report.json"), scratch.at("report.txt"));
    for report in [&json, &text] {
        let to_file = format!("--report={report}");
        Wasmproc::run([&to_file, "--tmp=1MiB", programs::FILLS_REPORT, &CHILDREN.to_string()]).output().expect(0);
    }
    let report: Value = serde_json::from_slice(&std::fs::read(json).expect("a report")).expect("JSON");
    let listed = report["processes"].as_array().expect("a list").len();
    let unlisted = report["unlisted"].as_u64().expect("a number") as usize;
    assert_eq!(listed + unlisted, CHILDREN + 1);
    // Each has a text of a million bytes. Main, which ends last, has a short one, for which there is room.
    assert_eq!(listed, (64 << 20) / 1_000_000 + 1);
    let report = std::fs::read_to_string(text).expect("a report");
    assert!(report.contains(&format!("\nand {unlisted} more\n")));
}
