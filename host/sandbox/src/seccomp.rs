//! Seccomp: which system calls a process may still make.
//!
//! A policy is data: one file for each role and architecture in `policies/`, compiled when this crate is built. Everything
//! that is not on a list traps: the handler of [`report_denied`] learns the number, so that the cause of death can name
//! the call. A filter's cost is in its installation, so it is installed once where it can be: init's is inherited by
//! zygotes that are started later, the zygote's by workers. It lets them do what workers may do, and fork if they know a
//! number that workers don't ([`ForkKey`]). Where directories are granted a worker adds a short one, behind its own Landlock
//! rules, that takes away what making those takes.
#![expect(unsafe_code, reason = "signal handlers are installed by address")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use seccompiler::sock_filter;
use serde::{Deserialize, Serialize};

use crate::ForkKey;

mod filters {
    use super::sock_filter;

    const fn i(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    include!(concat!(env!("OUT_DIR"), "/filters.rs"));
}

/// Whose filter it is.
#[derive(Debug, Clone, Copy)]
pub enum Role<'a> {
    /// The compile worker: threads and memory.
    Compiler,
    /// Init: mounts, processes, and all that the zygotes need which it forks.
    Init,
    /// The zygote: what workers need, and forking them.
    Zygote(Files, &'a ForkKey),
    /// A worker of a run with directories: what it loses of its zygote's list.
    Worker,
}

/// Whether the run was granted any directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Files {
    None,
    Granted,
}

/// Stands for the process's own pid in the policies. No pid is as large: the kernel's limit is 2^22.
const OWN_PID: u32 = 0x7fff_fff1;

/// Installs the filter of `role` for this thread and everything that it will fork. It can't be taken back.
///
/// Needs [`crate::forbid_new_privileges`] before.
pub fn install(role: Role<'_>) -> io::Result<()> {
    let apply = |program: &[sock_filter]| seccompiler::apply_filter(program).map_err(io::Error::other);
    match role {
        Role::Init => apply(filters::INIT),
        Role::Zygote(Files::None, key) => key.fill_in(filters::ZYGOTE, apply),
        Role::Zygote(Files::Granted, key) => key.fill_in(filters::ZYGOTE_WITH_FILES, apply),
        Role::Worker => apply(filters::WORKER),
        Role::Compiler => {
            apply(filters::FILES_NOT_FOUND)?;
            apply(filters::THREADS_ONLY)?;
            apply(&with_own_pid(filters::COMPILER))
        }
    }
}

fn with_own_pid(program: &[sock_filter]) -> Vec<sock_filter> {
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let replaced = |instruction: &sock_filter| match instruction {
        sock_filter { k: OWN_PID, .. } => sock_filter { k: pid, ..instruction.clone() },
        other => other.clone(),
    };
    program.iter().map(replaced).collect()
}

/// A call that the filter has denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Its number.
    Call(u32),
    /// The process wanted to end by SIGABRT, for which it would have to send itself a signal.
    Abort,
}

impl Denied {
    /// The signal by which the process ends.
    #[must_use]
    pub fn signal(self) -> u8 {
        match self {
            Denied::Call(_) => libc::SIGSYS as u8,
            Denied::Abort => libc::SIGABRT as u8,
        }
    }
}

/// What the handler does.
type Handler = fn(Denied) -> !;

static ON_DENIED: AtomicUsize = AtomicUsize::new(0);

/// Calls `handler` with a denied system call, in this process and those that it forks. It runs in a signal handler: it may
/// make async-signal-safe calls only, and must not return.
pub fn report_denied(handler: Handler) -> io::Result<()> {
    report_denied_to(handler);
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigsys as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and is async-signal-safe.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on another handler is called, in a process whose parent has called [`report_denied`] before it forked.
pub fn report_denied_to(handler: Handler) {
    ON_DENIED.store(handler as usize, Ordering::Relaxed);
}

/// The head of `siginfo_t` for SIGSYS, as sigaction(2) lays it out; the libc crate has no accessor for it.
#[repr(C)]
struct SysInfo {
    signo: i32,
    errno: i32,
    code: i32,
    call_address: usize,
    syscall: i32,
    arch: u32,
}

extern "C" fn on_sigsys(_signal: i32, info: *const SysInfo, context: *const libc::ucontext_t) {
    // SAFETY: the kernel passes a valid siginfo_t, at least as large as its head.
    let info = unsafe { &*info };
    // SAFETY: the kernel passes what the process was doing.
    let context = unsafe { &(*context).uc_mcontext };
    let signals_abort = i64::from(info.syscall) == libc::SYS_tgkill && third_argument(context) == libc::SIGABRT as u64;
    let denied = if signals_abort { Denied::Abort } else { Denied::Call(info.syscall as u32) };
    let address = ON_DENIED.load(Ordering::Relaxed);
    // SAFETY: only `report_denied_to` stores there, and it stores a function of this type; it is called before this is
    // installed.
    let handler: Handler = unsafe { std::mem::transmute(address) };
    handler(denied)
}

#[cfg(target_arch = "x86_64")]
fn third_argument(context: &libc::mcontext_t) -> u64 {
    context.gregs[libc::REG_RDX as usize] as u64
}

#[cfg(target_arch = "aarch64")]
fn third_argument(context: &libc::mcontext_t) -> u64 {
    context.regs[2]
}

#[cfg(test)]
mod tests;
