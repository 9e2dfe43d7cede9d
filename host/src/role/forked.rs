//! A doorstep that is forked rather than executed: for the command, which knows from its first word that it will need
//! one.
//!
//! ```text
//! command ── forks, first of all ──▶ doorstep: wipes what it inherited, enters the namespaces
//!    └── parses, reads, hashes          └──▶ init makes the network, its zygote the engine; both wait for the setup
//! ```
//!
//! Executing a program of this size, and what its C library finds out about the machine, takes longer than all the rest
//! that init does; and while the command is still reading its file the namespaces can be made. What the kernel gave the
//! command to read, its arguments and the environment, is wiped in the child before anything else happens there.
//!
//! A host program that embeds the library is never forked: it has threads, and secrets of its own.
#![expect(unsafe_code, reason = "wipes the memory that arguments and environment lie in")]

use std::env;
use std::ffi::CStr;
use std::ops::Range;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags};
use wasmproc_sandbox::{self as sandbox, Fork, Layers, Processors, Procfs, Threads};

use super::{Doorstep, OVERRIDE, Role};
use crate::init::Parent;
use crate::wire;

/// A doorstep that waits for its run, and the socket to it.
static READY: Mutex<Option<(OwnedFd, Doorstep)>> = Mutex::new(None);

/// Variables that the C library may have copied before `main`.
const OF_THE_LOADER: [&str; 4] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES"];

/// Forks a doorstep if this is the command `run`. Call it first in `main`, before anything reads the arguments.
///
/// Where it can't be done nothing happens, and the doorstep is executed later.
pub(super) fn fork_for_run() {
    let Some(given) = Given::to_this_process() else { return };
    if given.word(1) != b"run" || OF_THE_LOADER.iter().chain([&OVERRIDE]).any(|name| env::var_os(name).is_some()) {
        return;
    }
    let threads = Threads::of_this_process(&Procfs::of_host());
    let Ok((ours, theirs)) = wire::pair() else { return };
    if !threads.is_one() {
        return;
    }
    let processors = Processors::of_this_process();
    // A terminal's signals must not end the child before it ignores them, which a busy machine may make late.
    let before = hold_signals_back();
    let forked = sandbox::clone_process(&threads, false, 0);
    if !matches!(forked, Ok(Fork::Child)) {
        set_signal_mask(&before);
    }
    match forked {
        Ok(Fork::Parent { pid, pidfd }) => {
            processors.move_child(pid);
            *READY.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((ours, Doorstep::Forked(pidfd)));
        }
        Ok(Fork::Child) => {
            given.wipe();
            drop(ours);
            crate::init::main(become_role(theirs), Layers::default(), processors, Parent::Command)
        }
        Err(_) => {}
    }
}

/// The doorstep that was forked, for whoever asks first.
pub(super) fn take() -> Option<(OwnedFd, Doorstep)> {
    READY.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

/// From now on no signal does anything. Returns what was held back before.
fn hold_signals_back() -> libc::sigset_t {
    // SAFETY: all-zero is an empty set on Linux.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid.
    unsafe { libc::sigfillset(&raw mut all) };
    set_signal_mask(&all)
}

fn set_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    // SAFETY: all-zero is an empty set on Linux.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: both sets are valid. It can't fail with a valid first argument.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, &raw mut before) };
    before
}

/// What executing a role would have done for it: its descriptors and its folder.
fn become_role(control: OwnedFd) -> OwnedFd {
    // Init says so itself if it isn't there.
    let nothing = rustix::fs::open(c"/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .or_else(|_| rustix::io::dup(&control));
    let placed = sandbox::place(control, 0).is_ok()
        && nothing.is_ok_and(|nothing| sandbox::place(nothing, 1).is_ok())
        && sandbox::close_from(3).is_ok()
        && rustix::process::chdir(c"/").is_ok();
    if !placed {
        sandbox::exit_now(crate::cause::exit_code::WASMPROC_FAILED)
    }
    // SAFETY: it was placed there, and nothing else in this process uses it.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Where the kernel put what this process was executed with.
struct Given {
    arguments: Range<usize>,
    environment: Range<usize>,
}

impl Given {
    /// Reads without allocating: nothing of what it finds must be left in free memory.
    fn to_this_process() -> Option<Given> {
        let stat = rustix::fs::open(c"/proc/self/stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = [0; 1024];
        let length = rustix::io::read(&stat, &mut text).ok()?;
        let text = str::from_utf8(&text[..length]).ok()?;
        // The name in parentheses may have anything in it. Then come fields 3, 4, ...; those of proc(5)'s numbers 48
        // to 51 are the addresses.
        let (_, fields) = text.rsplit_once(')')?;
        let mut addresses = fields.split_ascii_whitespace().skip(48 - 3).map(|field| field.parse().unwrap_or(0));
        let mut range = || {
            let range = addresses.next()?..addresses.next()?;
            (range.start > 0 && range.start <= range.end).then_some(range)
        };
        Some(Given { arguments: range()?, environment: range()? })
    }

    /// The argument with this number.
    fn word(&self, number: usize) -> &[u8] {
        let Range { start, end } = self.arguments;
        // SAFETY: the kernel says that the arguments lie there, and nobody has changed them yet.
        let arguments = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
        arguments.split(|&byte| byte == 0).nth(number).unwrap_or_default()
    }

    /// Overwrites it all; what is left is a title for ps(1).
    fn wipe(&self) {
        // SAFETY: no other thread reads the environment, because there is none.
        unsafe { libc::clearenv() };
        // SAFETY: asks for a number of the auxiliary vector.
        let file = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
        if !file.is_null() {
            // SAFETY: the kernel put the name of the executed file there, with a zero behind it.
            let length = unsafe { CStr::from_ptr(file) }.count_bytes();
            // SAFETY: as long as that, and writable as all of the stack; nobody holds a reference to it.
            unsafe { ptr::write_bytes(file.cast_mut(), 0, length) };
        }
        for Range { start, end } in [&self.arguments, &self.environment] {
            // SAFETY: the memory is writable as all of the stack, and nobody holds a reference to it.
            unsafe { ptr::write_bytes(*start as *mut u8, 0, end - start) };
        }
        let title = Role::Init.name().as_bytes();
        let length = title.len().min(self.arguments.len().saturating_sub(1));
        // SAFETY: it fits, and a zero stays behind it.
        unsafe { ptr::copy_nonoverlapping(title.as_ptr(), self.arguments.start as *mut u8, length) };
    }
}
