//! The kernel's surface: calls by which others have been got the better of, and the ways around a filter.
#![expect(unsafe_code, reason = "old doors into the kernel are opened by instructions")]

use std::io;

use libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE};

use super::Property::Kernel;
use super::{Attempt, Scene, at, at_mut, call};

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { name: "map-executable", property: Kernel, what: "new memory is executable", run: map_executable },
    Attempt { name: "make-executable", property: Kernel, what: "memory becomes executable", run: make_executable },
    Attempt { name: "memfd", property: Kernel, what: "a file in memory is made", run: memfd },
    Attempt { name: "userfaultfd", property: Kernel, what: "page faults are handled by the process", run: userfaultfd },
    Attempt { name: "io-uring", property: Kernel, what: "an io_uring is made", run: io_uring },
    Attempt { name: "bpf", property: Kernel, what: "a BPF map is made", run: bpf },
    Attempt { name: "keyctl", property: Kernel, what: "the session's keys are reached", run: keyctl },
    Attempt { name: "mount", property: Kernel, what: "a file system is mounted", run: mount },
    Attempt {
        name: "unshare",
        property: Kernel,
        what: "a user namespace is made, with all rights inside",
        run: unshare,
    },
    Attempt { name: "setns", property: Kernel, what: "another process's namespace is entered", run: setns },
    Attempt { name: "perf", property: Kernel, what: "a performance counter is opened", run: perf },
    Attempt { name: "personality", property: Kernel, what: "address randomisation is switched off", run: personality },
    Attempt {
        name: "push-input",
        property: Kernel,
        what: "a terminal is asked to take input (TIOCSTI)",
        run: push_input,
    },
    Attempt {
        name: "trap-handler",
        property: Kernel,
        what: "the handler of denied calls is replaced",
        run: trap_handler,
    },
    Attempt { name: "dumpable", property: Kernel, what: "others may trace this process again", run: dumpable },
    Attempt { name: "filter", property: Kernel, what: "a filter of its own is installed", run: filter },
    Attempt { name: "module", property: Kernel, what: "the kernel looks at a module", run: module },
    Attempt { name: "host-name", property: Kernel, what: "the host's name is set", run: host_name },
    Attempt { name: "clock", property: Kernel, what: "the clock can be adjusted", run: clock },
    #[cfg(target_arch = "x86_64")]
    Attempt { name: "int80", property: Kernel, what: "the 32-bit door is open", run: int80 },
    #[cfg(target_arch = "x86_64")]
    Attempt { name: "x32", property: Kernel, what: "the x32 door is open", run: x32 },
];

const PAGE: i64 = 4096;

fn map(protection: i32) -> io::Result<i64> {
    call(libc::SYS_mmap, [0, PAGE, protection.into(), (MAP_PRIVATE | MAP_ANONYMOUS).into(), -1, 0])
}

fn map_executable(_: &Scene<'_>) -> io::Result<()> {
    map(PROT_READ | PROT_WRITE | PROT_EXEC).map(drop)
}

fn make_executable(_: &Scene<'_>) -> io::Result<()> {
    let memory = map(PROT_READ | PROT_WRITE)?;
    call(libc::SYS_mprotect, [memory, PAGE, (PROT_READ | PROT_EXEC).into(), 0, 0, 0]).map(drop)
}

fn memfd(_: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_memfd_create, [at(c"memory".to_bytes_with_nul()), 0, 0, 0, 0, 0]).map(drop)
}

fn userfaultfd(_: &Scene<'_>) -> io::Result<()> {
    const USER_MODE_ONLY: i64 = 1;
    call(libc::SYS_userfaultfd, [USER_MODE_ONLY, 0, 0, 0, 0, 0]).map(drop)
}

fn io_uring(_: &Scene<'_>) -> io::Result<()> {
    let mut parameters = [0u8; 120];
    call(libc::SYS_io_uring_setup, [4, at_mut(&mut parameters), 0, 0, 0, 0]).map(drop)
}

fn bpf(_: &Scene<'_>) -> io::Result<()> {
    // BPF_MAP_CREATE: an array (2) with keys and values of 4 bytes and one entry.
    let attributes = [2u32, 4, 4, 1, 0, 0];
    call(libc::SYS_bpf, [0, at(&attributes), size_of_val(&attributes) as i64, 0, 0, 0]).map(drop)
}

