//! The life of a worker, in order.
//!
//! ```text
//! forked ──▶ confined ──▶ spare ──▶ started ──▶ instantiated ──▶ running ──▶ told its end ──▶ gone
//!            (no guest      (waits on its         (start functions are guest code: they run
//!             byte yet)      control socket)       behind both walls and count as running)
//! ```
//!
//! Of a component without start functions a spare makes an instance already ([`early_instance`]).
//!
//! A worker has one thread and runs one instance. It speaks with its supervisor alone, and it leaves by `_exit`:
//! memory is the kernel's to clean up. What it must not do is enforced by its sandbox, not by this code.

mod bindings;
mod control;
mod early_instance;
mod end;
mod files;
mod host;
mod limiter;
mod objects;
mod stdio;

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::AsFd;
use serde::{Deserialize, Serialize};
use wasmproc_sandbox::seccomp::Denied;
use wasmproc_sandbox::{self as sandbox, CpuTimer, Layer, Layers, ProcessLimits, seccomp};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::allocator;
use crate::cause::exit_code;
use crate::probe;
use crate::wire::worker::{FromWorker, Start, Target, ToWorker};
use crate::wire::{self, Channel, MAX_PAYLOAD_BYTES};
use control::Control;
use early_instance::EarlyInstance;
use end::End;
pub(crate) use host::{Host, linker};

/// Where the control socket of a worker is. Fixed, so that a signal handler knows it. Below it are the standard streams
/// and what the engine keeps open of the artifacts, and nothing else: the zygote sees to that.
pub(crate) const CONTROL: RawFd = 48;

/// What every worker needs beside its guest's memories and tables, whatever the guest does: a stack, the instance, streams,
/// small messages. Copies of large messages come out of what the process may have.
pub(crate) const HOST_SIDE_BYTES: u64 = 16 << 20;

/// Room for what the event loop hears of at once; more comes next. Every worker has it.
const EVENTS_PER_TICK: usize = 64;

/// A component with everything done that doesn't need an instance.
pub(crate) struct Program {
    /// Code of its own runs already when it is instantiated.
    pub(crate) runs_at_start: bool,
    pub(crate) instance: InstancePre<Host>,
    /// `run` of `wasi:cli/run`.
    pub(crate) run: Option<ComponentExportIndex>,
    /// `call` of `wasmproc:ipc/entry`.
    pub(crate) entry: Option<ComponentExportIndex>,
}

/// How workers of a run are confined, beside what they inherit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Confinement {
    pub(crate) files: seccomp::Files,
    /// This machine has Landlock.
    pub(crate) landlock: bool,
    pub(crate) limits: ProcessLimits,
    /// There is no pid namespace that ends them all.
    pub(crate) dies_with_parent: bool,
    /// What is left out, to see that the rest holds without it.
    pub(crate) without: Layers,
}

impl Confinement {
    pub(crate) fn has(&self, layer: Layer) -> bool {
        !self.without.has(layer)
    }
}

