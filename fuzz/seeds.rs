//! Writes those seeds that are no text: `cargo run --bin seeds`.

use std::fs;
use std::io;
use std::path::Path;

// What is instrumented has to be linked with libFuzzer, and that with a target.
libfuzzer_sys::fuzz_target!(|_bytes: &[u8]| ());

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// A kind of object, its size, nothing in its memory, no writes, and every step by each process.
fn object(kind: u8) -> Vec<u8> {
    let steps = (0..10).chain([0x40, 0x41, 0x80, 0x81, 0x82]);
    let calls = steps.flat_map(|step| (0..3).flat_map(move |process| [step, process, 3, 2, 1]));
    [kind, 6, 0, 0].into_iter().chain(calls).collect()
}

/// The same with numbers in its memory, and a peer that writes.
fn damaged(kind: u8) -> Vec<u8> {
    let words = (0..24).flat_map(|at| [at, 0xc0 + at]);
    let writes = (0..24).flat_map(|at| [at % 5, at, at]);
    let mut seed = vec![kind, 6, 24];
    seed.extend(words);
    seed.push(24);
    seed.extend(writes);
    seed.extend(&object(kind)[4..]);
    seed
}

/// An entry that was kept and then damaged there.
fn entry(damages: &[[u8; 4]]) -> Vec<u8> {
    let artifact = b"native code";
    let mut seed = vec![1, artifact.len() as u8, 0];
    seed.extend(artifact);
    seed.extend(damages.iter().flatten());
    seed
}

/// Programs in their binary form, which can be mutated where text can't.
fn programs() -> Result<(), Box<dyn std::error::Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [here.join("seeds/components"), here.join("../tests/programs/wat")] {
        for file in fs::read_dir(folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "wat") {
                let name = file.with_extension("wasm");
                let name = name.file_name().unwrap_or_default().to_string_lossy();
                write("components", &name, &wat::parse_file(&file)?)?;
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    programs()?;
    for (name, bytes) in wasmproc::fuzzing::histories() {
        write("table", name, &bytes)?;
    }
    for (name, bytes) in wasmproc::fuzzing::packet_seeds() {
        write("channel", name, &bytes)?;
    }
    for (name, bytes) in wasmproc::fuzzing::told_seeds() {
        write("told", name, &bytes)?;
    }
    let kinds = ["lock", "event", "bounded", "signalling", "condition", "barrier", "queue", "pipe", "cells"];
    for (kind, name) in (0..).zip(kinds) {
        write("objects", name, &object(kind))?;
        write("objects", &format!("{name}-damaged"), &damaged(kind))?;
    }
    write("cache", "kept", &entry(&[]))?;
    write("cache", "damaged-artifact", &entry(&[[1, 2, 0, 1]]))?;
    write("cache", "damaged-record", &entry(&[[0, 20, 0, 1]]))?;
    write("cache", "damaged-manifest", &entry(&[[0, 200, 0, 1]]))?;
    write("cache", "cut", &entry(&[[129, 5, 0, 0], [128, 50, 0, 0]]))?;
    Ok(())
}
