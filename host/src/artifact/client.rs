//! The supervisor's side of a compilation: starts a compile worker, waits for it, doesn't believe it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use wasmproc_sandbox::Layers;

use super::Manifest;
use super::compiler::{MAX_ARTIFACT_BYTES, MAX_CPU_TIME};
use crate::cause;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::role::{self, Role};
use crate::supervisor::{Attendant, Interruption};
use crate::wire::compiler::{Answer, Job, Request};
use crate::wire::{self, Channel, MAX_REASON_BYTES, Received};

/// Compiles `source`, which was read from `path`.
pub(super) fn compile(path: &Path, source: &[u8], attendant: &mut dyn Attendant) -> Result<(OwnedFd, Manifest)> {
    let memory = rustix::fs::memfd_create(c"wasmproc-artifact", MemfdFlags::CLOEXEC);
    let artifact = memory.context(|| "no memory for an artifact".to_owned())?;
    match ask(path, source, Job::Compile, Some(artifact.as_fd()), attendant)? {
        Answer::Compiled(manifest) => {
            let length = rustix::fs::fstat(&artifact).context(|| "can't look at an artifact".to_owned())?.st_size;
            if manifest.artifact_bytes != length.cast_unsigned() || manifest.artifact_bytes > MAX_ARTIFACT_BYTES {
                return Err(Error::failed("the compile worker breaks the rules: its artifact has another length"));
            }
            Ok((artifact, manifest))
        }
        _ => Err(Error::failed("the compile worker gave no artifact: please report it")),
    }
}

/// What `source`, which was read from `path`, imports and exports, and its world as WIT.
pub(crate) fn describe(path: &Path, attendant: &mut dyn Attendant) -> Result<(Manifest, String)> {
    let source = super::read_source(path)?;
    match ask(path, &source, Job::Describe, None, attendant)? {
        Answer::Described(manifest, wit) => Ok((manifest, wit)),
        _ => Err(Error::failed("the compile worker gave no description: please report it")),
    }
}

/// What a compile worker says to `source`. It leaves an artifact in the memory that it is given, and is dead then.
///
/// It isn't let send a descriptor: the kernel counts those that all processes of a user have on their way, and refuses
/// more to one that may have only a few open.
fn ask(
    path: &Path,
    source: &[u8],
    job: Job,
    artifact: Option<BorrowedFd<'_>>,
    attendant: &mut dyn Attendant,
) -> Result<Answer> {
    let (ours, theirs) = wire::pair().context(|| "can't make a socket for the compile worker".to_owned())?;
    let mut worker = Reaped(role::start(Role::Compiler, theirs, Layers::default())?);
    let mut control: Channel<Request, Answer> = Channel::new(ours);
    let source = sealed(source).context(|| "no memory for the file to compile".to_owned())?;
    let request = Request { name: path.display().to_string(), job };
    let descriptors: Vec<_> = [source.as_fd()].into_iter().chain(artifact).collect();
    match control.send(&request, &descriptors) {
        // A worker that died already says more by its exit than this error would.
        Err(error) if !wire::is_gone(&error) => {
            return Err(error).context(|| "the compile worker can't be told what to do".to_owned());
        }
        _ => {}
    }
    let waited = wait(&mut control, &request.name, attendant);
    attendant.compiled();
    let shown = path.display();
    match waited? {
        Waited::Answered(Answer::Refused(reason)) => {
            Err(Error::cannot_run(format!("can't run {shown}: {}", one_line(reason))))
        }
        Waited::Answered(Answer::Denied(number)) => Err(Error::cannot_run(format!(
            "can't run {shown}: compiling it led to system call {number}, which is denied"
        ))),
        Waited::Answered(Answer::Failed(reason)) => Err(Error::failed(one_line(reason))),
        Waited::Answered(answer) => Ok(answer),
        Waited::Gone => Err(worker.how_it_died(path)),
        Waited::InVain => Err(takes_too_long(path)),
        Waited::Interrupted(signal) => {
            Err(Error::new(ErrorKind::Interrupted(signal), format!("stopped while compiling {shown}")))
        }
    }
}

