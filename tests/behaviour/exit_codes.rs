//! The exit code, and what is said about a death that is not an exit.

use std::time::Duration;

use wasmproc_test_artifacts::{programs, text};

use crate::harness::Wasmproc;

#[test]
fn the_sdks_exit_code_passes_through_after_all_output() {
    for code in [0, 7, 125, 255] {
        let ended = Wasmproc::run([programs::SDK_EXIT, &code.to_string()]).output().expect(code);
        assert_eq!(ended.stdout.len(), (1 << 20) + "the end".len(), "output is lost");
        assert!(ended.stdout.ends_with(b"\nthe end"));
        assert_eq!(ended.stderr, "", "an exit is the program's own affair");
    }
}

/// WASI 0.2's exit says only whether all is well; this is the documented limit of std's.
#[test]
fn stds_exit_code_arrives_as_0_or_1() {
    for (code, seen) in [("0", 0), ("1", 1), ("7", 1), ("255", 1)] {
        let ended = Wasmproc::run([programs::STD_EXIT, code]).output().expect(seen);
        assert_eq!(ended.text(), "before the exit");
    }
}

#[test]
fn the_exit_code_of_wasi_0_2_12_passes_through() {
    Wasmproc::run([text::EXIT_WITH_CODE]).output().expect(77);
}

#[test]
fn a_main_that_returns_an_error_gives_1() {
    let ended = Wasmproc::run([programs::FAILS]).output().expect(1);
    assert!(ended.stderr.contains("no more flour"), "{ended:?}");
}

#[test]
fn a_panic_gives_134_with_its_message_and_the_names_of_functions() {
    let ended = Wasmproc::run([programs::PANICS]).output().expect(134);
    let ours = ended.stderr.find("wasmproc: process 1 (main) trapped").expect("a line of wasmproc's own");
    assert!(ended.stderr[ours..].contains("the flour is gone"), "{ended:?}");
    assert!(ended.stderr[ours..].contains("innermost_function"), "{ended:?}");
}

#[test]
fn endless_recursion_gives_134_and_says_stack() {
    let ended = Wasmproc::run([programs::RECURSES]).output().expect(134);
    assert!(ended.stderr.contains("stack"), "{ended:?}");
    assert!(ended.stderr.contains("recurses::deeper"), "{ended:?}");
    assert!(ended.stderr.lines().count() < 200, "{} lines", ended.stderr.lines().count());
}

#[test]
fn a_time_limit_gives_124_and_names_its_flag() {
    for program in [programs::SLEEPS, programs::SPINS, text::START_LOOPS] {
        let ended = Wasmproc::run(["--timeout", "400ms", program]).output().expect(124);
        assert!(ended.elapsed >= Duration::from_millis(400), "{ended:?}");
        ended.complains_of(&["process 1 (main)", "--timeout"]);
    }
}

#[test]
fn a_time_limit_also_ends_a_wait_for_input() {
    let running = Wasmproc::run(["--timeout", "400ms", programs::CAT]).stdin(std::process::Stdio::piped()).start();
    // Not `end`: that would close the input.
    running.expect_stderr("--timeout");
    running.end().expect(124);
}

#[test]
fn a_processor_time_limit_gives_152_and_counts_no_sleep() {
    let ended = Wasmproc::run(["--cpu-time", "300ms", programs::SPINS]).output().expect(152);
    assert!(ended.elapsed >= Duration::from_millis(300), "{ended:?}");
    ended.complains_of(&["process 1 (main)", "--cpu-time"]);
    Wasmproc::run(["--cpu-time", "300ms", programs::SLEEPS, "1"]).output().expect(0);
}

#[test]
fn a_memory_limit_gives_137_and_names_its_flag() {
    let ended = Wasmproc::run(["--max-memory", "64MiB", programs::EATS_MEMORY]).output().expect(137);
    assert!(ended.text().contains("32 MiB\n"), "{ended:?}");
    assert!(!ended.text().contains("64 MiB\n"), "{ended:?}");
    assert!(ended.stderr.contains("--max-memory"), "{ended:?}");
}

#[test]
fn a_core_module_that_exits_with_an_error_fails() {
    Wasmproc::run([text::PREVIEW1]).output().expect(1);
}

#[test]
fn flags_that_make_no_sense_give_125() {
    let program = programs::SHOW;
    let wrong: [&[&str]; 13] = [
        &["--no-such-flag", program],
        &["--timeout", "soon", program],
        &["--timeout", "-1s", program],
        &["--max-memory", "lots", program],
        &["--max-memory", "0", program],
        &["--max-processes", "0", program],
        &["--env", "WASMPROC_TEST_NOT_SET", program],
        &["--env", "=x", program],
        &["--dir", "/no/such/directory", program],
        &["--dir", "/dev/null", program],
        &["--dir", "/::/a", "--dir", "/tmp::/a", program],
        &["--component", "x", program],
        &[],
    ];
    for flags in wrong {
        let ended = Wasmproc::run(flags).output().expect(125);
        assert_eq!(ended.text(), "", "{flags:?}");
        assert!(!ended.stderr.is_empty(), "{flags:?}");
    }
    Wasmproc::new(["frobnicate"]).output().expect(125);
}

/// What a guest was refused before doesn't hide why it traps.
#[test]
fn a_trap_after_refused_memory_is_told_as_what_it_is() {
    let scratch = crate::harness::Scratch::new();
    let guest = |end: &str| {
        format!(
            "(module (memory (export \"memory\") 1) (func (export \"_start\") \
             (drop (memory.grow (i32.const 60000))) {end}))"
        )
    };
    let trap = scratch.write("trap.wat", guest("(drop (i32.div_u (i32.const 1) (i32.const 0)))"));
    let trapped = Wasmproc::run(["--max-memory", "16MiB", &trap]).output().expect(134);
    assert!(trapped.stderr.contains("divide by zero"), "{trapped:?}");
    let gives_up = scratch.write("gives_up.wat", guest("unreachable"));
    Wasmproc::run(["--max-memory", "16MiB", &gives_up]).output().expect(137).complains_of(&["--max-memory"]);
}

#[test]
fn functions_have_the_names_that_their_module_gives_them() {
    let scratch = crate::harness::Scratch::new();
    let names = "(module (memory (export \"memory\") 1) (func $i (unreachable)) (func $b (call $i)) \
                 (func $_ZN3foo3barEv (call $b)) (func (export \"_start\") (call $_ZN3foo3barEv)))";
    let ended = Wasmproc::run([scratch.write("names.wat", names)]).output().expect(134);
    for name in ["!i\n", "!b\n", "!foo::bar"] {
        assert!(ended.stderr.contains(name), "{name}: {ended:?}");
    }
}