/// Lives a worker's life in a process that was just forked from the zygote, whose buffer for packets it goes on with.
pub(crate) fn main(programs: &[Program], control: OwnedFd, buffer: Box<[u8]>, confinement: Confinement) -> ! {
    wire::tell_panics(CONTROL, FromWorker::Failed);
    allocator::on_lack(|| {
        wire::tell_last(CONTROL, &FromWorker::OutOfMemory);
        sandbox::exit_now(End::OutOfMemory.exit_code())
    });
    let channel = match confine(control, confinement) {
        Ok(channel) => channel.with_buffer(buffer),
        Err(error) => end(&FromWorker::SandboxFailed(error.to_string())),
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_io().enable_time().max_io_events_per_tick(EVENTS_PER_TICK);
    let Ok(runtime) = runtime.build() else {
        end(&FromWorker::Failed("no descriptor or memory is left for an event loop".to_owned()))
    };
    let control = Control::new(channel);
    let early = match programs {
        // Before it is confined to its own directories no guest byte is to run, whatever is known of its start.
        [program] if confinement.files == seccomp::Files::None => {
            runtime.block_on(EarlyInstance::make(program, &control))
        }
        _ => None,
    };
    let (start, descriptors) = match control.wait_for_start() {
        Ok(Some(start)) => start,
        // A spare whose supervisor goes away simply goes too.
        _ => sandbox::exit_now(0),
    };
    if let Err(error) = confine_to_start(&start, &descriptors, confinement) {
        end(&FromWorker::SandboxFailed(error.to_string()));
    }
    let end = runtime.block_on(run(programs, early, *start, descriptors, &control));
    let code = end.exit_code();
    // A supervisor that is gone needs no last word.
    let _ = control.tell(&end.into_message());
    sandbox::exit_now(code)
}

/// The end of a worker that has not begun. If there is no control socket yet, the supervisor hears of its death alone.
fn end(last_words: &FromWorker) -> ! {
    wire::tell_last(CONTROL, last_words);
    sandbox::exit_now(exit_code::WASMPROC_FAILED)
}

/// Shuts the doors that the zygote had to leave open.
fn confine(control: OwnedFd, confinement: Confinement) -> io::Result<Channel<FromWorker, ToWorker>> {
    if confinement.dies_with_parent {
        // Without a pid namespace. The parent dies after the supervisor, so one that died before this call has left a
        // closed control socket. A start may be in it all the same, and must not be taken out.
        sandbox::die_with_parent()?;
        if is_closed(&control) {
            sandbox::exit_now(0);
        }
    }
    sandbox::set_process_name(c"wasmproc-worker")?;
    sandbox::place(control, CONTROL)?;
    sandbox::close_from(CONTROL + 1)?;
    if confinement.has(Layer::Limits) {
        sandbox::forbid_processes()?;
        confinement.limits.apply_to_files()?;
    }
    seccomp::report_denied_to(denied);
    // SAFETY: it was placed there, and nothing else owns it.
    #[expect(unsafe_code, reason = "the control socket is known by its number")]
    let control = unsafe { OwnedFd::from_raw_fd(CONTROL) };
    Ok(Channel::with_descriptors(control))
}

/// What a worker knows only now: how much memory it may have, and where directories are granted at all, which are its own.
/// No guest byte has run so far.
fn confine_to_start(start: &Start, descriptors: &[OwnedFd], confinement: Confinement) -> io::Result<()> {
    let less = confinement.limits.memory_bytes.saturating_sub(start.memory_limit_bytes.saturating_add(HOST_SIDE_BYTES));
    if less > 0 {
        sandbox::lower_memory(less)?;
    }
    if confinement.files == seccomp::Files::None {
        return Ok(());
    }
    if confinement.landlock {
        let own = descriptors.iter().skip(usize::from(start.stdin)).zip(&start.directories);
        let own: Vec<_> = own.map(|(directory, (_, read_only))| (directory.as_fd(), *read_only)).collect();
        sandbox::restrict(&own)?;
    }
    if confinement.has(Layer::Seccomp) { seccomp::install(seccomp::Role::Worker) } else { Ok(()) }
}

/// Whether the other end is gone, also if something is still to be received.
fn is_closed(control: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(control, PollFlags::empty())];
    rustix::event::poll(&mut polled, Some(&now)) != Ok(0)
}

