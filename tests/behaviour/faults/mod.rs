//! A machine that is short of something, at every moment: each system call that can fail for a lack of descriptors,
//! memory, processes, space or buffers does so once, in each process of a run.
//!
//! Whatever fails: the run ends, with its result or with one line and a documented exit code; nobody and nothing is left
//! behind; a guest whose own request it was is told, and may ask again.
//!
//! The short form, a sample, runs with the other tests. The long one, every call of every process:
//! `WASMPROC_FAULTS=all cargo test --test behaviour faults -- --nocapture`.

mod shortage;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmproc_test_artifacts::{programs, text};

use crate::harness::{Answer, Call, Ended, Role, Scratch, Wasmproc};
use shortage::Shortage;
use verdict::{Right, Verdict, judge};

/// How many calls fail in the short form of each test.
const SAMPLE: usize = 40;
/// A run takes a fraction of a second. Longer than any wait for something that does not come.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A run in which something is to fail.
struct Scenario {
    run: fn(&Scratch) -> Wasmproc,
    right: Right,
    /// What must hold of the files afterwards.
    after: fn(&Scratch) -> Result<(), String>,
    /// Whose calls fail.
    roles: &'static [Role],
}

/// One call that fails: the `nth` of this number, among all processes of this role.
#[derive(Debug, Clone, Copy)]
struct Fault {
    role: Role,
    shortage: Shortage,
    number: i64,
    nth: usize,
}

impl Fault {
    /// What the tracer asks: whether this is the call.
    fn injection(self) -> impl FnMut(&Call) -> Answer + Send {
        let mut seen = 0;
        move |call| {
            if call.role != self.role || call.number != self.number || !self.shortage.strikes(call) {
                return Answer::Continue;
            }
            seen += 1;
            if seen == self.nth { Answer::Fail(self.shortage.errno()) } else { Answer::Continue }
        }
    }
}

#[test]
fn starting_processes_and_making_objects_survives_every_shortage() {
    try_all(&Scenario {
        run: |_| Wasmproc::run([programs::TRIES_AGAIN]),
        right: Right { code: 0, last_line: "all of it" },
        after: |_| Ok(()),
        roles: &[Role::Supervisor, Role::Doorstep, Role::Init, Role::Zygote, Role::Worker],
    });
}

#[test]
fn granting_directories_survives_every_shortage() {
    try_all(&Scenario {
        run: |scratch| {
            scratch.folder("data");
            scratch.write("data/note", "hello");
            let grant = format!("{}::/data", scratch.at("data"));
            Wasmproc::run(["--tmp", "--dir", &grant, programs::TRIES_AGAIN])
        },
        right: Right { code: 0, last_line: "all of it" },
        after: |_| Ok(()),
        roles: &[Role::Doorstep, Role::Init, Role::Zygote, Role::Worker],
    });
}

#[test]
fn compiling_into_the_cache_survives_every_shortage() {
    try_all(&Scenario {
        run: |scratch| Wasmproc::run([text::EXIT_WITH_CODE]).cache(scratch.at("cache")),
        right: Right { code: 77, last_line: "" },
        after: cache_is_whole,
        roles: &[Role::Supervisor, Role::Launcher, Role::Compiler],
    });
}

#[test]
fn an_executed_init_survives_every_shortage() {
    try_all(&Scenario {
        run: |_| Wasmproc::run([text::EXIT_WITH_CODE]).env("WASMPROC_WORKER", crate::harness::EXECUTABLE),
        right: Right { code: 77, last_line: "" },
        after: |_| Ok(()),
        roles: &[Role::Supervisor, Role::Launcher, Role::Doorstep],
    });
}

#[test]
fn a_process_whose_sandbox_cant_be_set_up_is_told_apart() {
    let fault = Fault { role: Role::Worker, shortage: Shortage::Memory, number: libc::SYS_seccomp, nth: 1 };
    // With a directory, behind whose rules a worker has a filter of its own.
    let run = Wasmproc::run(["--report", "--json", "--tmp", text::EXIT_WITH_CODE]);
    let ended = run.traced(fault.injection()).expect("it ends").expect(125);
    assert!(ended.stderr.contains("\"cause\": \"sandbox-failed\""), "{ended:?}");
    assert!(ended.stderr.contains("its sandbox can't be set up"), "{ended:?}");
}

/// What is in the cache is an entry or nothing, and the next run works.
fn cache_is_whole(scratch: &Scratch) -> Result<(), String> {
    let cache = scratch.at("cache");
    let names: Vec<String> = fs::read_dir(&cache)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if names.iter().any(|name| name.starts_with('.') || !(name.ends_with(".cwasm") || name.ends_with(".json"))) {
        return Err(format!("the cache has {names:?}"));
    }
    let next = Wasmproc::run([text::EXIT_WITH_CODE]).cache(&cache).output();
    match next.status.code() {
        Some(77) if next.stderr.is_empty() => Ok(()),
        _ => Err(format!("the next run: {next:?}")),
    }
}

/// Makes one call after the other fail, each in a run of its own.
fn try_all(scenario: &Scenario) {
    let scratch = Scratch::new();
    (scenario.run)(&scratch).output();
    let faults = sample(faults_of(scenario));
    let (next, outcomes, wrong) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match try_one(scenario, fault) {
                        Ok(verdict) => {
                            *outcomes.lock().expect("no panic").entry((fault.role, verdict)).or_insert(0) += 1
                        }
                        Err(why) => {
                            eprintln!("{fault:?}: {why}");
                            wrong.lock().expect("no panic").push(format!("{fault:?}: {why}"));
                        }
                    }
                }
            });
        }
    });
    println!("{} calls failed: {:?}", faults.len(), outcomes.into_inner().expect("no panic"));
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), faults.len(), wrong.join("\n"));
}

/// Every call that can fail, as often as a run makes it.
fn faults_of(scenario: &Scenario) -> Vec<Fault> {
    let mut counts: BTreeMap<(Role, Shortage, i64), usize> = BTreeMap::new();
    let count = |call: &Call| {
        for shortage in Shortage::ALL {
            if scenario.roles.contains(&call.role) && shortage.strikes(call) {
                *counts.entry((call.role, shortage, call.number)).or_default() += 1;
            }
        }
        Answer::Continue
    };
    let scratch = Scratch::new();
    let ended = (scenario.run)(&scratch).watchdog(WATCHDOG).traced(count).expect("it ends");
    assert_eq!(judge(&ended, &scenario.right, Role::Supervisor).expect("all is well"), Verdict::Unharmed, "{ended:?}");
    let faults = |((role, shortage, number), count)| (1..=count).map(move |nth| Fault { role, shortage, number, nth });
    counts.into_iter().flat_map(faults).collect()
}

/// All of them in the long form; else some, spread over all.
fn sample(faults: Vec<Fault>) -> Vec<Fault> {
    if std::env::var_os("WASMPROC_FAULTS").is_some() {
        return faults;
    }
    let step = faults.len().div_ceil(SAMPLE).max(1);
    faults.into_iter().skip(step / 2).step_by(step).collect()
}

fn try_one(scenario: &Scenario, fault: Fault) -> Result<Verdict, String> {
    let scratch = Scratch::new();
    let ended: Ended = (scenario.run)(&scratch)
        .watchdog(WATCHDOG)
        .traced(fault.injection())
        .map_err(|trouble| format!("{trouble:?}"))?;
    let verdict = judge(&ended, &scenario.right, fault.role).map_err(|wrong| format!("{wrong}: {ended:?}"))?;
    (scenario.after)(&scratch)?;
    Ok(verdict)
}
