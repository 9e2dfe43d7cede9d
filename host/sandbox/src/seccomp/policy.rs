//! The policies: for each role the system calls that its job needs, and no more.
//!
//! A call is listed with the reason it is there. Legacy calls of x86-64 that newer architectures never had stand in a
//! list of their own.

use libc::*;
use seccompiler::{SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompRule};

/// Whose filter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The compile worker: threads and memory.
    Compiler,
    /// Beside `Compiler`: the C library looks for files when threads allocate, and is content with not finding them.
    FilesNotFound,
    /// The zygote: what workers need, and what making them takes.
    Zygote(Files),
    /// What a worker, with this pid in its own namespace, loses of its zygote's list.
    Worker { pid: u32 },
}

/// Whether the run was granted any directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    None,
    Granted,
}

type Rules = Vec<(i64, Vec<SeccompRule>)>;

pub(super) fn rules(role: Role) -> Rules {
    let mut rules = Rules::new();
    match role {
        Role::Compiler => {
            allow(&mut rules, BASE);
            allow(&mut rules, LEGACY_BASE);
            allow(&mut rules, COMPILER);
            rules.extend(conditional());
            rules.push((SYS_clone, vec![thread_only()]));
        }
        Role::FilesNotFound => allow(&mut rules, &[SYS_openat]),
        Role::Zygote(files) => {
            allow(&mut rules, BASE);
            allow(&mut rules, LEGACY_BASE);
            allow(&mut rules, EVENTS);
            allow(&mut rules, LEGACY_EVENTS);
            allow(&mut rules, ZYGOTE_ONLY);
            if files == Files::Granted {
                allow(&mut rules, FILES);
            }
            rules.extend(conditional());
        }
        Role::Worker { pid } => {
            allow(&mut rules, ZYGOTE_ONLY);
            // It may abort itself; signals to others are not its business.
            rules.push((SYS_tgkill, vec![when(&[(0, Len::Dword, Op::Ne, u64::from(pid))])]));
        }
    }
    rules
}

fn allow(rules: &mut Rules, calls: &[i64]) {
    rules.extend(calls.iter().map(|&call| (call, Vec::new())));
}

/// Memory, time, locks, and descriptors that are already open.
const BASE: &[i64] = &[
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_munmap,
    SYS_brk,
    SYS_mremap,
    SYS_futex,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_restart_syscall,
    SYS_getrandom,
    SYS_sched_yield,
    SYS_getpid,
    SYS_gettid,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendto,
    SYS_recvfrom,
    SYS_ppoll,
    SYS_exit,
    SYS_exit_group,
    // A panic or a failed allocation of the host's own code aborts: it signals itself.
    SYS_tgkill,
    SYS_fstat,
    SYS_lseek,
];

#[cfg(target_arch = "x86_64")]
const LEGACY_BASE: &[i64] = &[SYS_poll, SYS_time, SYS_gettimeofday];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_BASE: &[i64] = &[];

/// The event loop under `wasi:io/poll`, and its timers.
const EVENTS: &[i64] = &[
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_futex_waitv,
    // The processor-time limit of a child is set when its work is known; limits can only be lowered.
    SYS_setitimer,
];

#[cfg(target_arch = "x86_64")]
const LEGACY_EVENTS: &[i64] = &[SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_EVENTS: &[i64] = &[];

/// `wasi:filesystem`, in directories that came as descriptors. `fchdir` enters one of them once, to preopen it.
const FILES: &[i64] = &[
    SYS_openat,
    SYS_openat2,
    SYS_fchdir,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_getdents64,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_utimensat,
    SYS_fadvise64,
    SYS_fstatfs,
    SYS_copy_file_range,
    SYS_newfstatat,
    SYS_statx,
];

/// Threads for parallel compilation, and the memory file that the artifact leaves in.
const COMPILER: &[i64] = &[
    SYS_clone3,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_memfd_create,
    SYS_openat,
    // The engine installs its trap handlers, and threads take names.
    SYS_rt_sigaction,
    SYS_prctl,
];

/// Making a worker, and what a worker does before its own filter is on.
const ZYGOTE_ONLY: &[i64] = &[SYS_clone3, SYS_prctl, SYS_seccomp, SYS_close_range, SYS_dup3, SYS_rt_sigaction];

/// Calls that are allowed with some arguments only.
fn conditional() -> Rules {
    let no_exec = |argument| when(&[(argument, Len::Dword, Op::MaskedEq(PROT_EXEC as u64), 0)]);
    let advice = |advice: i32| when(&[(2, Len::Dword, Op::Eq, advice as u64)]);
    let control = |command: i32| when(&[(1, Len::Dword, Op::Eq, command as u64)]);
    vec![
        // New memory is never executable, and what is executable is never made writable again.
        (SYS_mmap, vec![no_exec(2)]),
        (SYS_mprotect, vec![no_exec(2)]),
        // No hole is punched into memory that is shared with others.
        (SYS_madvise, vec![advice(MADV_DONTNEED), advice(MADV_FREE)]),
        (SYS_fcntl, vec![control(F_GETFL), control(F_GETFD), control(F_DUPFD_CLOEXEC)]),
        // Only of this process itself, and only downwards, for without capabilities hard limits don't rise.
        (SYS_prlimit64, vec![when(&[(0, Len::Dword, Op::Eq, 0)])]),
    ]
}

/// clone(2) only with the flag that makes a thread of this process.
fn thread_only() -> SeccompRule {
    when(&[(0, Len::Qword, Op::MaskedEq(CLONE_THREAD as u64), CLONE_THREAD as u64)])
}

fn when(conditions: &[(u8, Len, Op, u64)]) -> SeccompRule {
    let conditions = conditions
        .iter()
        .map(|(argument, length, op, value)| {
            SeccompCondition::new(*argument, length.clone(), op.clone(), *value)
                .expect("the argument's index is below 6")
        })
        .collect();
    SeccompRule::new(conditions).expect("a rule has a condition")
}
