//! Strange surroundings that a command is started in: it works in them, or says in one line why it can't.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

#[cfg(target_arch = "x86_64")]
use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use rustix::process::Signal;
use wasmproc_test_artifacts::{examples, programs, text};

use crate::harness::{EXECUTABLE, Ended, Scratch, Wasmproc, is_root, skip};

/// For whole programs of the SDK that are compiled on a loaded machine.
const COMPILING: Duration = Duration::from_secs(150);

/// A run that starts processes and makes objects of all kinds, in a shell that was prepared.
fn prepared(script: &str, flags: &[&str]) -> Wasmproc {
    let words = [&["run"], flags, &[compiled(programs::TRIES_AGAIN)]].concat();
    Wasmproc::through_shell(&format!("{script} exec \"$@\""), words)
}

/// So that what is tried is a run and no compilation.
fn compiled(program: &'static str) -> &'static str {
    Wasmproc::new(["compile", program]).output().expect(0);
    program
}

#[track_caller]
fn works(command: Wasmproc) {
    let ended = command.output().expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("all of it\n", ""), "{ended:?}");
}

/// It works, with a warning that the second wall is thinner.
#[track_caller]
fn works_with_a_warning(ended: &Ended) {
    assert_eq!((ended.code(), ended.text().as_str()), (0, "all of it\n"), "{ended:?}");
    ended.complains_of(&["warning"]);
}

/// It works, or fails with one line. Returns whether it works.
#[track_caller]
fn works_or_says_why(ended: &Ended) -> bool {
    let works = ended.code() == 0;
    if works {
        assert_eq!(ended.stderr, "", "{ended:?}");
    } else {
        // A trap: what a guest's memory lacks.
        assert!([125, 126, 134].contains(&ended.code()), "{ended:?}");
        ended.complains_of(&[]);
    }
    works
}

// --- signals ---

/// Started by env(1) with this flag, everything is as ever.
#[track_caller]
fn is_no_hindrance(flag: &str) {
    let words = ["env", flag, EXECUTABLE];
    works(Wasmproc::through(&words, ["run", compiled(programs::TRIES_AGAIN)]));
    Wasmproc::through(&words, ["run", "--no-cache", text::EXIT_WITH_CODE]).output().expect(77);
    Wasmproc::through(&words, ["run", "--cpu-time", "200ms", programs::SPINS]).output().expect(152);
    Wasmproc::through(&words, ["run", "--timeout", "200ms", programs::SPINS]).output().expect(124);
    Wasmproc::through(&words, ["run", programs::RECURSES]).output().expect(134);
}

#[test]
fn blocked_signals_are_no_hindrance() {
    is_no_hindrance("--block-signal");
    let running = Wasmproc::through(&["env", "--block-signal", EXECUTABLE], ["run", programs::SLEEPS]).start();
    running.expect_stdout("ready");
    running.send(Signal::TERM);
    running.end().expect(143);
}

#[test]
fn ignored_signals_are_no_hindrance() {
    is_no_hindrance("--ignore-signal");
}

// --- descriptors ---

#[test]
fn every_combination_of_closed_streams_is_no_hindrance() {
    for combination in 0..8 {
        let closed: String = ["<&- ", ">&- ", "2>&- "]
            .into_iter()
            .enumerate()
            .filter(|(descriptor, _)| combination & (1 << descriptor) != 0)
            .map(|(_, closing)| closing)
            .collect();
        let ended = prepared(&format!("exec {closed};"), &[]).output().expect(0);
        assert_eq!(ended.text(), if combination & 2 == 0 { "all of it\n" } else { "" }, "{closed}{ended:?}");
        let compiles =
            Wasmproc::through_shell(&format!("exec \"$@\" {closed}"), ["run", "--no-cache", text::EXIT_WITH_CODE]);
        compiles.output().expect(77);
    }
}

