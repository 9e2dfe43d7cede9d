//! The commands beside `run`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use wasmproc_test_artifacts::{examples, programs, text};

use crate::harness::{EXECUTABLE, Scratch, Wasmproc};

const COMMANDS: [&str; 7] = ["run", "compile", "inspect", "cache", "new", "completions", "man"];

#[test]
fn help_lists_the_commands_the_defaults_and_examples() {
    let ended = Wasmproc::new(["--help"]).output().expect(0);
    for command in COMMANDS {
        assert!(ended.text().contains(&format!("\n  {command} ")), "no {command}: {ended:?}");
    }
    let help = Wasmproc::new(["run", "--help"]).output().expect(0).text();
    let defaults = ["1GiB", "4GiB", "1024", "2s", "64MiB", "Examples:", "wasmproc run --dir", "none"];
    for word in defaults {
        assert!(help.contains(word), "no {word} in {help}");
    }
    for command in COMMANDS {
        Wasmproc::new([command, "--help"]).output().expect(0);
    }
    let version = Wasmproc::new(["--version"]).output().expect(0);
    assert!(version.text().starts_with("wasmproc 0."), "{version:?}");
}

#[test]
fn compile_tells_sizes_and_fills_the_cache() {
    let scratch = Scratch::new();
    let cache = scratch.at("cache");
    let files = [programs::SDK_EXIT, text::EXIT_WITH_CODE];
    let first = Wasmproc::new(["compile"].iter().chain(&files)).cache(&cache).output().expect(0);
    assert_eq!(first.lines().len(), 2, "{first:?}");
    assert!(first.lines().iter().all(|line| line.contains("compiled in")), "{first:?}");
    let second = Wasmproc::new(["compile"].iter().chain(&files)).cache(&cache).output().expect(0);
    assert!(second.lines().iter().all(|line| line.contains("was in the cache")), "{second:?}");
    let json = Wasmproc::new(["compile", "--json"].iter().chain(&files)).cache(&cache).output().expect(0);
    let told: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let length = std::fs::metadata(programs::SDK_EXIT).expect("it was built").len();
    assert_eq!(told[0]["source_bytes"], length);
    assert!(told[0]["artifact_bytes"].as_u64().expect("a number") > 1000, "{told}");
    Wasmproc::new(["compile", "/no/such/file"]).cache(&cache).output().expect(127);
    Wasmproc::new(["compile", "/bin/true"]).cache(&cache).output().expect(126);
}

#[test]
fn inspect_shows_what_a_program_wants() {
    let ended = Wasmproc::new(["inspect", examples::HELLO]).output().expect(0);
    for words in ["runs as a command", "wasmproc:ipc/process@0.1.0", "processes of its own", "world root"] {
        assert!(ended.text().contains(words), "no {words:?}: {ended:?}");
    }
    let json = Wasmproc::new(["inspect", "--json", examples::HELLO]).output().expect(0);
    let told: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&told["kind"], &told["can_run"]), (&Value::from("component"), &Value::from(true)));
    assert_eq!((&told["can_be_spawned"], &told["missing"]), (&Value::from(true), &Value::Array(Vec::new())));
    let plain = Wasmproc::new(["inspect", "--json", programs::CAT]).output().expect(0);
    let told: Value = serde_json::from_slice(&plain.stdout).expect("JSON");
    assert_eq!(told["can_be_spawned"], false);
    let module = Wasmproc::new(["inspect", text::PREVIEW1]).output().expect(0);
    assert!(module.text().contains("a core module, made into a component"), "{module:?}");
}

