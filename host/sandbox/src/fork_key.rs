//! A number without which the zygote's filter lets nobody fork.
//!
//! Workers inherit the filter of their zygote, because a filter's cost is in its installation; but a zygote forks, and
//! workers must not. A filter sees the registers of a call and nothing else, so it asks for a number in one that clone(2)
//! doesn't use. The number is drawn at random for each zygote and lies in memory that the kernel replaces by zeros in
//! every child (MADV_WIPEONFORK). It is in a register for the time of the call, and on no stack and in no heap afterwards.
//!
//! A wrong number makes it a denied call, the end of who makes it; native code that has taken the handler of that over may
//! guess on, at some microseconds for each of 2^64, and still has a limit of no processes before it.
#![expect(unsafe_code, reason = "the number must not be anywhere but where it is put")]

use std::arch::asm;
use std::hint::black_box;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::{ptr, slice};

use seccompiler::sock_filter;

use crate::process::{Fork, Threads};

/// Stand in the policies for the halves of the number.
pub(crate) const LOW: u32 = 0x7fff_fff2;
pub(crate) const HIGH: u32 = 0x7fff_fff3;

const KEY_BYTES: usize = size_of::<[u32; 2]>();
const MOST_INSTRUCTIONS: usize = 1024;
const BYTES: usize = KEY_BYTES + MOST_INSTRUCTIONS * size_of::<sock_filter>();
/// What is below the stack's end and may have seen what registers held.
const SCRUBBED_BYTES: usize = 16 << 10;

/// What forking takes; see the module.
#[derive(Debug)]
pub struct ForkKey {
    /// Low half first. Like what follows, in memory that no child has.
    halves: *mut u32,
    /// Room for the filter that the number stands in.
    program: *mut sock_filter,
}

impl ForkKey {
    /// Draws one. It is never forgotten.
    pub fn draw() -> io::Result<ForkKey> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping anywhere disturbs nobody.
        let memory = unsafe { libc::mmap(ptr::null_mut(), BYTES, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: advice about memory that is ours.
        if unsafe { libc::madvise(memory, BYTES, libc::MADV_WIPEONFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the memory begins with room for the key, and nobody else knows it.
        if unsafe { libc::getrandom(memory, KEY_BYTES, 0) } != KEY_BYTES as isize {
            return Err(io::Error::last_os_error());
        }
        let program = memory.cast::<u8>().wrapping_add(KEY_BYTES).cast();
        Ok(ForkKey { halves: memory.cast(), program })
    }

    /// Has `install` install `program` with the number in its place.
    pub(crate) fn fill_in(
        &self,
        program: &[sock_filter],
        install: impl FnOnce(&[sock_filter]) -> io::Result<()>,
    ) -> io::Result<()> {
        if program.len() > MOST_INSTRUCTIONS {
            return Err(io::Error::other("the filter is too long"));
        }
        self.write(program);
        // SAFETY: as many were written just now, and nobody writes there while this is borrowed.
        let installed = install(unsafe { slice::from_raw_parts(self.program, program.len()) });
        scrub_stack();
        installed
    }

    #[inline(never)]
    fn write(&self, program: &[sock_filter]) {
        for (index, instruction) in program.iter().enumerate() {
            let half = match instruction.k {
                LOW => Some(self.halves),
                HIGH => Some(self.halves.wrapping_add(1)),
                _ => None,
            };
            // SAFETY: both halves lie in the memory that was drawn into.
            let k = half.map_or(instruction.k, |half| unsafe { half.read_volatile() });
            let place = self.program.wrapping_add(index);
            // SAFETY: there is room for so many, which the caller has checked.
            unsafe { place.write(sock_filter { k, ..instruction.clone() }) };
        }
    }

    /// Forks this process, which must have one thread, as [`clone_process`](crate::clone_process) does: a sibling.
    pub fn fork_sibling(&self, threads: &Threads) -> io::Result<Fork> {
        assert!(threads.is_one(), "a process with several threads can't be forked safely");
        let mut pidfd: RawFd = -1;
        match self.clone(&raw mut pidfd) {
            error @ ..0 => Err(io::Error::from_raw_os_error(-error as i32)),
            0 => Ok(Fork::Child),
            // SAFETY: the kernel has stored a new descriptor there.
            pid => Ok(Fork::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
        }
    }

    /// The call itself, with the number in the register of a sixth argument, from where it is gone at once.
    ///
    /// A signal that came in between would have it on the stack: none does, because a zygote ignores or dies of them all.
    #[cfg(target_arch = "x86_64")]
    fn clone(&self, pidfd: *mut RawFd) -> i64 {
        let result: i64;
        // SAFETY: without a stack of its own the child continues on its copy of this one, with a complete copy of
        // everything, because this process has one thread. The kernel writes to `pidfd` and nowhere else.
        unsafe {
            asm!(
                "mov r9, [{halves}]",
                "syscall",
                "xor r9d, r9d",
                halves = in(reg) self.halves,
                inlateout("rax") libc::SYS_clone => result,
                in("rdi") FLAGS,
                in("rsi") 0_u64,
                in("rdx") pidfd,
                in("r10") 0_u64,
                in("r8") 0_u64,
                out("r9") _,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result
    }

    #[cfg(target_arch = "aarch64")]
    fn clone(&self, pidfd: *mut RawFd) -> i64 {
        let result: i64;
        // SAFETY: as on x86-64.
        unsafe {
            asm!(
                "ldr x5, [{halves}]",
                "svc 0",
                "mov x5, xzr",
                halves = in(reg) self.halves,
                in("x8") libc::SYS_clone,
                inlateout("x0") FLAGS => result,
                in("x1") 0_u64,
                in("x2") pidfd,
                in("x3") 0_u64,
                in("x4") 0_u64,
                out("x5") _,
                options(nostack),
            );
        }
        result
    }
}

/// The flags that the policies allow. The exit signal is 0: a sibling's death is told with the parent's own.
const FLAGS: u64 = (libc::CLONE_PIDFD | libc::CLONE_PARENT) as u64;

/// Overwrites what calls before this one have left on the stack.
#[inline(never)]
fn scrub_stack() {
    black_box(&mut [0_u8; SCRUBBED_BYTES]);
}
