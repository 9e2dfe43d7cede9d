//! ptrace(2) and the wait that belongs to it.
//!
//! A tracee can be killed at any moment. What is asked of it fails then, and its death is what the next wait tells, so
//! a request that fails says nothing here.
#![expect(unsafe_code, reason = "ptrace has no safe wrapper")]

use std::io;
use std::mem::size_of;
use std::ptr;

/// System calls are told from other traps, forks are followed, and nobody outlives the tracer.
const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;

/// What a system call stop is about.
pub(super) enum Side {
    Entry { number: i64, arguments: [u64; 6] },
    Exit { result: i64 },
}

/// Makes this thread the tracer of a child of this process, and of all that descend from it.
pub(super) fn seize(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize).map(drop)
}

/// Lets it run to its next system call stop, and gives it a signal unless that is 0.
pub(super) fn resume(pid: i32, signal: i32) {
    let _ = request(libc::PTRACE_SYSCALL, pid, 0, signal as usize);
}

/// Lets it run, whatever calls it makes, and gives it a signal unless that is 0.
pub(super) fn let_go(pid: i32, signal: i32) {
    let _ = request(libc::PTRACE_CONT, pid, 0, signal as usize);
}

/// Stops it for a moment, wherever it is.
pub(super) fn interrupt(pid: i32) {
    let _ = request(libc::PTRACE_INTERRUPT, pid, 0, 0);
}

/// Leaves it stopped until SIGCONT comes.
pub(super) fn leave_stopped(pid: i32) {
    let _ = request(libc::PTRACE_LISTEN, pid, 0, 0);
}

/// The process that an event is about.
pub(super) fn subject(pid: i32) -> Option<i32> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut message) as usize).ok()?;
    i32::try_from(message).ok()
}

/// Where in a system call it has stopped.
pub(super) fn side(pid: i32) -> Option<Side> {
    // SAFETY: all-zero is a valid value of this structure of numbers.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    request(libc::PTRACE_GET_SYSCALL_INFO, pid, size, (&raw mut info) as usize).ok()?;
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: `op` says that this is the part that the kernel has filled in.
            let entry = unsafe { info.u.entry };
            Some(Side::Entry { number: entry.nr as i64, arguments: entry.args })
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => {
            // SAFETY: `op` says that this is the part that the kernel has filled in.
            let exit = unsafe { info.u.exit };
            Some(Side::Exit { result: exit.sval })
        }
        _ => None,
    }
}

/// The instruction that makes a system call.
const SYSCALL_BYTES: u64 = 2;

/// The registers of a system call.
pub(super) struct Registers(pub(super) libc::user_regs_struct);

impl Registers {
    pub(super) fn of(pid: i32) -> Option<Registers> {
        // SAFETY: all-zero is a valid value of this structure of numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETREGS, pid, 0, (&raw mut registers) as usize).ok()?;
        Some(Registers(registers))
    }

    pub(super) fn store(&mut self, pid: i32) {
        let _ = request(libc::PTRACE_SETREGS, pid, 0, (&raw mut self.0) as usize);
    }

    /// At an entry: the call to be made.
    pub(super) fn set_number(&mut self, number: i64) {
        self.0.orig_rax = number as u64;
    }

    /// At an exit: what the call returns.
    pub(super) fn set_result(&mut self, result: i64) {
        self.0.rax = result as u64;
    }

    /// At an entry: the whole call to be made.
    pub(super) fn set_call(&mut self, number: i64, arguments: [u64; 6]) {
        self.set_number(number);
        let places =
            [&mut self.0.rdi, &mut self.0.rsi, &mut self.0.rdx, &mut self.0.r10, &mut self.0.r8, &mut self.0.r9];
        for (place, argument) in places.into_iter().zip(arguments) {
            *place = argument;
        }
    }

    /// At an exit: the same instruction comes once more, and asks for a harmless call.
    pub(super) fn go_back(&mut self) {
        self.0.rip -= SYSCALL_BYTES;
        self.0.rax = libc::SYS_getpid as u64;
    }

    /// Returns what the first argument was.
    pub(super) fn replace_first_argument(&mut self, value: u64) -> u64 {
        std::mem::replace(&mut self.0.rdi, value)
    }
}

/// Waits for whatever happens next to a tracee of this thread; `None` when there is none left.
pub(super) fn wait() -> Option<(i32, i32)> {
    wait_with(0)
}

/// What has happened to a tracee of this thread, if anything has.
pub(super) fn poll() -> Option<(i32, i32)> {
    wait_with(libc::WNOHANG)
}

fn wait_with(flags: i32) -> Option<(i32, i32)> {
    loop {
        let mut status = 0;
        // Not what other threads of the test have started: they wait for it themselves.
        let flags = flags | libc::__WALL | libc::__WNOTHREAD;
        // SAFETY: the status is valid to write to.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, flags) };
        if pid > 0 {
            return Some((pid, status));
        }
        if pid == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

fn request(request: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<libc::c_long> {
    let address: *mut libc::c_void = ptr::without_provenance_mut(address);
    let data = data as *mut libc::c_void;
    // SAFETY: where `data` is an address, each caller above passes that of a live value which is as large as the request
    // says; nothing else of this process is touched.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    if result >= 0 { Ok(result) } else { Err(io::Error::last_os_error()) }
}