#[test]
fn inspect_names_what_is_missing() {
    let ended = Wasmproc::new(["inspect", text::UNKNOWN_IMPORT]).output().expect(0);
    assert!(ended.text().contains("can't be run: it imports bakery:oven/heat@1.0.0"), "{ended:?}");
    let json = Wasmproc::new(["inspect", "--json", text::UNKNOWN_IMPORT]).output().expect(0);
    let told: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(told["missing"], serde_json::json!(["bakery:oven/heat@1.0.0"]));
    assert_eq!(told["can_run"], false);
    let library = Wasmproc::new(["inspect", text::NO_RUN]).output().expect(0);
    assert!(library.text().contains("can't be run: it exports neither"), "{library:?}");
    Wasmproc::new(["inspect", "/bin/true"]).output().expect(126).complains_of(&["native program"]);
    Wasmproc::new(["inspect", "/no/such/file"]).output().expect(127).complains_of(&["/no/such/file"]);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Wasmproc::new(["completions", shell]).output().expect(0).text();
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
    let page = Wasmproc::new(["man"]).output().expect(0).text();
    assert!(page.contains(".TH wasmproc"), "{page}");
    for command in COMMANDS {
        let page = Wasmproc::new(["man", command]).output().expect(0).text();
        assert!(page.contains(&format!(".TH wasmproc-{command}")), "{page}");
    }
    Wasmproc::new(["man", "frobnicate"]).output().expect(125);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let script = "\"$@\" | head -1";
    let ended = Wasmproc::through_shell(script, ["inspect", programs::CAT]).output().expect(0);
    assert_eq!((ended.lines().len(), ended.stderr.as_str()), (1, ""), "{ended:?}");
}

#[test]
fn new_refuses_bad_names_and_overwrites_nothing() {
    let scratch = Scratch::new();
    scratch.folder("there");
    for name in ["there", "9lives", "a b", "", ".", "päckchen"] {
        let ended = Wasmproc::new(["new", name]).current_dir(scratch.path()).output().expect(125);
        assert!(!ended.stderr.is_empty(), "{name}");
    }
    assert_eq!(scratch.names(), ["there"]);
}

/// Also that `cargo run` and `cargo test` of a guest find wasmproc as their runner.
#[test]
fn a_new_project_builds_and_runs_at_once() {
    let scratch = Scratch::new();
    Wasmproc::new(["new", "squares"]).current_dir(scratch.path()).output().expect(0);
    let project = scratch.path().join("squares");
    // The same versions as here, so that nothing has to be looked up or fetched.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::copy(workspace.join("Cargo.lock"), project.join("Cargo.lock")).expect("a copy");
    let ended = cargo(&project, &["run", "--quiet"]).output().expect(0);
    assert_eq!(ended.lines().last().map(String::as_str), Some("the sum of the squares is 30"), "{ended:?}");

    std::fs::write(project.join("src/lib.rs"), "#[test]\nfn one_is_one() { assert_eq!(1, 1); }\n").expect("writable");
    let test = cargo(&project, &["test", "--quiet", "--lib"]);
    let ended = test.env("CARGO_TARGET_WASM32_WASIP2_RUNNER", format!("{EXECUTABLE} run")).output().expect(0);
    assert!(ended.text().contains("1 passed"), "{ended:?}");
}

/// Cargo in a guest's project, without what the cargo that runs this test has set.
fn cargo(project: &Path, arguments: &[&str]) -> Wasmproc {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let ours: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            (name.starts_with("CARGO") && !name.starts_with("CARGO_TARGET_") && name != "CARGO_HOME")
                || name.starts_with("RUST")
        })
        .filter(|name| !name.starts_with("RUSTUP_"))
        .collect();
    let unset: Vec<&str> = ours.iter().flat_map(|name| ["-u", name.as_str()]).collect();
    let words = [&["env"][..], &unset, &[cargo.as_str()]].concat();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-project");
    let command = Wasmproc::through(&words, arguments).current_dir(project).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", target).watchdog(Duration::from_secs(600))
}

#[test]
fn a_file_that_cannot_be_compiled_keeps_no_other_from_it() {
    let scratch = Scratch::new();
    let files = ["/nowhere.wasm", programs::SDK_EXIT];
    let ended =
        Wasmproc::new(["compile", "--json"].iter().chain(&files)).cache(scratch.at("cache")).output().expect(127);
    ended.complains_of(&["/nowhere.wasm"]);
    let done: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(done.as_array().map(Vec::len), Some(1), "{done}");
}
