//! The second wall, as the kernel tells it of live processes; and machines where a part of it can't be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use wasmproc_test_artifacts::{examples, programs};

use crate::harness::{EXECUTABLE, Ended, Process, Running, Scratch, Wasmproc, eventually, is_root, skip};
use crate::killed::big_component;

const NAMESPACES: [&str; 6] = ["user", "mnt", "pid", "net", "ipc", "uts"];

fn sleeper(flags: &[&str]) -> Running {
    let running = Wasmproc::run(flags.iter().chain(&[programs::SLEEPS])).env("SECRET", "1").start();
    running.expect_stdout("ready");
    running
}

/// Whoever touches guest bytes.
fn guests(running: &Running) -> [Process; 2] {
    [running.process("wasmproc-worker"), running.process("wasmproc-zygote")]
}

#[test]
fn a_worker_has_no_privileges_and_a_filter() {
    let running = sleeper(&[]);
    for process in guests(&running) {
        assert_eq!(process.status("Seccomp"), "2", "{process:?}");
        assert_eq!(process.status("NoNewPrivs"), "1", "{process:?}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(process.status(set), "0000000000000000", "{set} of {process:?}");
        }
        assert_eq!(process.status("Threads"), "1", "{process:?}");
    }
}

/// Children are moved to other processors at their beginning, and to no others than they may use.
#[test]
fn processes_may_use_the_processors_that_the_command_may() {
    let own = Process::of(std::process::id().cast_signed()).expect("it is alive").status("Cpus_allowed_list");
    let first = own.split([',', '-']).next().expect("there is one").to_owned();
    for allowed in [own, first] {
        let words = ["taskset", "--cpu-list", &allowed, EXECUTABLE, "run"];
        let running = Wasmproc::through(&words, [programs::SLEEPS]).start();
        running.expect_stdout("ready");
        for name in ["wasmproc-init", "wasmproc-zygote", "wasmproc-worker"] {
            assert_eq!(running.process(name).status("Cpus_allowed_list"), allowed, "{name}");
        }
    }
}

#[test]
fn a_worker_has_its_zygotes_filter_and_with_directories_one_more() {
    let scratch = Scratch::new();
    let grant = format!("{}::/data", scratch.path().display());
    for (flags, filters) in [(&[][..], "1"), (&["--dir", &grant], "2")] {
        let running = sleeper(flags);
        let [worker, zygote] = guests(&running).map(|process| process.status("Seccomp_filters"));
        assert_eq!((worker.as_str(), zygote.as_str()), (filters, "1"));
    }
}

#[test]
fn a_worker_is_in_namespaces_of_its_own() {
    let running = sleeper(&[]);
    let own = Process::of(std::process::id().cast_signed()).expect("it is alive");
    for process in guests(&running) {
        for kind in NAMESPACES {
            let Some(namespace) = process.namespace(kind) else { return skip("only root may look at namespaces") };
            assert_ne!(Some(namespace), own.namespace(kind), "the {kind} namespace of {process:?}");
        }
    }
}

#[test]
fn a_compile_worker_is_in_namespaces_of_its_own() {
    let scratch = Scratch::new();
    let own = Process::of(std::process::id().cast_signed()).expect("it is alive");
    let running = Wasmproc::run(["--no-cache", &big_component(&scratch)]).start();
    let compiler = running.process("wasmproc-compil");
    // It takes its name first of all, and confines itself then.
    eventually("it has a filter", || compiler.status("Seccomp") == "2");
    for kind in NAMESPACES.into_iter().filter(|kind| *kind != "pid") {
        let Some(namespace) = compiler.namespace(kind) else { return skip("only root may look at namespaces") };
        assert_ne!(Some(namespace), own.namespace(kind), "the {kind} namespace");
    }
    running.end().expect(0);
}

#[test]
fn a_worker_sees_an_empty_root_and_an_empty_environment() {
    let running = sleeper(&[]);
    for process in guests(&running) {
        let (Ok(mut root), Ok(environment)) = (fs::read_dir(process.file("root")), fs::read(process.file("environ")))
        else {
            return skip("only root may look into processes that are not dumpable");
        };
        assert!(root.next().is_none(), "{process:?}");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let of_the_host =
            environment.split('\0').filter(|one| !one.is_empty() && !one.starts_with("RAYON_NUM_THREADS="));
        assert_eq!(of_the_host.count(), 0, "{environment:?}");
    }
}

