//! Which executable plays init and the compile worker, and how a process learns that it is one.
//!
//! A role is a program started with a fixed name as its first argument, this crate's version as its second, and its
//! control socket as standard input. Passing the socket as stdin means that no other descriptor has to be inheritable,
//! so a host program's other threads can start programs at the same time without leaking it.
//!
//! The command alone can have init without executing anything: see `forked`.
#![expect(unsafe_code, reason = "descriptor 0 is taken over when a role starts; what the kernel says of the program")]

mod forked;

use std::env;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::Timespec;
use rustix::fd::AsFd;
use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open};
use wasmproc_sandbox::{Layers, Processors};

use crate::error::{Context, Error, Result};
use crate::init::Parent;
use crate::wire::init::{FromInit, ToInit};
use crate::wire::{self, Channel};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const OVERRIDE: &str = "WASMPROC_WORKER";

/// What a process was started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Init,
    Compiler,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Init => "wasmproc-init",
            Role::Compiler => "wasmproc-compiler",
        }
    }
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Makes this program able to be its own workers. Call it first in `main`, before any thread is started.
///
/// A program that embeds wasmproc is executed again for the processes of a run; in those this function does their work
/// and never returns. A program that doesn't call it needs the `wasmproc` executable: the one that the environment
/// variable `WASMPROC_WORKER` names, beside the program, or on the `PATH`.
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    let mut arguments = env::args_os();
    let name = arguments.next();
    let Some(role) =
        [Role::Init, Role::Compiler].into_iter().find(|role| name.as_deref() == Some(OsStr::new(role.name())))
    else {
        return;
    };
    if arguments.next().as_deref() != Some(OsStr::new(VERSION)) {
        eprintln!("wasmproc: this is version {VERSION}, and was started as a worker by another version");
        std::process::exit(i32::from(crate::cause::exit_code::WASMPROC_FAILED));
    }
    // SAFETY: standard input of a role is its control socket, and nothing else in this process uses it.
    let control = unsafe { OwnedFd::from_raw_fd(0) };
    let without = arguments.next().and_then(|names| Some(Layers::named(names.to_str()?))).unwrap_or_default();
    match role {
        Role::Init => crate::init::main(control, without, Processors::of_this_process(), Parent::Program),
        Role::Compiler => crate::artifact::compiler_main(control),
    }
}

/// Forks init's doorstep ahead if this is the command `wasmproc run`. Call it before [`init`].
pub(crate) fn fork_ahead() {
    forked::fork_for_run();
}

/// The process that init begins as, a child of this one.
#[derive(Debug)]
pub(crate) enum Doorstep {
    /// With its pidfd, if that can be had.
    Executed(Child, Option<OwnedFd>),
    /// By its pidfd.
    Forked(OwnedFd),
}

impl Doorstep {
    /// Starts one, or takes the one that waits, and returns the socket to it. `without` has layers of the sandbox to leave out.
    fn start(without: Layers) -> Result<(OwnedFd, Doorstep)> {
        if without.is_empty()
            && let Some(ready) = forked::take()
        {
            return Ok(ready);
        }
        let (ours, theirs) = wire::pair().context(|| "can't make a socket for init".to_owned())?;
        let child = start(Role::Init, theirs, without)?;
        // Its number may be another's as soon as a host program reaps all children.
        let pidfd = Pid::from_raw(child.id() as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Ok((ours, Doorstep::Executed(child, pidfd)))
    }

    /// Kills it. One that is dead already is only to be waited for.
    pub(crate) fn kill(&mut self) {
        let _ = match self {
            Doorstep::Executed(child, None) => child.kill(),
            Doorstep::Executed(_, Some(pidfd)) | Doorstep::Forked(pidfd) => {
                rustix::process::pidfd_send_signal(pidfd, Signal::KILL).map_err(Into::into)
            }
        };
    }

    /// Reaps it. A host program that reaps all children may have been faster.
    pub(crate) fn wait(&mut self) {
        match self {
            Doorstep::Executed(child, None) => drop(child.wait()),
            Doorstep::Executed(_, Some(pidfd)) | Doorstep::Forked(pidfd) => {
                let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            }
        }
    }
}

/// A doorstep that enters its namespaces already, although its run has not begun, and the socket to it.
#[derive(Debug)]
pub(crate) struct Early(Option<(OwnedFd, Doorstep)>);

impl Early {
    /// `without` has layers of the sandbox to leave out.
    pub(crate) fn start(without: Layers) -> Result<Early> {
        Doorstep::start(without).map(|started| Early(Some(started)))
    }

