//! Getting out: native code in the place of a guest tries, and is stopped, by more than one layer where it matters.
//!
//! Every attempt is made outside as well, where it works: one that can't work shows nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{Ended, Wasmproc, is_root, skip};

/// All attempts with the property that they are about.
fn attempts() -> BTreeMap<String, String> {
    let diagnosis = diagnosis(Wasmproc::new(["doctor", "--json"]).output());
    let attempts = diagnosis["attempts"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    attempts.map(|attempt| (text(&attempt["name"]), text(&attempt["property"]))).collect()
}

#[track_caller]
fn diagnosis(ended: Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|wrong| panic!("{wrong}: {ended:?}"))
}

/// How each of these attempts ends.
fn verdicts<'a>(flags: &[&'a str], names: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let words = ["attempt"].into_iter().chain(flags.iter().copied()).chain(names);
    let lines = Wasmproc::new(words).output().expect(0).lines();
    let pair = |line: &String| line.split_once(' ').map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
    lines.iter().filter_map(pair).collect()
}

fn is_stopped(verdict: &str) -> bool {
    ["refused: ", "trapped: ", "killed: "].iter().any(|how| verdict.starts_with(how))
}

#[test]
fn every_way_out_is_stopped_and_every_layer_is_there() {
    let ended = Wasmproc::new(["doctor", "--attempts"]).output().expect(0);
    assert!(ended.text().contains("all were stopped"), "{ended:?}");
    assert!(!ended.text().contains("missing") && !ended.text().contains("degraded"), "{ended:?}");
    let names: Vec<String> = attempts().into_keys().collect();
    assert!(names.len() > 50, "{names:?}");
    // Where nothing is granted the calls for files are denied as well.
    let verdicts = verdicts(&["--no-directory"], names.iter().map(String::as_str));
    assert_eq!(verdicts.len(), names.len());
    let escaped: Vec<_> = verdicts.iter().filter(|(_, verdict)| !is_stopped(verdict)).collect();
    assert!(escaped.is_empty(), "{escaped:?}");
    assert!(verdicts["open"].starts_with("trapped"), "{verdicts:?}");
}

#[test]
fn every_way_out_works_outside() {
    if !is_root() {
        return skip("some of them need root even outside");
    }
    for name in attempts().into_keys() {
        let ended = Wasmproc::new(["attempt", "--outside", &name]).output();
        let said = ended.text();
        // Two replace the process by a program that says nothing and ends well.
        let has_worked = match name.as_str() {
            "execve" | "execveat" => ended.code() == 0 && said.is_empty(),
            _ => said == format!("{name} escaped\n"),
        };
        // A kernel that was built without something, or a machine that denies it to everybody.
        let is_not_there = ["module", "x32", "int80", "io-uring", "bpf", "perf", "userfaultfd"]
            .contains(&name.as_str())
            && (said.contains("not implemented") || said.contains("not permitted") || ended.code() > 128);
        assert!(has_worked || is_not_there, "{name}: {ended:?}");
    }
}

#[test]
fn without_any_one_layer_the_others_stop_what_matters() {
    let layers = [
        "mount-namespace",
        "pid-namespace",
        "net-namespace",
        "ipc-namespace",
        "uts-namespace",
        "empty-root",
        "landlock",
        "seccomp",
        "capabilities",
        "limits",
    ];
    let attempts = attempts();
    for layer in layers {
        let verdicts = verdicts(&["--without", layer], attempts.keys().map(String::as_str));
        for (name, property) in &attempts {
            // A socket that reaches nobody, and what is the kernel's own surface: seccomp alone is for these. Nor is root
            // held by the limit of processes.
            let only_seccomp =
                property == "kernel" || ["socket", "fork", "fork3", "fork-as-zygote"].contains(&name.as_str());
            if layer == "seccomp" && only_seccomp {
                continue;
            }
            assert!(is_stopped(&verdicts[name]), "{name} without {layer}: {}", verdicts[name]);
        }
    }
}

#[test]
fn a_layer_that_is_left_out_is_not_there() {
    let how = |layer: &str, name: &str| verdicts(&["--without", layer], [name])[name].clone();
    assert_eq!(how("seccomp", "memfd"), "escaped");
    assert_eq!(how("seccomp", "trap-handler"), "escaped");
    // Landlock answers in the place of a root without files.
    assert!(how("empty-root", "open").contains("Permission denied"));
    assert!(how("mount-namespace", "open").contains("Permission denied"));
    assert!(how("landlock", "open").contains("No such file"));
    assert!(
        how("pid-namespace", "proc").contains("Permission denied") || how("pid-namespace", "proc").contains("No such")
    );
    let bad = Wasmproc::new(["attempt", "--without", "roof", "open"]).output();
    assert!(bad.code() == 125 && bad.stderr.contains("empty-root"), "{bad:?}");
}

