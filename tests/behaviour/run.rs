//! `wasmproc run`: streams, arguments, reports.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use wasmproc_test_artifacts::{examples, programs, text};

use crate::harness::{Scratch, Wasmproc};

/// Bytes that no pattern repeats.
fn noise(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn every_byte_passes_from_stdin_to_stdout_unchanged() {
    let bytes: Vec<u8> = (0..=255).chain([0, 0xff, b'\r', b'\n', b'\n']).collect();
    let ended = Wasmproc::run([programs::CAT]).input(bytes.clone()).output().expect(0);
    assert_eq!(ended.stdout, bytes);
    assert_eq!(ended.stderr, "");
}

#[test]
fn sixty_four_megabytes_pass_through_pipes_unchanged() {
    let bytes = noise(64 << 20);
    let hash = blake3::hash(&bytes);
    let ended = Wasmproc::run([programs::CAT]).input(bytes).output().expect(0);
    assert_eq!(ended.stdout.len(), 64 << 20);
    assert_eq!(blake3::hash(&ended.stdout), hash);
}

#[test]
fn files_serve_as_streams() {
    let scratch = Scratch::new();
    let bytes = noise(3 << 20);
    let input = File::open(scratch.write("in", &bytes)).expect("a file");
    let output = File::create(scratch.at("out")).expect("a file");
    Wasmproc::run([programs::CAT]).stdin(input).stdout(output).output().expect(0);
    assert!(std::fs::read(scratch.at("out")).expect("a file") == bytes);
}

#[test]
fn output_arrives_while_the_program_still_runs() {
    let mut running = Wasmproc::run([programs::CAT]).stdin(Stdio::piped()).start();
    for line in ["one", "two", "three"] {
        running.say(line);
        running.expect_stdout(line);
    }
    running.end().expect(0);
}

#[test]
fn a_guest_sees_its_arguments_and_nothing_of_the_host() {
    let ended = Wasmproc::run([programs::SHOW, "--report", "-x", "", "ü"]).env("SECRET", "1").output().expect(0);
    let arguments =
        ["argument \"show.wasm\"", "argument \"--report\"", "argument \"-x\"", "argument \"\"", "argument \"ü\""];
    assert_eq!(ended.lines()[..5], arguments);
    assert_eq!(ended.lines()[5..], ["directory Some(\"/\")"]);
    assert_eq!(ended.stderr, "on stderr\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let running = Wasmproc::run([programs::FLOODS]).stdout(writer).start();
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).expect("a line");
    assert_eq!(first, "y\n");
    let ended = running.end().expect(1);
    assert!(ended.stderr.starts_with("stdout refused"), "{ended:?}");
}

#[test]
fn a_full_disk_is_an_error_of_the_guest() {
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let ended = Wasmproc::run([programs::FLOODS]).stdout(full).output().expect(1);
    assert!(ended.stderr.starts_with("stdout refused"), "{ended:?}");
}

#[test]
fn closed_streams_are_empty_ones() {
    let ended = Wasmproc::through_shell("exec \"$@\" <&-", ["run", programs::CAT]).output().expect(0);
    assert_eq!(ended.text(), "");
    Wasmproc::through_shell("exec \"$@\" <&- >&-", ["run", programs::CAT]).output().expect(0);
    Wasmproc::through_shell("exec \"$@\" <&- >&- 2>&-", ["run", programs::SHOW]).output().expect(0);
}

#[test]
fn the_text_form_and_core_modules_run() {
    let ended = Wasmproc::run([text::PREVIEW1]).output();
    assert_eq!(ended.text(), "hello from preview 1");
}

#[test]
fn a_report_in_json_tells_of_every_process() {
    let scratch = Scratch::new();
    let file = scratch.at("report.json");
    let ended = Wasmproc::run([&format!("--report={file}"), examples::HELLO]).output().expect(0);
    assert_eq!(ended.stderr, "", "the report went to its file");
    let report: Value = serde_json::from_slice(&std::fs::read(file).expect("it was written")).expect("JSON");
    assert_eq!(report["exit_code"], 0);
    let processes = report["processes"].as_array().expect("a list");
    let of = |pid: u64| processes.iter().find(|process| process["pid"] == pid).expect("it ran");
    assert_eq!(processes.len(), 2);
    assert_eq!((&of(1)["name"], &of(1)["parent"]), (&Value::from("main"), &Value::Null));
    assert_eq!((&of(2)["name"], &of(2)["parent"]), (&Value::from("process-2"), &Value::from(1)));
    for process in processes {
        assert_eq!((&process["cause"], &process["exit_code"]), (&Value::from("exited"), &Value::from(0)), "{process}");
        assert!(process["duration_ms"].as_f64().expect("a number") > 0.0, "{process}");
        assert!(process["peak_memory_bytes"].as_u64().expect("a number") > 100_000, "{process}");
        for field in ["start_ms", "cpu_ms"] {
            assert!(process[field].is_number(), "{field} of {process}");
        }
    }
    assert_eq!(report["walls"]["seccomp"], true);
}

#[test]
fn a_report_tells_what_each_process_was_allowed() {
    let scratch = Scratch::new();
    let grant = format!("{}::/data:ro", scratch.path().display());
    let flags = ["--report=-", "--json", "--dir", &grant, "--cpu-time", "5s", "--max-memory", "64MiB"];
    let ended = Wasmproc::run([&flags[..], &[examples::HELLO]].concat()).output().expect(0);
    let report: Value = serde_json::from_str(&ended.stderr).expect("JSON");
    for process in report["processes"].as_array().expect("a list") {
        assert_eq!(process["directories"], json!([{"path": "/data", "access": "read-only"}]));
        assert_eq!((&process["max_cpu_ms"], &process["max_memory_bytes"]), (&json!(5000.0), &json!(64 << 20)));
    }
    assert!(report["walls"]["landlock"].is_number() && report["walls"]["empty_root"] == true, "{report}");
}

#[test]
fn a_report_tells_causes_that_exit_codes_could_imitate() {
    let imitated = Wasmproc::run(["--report=-", "--json", programs::SDK_EXIT, "124"]).output().expect(124);
    let report: Value = serde_json::from_str(&imitated.stderr).expect("JSON");
    assert_eq!(report["processes"][0]["cause"], "exited");
    let real = Wasmproc::run(["--timeout=100ms", "--report", "--json", programs::SLEEPS]).output().expect(124);
    let json = real.stderr.find('{').expect("a report after the complaint");
    let report: Value = serde_json::from_str(&real.stderr[json..]).expect("JSON");
    assert_eq!(report["processes"][0]["cause"], "timed-out");
}

#[test]
fn a_report_for_people_has_a_line_for_each_process() {
    let ended = Wasmproc::run(["--report", examples::TEN]).output().expect(0);
    let rows = ended.stderr.lines().filter(|line| line.ends_with("exited with code 0")).count();
    assert_eq!(rows, 11, "{ended:?}");
    assert!(ended.stderr.contains("walls: ") && ended.stderr.contains("exit code: 0"), "{ended:?}");
}

#[test]
fn a_report_that_cannot_be_written_changes_no_exit_code() {
    let ended = Wasmproc::run(["--report=/nowhere/report", programs::SDK_EXIT, "7"]).output().expect(7);
    ended.complains_of(&["/nowhere/report"]);
}

/// What a standard stream goes to is not emptied.
#[test]
fn a_report_to_a_standard_stream_follows_what_is_there() {
    let scratch = Scratch::new();
    let file = scratch.write("log", "from before\n");
    for stream in ["/dev/stdout", "/dev/stderr"] {
        let script = format!("exec \"$@\" >> {file} 2>&1");
        Wasmproc::through_shell(&script, ["run", &format!("--report={stream}"), examples::HELLO]).output().expect(0);
        let log = std::fs::read_to_string(&file).expect("it is there");
        assert!(log.starts_with("from before\n") && log.contains("exit code: 0"), "{log}");
    }
}

/// A guest can fill it, and nobody else may be kept waiting for that.
#[test]
fn a_stderr_that_nobody_reads_keeps_no_run_from_ending() {
    let scratch = Scratch::new();
    let script = format!(
        "rm -f {fifo} && mkfifo {fifo} && exec 3<> {fifo} && head -c 65536 /dev/zero >&3 && exec \"$@\" 2>&3",
        fifo = scratch.at("fifo")
    );
    let trap =
        scratch.write("trap.wat", "(module (memory (export \"memory\") 1) (func (export \"_start\") unreachable))");
    Wasmproc::through_shell(&script, ["run", &trap]).output().expect(134);
    Wasmproc::through_shell(&script, ["run", "--timeout", "500ms", programs::SPINS]).output().expect(124);
}
