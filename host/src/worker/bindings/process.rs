//! `wasmproc:ipc/process`.

use std::time::Duration;

use async_trait::async_trait;
use wasmtime::component::Resource;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::super::control::{Control, Joined};
use super::super::end;
use super::super::host::Host;
use super::generated::wasmproc::ipc::process::{self as wit, ExitStatus, Info, Options, Target, Trap};
use super::generated::wasmproc::ipc::types::{self, Error, ErrorCode};
use crate::wire::object::ObjectId;
use crate::wire::worker::{Directory, Output, Refusal, RefusalCode, Reply, Request, Spawn, Target as WireTarget};
use crate::wire::{MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES};
use crate::{Cause, Pid};

/// A handle to a child or to the parent.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Process {
    pid: Pid,
    name: String,
    daemon: bool,
    kinship: Kinship,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinship {
    Child,
    Parent,
}

/// Behind the pollable of a process's end, which may outlive the handle that it came from.
struct Ending {
    pid: Pid,
    control: Control,
}

#[async_trait]
impl Pollable for Ending {
    async fn ready(&mut self) {
        self.control.ended(self.pid).await;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // If the supervisor is gone, this process is about to be.
        let _ = self.control.forget(self.pid);
    }
}

/// Behind the pollable of `stop-requested`.
struct StopRequest {
    control: Control,
}

#[async_trait]
impl Pollable for StopRequest {
    async fn ready(&mut self) {
        self.control.stopping().await;
    }
}

impl types::Host for Host {}

impl wit::Host for Host {
    fn spawn(
        &mut self,
        target: Target,
        input: Vec<u8>,
        options: Options,
    ) -> wasmtime::Result<Result<Resource<Process>, Error>> {
        let daemon = options.daemon;
        let objects = options.objects.clone();
        let spawn = match to_wire(target, input, options) {
            Ok(spawn) => spawn,
            Err(error) => return Ok(Err(error)),
        };
        match self.control.request(Request::Spawn(Box::new(spawn)))? {
            Ok(Reply::Spawned { pid, name }) => {
                for id in objects {
                    self.objects.moved(ObjectId(id));
                }
                self.refused_spawns = 0;
                Ok(Ok(self.process(pid, name, daemon, Kinship::Child)?))
            }
            Ok(_) => Err(wasmtime::Error::msg("the supervisor answered another question")),
            Err(refusal) => {
                if refusal.code == RefusalCode::Limit {
                    self.control.pause(pause(self.refused_spawns));
                    self.refused_spawns = self.refused_spawns.saturating_add(1);
                }
                Ok(Err(refusal.into()))
            }
        }
    }

    fn current(&mut self) -> wasmtime::Result<Info> {
        let identity = &self.identity;
        Ok(Info {
            id: identity.pid.0,
            name: identity.name.clone(),
            parent: identity.parent.as_ref().map(|(pid, _)| pid.0),
            daemon: identity.daemon,
        })
    }

    fn parent(&mut self) -> wasmtime::Result<Option<Resource<Process>>> {
        let Some((pid, name)) = self.identity.parent.clone() else { return Ok(None) };
        self.control.watch(pid)?;
        Ok(Some(self.process(pid, name, false, Kinship::Parent)?))
    }

    fn active_children(&mut self) -> wasmtime::Result<Vec<Resource<Process>>> {
        let children = match self.control.request(Request::Children)? {
            Ok(Reply::Children(children)) => children,
            _ => return Err(wasmtime::Error::msg("the supervisor answered another question")),
        };
        let mut handles = Vec::with_capacity(children.len());
        for child in children {
            self.control.watch(child.pid)?;
            handles.push(self.process(child.pid, child.name, child.daemon, Kinship::Child)?);
        }
        Ok(handles)
    }

    fn exit(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(wasmtime::Error::from(I32Exit(code.into())))
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(end::cut(message));
        Ok(())
    }

    fn stop_requested(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        self.control.notify(Request::ListenForStop)?;
        // News that came before now are taken in here.
        self.control.stop_requested();
        let request = StopRequest { control: self.control.clone() };
        let request = self.table.push(request)?;
        subscribe(&mut self.table, request)
    }

    fn parallelism(&mut self) -> wasmtime::Result<u32> {
        Ok(self.identity.parallelism)
    }
}