/// Also not where the kernel had put it for the command, of which these processes are copies.
#[test]
fn what_the_command_was_called_with_is_in_no_memory_of_a_guest() {
    let scratch = Scratch::new();
    let report = format!("--report={}", scratch.at("argument-of-the-host"));
    let running = Wasmproc::run([&report, programs::SLEEPS]).env("SECRET", "variable-of-the-host").start();
    running.expect_stdout("ready");
    for process in guests(&running) {
        let Some(memory) = process.memory() else {
            return skip("only root may look into processes that are not dumpable");
        };
        let has = |text: &str| memory.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("wasmproc-init"), "{process:?} has been read");
        for secret in ["argument-of-the-host", "variable-of-the-host"] {
            assert!(!has(secret), "{secret} in {process:?}");
        }
    }
}

/// The number without which a zygote's filter lets nobody fork is the zygote's alone. Some of the workers are forked by one that
/// has forked before.
#[test]
fn what_forking_takes_is_in_no_memory_of_a_worker() {
    if !is_root() {
        return skip("only root may look into processes that are not dumpable");
    }
    let running = Wasmproc::run([programs::MULTIPLIES, "20"]).stdin(Stdio::piped()).start();
    running.expect_stdout("all wait");
    let has = |memory: &[u8], key: &[u8]| memory.windows(key.len()).any(|window| window == key);
    // In what was forked and has no other name yet there are zeros, and in a zygote that is not ready nothing.
    let key = |zygote: Process| {
        let key: [u8; 8] = *zygote.memory_with("wf")?.first_chunk()?;
        assert!(has(&zygote.memory()?, &key), "its own memory can be searched");
        (key != [0; 8]).then_some(key)
    };
    let mut keys = Vec::new();
    eventually("a zygote with a number", || {
        keys = running.processes("wasmproc-zygote", 1).into_iter().filter_map(key).collect();
        !keys.is_empty()
    });
    for worker in running.processes("wasmproc-worker", 41) {
        let memory = worker.memory().unwrap_or_default();
        assert!(memory.len() > 1 << 16 || !worker.is_alive(), "{worker:?} can be searched");
        for key in &keys {
            assert!(!has(&memory, key), "{key:?} in {worker:?}");
            // By chance once in a thousand.
            assert!(!(has(&memory, &key[..4]) && has(&memory, &key[4..])), "both halves of {key:?} in {worker:?}");
        }
    }
}

#[test]
fn a_worker_has_few_descriptors_and_none_of_the_host() {
    let scratch = Scratch::new();
    let grant = format!("{}::/data", scratch.path().display());
    let running = sleeper(&["--dir", &grant]);
    let worker = running.process("wasmproc-worker");
    let Ok(descriptors) = fs::read_dir(worker.file("fd")) else {
        return skip("only root may look into processes that are not dumpable");
    };
    let targets: Vec<PathBuf> = descriptors.flatten().filter_map(|one| fs::read_link(one.path()).ok()).collect();
    assert!(targets.len() <= 16, "{targets:?}");
    for target in &targets {
        let name = target.to_string_lossy();
        // A detached mount has no path but its own root. The artifact is where memories' first contents come from.
        let known = ["pipe:", "socket:", "anon_inode:", "/dev/null", "/null", "/memfd:"];
        let expected = known.iter().any(|prefix| name.starts_with(prefix)) || name == "/" || name.ends_with(".cwasm");
        assert!(expected, "{targets:?}");
    }
}

#[test]
fn a_worker_has_limits() {
    let running = sleeper(&["--max-memory", "64MiB"]);
    let worker = running.process("wasmproc-worker");
    let limits = fs::read_to_string(worker.file("limits")).expect("it is alive");
    let hard = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().nth(1).expect("a number").to_owned()
    };
    assert_eq!(hard("Max core file size"), "0");
    let files: u64 = hard("Max open files").parse().expect("it is limited");
    assert!(files <= 65_536, "{files} files");
    let data: u64 = hard("Max data size").parse().expect("it is limited");
    assert!(data < 512 << 20, "{data} bytes of data");
}

