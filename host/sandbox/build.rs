//! Compiles the seccomp policies of `policies/` for the target, so that no run has to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use seccompiler::{BpfMap, TargetArch};
use serde_json::{Value, json};

/// The filters, and which policies each is made of. What is allowed in one of them is allowed.
const FILTERS: &[(&str, &[&str])] = &[
    ("worker", &["worker"]),
    ("zygote", &["zygote"]),
    ("zygote-with-files", &["zygote", "files"]),
    ("init", &["init", "zygote", "files"]),
    ("compiler", &["compiler"]),
    ("files-not-found", &["files-not-found"]),
    ("threads-only", &["threads-only"]),
];

fn main() {
    println!("cargo::rerun-if-changed=policies");
    let target = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo names the architecture");
    let out = env::var("OUT_DIR").expect("cargo names a folder");
    let (mut constants, mut tests) = (String::new(), String::new());
    for architecture in ["x86_64", "aarch64"] {
        for (name, program) in filters(architecture) {
            let program = program.iter().map(|i| format!("i({}, {}, {}, {})", i.code, i.jt, i.jf, i.k));
            let program = program.collect::<Vec<_>>().join(", ");
            if architecture == target {
                let constant = name.to_uppercase().replace('-', "_");
                writeln!(constants, "pub(super) const {constant}: &[sock_filter] = &[{program}];").expect("a string");
            }
            writeln!(tests, "({architecture:?}, {name:?}, &[{program}]),").expect("a string");
        }
    }
    assert!(!constants.is_empty(), "there are no seccomp policies for {target}: wasmproc runs on x86-64 and aarch64");
    fs::write(Path::new(&out).join("filters.rs"), constants).expect("the filters are written");
    fs::write(Path::new(&out).join("all.rs"), format!("&[{tests}]")).expect("the filters are written");
}

/// All filters of an architecture, compiled.
fn filters(architecture: &str) -> BpfMap {
    let policies = policies(architecture);
    let merged: serde_json::Map<_, _> = FILTERS
        .iter()
        .map(|(filter, parts)| {
            let mut merged = policies[parts[0]].clone();
            merged["filter"] = rules(parts.iter().map(|part| &policies[*part]));
            ((*filter).to_owned(), merged)
        })
        .collect();
    let architecture: TargetArch = architecture.try_into().expect("a known architecture");
    let text = Value::Object(merged).to_string();
    seccompiler::compile_from_json(text.as_bytes(), architecture).expect("the policies are well formed")
}

/// Every policy of an architecture, by name.
fn policies(architecture: &str) -> BTreeMap<String, Value> {
    let folder = fs::read_dir(Path::new("policies").join(architecture)).expect("a folder of policies");
    let files = folder.map(|file| file.expect("a folder that can be read").path());
    let content = files.flat_map(|file| {
        let text = fs::read_to_string(&file).expect("a policy that can be read");
        let content: BTreeMap<String, Value> =
            serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("{}: {wrong}", file.display()));
        content
    });
    content.collect()
}

/// The rules of several policies: a call that one of them lists without arguments needs no other rule.
fn rules<'a>(policies: impl Iterator<Item = &'a Value>) -> Value {
    let mut rules: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for rule in policies.flat_map(|policy| policy["filter"].as_array().expect("a list of rules")) {
        rules.entry(rule["syscall"].as_str().expect("a name")).or_default().push(rule);
    }
    for rules in rules.values_mut() {
        if let Some(always) = rules.iter().find(|rule| rule.get("args").is_none()) {
            *rules = vec![*always];
        }
    }
    json!(rules.into_values().flatten().collect::<Vec<_>>())
}