    /// The run begins.
    pub(crate) fn begin(mut self) -> Result<(OwnedFd, Doorstep)> {
        self.0.take().ok_or_else(|| Error::failed("the run has begun already"))
    }
}

impl Drop for Early {
    /// Without a run it ends by itself, as soon as it has told of the child that was to be init. Both are reaped.
    fn drop(&mut self) {
        let Some((control, mut doorstep)) = self.0.take() else { return };
        let _ = rustix::net::shutdown(&control, Shutdown::Write);
        let mut control: Channel<ToInit, FromInit> = Channel::with_descriptors(control);
        // One that somebody has stopped is not waited for.
        while wire::is_readable(&control, A_MOMENT)
            && let Ok(Some((_, descriptors))) = control.receive()
        {
            for init in descriptors {
                let _ = rustix::process::pidfd_send_signal(&init, Signal::KILL);
                let _ = rustix::process::waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED);
            }
        }
        doorstep.kill();
        doorstep.wait();
    }
}

/// Longer than a doorstep takes on a loaded machine.
pub(crate) const A_MOMENT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Starts this process's worker executable in `role`, with `control` as its control socket.
pub(crate) fn start(role: Role, control: OwnedFd, without: Layers) -> Result<Child> {
    let program = executable()?;
    let mut command = Command::new(program.path());
    command
        .arg0(role.name())
        .arg(VERSION)
        .args((!without.is_empty()).then(|| without.to_string()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    if role == Role::Compiler {
        // It tells how it failed, and what its libraries say beside that helps nobody.
        command.stderr(Stdio::null());
        // Its thread pool would look for this in files that a confined process can't open.
        command.env("RAYON_NUM_THREADS", std::thread::available_parallelism().map_or(1, usize::from).to_string());
    }
    command.spawn().context(|| format!("can't start the worker executable {}", program.name.display()))
}

/// The worker executable, opened once: replacing the file during a run does no harm.
#[derive(Debug)]
struct Executable {
    file: File,
    name: PathBuf,
}

impl Executable {
    fn path(&self) -> PathBuf {
        let open = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        if open.exists() { open } else { self.name.clone() }
    }
}

fn executable() -> Result<&'static Executable> {
    static EXECUTABLE: OnceLock<Executable> = OnceLock::new();
    if let Some(executable) = EXECUTABLE.get() {
        return Ok(executable);
    }
    let name = find_executable()?;
    let file = File::open(&name).context(|| format!("can't open the worker executable {}", name.display()))?;
    Ok(EXECUTABLE.get_or_init(|| Executable { file, name }))
}

/// The file that was executed, as the kernel was told it: for machines without /proc.
fn executed_file() -> Option<PathBuf> {
    // SAFETY: asks for a number of the auxiliary vector.
    let file = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if file.is_null() {
        return None;
    }
    // SAFETY: the kernel put the name of the executed file there, with a zero behind it, and nobody changes it.
    let name = unsafe { CStr::from_ptr(file) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}

fn find_executable() -> Result<PathBuf> {
    if let Some(name) = env::var_os(OVERRIDE) {
        let name = PathBuf::from(name);
        return match name.is_file() {
            true => Ok(name),
            false => Err(Error::failed(format!("{OVERRIDE} names {}, which is not a file", name.display()))),
        };
    }
    let own = env::current_exe().ok().or_else(executed_file);
    if INITIALISED.load(Ordering::Relaxed)
        && let Some(own) = own
    {
        // The link of a program that was replaced says "(deleted)", but still opens the program.
        let running = Path::new("/proc/self/exe");
        return Ok(if running.exists() { running.to_owned() } else { own });
    }
    // Beside the program; a test or example of cargo's lies one or two folders further down.
    let beside = own.iter().flat_map(|own| own.ancestors().skip(1).take(3)).map(|folder| folder.join("wasmproc"));
    let on_path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&on_path).map(|folder| folder.join("wasmproc"));
    beside.chain(on_path).find(|candidate| candidate.is_file()).ok_or_else(|| {
        Error::failed(format!(
            "there is no worker executable: call wasmproc::init() first in main, or install wasmproc beside this \
             program or on the PATH, or name it in {OVERRIDE}"
        ))
    })
}