async fn run(
    programs: &[Program],
    early: Option<EarlyInstance>,
    start: Start,
    descriptors: Vec<OwnedFd>,
    control: &Control,
) -> End {
    if let Target::Attempt { name, place } = &start.target {
        return End::Finished { code: probe::payload(name, place, descriptors.last()), output: None };
    }
    let Some(program) = programs.get(start.component) else {
        return End::Failed("the run has no such component".to_owned());
    };
    if let Some(limit) = start.cpu_time
        && let Err(error) = CpuTimer::start(limit)
    {
        return End::SandboxFailed(format!("the processor-time limit can't be set: {error}"));
    }
    let (target, input) = (start.target.clone(), start.input.clone());
    let host = match host::of(start, descriptors, control) {
        Ok(host) => host,
        Err(error) => return End::Failed(format!("the instance's surroundings can't be made: {error:#}")),
    };
    let (store, instance) = match EarlyInstance::become_one(early, host) {
        Ok(early) => early,
        Err(host) => {
            let mut store = host::store(program.instance.engine(), *host);
            match program.instance.instantiate_async(&mut store).await {
                Ok(instance) => (store, instance),
                Err(error) if end::is_lack(&error) => {
                    return End::Failed("no address space is left for its memory: raise ulimit -v".to_owned());
                }
                Err(error) => return end::of_error(&error, store.data()),
            }
        }
    };
    // Never dropped: the process is about to end, and the kernel takes everything back at once.
    let mut store = ManuallyDrop::new(store);
    match target {
        Target::Main => {
            let Some(run) = program.run else {
                return End::Rejected("the component doesn't export wasi:cli/run".to_owned());
            };
            let called = match instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run) {
                Ok(run) => run.call_async(&mut *store, ()).await,
                Err(error) => Err(error),
            };
            match called {
                Ok((Ok(()),)) => End::Finished { code: 0, output: None },
                Ok((Err(()),)) => End::Finished { code: 1, output: None },
                Err(error) => end::of_error(&error, store.data()),
            }
        }
        Target::Attempt { .. } => End::Failed("an attempt has no guest".to_owned()),
        Target::Function(name) => {
            let Some(entry) = program.entry else {
                return End::Rejected("the component doesn't export wasmproc:ipc/entry".to_owned());
            };
            type Call = (Result<Vec<u8>, String>,);
            let called = match instance.get_typed_func::<(&str, &[u8]), Call>(&mut *store, entry) {
                Ok(call) => call.call_async(&mut *store, (&name, &input)).await,
                Err(error) => Err(error),
            };
            match called {
                Ok((Ok(output),)) if output.len() > MAX_PAYLOAD_BYTES => {
                    End::Failed(format!("its result has {} bytes; at most 16 MiB can be returned", output.len()))
                }
                Ok((Ok(output),)) => End::Finished { code: 0, output: Some(output) },
                Ok((Err(reason),)) => End::Rejected(reason),
                Err(error) => end::of_error(&error, store.data()),
            }
        }
    }
}

/// Signals that a terminal sends to everybody in the foreground are the supervisor's to act on; those that a write can
/// cause come as errors of the write.
pub(crate) fn ignore_signals() {
    let ignored = [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM, libc::SIGPIPE, libc::SIGXFSZ];
    // Whoever started wasmproc may have ignored these, by which ends are told and times are limited.
    let needed = [libc::SIGCHLD, libc::SIGPROF, libc::SIGXCPU];
    ignored.iter().for_each(|&signal| dispose(signal, libc::SIG_IGN));
    needed.iter().for_each(|&signal| dispose(signal, libc::SIG_DFL));
    unblock_signals();
}

/// `how` is the default or to ignore it.
#[expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]
fn dispose(signal: i32, how: libc::sighandler_t) {
    // SAFETY: neither of the two runs code of ours.
    unsafe { libc::signal(signal, how) };
}

#[expect(unsafe_code, reason = "signal masks have no safe wrapper")]
fn unblock_signals() {
    // SAFETY: all-zero is an empty set on Linux.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid; a null old set is allowed.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Tells the supervisor which system call was denied, and ends. Runs in a signal handler.
fn denied(denied: Denied) -> ! {
    wire::report_denied(CONTROL, denied);
    sandbox::exit_now(exit_code::SIGNAL + denied.signal())
}

/// The descriptors that a worker was sent, in the order of `Start`.
fn duplicate(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 4)?)
}