fn keyctl(_: &Scene<'_>) -> io::Result<()> {
    // KEYCTL_JOIN_SESSION_KEYRING, a new one without a name.
    call(libc::SYS_keyctl, [1, 0, 0, 0, 0, 0]).map(drop)
}

fn mount(_: &Scene<'_>) -> io::Result<()> {
    let (kind, place) = (c"tmpfs".to_bytes_with_nul(), c"/".to_bytes_with_nul());
    call(libc::SYS_unshare, [libc::CLONE_NEWNS.into(), 0, 0, 0, 0, 0])?;
    call(libc::SYS_mount, [at(kind), at(place), at(kind), 0, 0, 0]).map(drop)
}

fn unshare(_: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0]).map(drop)
}

fn setns(scene: &Scene<'_>) -> io::Result<()> {
    let process = call(libc::SYS_pidfd_open, [scene.place.sentinel.into(), 0, 0, 0, 0, 0])?;
    call(libc::SYS_setns, [process, libc::CLONE_NEWUTS.into(), 0, 0, 0, 0]).map(drop)
}

fn perf(_: &Scene<'_>) -> io::Result<()> {
    // PERF_TYPE_SOFTWARE, 64 bytes of attributes, PERF_COUNT_SW_TASK_CLOCK; user mode only.
    let attributes = [1u32, 64, 1, 0, 0, 0, 0, 0, 0, 0, 1 << 5 | 1 << 6, 0, 0, 0, 0, 0];
    call(libc::SYS_perf_event_open, [at(&attributes), 0, -1, -1, 0, 0]).map(drop)
}

fn personality(_: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_personality, [libc::ADDR_NO_RANDOMIZE.into(), 0, 0, 0, 0, 0]).map(drop)
}

fn push_input(_: &Scene<'_>) -> io::Result<()> {
    let letter = b'x';
    match call(libc::SYS_ioctl, [0, libc::TIOCSTI as i64, at(&letter), 0, 0, 0]) {
        // The kernel has looked at it: the standard input is no terminal.
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
        other => other.map(drop),
    }
}

fn trap_handler(_: &Scene<'_>) -> io::Result<()> {
    // SIG_IGN, no flags, no restorer, an empty mask.
    let action = [1u64, 0, 0, 0];
    call(libc::SYS_rt_sigaction, [libc::SIGSYS.into(), at(&action), 0, 8, 0, 0]).map(drop)
}

fn dumpable(_: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0, 0]).map(drop)
}

fn filter(_: &Scene<'_>) -> io::Result<()> {
    // Allows everything: length and address of the one instruction.
    let program = [0x7fff_0000_0000_0006u64];
    let filter = [1u64, at(&program) as u64];
    call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.into(), 1, 0, 0, 0, 0])?;
    call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), 0, at(&filter), 0, 0, 0]).map(drop)
}

fn module(_: &Scene<'_>) -> io::Result<()> {
    let nothing = c"".to_bytes_with_nul();
    match call(libc::SYS_init_module, [at(nothing), 0, at(nothing), 0, 0, 0]) {
        // It would load one: this is none.
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => Ok(()),
        other => other.map(drop),
    }
}

fn host_name(_: &Scene<'_>) -> io::Result<()> {
    // In a namespace of its own where that may be made: the host keeps its name.
    call(libc::SYS_unshare, [libc::CLONE_NEWUTS.into(), 0, 0, 0, 0, 0])?;
    call(libc::SYS_sethostname, [at(b"escaped"), 7, 0, 0, 0, 0]).map(drop)
}

fn clock(_: &Scene<'_>) -> io::Result<()> {
    // ADJ_OFFSET_SS_READ (0xa001) only reads, and is a call that nobody needs here.
    let mut request = [0u32; 64];
    request[0] = 0xa001;
    call(libc::SYS_adjtimex, [at_mut(&mut request), 0, 0, 0, 0, 0]).map(drop)
}

/// getpid of 32-bit programs.
#[cfg(target_arch = "x86_64")]
fn int80(_: &Scene<'_>) -> io::Result<()> {
    let result: i64;
    // SAFETY: the call takes no arguments and changes nothing but its result; the old entry clobbers r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result > 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-result as i32)) }
}

/// getpid of x32 programs.
#[cfg(target_arch = "x86_64")]
fn x32(_: &Scene<'_>) -> io::Result<()> {
    call(0x4000_0000 | libc::SYS_getpid, [0; 6]).map(drop)
}
