//! The seccomp policies are minimal: every call that is on a list is made by somebody, or there is a reason why it could.
//!
//! That they are sufficient is what all other tests show: a call that is not on a list ends its process.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use wasmproc_test_artifacts::{examples, programs, text};

use crate::harness::{Answer, Call, EXECUTABLE, Role, Scratch, Wasmproc};

/// Under the tracer a hundred processes take their time on a loaded machine.
const WATCHDOG: Duration = Duration::from_secs(150);

/// Calls that nothing here makes, and why they are allowed all the same.
const FOR_OTHER_MACHINES: &[(&str, &str)] = &[
    ("clock_gettime", "a real call where the clock can't be read without the kernel"),
    ("clock_getres", "the same"),
    ("restart_syscall", "made by the kernel when a process was stopped in a sleep and goes on"),
    ("rt_sigreturn", "the end of a handler"),
    ("rt_sigprocmask", "abort(3)"),
    ("getpid", "abort(3)"),
    ("gettid", "abort(3)"),
    ("tgkill", "abort(3)"),
    ("exit", "a thread that ends"),
    ("brk", "a heap that grows"),
    ("chroot", "where the root can't be pivoted away"),
    ("setgroups", "where root becomes somebody else without a user namespace"),
    ("setresgid", "the same"),
    ("setresuid", "the same"),
];

