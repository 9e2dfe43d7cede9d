//! The compiled policies of both architectures, tried call by call. Only those of x86-64 are run by other tests.

use super::{OWN_PID, sock_filter};
use crate::fork_key::{HIGH, LOW};

const fn i(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Architecture, filter, program, and the list of rules that the program was made of.
const FILTERS: &[(&str, &str, &[sock_filter], &[sock_filter])] = include!(concat!(env!("OUT_DIR"), "/all.rs"));

const X86_64: u32 = 0xc000_003e;
const AARCH64: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const NOT_FOUND: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOENT as u32;

/// What the kernel would answer: as much of its interpreter as these programs use.
fn run(program: &[sock_filter], architecture: u32, call: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [0u32; 16];
    (data[0], data[1]) = (call, architecture);
    for (index, argument) in arguments.iter().enumerate() {
        (data[4 + index * 2], data[5 + index * 2]) = (*argument as u32, (*argument >> 32) as u32);
    }
    let (mut at, mut value) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        let jump = |taken: bool| usize::from(if taken { jt } else { jf });
        at += 1 + match u32::from(code) {
            0x20 => {
                value = data[k as usize / 4];
                0
            }
            0x54 => {
                value &= k;
                0
            }
            0x05 => k as usize,
            0x15 => jump(value == k),
            0x25 => jump(value > k),
            0x35 => jump(value >= k),
            0x06 => return k,
            other => panic!("instruction {other:#x} is none of those that the compiler makes"),
        };
    }
}

fn program(architecture: &str, name: &str) -> &'static [sock_filter] {
    let found = FILTERS.iter().find(|(of, filter, ..)| *of == architecture && *filter == name);
    found.expect("every architecture has every filter").2
}

fn answer(name: &str, call: i64, arguments: [u64; 6]) -> u32 {
    run(program("x86_64", name), X86_64, call as u32, arguments)
}

/// A few calls of each kind, by their numbers on both architectures: who may make them.
#[test]
fn calls_are_allowed_to_those_who_need_them() {
    let calls: &[(&str, u32, u32, &[&str])] = &[
        ("read", 0, 63, &["compiler", "zygote", "zygote-with-files", "init"]),
        ("clone3", 435, 435, &["compiler", "init"]),
        ("openat", 257, 56, &["compiler", "zygote-with-files", "init"]),
        ("epoll_create1", 291, 20, &["zygote", "zygote-with-files", "init"]),
        ("memfd_create", 319, 279, &[]),
        ("pivot_root", 155, 41, &["init"]),
        ("open_tree", 428, 428, &["init"]),
        ("socket", 41, 198, &[]),
        ("connect", 42, 203, &[]),
        ("execve", 59, 221, &[]),
        ("ptrace", 101, 117, &[]),
        ("kill", 62, 129, &[]),
        ("bpf", 321, 280, &[]),
        ("io_uring_setup", 425, 425, &[]),
        ("userfaultfd", 323, 282, &[]),
        ("process_vm_readv", 310, 270, &[]),
        ("keyctl", 250, 219, &[]),
        ("unshare", 272, 97, &[]),
        ("perf_event_open", 298, 241, &[]),
    ];
    for (name, x86_64, aarch64, allowed) in calls {
        for filter in ["compiler", "zygote", "zygote-with-files", "init"] {
            let expected = if allowed.contains(&filter) { ALLOW } else { TRAP };
            let on_x86_64 = run(program("x86_64", filter), X86_64, *x86_64, [0; 6]);
            let on_aarch64 = run(program("aarch64", filter), AARCH64, *aarch64, [0; 6]);
            assert_eq!((on_x86_64, on_aarch64), (expected, expected), "{name} in the filter {filter}");
        }
    }
}

#[test]
fn other_doors_into_the_kernel_are_shut() {
    for (architecture, name, program, _) in FILTERS {
        let (own, other) = if *architecture == "x86_64" { (X86_64, AARCH64) } else { (AARCH64, X86_64) };
        assert_eq!(run(program, I386, 0, [0; 6]), KILL, "{name} by int 0x80");
        assert_eq!(run(program, other, 0, [0; 6]), KILL, "{name} on another architecture");
        // These take away from what another filter allows.
        if !["worker", "files-not-found", "threads-only"].contains(name) {
            for call in 0..600 {
                assert_eq!(run(program, own, X32 | call, [0; 6]), TRAP, "{name}: call {call} by the x32 door");
            }
            assert_eq!(run(program, own, u32::MAX, [0; 6]), TRAP);
        }
    }
}

#[test]
fn memory_does_not_become_executable() {
    let (read_write, executable) = (3, 7);
    for filter in ["zygote", "zygote-with-files", "compiler"] {
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert_eq!(answer(filter, call, [0, 4096, read_write, 0x22, 0, 0]), ALLOW);
            assert_eq!(answer(filter, call, [0, 4096, executable, 0x22, 0, 0]), TRAP);
            assert_eq!(answer(filter, call, [0, 4096, 1 << 32 | executable, 0x22, 0, 0]), TRAP, "only 32 bits count");
        }
        assert_eq!(answer(filter, libc::SYS_pkey_mprotect, [0, 4096, executable, 0, 0, 0]), TRAP);
        assert_eq!(answer(filter, libc::SYS_madvise, [0, 4096, libc::MADV_REMOVE as u64, 0, 0, 0]), TRAP);
    }
    // Init's zygotes map compiled code before they install their own filter.
    assert_eq!(answer("init", libc::SYS_mmap, [0, 4096, executable, 0x22, 0, 0]), ALLOW);
}

