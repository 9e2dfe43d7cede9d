//! What the fuzz targets in `fuzz/` call: one function for each side that bytes come from.
//!
//! They panic if a promise is broken. Not part of the library's interface, and only there with the feature `fuzzing`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use serde::Deserialize;

use crate::artifact::{Cache, Manifest, Refused, SourceKind, prints, seal, work};
use crate::cause::printable;
use crate::wire::compiler::{Answer, Job, Request};
use crate::{Access, Allowed, Cause, Outcome, Pid, ProcessReport, Report, cli, supervisor, units, wire};

/// A time up to which what is shown can be read again: 30 years.
const LONG: Duration = Duration::from_secs(1 << 30);

/// A name and bytes for a target to begin with.
pub type Seed = (&'static str, Vec<u8>);

/// What workers say, and all else that happens in a run, in the supervisor's table.
pub fn history(bytes: &[u8]) {
    supervisor::history::live(bytes);
}

/// Histories to begin with.
pub fn histories() -> Vec<Seed> {
    supervisor::history::seeds()
}

/// Packets on a control socket.
pub fn packets(bytes: &[u8]) {
    wire::framing::exchange(bytes);
}

/// Packets to begin with.
pub fn packet_seeds() -> Vec<Seed> {
    wire::framing::seeds()
}

/// A file to compile. Returns whether it could be.
pub fn component(bytes: &[u8]) -> bool {
    let described = compiled(Job::Describe, bytes);
    let compiled = compiled(Job::Compile, bytes);
    if let (Some(described), Some(compiled)) = (described, &compiled) {
        assert_eq!((described.imports, described.exports), (compiled.imports.clone(), compiled.exports.clone()));
    }
    compiled.is_some()
}

fn memory_file(bytes: &[u8]) -> File {
    let file = rustix::fs::memfd_create(c"wasmproc-fuzzed", MemfdFlags::CLOEXEC).expect("there is memory for a file");
    let mut file = File::from(file);
    file.write_all(bytes).expect("there is memory for its content");
    file
}

/// `None` if a printer of worlds has panicked, which in a compile worker is an answer.
fn without_panics_of_printers<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let ends = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !prints() {
                ends(panic)
            }
        }));
    });
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

fn compiled(job: Job, bytes: &[u8]) -> Option<Manifest> {
    let (source, artifact) = (memory_file(bytes), memory_file(&[]));
    let request = Request { name: "fuzzed.wasm".to_owned(), job };
    let answer = without_panics_of_printers(|| work(&request, source, artifact.try_clone().ok()))?;
    match answer {
        Ok(Answer::Compiled(manifest)) => {
            let length = artifact.metadata().map_or(0, |metadata| metadata.len());
            assert_eq!((job, length), (Job::Compile, manifest.artifact_bytes));
            Some(manifest)
        }
        Ok(Answer::Described(manifest, _)) if job == Job::Describe => Some(manifest),
        Ok(answer) => panic!("{answer:?} is no answer to {job:?}"),
        Err(Refused(reason)) => {
            assert!(!reason.is_empty() && !reason.chars().any(char::is_control), "one line: {reason:?}");
            None
        }
    }
}

/// An entry of the cache in `folder` that somebody made up (`KEY` and `HASH` stand for what they should be), or that was
/// kept and then damaged.
pub fn entry(folder: &Path, bytes: &[u8]) {
    let [how, low, high, rest @ ..] = bytes else { return };
    let (first, second) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
    let cache = Cache::at(folder);
    let key = "0123456789abcdef";
    let files = [folder.join(format!("{key}.json")), folder.join(format!("{key}.cwasm"))];
    let write = |index: usize, bytes: &[u8]| fs::write(&files[index], bytes).expect("a file can be written");
    if how % 2 == 0 {
        let text = String::from_utf8_lossy(first).replace("KEY", key);
        let written = serde_json::from_str::<Written>(&text).ok().map(|written| written.manifest);
        let hash = written.as_ref().and_then(|manifest| seal(manifest, second).ok()).unwrap_or_default();
        write(0, text.replace("HASH", &hash).as_bytes());
        write(1, second);
        if let Some((file, manifest)) = cache.find(key) {
            assert_eq!((contents(file.into()), Some(manifest)), (second.to_owned(), written), "it is what was written");
            assert!(text.contains("HASH"), "nobody guesses a hash");
        }
    } else {
        let kept = memory_file(first).into();
        let manifest = Manifest { artifact_bytes: first.len() as u64, ..manifest() };
        cache.keep(key, &kept, &manifest).expect("an entry can be kept");
        for damage in second.chunks_exact(4) {
            let [file, low, high, change] = [damage[0], damage[1], damage[2], damage[3]];
            let index = usize::from(file % 2);
            let mut bytes = fs::read(&files[index]).expect("the file was written");
            let position = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
            match bytes.get_mut(position) {
                Some(byte) if file < 128 => *byte ^= change,
                _ => bytes.truncate(position),
            }
            write(index, &bytes);
        }
        if let Some((file, found)) = cache.find(key) {
            assert_eq!((contents(file.into()), found), (first.to_owned(), manifest), "it is what was kept");
        } else {
            assert!(second.len() >= 4, "what was kept is found");
        }
    }
    assert!(cache.find("another").is_none(), "an entry is found under its own name only");
    assert!(cache.clear().is_ok() && cache.find(key).is_none() && cache.entries().is_ok_and(|left| left.is_empty()));
}