/// What a compile worker gives as a reason, for a message of one line.
fn one_line(reason: String) -> String {
    cause::printable(&cause::cut(reason, MAX_REASON_BYTES))
}

/// How a wait for an answer ended.
enum Waited {
    Answered(Answer),
    /// The worker closed its socket, most likely by its end.
    Gone,
    /// It took far too long.
    InVain,
    /// By this signal.
    Interrupted(u8),
}

fn wait(control: &mut Channel<Request, Answer>, name: &str, attendant: &mut dyn Attendant) -> Result<Waited> {
    let started = Instant::now();
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    loop {
        let (ready, stop) = {
            let mut polled = vec![PollFd::new(&*control, PollFlags::IN)];
            if let Some(interruption) = attendant.interruption() {
                polled.push(PollFd::from_borrowed_fd(interruption, PollFlags::IN));
            }
            match rustix::event::poll(&mut polled, Some(&second)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context(|| "can't wait for the compile worker".to_owned()),
            }
            (!polled[0].revents().is_empty(), polled.get(1).is_some_and(|stop| !stop.revents().is_empty()))
        };
        if ready {
            // A packet at a time: one that begins an answer and doesn't go on with it is waited for as any other.
            match control.try_receive_packet() {
                Ok(Some(Received::Message(answer, _))) => return Ok(Waited::Answered(answer)),
                Ok(Some(Received::Closed)) => return Ok(Waited::Gone),
                Ok(Some(Received::Empty) | None) => {}
                Err(error) => return Err(Error::failed(format!("the compile worker breaks the rules: {error}"))),
            }
        }
        if stop && let Some(Interruption::Stop { signal }) = attendant.take_interruption() {
            return Ok(Waited::Interrupted(signal));
        }
        if started.elapsed() > Duration::from_secs(1) {
            attendant.still_compiling(name, started.elapsed());
        }
        // The processor-time limit ends a worker that computes; this ends one that hangs.
        if started.elapsed() > 4 * MAX_CPU_TIME {
            return Ok(Waited::InVain);
        }
    }
}

fn takes_too_long(path: &Path) -> Error {
    let (shown, seconds) = (path.display(), MAX_CPU_TIME.as_secs());
    Error::cannot_run(format!(
        "can't run {shown}: compiling it takes more than {seconds} s of processor time; make it smaller"
    ))
}

/// The bytes in memory, unchangeable, to be read by another process.
fn sealed(bytes: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(c"wasmproc-source", flags)?);
    file.write_all(bytes)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file)
}

/// A compile worker that does not outlive its work.
struct Reaped(Child);

impl Reaped {
    fn how_it_died(&mut self, path: &Path) -> Error {
        use std::os::unix::process::ExitStatusExt;
        // Its socket may close a moment before its end.
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if matches!(self.0.try_wait(), Ok(None)) {
            // It is killed when it is dropped.
            return Error::failed("the compile worker breaks the rules: it closed its control socket and went on");
        }
        let limit = [libc::SIGPROF, libc::SIGXCPU].map(Some);
        let shown = path.display();
        match self.0.wait() {
            Ok(status) if limit.contains(&status.signal()) => takes_too_long(path),
            Ok(status) if status.signal() == Some(libc::SIGABRT) => {
                Error::cannot_run(format!("can't run {shown}: compiling it takes too much memory; make it smaller"))
            }
            Ok(status) if status.signal() == Some(libc::SIGKILL) => Error::failed(format!(
                "can't compile {shown}: the compiler was killed; somebody else, or the kernel for want of memory, did it"
            )),
            Ok(status) => Error::cannot_run(format!("can't run {shown}: the compiler ended with {status}")),
            Err(error) => Error::failed(format!("the compile worker is lost: {error}")),
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