#[test]
fn one_socket_may_be_all_streams() {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let theirs: [OwnedFd; 2] = [theirs.try_clone().expect("a descriptor").into(), theirs.into()];
    let [stdin, stdout] = theirs;
    let script = "exec \"$@\" 2>&1";
    let running = Wasmproc::through_shell(script, ["run", programs::CAT]).stdin(stdin).stdout(stdout).start();
    (&ours).write_all(b"around and back").expect("it reads");
    ours.shutdown(std::net::Shutdown::Write).expect("it is open");
    running.end().expect(0);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut &ours, &mut said).expect("text");
    assert_eq!(said, "around and back");
}

#[test]
fn a_full_pipe_is_waited_for() {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let room = rustix::pipe::fcntl_getpipe_size(&writer).expect("it is a pipe");
    writer.write_all(&vec![b'.'; room]).expect("there is room");
    let mut running = Wasmproc::run([compiled(programs::TRIES_AGAIN)]).stdout(writer).start();
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "it did not wait for its reader");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut reader, &mut said).expect("text");
    assert_eq!(said.trim_start_matches('.'), "all of it\n");
    running.end().expect(0);
}

// --- limits ---

#[test]
fn a_small_stack_is_enough_and_a_tiny_one_is_told_of() {
    prepared("ulimit -s 64;", &[]).output().expect(125).complains_of(&["ulimit -s"]);
    for kibibytes in [128, 192, 256] {
        works(prepared(&format!("ulimit -s {kibibytes};"), &[]));
        let script = format!("ulimit -s {kibibytes}; exec \"$@\"");
        Wasmproc::through_shell(&script, ["run", "--no-cache", text::EXIT_WITH_CODE]).output().expect(77);
    }
}

#[test]
fn small_limits_are_kept_to_or_named() {
    let hello = compiled(examples::HELLO);
    // Data, address space, size of files, locked memory: in KiB or blocks.
    for limit in ["-d 4096", "-d 65536", "-v 65536", "-v 1048576", "-f 0", "-f 1", "-f 1000", "-l 0", "-c 0"] {
        let script = format!("ulimit {limit}; exec \"$@\"");
        let run = Wasmproc::through_shell(&script, ["run", hello]).output();
        let works = works_or_says_why(&run);
        assert!(works || !limit.starts_with("-l") && !limit.starts_with("-c"), "{limit}: {run:?}");
        let compiling = Wasmproc::through_shell(&script, ["run", "--no-cache", examples::HELLO]);
        works_or_says_why(&compiling.watchdog(COMPILING).output());
    }
}

// --- files ---

#[test]
fn a_machine_without_proc_is_warned_of() {
    for hide in ["mount -t tmpfs none /proc", "umount -l /proc"] {
        let script = format!("{hide} && exec \"$@\"");
        let words = ["unshare", "-m", "sh", "-c", &script, "sh", EXECUTABLE];
        if !is_root() {
            return skip("only root can hide /proc");
        }
        let ended = Wasmproc::through(&words, ["run", compiled(programs::TRIES_AGAIN)]).output();
        works_with_a_warning(&ended);
        let compiled = Wasmproc::through(&words, ["run", "--no-cache", text::EXIT_WITH_CODE]).output().expect(77);
        compiled.complains_of(&["warning"]);
    }
}

