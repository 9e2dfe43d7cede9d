//! Seccomp: which system calls a process may still make.
//!
//! A policy is data, one module per role. Everything that is not on a list traps: the handler of [`report_denied`]
//! learns the number, so that the cause of death can name the call. A worker's filter is in two parts: the zygote
//! installs the long list once and its children inherit it; the worker adds the short one that takes away what only
//! the zygote needs.
#![expect(unsafe_code, reason = "signal handlers are installed by address")]

mod policy;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

pub use policy::{Files, Role};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// Installs the filter of `role` for this thread and everything that it will fork. It can't be taken back.
///
/// Needs [`crate::forbid_new_privileges`] before.
pub fn install(role: Role) -> io::Result<()> {
    let program = compile(role)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

/// The filter of [`Role::Worker`], compiled once for all workers of a zygote.
#[derive(Debug)]
pub struct WorkerFilter(BpfProgram);

impl WorkerFilter {
    /// Stands for the pid in the compiled program. No pid is as large: the kernel's limit is 2^22.
    const ANY_PID: u32 = 0x7fff_fff1;

    pub fn compile() -> io::Result<WorkerFilter> {
        let program = compile(Role::Worker { pid: Self::ANY_PID })?;
        match program.iter().filter(|instruction| instruction.k == Self::ANY_PID).count() {
            1 => Ok(WorkerFilter(program)),
            _ => Err(io::Error::other("the worker's filter has no place for the pid")),
        }
    }

    /// Installs the filter for this process, as [`install`] does.
    pub fn install(&self, pid: u32) -> io::Result<()> {
        let mut program = self.0.clone();
        for instruction in program.iter_mut().filter(|instruction| instruction.k == Self::ANY_PID) {
            instruction.k = pid;
        }
        seccompiler::apply_filter(&program).map_err(io::Error::other)
    }
}

fn compile(role: Role) -> io::Result<BpfProgram> {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = policy::rules(role).into_iter().collect();
    let (matched, otherwise) = match role {
        Role::FilesNotFound => (SeccompAction::Errno(libc::ENOENT as u32), SeccompAction::Allow),
        // Takes away a few calls from what is allowed already.
        Role::Worker { .. } => (SeccompAction::Trap, SeccompAction::Allow),
        Role::Zygote(_) | Role::Compiler => (SeccompAction::Allow, SeccompAction::Trap),
    };
    SeccompFilter::new(rules, otherwise, matched, ARCHITECTURE).and_then(BpfProgram::try_from).map_err(io::Error::other)
}

static ON_DENIED: AtomicUsize = AtomicUsize::new(0);

/// Calls `handler` with the number of a denied system call. It runs in a signal handler: it may make
/// async-signal-safe calls only, and must not return.
pub fn report_denied(handler: fn(u32) -> !) -> io::Result<()> {
    ON_DENIED.store(handler as usize, Ordering::Relaxed);
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigsys as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and is async-signal-safe.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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

extern "C" fn on_sigsys(_signal: i32, info: *const SysInfo, _context: *const libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo_t, at least as large as its head.
    let info = unsafe { &*info };
    let address = ON_DENIED.load(Ordering::Relaxed);
    // SAFETY: only `report_denied` stores there, and it stores a function of this type before installing this.
    let handler: fn(u32) -> ! = unsafe { std::mem::transmute(address) };
    handler(info.syscall as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_of_a_worker_can_be_compiled_before_its_pid_is_known() {
        let early = WorkerFilter::compile().expect("it has one place for the pid").0;
        let known = compile(Role::Worker { pid: 7 }).expect("it compiles");
        let patched: Vec<u32> =
            early.iter().map(|each| if each.k == WorkerFilter::ANY_PID { 7 } else { each.k }).collect();
        assert_eq!(patched, known.iter().map(|each| each.k).collect::<Vec<_>>());
    }

    #[test]
    fn every_policy_compiles_and_fits_the_kernel() {
        for role in [
            Role::Worker { pid: 7 },
            Role::Zygote(Files::None),
            Role::Zygote(Files::Granted),
            Role::Compiler,
            Role::FilesNotFound,
        ] {
            let program = compile(role).expect("a policy compiles");
            assert!(program.len() < 4096, "{role:?} has {} instructions", program.len());
        }
    }
}
