//! The cache: what is in it is not compiled again; what is wrong with it is, and never stops a run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wasmproc::Manifest;
use wasmproc_test_artifacts::{examples, programs, text};

use crate::harness::{Ended, Scratch, Wasmproc, is_root, skip};

/// Compiles `program` into `cache` unless it is there. Returns whether it was.
#[track_caller]
fn was_cached(program: &str, cache: &str) -> bool {
    let ended = Wasmproc::new(["compile", "--json", program]).cache(cache).output().expect(0);
    let told: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    told[0]["already_cached"].as_bool().expect("a boolean")
}

#[track_caller]
fn exits_with_7(cache: &str) -> Ended {
    Wasmproc::run([programs::SDK_EXIT, "7"]).cache(cache).output().expect(7)
}

/// The files of the only entry, artifact first.
fn entry(cache: &str) -> (PathBuf, PathBuf) {
    let files = fs::read_dir(cache).expect("readable").map(|entry| entry.expect("readable").path());
    let artifact = files.into_iter().find(|path| path.extension().is_some_and(|it| it == "cwasm")).expect("an entry");
    let manifest = artifact.with_extension("json");
    (artifact, manifest)
}

#[test]
fn the_second_run_compiles_nothing() {
    let scratch = Scratch::new();
    let cache = scratch.at("deep/cache");
    exits_with_7(&cache);
    let (artifact, manifest) = entry(&cache);
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).expect("it is there");
    let before = (written(&artifact), written(&manifest));
    assert!(was_cached(programs::SDK_EXIT, &cache));
    assert_eq!(exits_with_7(&cache).stderr, "");
    assert_eq!((written(&artifact), written(&manifest)), before);
    assert_eq!(fs::metadata(&cache).expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn without_the_cache_nothing_is_kept() {
    let scratch = Scratch::new();
    Wasmproc::run(["--no-cache", programs::SDK_EXIT, "7"]).cache(scratch.at("cache")).output().expect(7);
    assert!(scratch.names().is_empty());
}

#[test]
fn the_same_bytes_under_another_name_are_the_same_entry() {
    let scratch = Scratch::new();
    let (cache, copy) = (scratch.at("cache"), scratch.copy(programs::SDK_EXIT, "other.wasm"));
    assert!(!was_cached(programs::SDK_EXIT, &cache));
    assert!(was_cached(&copy, &cache));
    assert!(!was_cached(programs::STD_EXIT, &cache));
}

/// Gives an entry this hash.
fn seal_anew(manifest: &Path, hash: blake3::Hash) {
    let mut record: Value = serde_json::from_slice(&fs::read(manifest).expect("readable")).expect("JSON");
    record["hash"] = hash.to_hex().as_str().into();
    fs::write(manifest, record.to_string()).expect("writable");
}

/// Something done to the artifact or the manifest of an entry.
type Damage = fn(&Path, &Path);

#[test]
fn a_damaged_entry_is_compiled_again() {
    let damages: [(&str, Damage); 11] = [
        ("a flipped bit", |artifact, _| {
            let mut bytes = fs::read(artifact).expect("readable");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(artifact, bytes).expect("writable");
        }),
        ("cut in half", |artifact, _| {
            let bytes = fs::read(artifact).expect("readable");
            fs::write(artifact, &bytes[..bytes.len() / 2]).expect("writable");
        }),
        ("an empty artifact", |artifact, _| fs::write(artifact, "").expect("writable")),
        ("no artifact", |artifact, _| fs::remove_file(artifact).expect("removable")),
        ("a directory for an artifact", |artifact, _| {
            fs::remove_file(artifact).expect("removable");
            fs::create_dir(artifact).expect("a folder");
        }),
        ("an empty manifest", |_, manifest| fs::write(manifest, "").expect("writable")),
        ("a manifest of noise", |_, manifest| fs::write(manifest, [0xff; 100]).expect("writable")),
        ("a manifest without fields", |_, manifest| fs::write(manifest, "{}").expect("writable")),
        ("another interface in the manifest", |_, manifest| {
            let text = fs::read_to_string(manifest).expect("readable");
            assert!(text.contains("wasi:cli/run@"), "it is a command: {text}");
            fs::write(manifest, text.replace("wasi:cli/run@", "wasi:cli/ran@")).expect("writable");
        }),
        ("a hash of the artifact alone", |artifact, manifest| {
            let bytes = fs::read(artifact).expect("readable");
            seal_anew(manifest, blake3::hash(&bytes));
        }),
        ("no manifest", |_, manifest| fs::remove_file(manifest).expect("removable")),
    ];
    for (damage, inflict) in damages {
        let scratch = Scratch::new();
        let cache = scratch.at("cache");
        assert!(!was_cached(programs::SDK_EXIT, &cache));
        let (artifact, manifest) = entry(&cache);
        inflict(&artifact, &manifest);
        exits_with_7(&cache);
        if damage != "a directory for an artifact" {
            assert!(was_cached(programs::SDK_EXIT, &cache), "{damage}: it was not repaired");
        }
    }
}

/// Another program's entry, whole and valid, lies where this one's belongs.
#[test]
fn a_swapped_entry_is_compiled_again() {
    for with_manifest in [false, true] {
        let (own, other) = (Scratch::new(), Scratch::new());
        let (cache, other_cache) = (own.at("cache"), other.at("cache"));
        assert!(!was_cached(programs::SDK_EXIT, &cache));
        assert!(!was_cached(programs::SHOW, &other_cache));
        let ((artifact, manifest), (other_artifact, other_manifest)) = (entry(&cache), entry(&other_cache));
        fs::copy(other_artifact, artifact).expect("a copy");
        if with_manifest {
            fs::copy(other_manifest, manifest).expect("a copy");
        }
        let ended = Wasmproc::run([programs::SDK_EXIT, "7"]).cache(&cache).output();
        assert_eq!(ended.code(), 7, "another program ran (manifest swapped too: {with_manifest})\n{ended:?}");
    }
}

/// An entry whose hash is right and whose bytes no engine can load.
#[test]
fn an_entry_that_cannot_be_loaded_is_compiled_again() {
    let scratch = Scratch::new();
    let cache = scratch.at("cache");
    assert!(!was_cached(programs::SDK_EXIT, &cache));
    let (artifact, manifest) = entry(&cache);
    let hash = |artifact: &[u8]| {
        let record: Value = serde_json::from_slice(&fs::read(&manifest).expect("readable")).expect("JSON");
        let known: Manifest = serde_json::from_value(record["manifest"].clone()).expect("a manifest");
        let known = serde_json::to_vec(&known).expect("JSON");
        (record["hash"].clone(), blake3::Hasher::new().update(&known).update(artifact).finalize())
    };
    let (stands, is) = hash(&fs::read(&artifact).expect("readable"));
    assert_eq!(stands, is.to_hex().as_str(), "the hash is of the manifest and the artifact");
    fs::write(&artifact, "nonsense").expect("writable");
    seal_anew(&manifest, hash(b"nonsense").1);
    exits_with_7(&cache);
    exits_with_7(&cache);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let scratch = Scratch::new();
    let file = scratch.write("file", "");
    for place in [file.clone(), format!("{file}/below"), "/proc/nowhere".to_owned()] {
        exits_with_7(&place).complains_of(&["warning", &place]);
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_not_trusted() {
    let scratch = Scratch::new();
    let cache = scratch.folder("cache");
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).expect("it is ours");
    exits_with_7(&cache).complains_of(&["warning", "chmod"]);
    exits_with_7(&cache).complains_of(&["warning", "chmod"]);
}

#[test]
fn a_read_only_or_full_cache_is_a_warning() {
    let scratch = Scratch::new();
    let cache = scratch.folder("cache");
    let mount = |options: &str| {
        // In a mount namespace of its own, which goes with the command.
        let script = format!("mount -t tmpfs -o mode=700,{options} none {cache} && exec \"$@\"");
        let words = ["unshare", "-m", "sh", "-c", &script, "sh", crate::harness::EXECUTABLE];
        Wasmproc::through(&words, ["run", programs::SDK_EXIT, "7"]).cache(&cache).output()
    };
    if !is_root() {
        return skip("only root can mount");
    }
    for options in ["ro", "size=16k"] {
        mount(options).expect(7).complains_of(&["warning", "not kept"]);
    }
    mount("size=64m").expect(7);
}

#[test]
fn many_runs_at_once_fill_one_cache() {
    let scratch = Scratch::new();
    let cache = scratch.at("cache");
    let runs: Vec<_> = (0..6).map(|_| Wasmproc::run([programs::SDK_EXIT, "7"]).cache(&cache).start()).collect();
    for run in runs {
        assert_eq!(run.end().expect(7).stderr, "");
    }
    assert!(was_cached(programs::SDK_EXIT, &cache));
    assert_eq!(fs::read_dir(&cache).expect("readable").count(), 2);
}

#[test]
fn the_cache_command_shows_and_clears() {
    let scratch = Scratch::new();
    let cache = scratch.at("cache");
    let show = || -> Value {
        let ended = Wasmproc::new(["cache", "--json"]).cache(&cache).output().expect(0);
        serde_json::from_slice(&ended.stdout).expect("JSON")
    };
    assert_eq!((&show()["entries"], &show()["bytes"]), (&Value::from(Vec::<Value>::new()), &Value::from(0)));
    was_cached(programs::SDK_EXIT, &cache);
    fs::write(Path::new(&cache).join("notes.txt"), "not ours").expect("writable");
    assert_eq!(show()["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(show()["folder"], cache.as_str());
    let ended = Wasmproc::new(["cache"]).cache(&cache).output().expect(0);
    assert!(ended.text().contains(&cache) && ended.text().contains("1 artifact"), "{ended:?}");
    Wasmproc::new(["cache", "clear"]).cache(&cache).output().expect(0);
    assert_eq!(show()["bytes"], 0);
    let left: Vec<_> = fs::read_dir(&cache).expect("readable").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["notes.txt"], "it removes what is its own");
}

/// Of a component whose code runs when it is instantiated there are no instances before there is a process.
#[test]
fn it_is_known_whose_code_runs_when_it_is_instantiated() {
    for (file, runs_at_start) in [(text::START_LOOPS, true), (programs::CAT, false), (examples::HELLO, false)] {
        let scratch = Scratch::new();
        let cache = scratch.at("cache");
        Wasmproc::new(["compile", file]).cache(&cache).output().expect(0);
        let (_, manifest) = entry(&cache);
        let record: Value = serde_json::from_slice(&fs::read(manifest).expect("readable")).expect("JSON");
        assert_eq!(record["manifest"]["runs_at_start"], runs_at_start, "{file}");
    }
}

/// None of these may keep a run waiting or fill memory.
#[test]
fn what_is_no_file_or_too_long_is_compiled_again() {
    let scratch = Scratch::new();
    let cache = scratch.at("cache");
    let spoil: [fn(&Path); 3] = [
        |file| rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO"),
        |file| std::os::unix::fs::symlink("/dev/zero", file).expect("a link"),
        |file| fs::File::create(file).and_then(|file| file.set_len(20 << 30)).expect("a long file"),
    ];
    for spoil in spoil {
        for which in ["json", "cwasm"] {
            exits_with_7(&cache);
            let file = entry(&cache).0.with_extension(which);
            fs::remove_file(&file).expect("it is there");
            spoil(&file);
            exits_with_7(&cache);
            assert!(was_cached(programs::SDK_EXIT, &cache), "it was put in order");
        }
    }
}

#[test]
fn a_cache_from_which_nothing_may_be_executed_is_read() {
    let scratch = Scratch::new();
    let folder = scratch.folder("cache");
    let script = format!("mount -t tmpfs -o noexec none {folder} || exit 99; exec \"$@\"");
    let words = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_wasmproc")];
    let ended = Wasmproc::through(&words, ["run", programs::SDK_EXIT, "7"]).cache(&folder).output();
    if ended.status.code().is_some_and(|code| code == 99 || code == 1) {
        return skip("no file system can be mounted here");
    }
    ended.expect(7);
}