#[test]
fn without_a_home_it_works_and_keeps_nothing_or_says_so() {
    let scratch = Scratch::new();
    let unset = ["env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "-u", "WASMPROC_CACHE_DIR"];
    let as_nobody_known = ["setpriv", "--reuid=54399", "--regid=54399", "--clear-groups"];
    if !is_root() {
        return skip("only root can become a user without a home");
    }
    let (executable, program) = (scratch.copy(EXECUTABLE, "wasmproc"), scratch.copy(text::EXIT_WITH_CODE, "guest.wat"));
    scratch.give_to(54_399);
    let words = [&unset[..], &as_nobody_known, &[executable.as_str()]].concat();
    let ended = Wasmproc::through(&words, ["run", &program]).output().expect(77);
    assert!(ended.stderr.lines().count() <= 1, "{ended:?}");
    // A home that can't be written to.
    let home = scratch.folder("home");
    let set = ["env", "-u", "XDG_CACHE_HOME", "-u", "WASMPROC_CACHE_DIR"];
    let home = format!("HOME={home}");
    let words = [&set[..], &[home.as_str()], &as_nobody_known, &[executable.as_str()]].concat();
    Wasmproc::through(&words, ["run", &program]).output().expect(77).complains_of(&["warning", "not kept"]);
}

#[test]
fn a_strict_umask_makes_no_folder_that_its_owner_cannot_use() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let scratch = Scratch::new();
    let (executable, program) = (scratch.copy(EXECUTABLE, "wasmproc"), scratch.copy(text::EXIT_WITH_CODE, "guest.wat"));
    scratch.give_to(54_398);
    let cache = scratch.at("cache");
    let words = ["setpriv", "--reuid=54398", "--regid=54398", "--clear-groups"];
    let strict = ["sh", "-c", "umask 0777; exec \"$@\"", "sh"];
    let run = |umask: &[&str]| {
        let words = [&words[..], umask, &[executable.as_str()]].concat();
        Wasmproc::through(&words, ["run", &program]).cache(&cache).output().expect(77)
    };
    for umask in [&strict[..], &strict, &[]] {
        let ended = run(umask);
        assert_eq!(ended.stderr, "", "{ended:?}");
    }
    let mode = fs::metadata(&cache).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_deleted_folder_is_no_hindrance_and_can_not_be_granted() {
    let scratch = Scratch::new();
    let gone = scratch.at("gone");
    let script = format!("mkdir -p {gone}; cd {gone}; rmdir {gone};");
    works(prepared(&script, &[]));
    let refused = prepared(&script, &["--dir", "."]).output().expect(125);
    refused.complains_of(&["."]);
}

// --- words ---

#[test]
fn words_that_are_not_utf_8_are_files_or_mistakes() {
    let scratch = Scratch::new();
    let strange = OsStr::from_bytes(b"gu\xffest.wat");
    fs::copy(text::EXIT_WITH_CODE, scratch.path().join(strange)).expect("a copy");
    Wasmproc::run([strange]).current_dir(scratch.path()).output().expect(77);
    let missing = Wasmproc::run([OsStr::from_bytes(b"no\xff")]).output().expect(127);
    missing.complains_of(&["no"]);
    let words = [OsStr::new(programs::SHOW), OsStr::from_bytes(b"argu\xffment")];
    Wasmproc::run(words).output().expect(125).complains_of(&["UTF-8"]);
    let variable = OsStr::from_bytes(b"\xff\xfe");
    Wasmproc::run(["--env", "STRANGE", programs::SHOW])
        .env("STRANGE", variable)
        .output()
        .expect(125)
        .complains_of(&["STRANGE"]);
    works(Wasmproc::run([compiled(programs::TRIES_AGAIN)]).env("STRANGE", variable));
}

#[test]
fn a_megabyte_of_environment_is_no_hindrance() {
    let mut command = Wasmproc::run([compiled(programs::TRIES_AGAIN)]);
    for number in 0..10 {
        command = command.env(&format!("LONG_{number}"), "x".repeat(100_000));
    }
    works(command);
}

// --- who and where ---

#[test]
fn being_expected_to_die_first_is_no_hindrance() {
    works(prepared("echo 1000 > /proc/self/oom_score_adj;", &[]));
}

#[test]
fn inside_another_user_namespace_it_has_the_same_walls() {
    let words = ["unshare", "-Ur", EXECUTABLE];
    works(Wasmproc::through(&words, ["run", "--strict", compiled(programs::TRIES_AGAIN)]));
}

#[test]
fn a_process_that_may_gain_no_privileges_has_the_same_walls() {
    let words = ["setpriv", "--no-new-privs", EXECUTABLE];
    works(Wasmproc::through(&words, ["run", "--strict", compiled(programs::TRIES_AGAIN)]));
}

#[test]
fn clocks_that_are_days_ahead_are_no_hindrance() {
    let words = ["unshare", "-Ur", "--time", "--monotonic", "900000", "--boottime", "900000", "--fork", EXECUTABLE];
    works(Wasmproc::through(&words, ["run", compiled(programs::TRIES_AGAIN)]));
    Wasmproc::through(&words, ["run", "--timeout", "300ms", programs::SLEEPS]).output().expect(124);
}

#[cfg(target_arch = "x86_64")]
const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

/// What a filter answers instead of the kernel.
#[cfg(target_arch = "x86_64")]
const fn refused(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// Where a filter finds the number of a call.
#[cfg(target_arch = "x86_64")]
const NUMBER: u32 = 0;

/// A filter such as the default ones of containers: no user namespaces, and perhaps no clone3 either.
#[cfg(target_arch = "x86_64")]
fn inside_a_containers_filter(has_clone3: bool) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    const FIRST_ARGUMENT: u32 = 16;
    let clone3 = if has_clone3 { libc::SECCOMP_RET_ALLOW } else { refused(libc::ENOSYS) };
    installing([
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, NUMBER),
        step(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, libc::SYS_clone3 as u32),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, libc::SYS_unshare as u32),
        step(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, libc::SYS_clone as u32),
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, FIRST_ARGUMENT),
        step(BPF_JMP | BPF_JSET | BPF_K, 0, 2, libc::CLONE_NEWUSER as u32),
        step(BPF_RET | BPF_K, 0, 0, refused(libc::EPERM)),
        step(BPF_RET | BPF_K, 0, 0, clone3),
        step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "filters are installed with raw system calls")]
