//! Builds the guest programs and the SDK's examples with a cargo of its own, and writes a constant for each.
//!
//! A guest that no test names is an error here: it would rot, or somebody believes that it is tested.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Where guests come from: the module of constants, the sources relative to the workspace, where cargo puts the result.
const KINDS: [Kind; 3] = [
    Kind { module: "programs", sources: "tests/programs/src/bin", extension: "rs", built: Some("") },
    Kind { module: "examples", sources: "guest/rust/examples", extension: "rs", built: Some("examples") },
    // The text form is run as it is.
    Kind { module: "text", sources: "tests/programs/wat", extension: "wat", built: None },
];

struct Kind {
    module: &'static str,
    sources: &'static str,
    extension: &'static str,
    /// Below cargo's folder for the profile.
    built: Option<&'static str>,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for folder in ["tests/programs", "tests/behaviour", "host/benches", "guest/rust", "wit", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    let guests = out.join("guests");
    build(&root, &guests);

    let tests = text_of(&root.join("tests/behaviour")) + &text_of(&root.join("host/benches"));
    let mut constants = String::new();
    for kind in &KINDS {
        writeln!(constants, "pub mod {} {{", kind.module).expect("memory");
        for name in names(&root.join(kind.sources), kind.extension) {
            let constant = name.to_uppercase();
            let mention = format!("{}::{constant}", kind.module);
            if !mentions(&tests, &mention) {
                let file = root.join(kind.sources).join(&name).with_extension(kind.extension);
                println!(
                    "cargo::error=no test in tests/behaviour and no benchmark uses {mention}: use it, or remove {}",
                    file.display()
                );
            }
            let file = match kind.built {
                Some(folder) => guests.join(TARGET).join("debug").join(folder).join(format!("{name}.wasm")),
                None => root.join(kind.sources).join(format!("{name}.wat")),
            };
            assert!(file.is_file(), "cargo did not make {}", file.display());
            writeln!(constants, "    pub const {constant}: &str = {file:?};").expect("memory");
        }
        writeln!(constants, "}}").expect("memory");
    }
    fs::write(out.join("constants.rs"), constants).expect("OUT_DIR is writable");
}

/// The dev profile: it takes a third of the time that release takes, and no test measures speed.
fn build(root: &Path, guests: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo
        .args(["build", "--locked", "--target", TARGET, "--bins", "--examples"])
        .args(["-p", "wasmproc-test-programs", "-p", "wasmproc-guest"])
        .arg("--target-dir")
        .arg(guests)
        .current_dir(root);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the guests don't build: rustup target add {TARGET}, or see the errors above");
}

/// What cargo tells build scripts, and flags that are meant for the host, such as those of a coverage build.
fn belongs_to_the_outer_build(name: &str) -> bool {
    const OUTER: [&str; 10] = [
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTDOC",
        "TARGET",
        "HOST",
        "PROFILE",
        "MAKEFLAGS",
    ];
    const OF_THE_USER: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRY", "CARGO_REGISTRIES", "CARGO_TERM_"];
    let set_by_cargo = name.starts_with("CARGO_") && !OF_THE_USER.iter().any(|prefix| name.starts_with(prefix));
    set_by_cargo || OUTER.contains(&name) || name.starts_with("DEP_")
}

/// The names of the files in `folder` that end in `extension`, without it.
fn names(folder: &Path, extension: &str) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("readable").path());
    let wanted = files.filter(|file| file.extension().is_some_and(|found| found == extension));
    let mut names: Vec<String> =
        wanted.map(|file| file.file_stem().expect("a name").to_str().expect("UTF-8").to_owned()).collect();
    names.sort();
    names
}

/// All Rust code in `folder`, without comments.
fn text_of(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            text += &text_of(&path);
        } else {
            let file = fs::read_to_string(&path).expect("UTF-8");
            text.extend(file.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]));
        }
    }
    text
}

/// Whether `text` has `word` as a whole word.
fn mentions(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| !text[start + word.len()..].starts_with(is_part))
}