#[test]
fn the_report_names_the_walls() {
    let scratch = Scratch::new();
    let file = scratch.at("report.json");
    Wasmproc::run([&format!("--report={file}"), programs::SHOW]).output().expect(0);
    let report: Value = serde_json::from_slice(&fs::read(file).expect("written")).expect("JSON");
    let walls = &report["walls"];
    let named: Vec<&str> = walls["namespaces"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(named, ["user", "mount", "pid", "net", "ipc", "uts"]);
    assert_eq!((&walls["empty_root"], &walls["missing"]), (&Value::from(true), &Value::Array(Vec::new())));
}

#[test]
fn strict_is_content_with_this_machine() {
    let ended = Wasmproc::run(["--strict", programs::SHOW]).output().expect(0);
    assert_eq!(ended.stderr, "on stderr\n");
}

/// A cgroup that is delegated to this test, if the machine has any.
struct Delegated(PathBuf);

impl Delegated {
    fn new(name: &str) -> Option<Delegated> {
        let mounts = fs::read_to_string("/proc/mounts").expect("readable");
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = fields.into_iter().find(|fields| fields[2] == "cgroup2")?[1];
        let folder = Path::new(mount).join(format!("wasmproc-test-{name}"));
        fs::create_dir_all(&folder).ok().map(|()| Delegated(folder))
    }

    /// The cgroups of runs in it.
    fn runs(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("readable").map(|entry| entry.expect("readable"));
        let folders = entries.filter(|entry| entry.file_type().expect("it has one").is_dir());
        folders.map(|folder| folder.file_name().into_string().expect("text")).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for run in self.runs() {
            let _ = fs::remove_dir(self.0.join(run));
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_run_has_a_cgroup_of_its_own_where_one_is_delegated() {
    let Some(delegated) = Delegated::new("own") else { return skip("no cgroup can be made here") };
    let folder = delegated.0.display().to_string();
    let begin = || {
        let running = Wasmproc::run(["--cgroup", &folder, programs::SLEEPS]).start();
        running.expect_stdout("ready");
        let worker = running.process("wasmproc-worker").pid;
        let name = fs::read_to_string(format!("/proc/{worker}/cgroup")).expect("it is alive");
        let [run] = &delegated.runs()[..] else { panic!("{:?}", delegated.runs()) };
        assert!(name.contains(&format!("/wasmproc-test-own/{run}\n")), "{name}");
        running
    };
    let running = begin();
    running.send(rustix::process::Signal::TERM);
    running.end().expect(143);
    assert_eq!(delegated.runs(), [""; 0]);
    let running = begin();
    running.send(rustix::process::Signal::KILL);
    running.end();
    assert_eq!(delegated.runs().len(), 1, "nobody is left who could remove it");
    // The next run in the same place does.
    begin();
    let strict = Wasmproc::run(["--strict", "--cgroup", &folder, programs::SDK_EXIT, "0"]).output();
    let controllers = fs::read_to_string(delegated.0.join("cgroup.controllers")).expect("readable");
    let has_both = ["memory", "pids"].iter().all(|controller| controllers.contains(controller));
    strict.expect(if has_both { 0 } else { 125 });
}

#[test]
fn a_folder_that_is_no_cgroup_is_refused() {
    let ended = Wasmproc::run(["--cgroup", "/tmp", programs::SDK_EXIT, "0"]).output().expect(125);
    ended.complains_of(&["cgroup", "/tmp"]);
}

/// Runs on a machine that refuses user namespaces: inside of one, where their number is limited to none.
#[track_caller]
fn without_user_namespaces(and_without_capabilities: bool, arguments: &[&str]) -> Ended {
    let drop = if and_without_capabilities { "setpriv --bounding-set=-all --inh-caps=-all" } else { "" };
    // Without a bounding set and with no_new_privs even root gains nothing by executing a program.
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {drop} \"$@\"");
    let words = ["unshare", "-Ur", "sh", "-c", &script, "sh", EXECUTABLE];
    Wasmproc::through(&words, arguments).output()
}

/// So that a test of the run's walls is none of the compiler's.
#[track_caller]
fn compiled(program: &'static str) -> &'static str {
    Wasmproc::new(["compile", program]).output().expect(0);
    program
}

#[test]
fn without_user_namespaces_files_are_compiled() {
    for without_capabilities in [true, false] {
        without_user_namespaces(without_capabilities, &["run", "--no-cache", programs::SDK_EXIT, "7"]).expect(7);
    }
}

fn warnings(ended: &Ended) -> usize {
    ended.stderr.lines().filter(|line| line.starts_with("wasmproc: warning: ")).count()
}

#[test]
fn without_user_namespaces_a_run_warns_once_and_strict_refuses() {
    for without_capabilities in [true, false] {
        let ended =
            without_user_namespaces(without_capabilities, &["run", compiled(programs::SDK_EXIT), "7"]).expect(7);
        assert_eq!(warnings(&ended), 1, "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        let refused =
            without_user_namespaces(without_capabilities, &["run", "--strict", compiled(programs::SHOW)]).expect(125);
        refused.complains_of(&["--strict", "user namespace"]);
        assert_eq!(refused.text(), "", "it ran all the same");
    }
}

#[test]
fn without_user_namespaces_processes_start_processes() {
    for without_capabilities in [true, false] {
        let ended = without_user_namespaces(without_capabilities, &["run", compiled(examples::TEN)]).expect(0);
        assert_eq!(ended.lines().iter().filter(|line| line.ends_with("awake")).count(), 10, "{ended:?}");
        assert_eq!(warnings(&ended), 1, "{ended:?}");
    }
}

#[test]
fn without_namespaces_files_are_still_granted_and_nothing_else() {
    let scratch = Scratch::new();
    scratch.folder("granted");
    scratch.write("granted/note", "hello");
    scratch.write("secret", "secret");
    let grant = format!("{}::/data", scratch.at("granted"));
    let does = |what: &[&str]| {
        let flags = ["run", "--user", "0", "--dir", &grant, compiled(programs::FILES)];
        without_user_namespaces(true, &[&flags[..], what].concat())
    };
    assert_eq!(does(&["read", "/data/note"]).expect(0).text(), "hello\n");
    for way in ["/data/../secret", "/etc/passwd"] {
        does(&["read", way]).expect(1);
    }
}

#[test]
fn without_namespaces_a_killed_supervisor_leaves_nobody() {
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let words = ["unshare", "-Ur", "sh", "-c", script, "sh", EXECUTABLE];
    let running = Wasmproc::through(&words, ["run", compiled(programs::FAMILY)]).start();
    for line in ["main is ready", "child 1 is ready", "child 2 is ready"] {
        running.expect_stdout(line);
    }
    let footprint = crate::harness::Footprint::of(running.pid());
    running.send(rustix::process::Signal::KILL);
    footprint.is_gone();
    running.end();
}

/// Starts a run as root of a container that refuses user namespaces, but has all other users.
fn as_root_of_a_container(flags: &[&str]) -> Running {
    // The shell becomes root when its users are mapped, and has a root's capabilities from its next program on.
    let script = "echo unmapped; read mapped; exec sh -c \
        'echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"' sh \"$@\"";
    let words = ["unshare", "-U", "sh", "-c", script, "sh", EXECUTABLE, "run"];
    let mut running = Wasmproc::through(&words, flags).stdin(Stdio::piped()).start();
    running.expect_stdout("unmapped");
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", running.pid()), "0 0 65536").expect("root may");
    }
    running.say("mapped");
    running
}

#[test]
fn workers_of_a_containers_root_are_nobody() {
    if !is_root() {
        return skip("only root can map a range of users");
    }
    for (flags, user) in [(&[][..], "65534"), (&["--user", "1234:1234"], "1234")] {
        let running = as_root_of_a_container(&[flags, &[programs::SLEEPS]].concat());
        running.expect_stdout("ready");
        for process in guests(&running) {
            let users = process.status("Uid");
            assert!(users.split_whitespace().all(|one| one == user), "{users} with {flags:?}");
            let groups = process.status("Gid");
            assert!(groups.split_whitespace().all(|one| one == user), "{groups} with {flags:?}");
            assert_eq!(process.status("Groups"), "");
            assert_eq!(process.status("CapEff"), "0000000000000000");
        }
    }
}

#[test]
fn a_containers_root_must_say_as_whom_files_are_granted() {
    if !is_root() {
        return skip("only root can map a range of users");
    }
    let scratch = Scratch::new();
    let grant = format!("{}::/data", scratch.path().display());
    let list = |user: &[&str]| {
        let flags = [user, &["--dir", &grant, programs::FILES, "list", "/data"]].concat();
        as_root_of_a_container(&flags).end()
    };
    let refused = list(&[]).expect(125);
    assert!(refused.stderr.lines().last().is_some_and(|line| line.contains("--user")), "{refused:?}");
    let granted = list(&["--user", "0"]).expect(0);
    assert_eq!(warnings(&granted), 1, "{granted:?}");
}

#[test]
fn an_ordinary_user_has_the_same_walls() {
    if !is_root() {
        return skip("it is one that runs these tests");
    }
    const USER: u32 = 54_302;
    let scratch = Scratch::new();
    let executable = scratch.copy(EXECUTABLE, "wasmproc");
    let program = scratch.copy(programs::FILES, "guest.wasm");
    let cache = scratch.folder("cache");
    let data = scratch.folder("data");
    scratch.write("data/note", "hello");
    for folder in [&cache, &data] {
        std::os::unix::fs::chown(folder, Some(USER), Some(USER)).expect("root may");
    }
    scratch.give_to(USER);
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let words = ["setpriv", &user, &group, "--clear-groups", &executable, "run", "--strict"];
    let grant = format!("{data}::/data");
    let flags = ["--dir", &grant, &program];
    let run = |does: &[&str]| Wasmproc::through(&words, flags.iter().chain(does)).cache(&cache).output();
    assert_eq!(run(&["read", "/data/note"]).expect(0).text(), "hello\n");
    run(&["write", "/data/new", "x"]).expect(0);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(scratch.at("data/new")).expect("it was written"));
    assert_eq!(owner, USER);
}
