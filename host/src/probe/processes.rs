//! Getting at other processes, and making new ones.

use std::io;

use super::Property::Processes;
use super::{Attempt, Scene, at, at_mut, call};

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt { name: "kill", property: Processes, what: "a signal reaches another process", run: kill },
    Attempt { name: "tgkill", property: Processes, what: "a signal reaches another thread", run: tgkill },
    Attempt { name: "kill-parent", property: Processes, what: "a signal reaches the parent", run: kill_parent },
    Attempt { name: "pidfd", property: Processes, what: "another process is opened", run: pidfd },
    Attempt { name: "ptrace", property: Processes, what: "another process is traced", run: ptrace },
    Attempt {
        name: "read-memory",
        property: Processes,
        what: "another process's memory is open to reading",
        run: read_memory,
    },
    Attempt { name: "priority", property: Processes, what: "another process's priority is changed", run: priority },
    Attempt { name: "limits", property: Processes, what: "another process's limits are read", run: limits },
    Attempt { name: "fork", property: Processes, what: "a process is made, by clone", run: fork },
    Attempt {
        name: "fork-as-zygote",
        property: Processes,
        what: "a process is made, as the zygote makes them",
        run: fork_as_zygote,
    },
    Attempt { name: "fork3", property: Processes, what: "a process is made, by clone3", run: fork3 },
    Attempt { name: "execve", property: Processes, what: "a program is executed", run: execve },
    Attempt { name: "execveat", property: Processes, what: "a program is executed out of memory", run: execveat },
];

fn kill(scene: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_kill, [scene.place.sentinel.into(), 0, 0, 0, 0, 0]).map(drop)
}

fn tgkill(scene: &Scene<'_>) -> io::Result<()> {
    let sentinel = scene.place.sentinel.into();
    call(libc::SYS_tgkill, [sentinel, sentinel, 0, 0, 0, 0]).map(drop)
}

fn kill_parent(scene: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_kill, [scene.place.supervisor.into(), 0, 0, 0, 0, 0]).map(drop)
}

fn pidfd(scene: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_pidfd_open, [scene.place.sentinel.into(), 0, 0, 0, 0, 0]).map(drop)
}

fn ptrace(scene: &Scene<'_>) -> io::Result<()> {
    let seize = libc::PTRACE_SEIZE as i64;
    call(libc::SYS_ptrace, [seize, scene.place.sentinel.into(), 0, 0, 0, 0]).map(drop)
}

fn read_memory(scene: &Scene<'_>) -> io::Result<()> {
    // Of no bytes: permission is asked for all the same.
    let here = [0u8; 1];
    let vector = [at(&here), 1];
    match call(libc::SYS_process_vm_readv, [scene.place.sentinel.into(), at(&vector), 1, at(&vector), 1, 0]) {
        // It may look, and there is nothing at this address over there.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        other => other.map(drop),
    }
}

fn priority(scene: &Scene<'_>) -> io::Result<()> {
    call(libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), scene.place.sentinel.into(), 19, 0, 0, 0]).map(drop)
}

fn limits(scene: &Scene<'_>) -> io::Result<()> {
    let mut limit = [0u64; 2];
    call(libc::SYS_prlimit64, [scene.place.sentinel.into(), libc::RLIMIT_NOFILE.into(), 0, at_mut(&mut limit), 0, 0])
        .map(drop)
}

/// The child of a fork ends at once; the parent goes on to say that there was one.
fn ends_if_child(made: io::Result<i64>) -> io::Result<()> {
    if matches!(made, Ok(0)) {
        wasmproc_sandbox::exit_now(0);
    }
    made.map(drop)
}

fn fork(_: &Scene<'_>) -> io::Result<()> {
    ends_if_child(call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]))
}

/// A child of the parent's, known by a descriptor; without the number that the zygote's filter asks for.
fn fork_as_zygote(_: &Scene<'_>) -> io::Result<()> {
    let mut pidfd = -1;
    let flags = libc::CLONE_PIDFD | libc::CLONE_PARENT;
    ends_if_child(call(libc::SYS_clone, [flags.into(), 0, at_mut(&mut pidfd), 0, 0, 0]))
}

fn fork3(_: &Scene<'_>) -> io::Result<()> {
    // flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    let arguments = [0, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    ends_if_child(call(libc::SYS_clone3, [at(&arguments), size_of_val(&arguments) as i64, 0, 0, 0, 0]))
}

/// `true` without arguments and environment, which ends with 0: what a successful attempt does.
fn execve(_: &Scene<'_>) -> io::Result<()> {
    let program = c"/bin/true".to_bytes_with_nul();
    let arguments = [at(program), 0];
    call(libc::SYS_execve, [at(program), at(&arguments), at(&arguments[1]), 0, 0, 0]).map(drop)
}

fn execveat(_: &Scene<'_>) -> io::Result<()> {
    let memory = call(libc::SYS_memfd_create, [at(c"program".to_bytes_with_nul()), 0, 0, 0, 0, 0])?;
    let script = b"#!/bin/true\n";
    call(libc::SYS_write, [memory, at(script), script.len() as i64, 0, 0, 0])?;
    let nothing = c"".to_bytes_with_nul();
    let arguments = [at(nothing), 0];
    let flags = libc::AT_EMPTY_PATH.into();
    call(libc::SYS_execveat, [memory, at(nothing), at(&arguments), at(&arguments[1]), flags, 0]).map(drop)
}