impl wit::HostProcess for Host {
    fn id(&mut self, process: Resource<Process>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&process)?.pid.0)
    }

    fn name(&mut self, process: Resource<Process>) -> wasmtime::Result<String> {
        Ok(self.table.get(&process)?.name.clone())
    }

    fn is_daemon(&mut self, process: Resource<Process>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&process)?.daemon)
    }

    fn status(&mut self, process: Resource<Process>) -> wasmtime::Result<Option<ExitStatus>> {
        let pid = self.table.get(&process)?.pid;
        Ok(self.control.cause(pid)?.map(ExitStatus::from))
    }

    fn join(
        &mut self,
        process: Resource<Process>,
        timeout: Option<u64>,
    ) -> wasmtime::Result<Result<ExitStatus, Error>> {
        let pid = self.table.get(&process)?.pid;
        let limit = timeout.map(Duration::from_nanos);
        Ok(match self.control.wait_for_end(pid, limit)? {
            Joined::Ended(cause) => Ok(cause.into()),
            Joined::TimedOut => Err(error(ErrorCode::Timeout, format!("process {pid} is still alive"))),
            Joined::Deadlock(circle) => Err(error(ErrorCode::Deadlock, circle)),
        })
    }

    fn output(&mut self, process: Resource<Process>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let pid = self.table.get(&process)?.pid;
        let nothing = |why: &str| Ok(Err(error(ErrorCode::Invalid, format!("process {pid} {why}"))));
        if self.control.cause(pid)?.is_none() {
            return nothing("is still alive");
        }
        match self.control.take_output(pid) {
            Some(Output::Here(bytes)) => Ok(Ok(bytes)),
            Some(Output::Kept) => match self.control.request(Request::TakeOutput(pid))? {
                Ok(Reply::Output(bytes)) => Ok(Ok(bytes)),
                Ok(_) => Err(wasmtime::Error::msg("the supervisor answered another question")),
                Err(refusal) => Ok(Err(refusal.into())),
            },
            Some(Output::None) | None => nothing("has no result, or it was taken before"),
        }
    }

    fn terminate(&mut self, process: Resource<Process>, grace: Option<u64>) -> wasmtime::Result<Result<(), Error>> {
        let handle = self.table.get(&process)?;
        let pid = handle.pid;
        if handle.kinship == Kinship::Parent {
            let message = format!("process {pid} is the parent: only children can be terminated");
            return Ok(Err(error(ErrorCode::Denied, message)));
        }
        let grace = Duration::from_nanos(grace.unwrap_or(0));
        Ok(match self.control.request(Request::Terminate { pid, grace })? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        })
    }

    fn kill(&mut self, process: Resource<Process>) -> wasmtime::Result<Result<(), Error>> {
        self.terminate(process, None)
    }

    fn subscribe(&mut self, process: Resource<Process>) -> wasmtime::Result<Resource<DynPollable>> {
        let pid = self.table.get(&process)?.pid;
        self.control.watch(pid)?;
        let ending = self.table.push(Ending { pid, control: self.control.clone() })?;
        subscribe(&mut self.table, ending)
    }

    fn drop(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        let handle = self.table.delete(process)?;
        match handle.kinship {
            Kinship::Child => Ok(self.control.forget(handle.pid)?),
            // Told once, and for all handles to come.
            Kinship::Parent => Ok(()),
        }
    }
}

impl Host {
    fn process(
        &mut self,
        pid: Pid,
        name: String,
        daemon: bool,
        kinship: Kinship,
    ) -> wasmtime::Result<Resource<Process>> {
        Ok(self.table.push(Process { pid, name, daemon, kinship })?)
    }
}

/// How long one waits who is refused a process for a limit, and was refused so many before it without one that was granted.
/// A thousand who ask in a loop would keep the supervisor busy, and a processor.
fn pause(refused: u32) -> Duration {
    match refused {
        0 => Duration::ZERO,
        _ => Duration::from_millis(1 << (refused - 1).min(10)),
    }
}

fn to_wire(target: Target, input: Vec<u8>, options: Options) -> Result<Spawn, Error> {
    if input.len() > MAX_PAYLOAD_BYTES {
        let message = format!("the input has {} bytes; at most 16 MiB can be passed to a process", input.len());
        return Err(error(ErrorCode::TooLarge, message));
    }
    let target = match target {
        Target::Function(name) => WireTarget::Function(name),
        Target::Main if input.is_empty() => WireTarget::Main,
        Target::Main => return Err(error(ErrorCode::Invalid, "a main function takes no input: pass arguments".into())),
    };
    let directory = |directory: wit::Directory| Directory {
        source: directory.source,
        guest: directory.guest,
        read_only: directory.read_only,
    };
    let spawn = Spawn {
        target,
        input,
        name: options.name,
        daemon: options.daemon,
        component: options.component,
        arguments: options.arguments,
        environment: options.environment,
        directories: options.directories.map(|all| all.into_iter().map(directory).collect()),
        max_memory_bytes: options.limits.max_memory_bytes,
        cpu_time: options.limits.cpu_time_ns.map(Duration::from_nanos),
        timeout: options.limits.timeout_ns.map(Duration::from_nanos),
        objects: options.objects.into_iter().map(ObjectId).collect(),
    };
    let text = spawn.text_bytes();
    if text > MAX_TEXT_BYTES {
        let message =
            format!("name, arguments, environment, directories and objects have {text} bytes; at most 1 MiB is passed");
        return Err(error(ErrorCode::TooLarge, message));
    }
    Ok(spawn)
}

fn error(code: ErrorCode, message: String) -> Error {
    Error { code, message }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let code = match refusal.code {
            RefusalCode::TooLarge => ErrorCode::TooLarge,
            RefusalCode::Limit => ErrorCode::Limit,
            RefusalCode::Denied => ErrorCode::Denied,
            RefusalCode::Invalid => ErrorCode::Invalid,
        };
        Error { code, message: refusal.message }
    }
}

impl From<Cause> for ExitStatus {
    fn from(cause: Cause) -> ExitStatus {
        match cause {
            Cause::Exited(code) => ExitStatus::Exited(code),
            Cause::Trapped { message, backtrace } => ExitStatus::Trapped(Trap { message, backtrace }),
            Cause::Signaled(signal) => ExitStatus::Signaled(signal),
            Cause::TimedOut => ExitStatus::TimedOut,
            Cause::CpuTime => ExitStatus::CpuTime,
            Cause::OutOfMemory => ExitStatus::OutOfMemory,
            Cause::DeniedSyscall(number) => ExitStatus::DeniedSyscall(number),
            Cause::Killed(by) => ExitStatus::Killed(by.map(|pid| pid.0)),
            Cause::ParentLost => ExitStatus::ParentLost,
            Cause::Stalled => ExitStatus::Stalled,
            Cause::Rejected(reason) => ExitStatus::Rejected(reason),
            Cause::SandboxFailed(reason) => ExitStatus::SandboxFailed(reason),
            Cause::Failed(reason) => ExitStatus::Failed(reason),
        }
    }
}