#[test]
fn a_compiler_signals_itself_and_workers_nobody() {
    let signal = |filter, to: u32| answer(filter, libc::SYS_tgkill, [to.into(), 0, 6, 0, 0, 0]);
    assert_eq!((signal("compiler", OWN_PID), signal("compiler", 1)), (ALLOW, TRAP));
    assert_eq!((signal("zygote", OWN_PID), signal("zygote-with-files", OWN_PID)), (TRAP, TRAP));
    let places = |name| program("x86_64", name).iter().filter(|instruction| instruction.k == OWN_PID).count();
    assert_eq!((places("compiler"), places("zygote")), (1, 0));
}

/// Workers have the zygote's filter.
#[test]
fn who_does_not_know_the_number_can_not_fork() {
    const FLAGS: u64 = 0x9000;
    let key = u64::from(HIGH) << 32 | u64::from(LOW);
    for (architecture, number, clone) in [("x86_64", X86_64, 56), ("aarch64", AARCH64, 220)] {
        for filter in ["zygote", "zygote-with-files"] {
            let clone = |flags, key| run(program(architecture, filter), number, clone, [flags, 0, 0, 0, 0, key]);
            assert_eq!(clone(FLAGS, key), ALLOW);
            for wrong in [0, 1, key ^ 1, key ^ 1 << 32, key >> 32, u64::from(LOW)] {
                assert_eq!(clone(FLAGS, wrong), TRAP, "{wrong:#x}");
            }
            assert_eq!(clone(FLAGS | libc::CLONE_VM as u64, key), TRAP, "it is for forking alone");
        }
    }
}

#[test]
fn a_worker_sets_up_itself_and_no_more() {
    let handler = |signal: i32| answer("zygote", libc::SYS_rt_sigaction, [signal as u64, 0, 0, 0, 0, 0]);
    assert_eq!([libc::SIGSYS, libc::SIGPROF, libc::SIGXCPU, libc::SIGABRT].map(handler), [TRAP; 4]);
    assert_eq!([libc::SIGILL, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV].map(handler), [ALLOW; 4]);
    let prctl =
        |operation: i32, value: i32| answer("zygote", libc::SYS_prctl, [operation as u64, value as u64, 0, 0, 0, 0]);
    assert_eq!((prctl(libc::PR_SET_NAME, 0), prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)), (ALLOW, ALLOW));
    assert_eq!((prctl(libc::PR_SET_DUMPABLE, 1), prctl(libc::PR_SET_PDEATHSIG, 0)), (TRAP, TRAP));
    assert_eq!(answer("zygote", libc::SYS_seccomp, [0; 6]), TRAP);
}

#[test]
fn a_worker_with_directories_loses_what_setting_up_takes() {
    for call in [libc::SYS_prctl, libc::SYS_seccomp, libc::SYS_landlock_restrict_self, libc::SYS_dup3] {
        assert_eq!((answer("zygote-with-files", call, [0; 6]), answer("worker", call, [0; 6])), (ALLOW, TRAP));
    }
    assert_eq!(answer("worker", libc::SYS_clone, [0x9000, 0, 0, 0, 0, 0]), TRAP);
    assert_eq!(answer("worker", libc::SYS_read, [0; 6]), ALLOW);
}

#[test]
fn a_compiler_makes_threads_and_no_processes() {
    let unknown = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    assert_eq!(answer("threads-only", libc::SYS_clone3, [0; 6]), unknown);
    let flags = |flags: i32| answer("compiler", libc::SYS_clone, [flags as u64, 0, 0, 0, 0, 0]);
    assert_eq!((flags(libc::CLONE_VM | libc::CLONE_THREAD), flags(libc::SIGCHLD)), (ALLOW, TRAP));
}

#[test]
fn a_compiler_finds_no_files() {
    assert_eq!(answer("files-not-found", libc::SYS_openat, [0; 6]), NOT_FOUND);
    assert_eq!(answer("compiler", libc::SYS_prctl, [libc::PR_SET_NAME as u64, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(answer("compiler", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0, 0]), TRAP);
}

#[test]
fn what_init_allows_includes_what_its_zygotes_do() {
    for call in 0..600 {
        let inner = answer("zygote-with-files", call, [0; 6]);
        assert!(inner == TRAP || answer("init", call, [0; 6]) == ALLOW, "call {call}");
    }
}

#[test]
fn a_search_tree_says_what_its_list_says() {
    for (architecture, name, tree, list) in FILTERS {
        let own = if *architecture == "x86_64" { X86_64 } else { AARCH64 };
        let numbers = (0..600).chain([X32, X32 | 1, u32::MAX]);
        for (call, argument) in numbers.flat_map(|call| [0, 1, 3, 4, 7, 36864, 65536].map(|argument| (call, argument)))
        {
            let says = |program| run(program, own, call, [argument; 6]);
            assert_eq!(says(tree), says(list), "{name} of {architecture}: call {call} with {argument}");
        }
    }
}

#[test]
fn every_filter_fits_the_kernel() {
    for (architecture, name, program, _) in FILTERS {
        assert!(program.len() < 4096, "{name} of {architecture} has {} instructions", program.len());
    }
}