fn installing<const STEPS: usize>(
    filter: [libc::sock_filter; STEPS],
) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    move || {
        let mut filter = filter;
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the program is valid, and read before this returns.
        match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn inside_a_containers_filter_it_works_with_a_warning() {
    let run = Wasmproc::run([compiled(programs::TRIES_AGAIN)]).first(inside_a_containers_filter(true));
    works_with_a_warning(&run.output());
    let compiling = Wasmproc::run(["--no-cache", text::EXIT_WITH_CODE]).first(inside_a_containers_filter(true));
    compiling.output().expect(77).complains_of(&["warning", "user namespace"]);
    let strict = Wasmproc::run(["--strict", programs::TRIES_AGAIN]).first(inside_a_containers_filter(true));
    strict.output().expect(125).complains_of(&["--strict", "user namespace"]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn inside_a_containers_filter_without_clone3_it_works_too() {
    let run = Wasmproc::run([compiled(programs::TRIES_AGAIN)]).first(inside_a_containers_filter(false));
    works_with_a_warning(&run.output());
    let compiling = Wasmproc::run(["--no-cache", text::EXIT_WITH_CODE]).first(inside_a_containers_filter(false));
    compiling.output().expect(77).complains_of(&["warning", "user namespace"]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn where_no_namespace_can_be_entered_it_has_the_same_walls() {
    let no_setns = installing([
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, NUMBER),
        step(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, libc::SYS_setns as u32),
        step(BPF_RET | BPF_K, 0, 0, refused(libc::EPERM)),
        step(BPF_RET | BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]);
    works(Wasmproc::run(["--strict", compiled(programs::TRIES_AGAIN)]).first(no_setns));
}

#[test]
fn in_a_changed_root_it_works_with_a_warning() {
    if !is_root() {
        return skip("only root can change the root");
    }
    let scratch = Scratch::new();
    scratch.copy(EXECUTABLE, "wasmproc");
    scratch.copy(programs::TRIES_AGAIN, "guest.wasm");
    scratch.folder("dev");
    let root = scratch.path().to_str().expect("UTF-8");
    fs::write(Path::new(root).join("dev/null"), "").expect("a file in the place of the device");
    let words = ["chroot", root, "/wasmproc"];
    let ended = Wasmproc::through(&words, ["run", "/guest.wasm"]).cache("/cache").watchdog(COMPILING).output();
    works_with_a_warning(&ended);
}
