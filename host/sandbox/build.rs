//! Compiles the seccomp policies of `policies/` for the target, so that no run has to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::{env, fs};

use libc::{BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_W};
use seccompiler::{TargetArch, sock_filter};
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
        for (name, [program, list]) in filters(architecture) {
            let [program, list] = [program, list].map(|program| {
                let steps = program.iter().map(|i| format!("i({}, {}, {}, {})", i.code, i.jt, i.jf, i.k));
                steps.collect::<Vec<_>>().join(", ")
            });
            if architecture == target {
                let constant = name.to_uppercase().replace('-', "_");
                writeln!(constants, "pub(super) const {constant}: &[sock_filter] = &[{program}];").expect("a string");
            }
            writeln!(tests, "({architecture:?}, {name:?}, &[{program}], &[{list}]),").expect("a string");
        }
    }
    assert!(!constants.is_empty(), "there are no seccomp policies for {target}: wasmproc runs on x86-64 and aarch64");
    fs::write(Path::new(&out).join("filters.rs"), constants).expect("the filters are written");
    fs::write(Path::new(&out).join("all.rs"), format!("&[{tests}]")).expect("the filters are written");
}

/// All filters of an architecture, compiled: as trees, and for the tests as the lists that those must agree with.
fn filters(architecture: &str) -> BTreeMap<&'static str, [Vec<sock_filter>; 2]> {
    let policies = policies(architecture);
    let filter = |(name, parts): &(&'static str, &[&str])| {
        let rules = rules(parts.iter().map(|part| &policies[*part]));
        let all = json!(rules.values().flatten().collect::<Vec<_>>());
        let policy = &policies[parts[0]];
        (*name, [search_tree(policy, rules, architecture), list(policy, all, architecture)])
    };
    FILTERS.iter().map(filter).collect()
}

/// A program that finds the rules for a call by its number. The kernel tries a filter with every number when it is installed,
/// and takes twice as long for one list of all rules.
fn search_tree(policy: &Value, rules: BTreeMap<&str, Vec<&Value>>, architecture: &str) -> Vec<sock_filter> {
    let numbered: BTreeMap<u32, Vec<&Value>> =
        rules.into_iter().map(|(name, rules)| (number(name, architecture), rules)).collect();
    let numbered: Vec<_> = numbered.into_iter().collect();
    let leaf = |calls: &[(u32, Vec<&Value>)]| {
        let rules: Vec<&&Value> = calls.iter().flat_map(|(_, rules)| rules).collect();
        (calls[0].0, list(policy, json!(rules), architecture))
    };
    let mut leaves: Vec<_> = numbered.chunks(LEAF).map(leaf).collect();
    if leaves.len() == 1 {
        return leaves.remove(0).1;
    }
    let firsts: Vec<u32> = leaves.iter().map(|(first, _)| *first).collect();
    let mut program = vec![step(BPF_LD | BPF_W | BPF_ABS, 0, 0, 0)];
    branch(&firsts, 0..firsts.len(), &mut program);
    // Each leaf in turn, which checks the architecture itself. A branch has left its place in the order open.
    for (index, (_, leaf)) in leaves.iter().enumerate() {
        let start = program.len();
        let jump =
            program.iter().position(|one| one.code == OPEN && one.k as usize == index).expect("a branch leads there");
        program[jump] = step(BPF_JMP | BPF_JA, 0, 0, (start - jump - 1) as u32);
        program.extend_from_slice(leaf);
    }
    program
}

/// Decides between some of the leaves by the numbers of their first calls.
fn branch(firsts: &[u32], leaves: Range<usize>, program: &mut Vec<sock_filter>) {
    if leaves.len() == 1 {
        return program.push(sock_filter { code: OPEN, jt: 0, jf: 0, k: leaves.start as u32 });
    }
    let middle = leaves.start + leaves.len() / 2;
    let decision = program.len();
    program.push(step(BPF_JMP | BPF_JGE | BPF_K, 0, 0, firsts[middle]));
    branch(firsts, leaves.start..middle, program);
    program[decision].jt = u8::try_from(program.len() - decision - 1).expect("a small tree");
    branch(firsts, middle..leaves.end, program);
}

/// Calls in a leaf of the tree.
const LEAF: usize = 5;
/// Stands for a jump to a leaf whose place is not known yet. No instruction has this code.
const OPEN: u16 = u16::MAX;

fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

/// Rules as the library compiles them, one after the other.
fn list(policy: &Value, rules: Value, architecture: &str) -> Vec<sock_filter> {
    let mut policy = policy.clone();
    policy["filter"] = rules;
    let architecture: TargetArch = architecture.try_into().expect("a known architecture");
    let text = json!({ "list": policy }).to_string();
    let compiled = seccompiler::compile_from_json(text.as_bytes(), architecture);
    compiled.expect("the policies are well formed").remove("list").expect("it was asked for")
}

/// The number of a call: the last that a program for this call alone compares with.
fn number(name: &str, architecture: &str) -> u32 {
    let policy = json!({ "mismatch_action": "trap", "match_action": "allow", "filter": [] });
    let program = list(&policy, json!([{ "syscall": name }]), architecture);
    let compares = |one: &&sock_filter| u32::from(one.code) == BPF_JMP | BPF_JEQ | BPF_K;
    program.iter().rfind(compares).expect("it compares").k
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
fn rules<'a>(policies: impl Iterator<Item = &'a Value>) -> BTreeMap<&'a str, Vec<&'a Value>> {
    let mut rules: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for rule in policies.flat_map(|policy| policy["filter"].as_array().expect("a list of rules")) {
        rules.entry(rule["syscall"].as_str().expect("a name")).or_default().push(rule);
    }
    for rules in rules.values_mut() {
        if let Some(always) = rules.iter().find(|rule| rule.get("args").is_none()) {
            *rules = vec![*always];
        }
    }
    rules
}