/// What is on the lists of a role, with directories granted.
fn allowed(role: Role) -> BTreeSet<String> {
    let lists: &[&str] = match role {
        Role::Compiler => &["compiler"],
        Role::Init => &["init"],
        _ => &["zygote", "files"],
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/policies/x86_64");
    let mut allowed = BTreeSet::new();
    for list in lists {
        let text = fs::read_to_string(folder.join(list).with_extension("json")).expect("a policy");
        let policy: Value = serde_json::from_str(&text).expect("JSON");
        let calls = policy[list]["filter"].as_array().expect("a list of calls");
        allowed.extend(calls.iter().map(|call| call["syscall"].as_str().expect("a name").to_owned()));
    }
    allowed
}

/// The calls that the filter of a role had to let pass.
fn made(role: Role, runs: Vec<Wasmproc>) -> BTreeSet<i64> {
    runs.into_iter().flat_map(|run| made_with(role, run, |_| Answer::Continue)).collect()
}

/// The same of one run, some of whose calls are answered otherwise.
fn made_with(role: Role, run: Wasmproc, mut answer: impl FnMut(&Call) -> Answer + Send) -> BTreeSet<i64> {
    let made = Mutex::new(BTreeSet::new());
    let note = |call: &Call| {
        let is_its_filter = match role {
            Role::Zygote => [Role::Zygote, Role::Worker].contains(&call.role),
            // Until they have their own, the zygotes that init forks have its filter.
            Role::Init => [Role::Init, Role::Zygote].contains(&call.role),
            _ => call.role == role,
        };
        if call.filters > 0 && is_its_filter {
            made.lock().expect("no panic").insert(call.number);
        }
        answer(call)
    };
    run.watchdog(WATCHDOG).traced(note).expect("it ends");
    made.into_inner().expect("no panic")
}

/// As the default filters of container runtimes do.
fn without_clone3(call: &Call) -> Answer {
    if call.number == libc::SYS_clone3 { Answer::Fail(libc::ENOSYS) } else { Answer::Continue }
}

/// As openat2 does while anything is renamed anywhere on the machine.
fn while_renamed(call: &Call) -> Answer {
    match (call.role, call.number) {
        (Role::Worker, libc::SYS_openat2) => Answer::Fail(libc::EAGAIN),
        _ => Answer::Continue,
    }
}

/// How often a set of runs is made: some calls are made only when threads get into each other's way.
const ROUNDS: usize = 8;

/// Asserts that every call on the list is made in some rounds of runs, or has its reason.
#[track_caller]
fn is_minimal(role: Role, round: impl Fn() -> BTreeSet<i64>) {
    let allowed = allowed(role);
    let unnamed: Vec<&String> = allowed.iter().filter(|name| number(name).is_none()).collect();
    assert!(unnamed.is_empty(), "this test does not know the numbers of {unnamed:?}");
    let reasons: BTreeSet<&str> = FOR_OTHER_MACHINES.iter().map(|(name, _)| *name).collect();
    let mut idle: BTreeSet<&str> = allowed.iter().map(String::as_str).filter(|name| !reasons.contains(name)).collect();
    for _ in 0..ROUNDS {
        let made = round();
        idle.retain(|name| number(name).is_some_and(|number| !made.contains(&number)));
        if idle.is_empty() {
            return;
        }
    }
    panic!("allowed to the {role:?} and made by nobody: {idle:?}");
}

#[test]
fn zygotes_and_workers_make_every_call_that_they_may() {
    let scratch = Scratch::new();
    scratch.folder("data");
    scratch.write("data/note", "hello");
    scratch.folder("untouched/below");
    scratch.write("untouched/note", "hello");
    let [grant, untouched] = ["data", "untouched"].map(|name| format!("{}::/data", scratch.at(name)));
    let runs = || {
        vec![
            Wasmproc::run(["--dir", &grant, programs::TRIES_AGAIN]),
            Wasmproc::run(["--dir", &grant, programs::TOUCHES_FILES, "/data"]),
            Wasmproc::run([programs::SPAWNS_MANY, "40"]).input("\n\n"),
            Wasmproc::run([programs::CAT]).input(vec![b'x'; 1 << 20]),
            Wasmproc::run(["--cpu-time", "50ms", programs::SPINS]),
            Wasmproc::run([programs::RECURSES]),
            Wasmproc::run([programs::MISTAKES]),
            Wasmproc::run([examples::BUNS]),
            Wasmproc::run([examples::RLOCK_CONDITION_BARRIER]),
            Wasmproc::run([text::GROWS_TABLES, "--max-memory", "16MiB"]),
        ]
    };
    is_minimal(Role::Zygote, || {
        let mut made = made(Role::Zygote, runs());
        made.extend(made_with(Role::Zygote, Wasmproc::run([programs::TRIES_AGAIN]), without_clone3));
        let through_parents = ["--dir", &untouched, programs::FILES, "read", "/data/below/../note"];
        made.extend(made_with(Role::Zygote, Wasmproc::run(through_parents), while_renamed));
        let taken_over = taking_over(Role::Worker, libc::SYS_socket);
        made.extend(made_with(Role::Zygote, Wasmproc::run([programs::SLEEPS, "30"]), taken_over));
        made
    });
}

#[test]
fn compilers_make_every_call_that_they_may() {
    let files = [programs::CAT, programs::MISTAKES, text::PREVIEW1, text::UNKNOWN_IMPORT, "/bin/true"];
    is_minimal(Role::Compiler, || {
        let runs = files.map(|file| Wasmproc::run(["--no-cache", "--timeout", "1s", file]));
        let mut made = made(Role::Compiler, runs.into());
        let taken_over = taking_over(Role::Compiler, libc::SYS_socket);
        made.extend(made_with(Role::Compiler, Wasmproc::run(["--no-cache", programs::CAT]), taken_over));
        made
    });
}

#[test]
fn init_makes_every_call_that_it_may() {
    let scratch = Scratch::new();
    scratch.folder("shared");
    scratch.write("shared/note", "hello");
    let grant = format!("{}::/data", scratch.path().display());
    // So many that zygotes are renewed.
    let many = [programs::SPAWNS_MANY, "200"];
    let as_root = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let as_root = ["unshare", "-Ur", "sh", "-c", as_root, "sh", EXECUTABLE, "run"];
    let runs = || {
        vec![
            Wasmproc::run([&["--tmp", "--dir", &grant][..], &many].concat()).input("\n\n"),
            Wasmproc::run(["--env", "MODE=fast", "--dir", &grant, programs::NARROWS]),
            Wasmproc::through(&as_root, many).input("\n\n"),
        ]
    };
    is_minimal(Role::Init, || {
        let mut made = made(Role::Init, runs());
        made.extend(made_with(Role::Init, Wasmproc::run(many).input("\n\n"), without_clone3));
        made
    });
}

/// A call that is not on the list ends the process that makes it, with the documented code and the call's number.
#[test]
fn a_worker_that_makes_another_call_is_ended_and_the_call_is_named() {
    for denied in [libc::SYS_socket, libc::SYS_ptrace, libc::SYS_execve, libc::SYS_openat, libc::SYS_clone3] {
        let ended = Wasmproc::run([programs::SLEEPS, "30"])
            .traced(taking_over(Role::Worker, denied))
            .expect("it ends")
            .expect(159);
        ended.complains_of(&["process 1 (main)", &format!("system call {denied},")]);
    }
}

/// Paths are walked by other calls in the end.
#[test]
fn files_are_found_while_others_are_renamed() {
    let scratch = Scratch::new();
    scratch.folder("data/below");
    scratch.write("data/note", "hello");
    scratch.write("secret", "secret");
    std::os::unix::fs::symlink("../secret", scratch.at("data/relative")).expect("a link");
    std::os::unix::fs::symlink("..", scratch.at("data/up")).expect("a link");
    let grant = format!("{}::/data", scratch.at("data"));
    let does = |what: &str, path: &str| {
        let run = Wasmproc::run(["--dir", &grant, programs::FILES, what, path]);
        run.watchdog(WATCHDOG).traced(while_renamed).expect("it ends")
    };
    for path in ["/data/note", "/data/below/../note", "/data/./below/.././note"] {
        assert_eq!(does("read", path).expect(0).text(), "hello\n", "{path}");
    }
    for path in ["/data", "/data/.", "/data/below/.."] {
        assert_eq!(does("list", path).expect(0).text(), "below note relative up\n", "{path}");
    }
    for path in ["/data/../secret", "/data/below/../../secret", "/data/relative", "/data/up/secret"] {
        assert!(!does("read", path).expect(1).text().contains("secret\n"), "{path}");
    }
}

/// It can't send itself the signal, and is told to have had it all the same.
#[test]
fn a_worker_that_aborts_has_had_the_signal_of_that() {
    let mut taken_over = taking_over(Role::Worker, 0);
    let aborts = move |call: &Call| match taken_over(call) {
        Answer::Instead(_) => Answer::InsteadWith(libc::SYS_tgkill, [1, 1, libc::SIGABRT as u64, 0, 0, 0]),
        other => other,
    };
    let ended = Wasmproc::run([programs::SLEEPS, "30"]).traced(aborts).expect("it ends").expect(134);
    ended.complains_of(&["process 1 (main)", "signal 6"]);
}

/// Who goes to sleep in this role makes this call instead.
fn taking_over(role: Role, instead: i64) -> impl FnMut(&Call) -> Answer + Send {
    let waits: &[i64] = match role {
        Role::Compiler => &[libc::SYS_futex],
        _ => &[libc::SYS_clock_nanosleep, libc::SYS_epoll_wait, libc::SYS_ppoll],
    };
    move |call| match call.role == role && waits.contains(&call.number) && call.filters > 0 && call.arguments[2] != 0 {
        true => Answer::Instead(instead),
        false => Answer::Continue,
    }
}

/// The numbers of the calls that policies name.
fn number(name: &str) -> Option<i64> {
    let number = match name {
        "brk" => libc::SYS_brk,
        "capget" => libc::SYS_capget,
        "capset" => libc::SYS_capset,
        "chdir" => libc::SYS_chdir,
        "chroot" => libc::SYS_chroot,
        "clock_getres" => libc::SYS_clock_getres,
        "clock_gettime" => libc::SYS_clock_gettime,
        "clock_nanosleep" => libc::SYS_clock_nanosleep,
        "clone" => libc::SYS_clone,
        "clone3" => libc::SYS_clone3,
        "close" => libc::SYS_close,
        "close_range" => libc::SYS_close_range,
        "dup3" => libc::SYS_dup3,
        "epoll_create1" => libc::SYS_epoll_create1,
        "epoll_ctl" => libc::SYS_epoll_ctl,
        "epoll_wait" => libc::SYS_epoll_wait,
        "eventfd2" => libc::SYS_eventfd2,
        "exit" => libc::SYS_exit,
        "exit_group" => libc::SYS_exit_group,
        "faccessat2" => libc::SYS_faccessat2,
        "fadvise64" => libc::SYS_fadvise64,
        "fchdir" => libc::SYS_fchdir,
        "fcntl" => libc::SYS_fcntl,
        "fdatasync" => libc::SYS_fdatasync,
        "fsconfig" => libc::SYS_fsconfig,
        "fsmount" => libc::SYS_fsmount,
        "fsopen" => libc::SYS_fsopen,
        "fstat" => libc::SYS_fstat,
        "fsync" => libc::SYS_fsync,
        "ftruncate" => libc::SYS_ftruncate,
        "futex" => libc::SYS_futex,
        "futex_waitv" => libc::SYS_futex_waitv,
        "getdents64" => libc::SYS_getdents64,
        "geteuid" => libc::SYS_geteuid,
        "getpid" => libc::SYS_getpid,
        "getppid" => libc::SYS_getppid,
        "getrandom" => libc::SYS_getrandom,
        "gettid" => libc::SYS_gettid,
        "landlock_add_rule" => libc::SYS_landlock_add_rule,
        "landlock_create_ruleset" => libc::SYS_landlock_create_ruleset,
        "landlock_restrict_self" => libc::SYS_landlock_restrict_self,
        "linkat" => libc::SYS_linkat,
        "lseek" => libc::SYS_lseek,
        "madvise" => libc::SYS_madvise,
        "memfd_create" => libc::SYS_memfd_create,
        "mkdirat" => libc::SYS_mkdirat,
        "mmap" => libc::SYS_mmap,
        "mount_setattr" => libc::SYS_mount_setattr,
        "move_mount" => libc::SYS_move_mount,
        "mprotect" => libc::SYS_mprotect,
        "mremap" => libc::SYS_mremap,
        "munmap" => libc::SYS_munmap,
        "nanosleep" => libc::SYS_nanosleep,
        "newfstatat" => libc::SYS_newfstatat,
        "open" => libc::SYS_open,
        "open_tree" => libc::SYS_open_tree,
        "openat" => libc::SYS_openat,
        "openat2" => libc::SYS_openat2,
        "pivot_root" => libc::SYS_pivot_root,
        "poll" => libc::SYS_poll,
        "ppoll" => libc::SYS_ppoll,
        "prctl" => libc::SYS_prctl,
        "pread64" => libc::SYS_pread64,
        "preadv2" => libc::SYS_preadv2,
        "prlimit64" => libc::SYS_prlimit64,
        "pwrite64" => libc::SYS_pwrite64,
        "pwritev2" => libc::SYS_pwritev2,
        "read" => libc::SYS_read,
        "readlink" => libc::SYS_readlink,
        "readlinkat" => libc::SYS_readlinkat,
        "readv" => libc::SYS_readv,
        "recvfrom" => libc::SYS_recvfrom,
        "recvmsg" => libc::SYS_recvmsg,
        "renameat" => libc::SYS_renameat,
        "restart_syscall" => libc::SYS_restart_syscall,
        "rseq" => libc::SYS_rseq,
        "rt_sigaction" => libc::SYS_rt_sigaction,
        "rt_sigprocmask" => libc::SYS_rt_sigprocmask,
        "rt_sigreturn" => libc::SYS_rt_sigreturn,
        "sched_getaffinity" => libc::SYS_sched_getaffinity,
        "sched_yield" => libc::SYS_sched_yield,
        "seccomp" => libc::SYS_seccomp,
        "sendmsg" => libc::SYS_sendmsg,
        "sendto" => libc::SYS_sendto,
        "set_robust_list" => libc::SYS_set_robust_list,
        "setgroups" => libc::SYS_setgroups,
        "setitimer" => libc::SYS_setitimer,
        "setresgid" => libc::SYS_setresgid,
        "setresuid" => libc::SYS_setresuid,
        "sigaltstack" => libc::SYS_sigaltstack,
        "signalfd4" => libc::SYS_signalfd4,
        "socketpair" => libc::SYS_socketpair,
        "statx" => libc::SYS_statx,
        "symlinkat" => libc::SYS_symlinkat,
        "tgkill" => libc::SYS_tgkill,
        "umount2" => libc::SYS_umount2,
        "unshare" => libc::SYS_unshare,
        "unlinkat" => libc::SYS_unlinkat,
        "utimensat" => libc::SYS_utimensat,
        "wait4" => libc::SYS_wait4,
        "waitid" => libc::SYS_waitid,
        "write" => libc::SYS_write,
        "writev" => libc::SYS_writev,
        _ => return None,
    };
    Some(number)
}