/// What an entry says of its artifact.
#[derive(Deserialize)]
struct Written {
    manifest: Manifest,
}

fn contents(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut bytes)).expect("what is found can be read");
    bytes
}

fn manifest() -> Manifest {
    Manifest {
        kind: SourceKind::Component,
        imports: vec!["wasi:cli/stdout@0.2.6".to_owned()],
        exports: vec!["wasi:cli/run@0.2.6".to_owned()],
        runs_at_start: false,
        source_bytes: 1,
        artifact_bytes: 2,
        compile_ms: 3,
    }
}

/// What a process or a compile worker says, as the user sees it.
pub fn told(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    if how % 2 == 0 {
        let Ok(Answer::Described(manifest, wit)) = postcard::from_bytes(rest) else { return };
        check_shown(&cli::shown_file(&manifest, &wit));
        assert!(manifest.run().is_none_or(|name| manifest.exports.iter().any(|export| export == name)));
        return;
    }
    let Ok((name, cause, numbers, timeout)) = postcard::from_bytes::<(String, Cause, [u32; 4], Duration)>(rest) else {
        return;
    };
    let outcome = outcome(&name, &cause, numbers, timeout);
    let [terminal, report, json] = cli::shown_end(&outcome).expect("a report can be written");
    for text in [&terminal, &report, &json, &cause.to_string()] {
        check_shown(text);
    }
    assert!(!cause.to_string().contains('\n'), "a cause is one line");
    let read: serde_json::Value = serde_json::from_str(&json).expect("a report can be read");
    let process = &read["processes"][0];
    assert_eq!((&read["exit_code"], &process["exit_code"]), (&cause.exit_code().into(), &cause.exit_code().into()));
    assert_eq!(
        (process["name"].as_str(), process["description"].as_str()),
        (Some(&*printable(&name)), Some(&*cause.to_string()))
    );
}

/// What was told, to begin with.
pub fn told_seeds() -> Vec<Seed> {
    let seed = |how: u8, told: postcard::Result<Vec<u8>>| [vec![how], told.unwrap_or_default()].concat();
    let trapped =
        Cause::Trapped { message: "it \u{1b}[31mtrapped".to_owned(), backtrace: "here\nthere\t\u{7}".to_owned() };
    let wit = "world root {\n  import \u{9b}31m;\n}".to_owned();
    vec![
        ("described", seed(0, postcard::to_stdvec(&Answer::Described(manifest(), wit)))),
        ("trapped", seed(1, postcard::to_stdvec(&("main", trapped, [1u32, 2, 3, 4], LONG)))),
        (
            "failed",
            seed(1, postcard::to_stdvec(&("a name", Cause::Failed("\r\n".to_owned()), [0u32; 4], Duration::ZERO))),
        ),
        ("killed", seed(1, postcard::to_stdvec(&("", Cause::Killed(Some(Pid(2))), [u32::MAX; 4], Duration::MAX)))),
    ]
}

fn outcome(name: &str, cause: &Cause, [parent, began, took, peak]: [u32; 4], timeout: Duration) -> Outcome {
    let seconds = |number: u32| Duration::from_secs(number.into());
    let process = ProcessReport {
        pid: Pid(1),
        name: name.to_owned(),
        parent: (parent > 0).then(|| Pid(parent.into())),
        started: seconds(began),
        duration: seconds(took),
        cause: cause.clone(),
        cpu_time: seconds(took),
        peak_memory_bytes: u64::from(peak) << 10,
        allowed: Allowed {
            max_memory_bytes: u64::MAX - u64::from(peak),
            cpu_time: Some(timeout),
            timeout: (parent > 0).then_some(timeout),
            directories: vec![(name.to_owned(), Access::ReadOnly), (format!("/{name}"), Access::ReadWrite)],
        },
    };
    let report = Report { processes: vec![process], ..Report::default() };
    Outcome { cause: cause.clone(), stopped_by: None, report }
}

/// Lines of text, and nothing that makes a terminal do anything else.
fn check_shown(text: &str) {
    assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "what is shown controls nothing: {text:?}");
}

/// Sizes, times, and the words of `wasmproc run`, one a line.
pub fn command_line(text: &str) {
    if let Ok(bytes) = units::bytes(text) {
        let again = units::bytes(&units::show_bytes(bytes)).expect("a size that is shown can be read");
        assert!(again.abs_diff(bytes) <= bytes / 16, "{bytes} is shown as {again}");
    }
    if let Ok(time) = units::duration(text)
        && time < LONG
    {
        let shown = units::show_duration(time);
        let again = units::duration(&shown).expect("a time that is shown can be read");
        assert!(again.abs_diff(time) <= time / 16 + Duration::from_micros(1), "{time:?} is shown as {shown}");
        assert!(!shown.ends_with(" 60 s"), "{time:?} is shown as {shown}");
    }
    let words: Vec<&str> = text.lines().collect();
    let Ok(task) = cli::understand(&words) else { return };
    if task.check().is_ok()
        && let Ok(views) = task.views()
    {
        for view in &views {
            assert!(view.guest.starts_with('/') && !view.guest.split('/').any(|part| part == ".."), "{}", view.guest);
            assert_eq!(views.iter().filter(|other| other.guest == view.guest).count(), 1, "each has its own name");
        }
    }
}