/// What is on the list of workers without directories, which is that of their zygote, by numbers.
fn allowed_to_workers() -> BTreeSet<i64> {
    let names = |file: &str, filter: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(format!("{}/sandbox/policies/x86_64/{file}", env!("CARGO_MANIFEST_DIR")));
        let policy: Value = serde_json::from_str(&text.expect("a policy")).expect("JSON");
        let rules = policy[filter]["filter"].as_array().expect("a list");
        rules.iter().map(|rule| rule["syscall"].as_str().expect("a name").to_owned()).collect()
    };
    let known: BTreeMap<&str, i64> = NUMBERS.iter().copied().collect();
    // With arguments that an attempt without arguments doesn't have.
    let otherwise = ["clone", "prctl", "rt_sigaction"];
    let zygote = names("zygote.json", "zygote");
    let allowed = zygote.iter().filter(|name| !otherwise.contains(&name.as_str()));
    allowed.map(|name| *known.get(name.as_str()).unwrap_or_else(|| panic!("add {name} to NUMBERS"))).collect()
}

const NUMBERS: &[(&str, i64)] = &[
    ("brk", libc::SYS_brk),
    ("clock_getres", libc::SYS_clock_getres),
    ("clock_gettime", libc::SYS_clock_gettime),
    ("clock_nanosleep", libc::SYS_clock_nanosleep),
    ("close", libc::SYS_close),
    ("close_range", libc::SYS_close_range),
    ("dup3", libc::SYS_dup3),
    ("epoll_create1", libc::SYS_epoll_create1),
    ("epoll_ctl", libc::SYS_epoll_ctl),
    ("epoll_wait", libc::SYS_epoll_wait),
    ("eventfd2", libc::SYS_eventfd2),
    ("exit_group", libc::SYS_exit_group),
    ("fcntl", libc::SYS_fcntl),
    ("fstat", libc::SYS_fstat),
    ("futex", libc::SYS_futex),
    ("futex_waitv", libc::SYS_futex_waitv),
    ("getpid", libc::SYS_getpid),
    ("getrandom", libc::SYS_getrandom),
    ("gettid", libc::SYS_gettid),
    ("mmap", libc::SYS_mmap),
    ("mprotect", libc::SYS_mprotect),
    ("mremap", libc::SYS_mremap),
    ("munmap", libc::SYS_munmap),
    ("ppoll", libc::SYS_ppoll),
    ("prlimit64", libc::SYS_prlimit64),
    ("read", libc::SYS_read),
    ("recvmsg", libc::SYS_recvmsg),
    ("restart_syscall", libc::SYS_restart_syscall),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("rt_sigreturn", libc::SYS_rt_sigreturn),
    ("sched_yield", libc::SYS_sched_yield),
    ("sendmsg", libc::SYS_sendmsg),
    ("sendto", libc::SYS_sendto),
    ("setitimer", libc::SYS_setitimer),
    ("sigaltstack", libc::SYS_sigaltstack),
    ("write", libc::SYS_write),
];

#[test]
fn every_system_call_that_no_list_has_is_trapped() {
    let allowed = allowed_to_workers();
    assert!(allowed.len() < 40, "{} calls are a long list", allowed.len());
    let others = (0..480).chain([511, 512, 547, 1000, 0x4000_0000, 0x4000_0201]).filter(|call| !allowed.contains(call));
    let names: Vec<String> = others.map(|call| format!("syscall-{call}")).collect();
    for (name, verdict) in verdicts(&["--no-directory"], names.iter().map(String::as_str)) {
        let number = name.trim_start_matches("syscall-");
        // Newer kernels' own trampolines: no filter sees them, and the kernel refuses them to who calls them from elsewhere.
        if ["335", "336"].contains(&number) && is_stopped(&verdict) {
            continue;
        }
        assert_eq!(verdict, format!("trapped: system call {number}"), "{name}");
    }
}

#[test]
fn a_machine_without_user_namespaces_is_told_what_is_missing_and_holds() {
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let words = ["unshare", "-Ur", "sh", "-c", script, "sh", crate::harness::EXECUTABLE];
    let ended = Wasmproc::through(&words, ["doctor"]).output().expect(1);
    assert!(ended.text().contains("all were stopped"), "{ended:?}");
    let user = ended.lines().into_iter().find(|line| line.contains("user namespace")).expect("a line for each layer");
    assert!(user.contains("missing") && user.contains("user.max_user_namespaces"), "{user}");
    let landlock = ended.lines().into_iter().find(|line| line.contains("Landlock")).expect("a line for each layer");
    assert!(landlock.contains("enforced"), "{landlock}");
}
