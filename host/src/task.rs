//! A task to run: what it is, what it is granted, what limits it has.

mod ingredients;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use wasmproc_sandbox::{self as sandbox, Identity, Layers};

use crate::artifact::{Artifact, Cache};
use crate::error::{Error, Result};
use crate::role::Early;
use crate::supervisor::{self, Attendant, Broken, Controller, Outcome};
use crate::wire::MAX_TEXT_BYTES;
use crate::wire::init::Grant;

/// Whether a directory may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// A task and all that it is granted: nothing, unless said here.
#[derive(Debug)]
pub struct Task {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directories: Vec<(Grant, String)>,
    components: Vec<(String, PathBuf)>,
    timeout: Option<Duration>,
    cpu_time: Option<Duration>,
    max_memory_bytes: u64,
    max_total_memory_bytes: u64,
    max_processes: usize,
    max_objects: usize,
    max_total_objects: usize,
    max_open_files: u64,
    max_file_bytes: u64,
    max_output_bytes: u64,
    grace: Duration,
    user: Option<Identity>,
    strict: bool,
    list_processes: bool,
    without: Layers,
    cgroup: Option<PathBuf>,
    cache: bool,
    stdio: [Option<OwnedFd>; 3],
}

/// Directories of one run.
const MAX_GRANTS: usize = supervisor::MAX_DIRECTORIES;
/// Components of one run; each is a descriptor in one message.
const MAX_COMPONENTS: usize = 32;

impl Task {
    /// What a process may use of memory unless said otherwise: 1 GiB.
    pub const DEFAULT_MAX_MEMORY_BYTES: u64 = 1 << 30;
    /// What all processes of a run may use together unless said otherwise: 4 GiB.
    pub const DEFAULT_MAX_TOTAL_MEMORY_BYTES: u64 = 4 << 30;
    /// How many processes a run may have at a time unless said otherwise.
    pub const DEFAULT_MAX_PROCESSES: usize = 1024;
    /// How many shared objects (locks, queues, ends of pipes...) one process may have unless said otherwise.
    pub const DEFAULT_MAX_OBJECTS: usize = 16_384;
    /// How many shared objects a run may have unless said otherwise.
    pub const DEFAULT_MAX_TOTAL_OBJECTS: usize = 65_536;
    /// How many files, and objects that it waits for in its event loop, a process may have open unless said otherwise.
    pub const DEFAULT_MAX_OPEN_FILES: u64 = 65_536;
    /// How long a run that listens to stop requests may take to end unless said otherwise.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(2);

    /// A task that runs the WebAssembly file `program`: a component that exports `wasi:cli/run`, a core module for
    /// WASI preview 1, or the text form of either.
    pub fn new(program: impl Into<PathBuf>) -> Task {
        Task {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directories: Vec::new(),
            components: Vec::new(),
            timeout: None,
            cpu_time: None,
            max_memory_bytes: Task::DEFAULT_MAX_MEMORY_BYTES,
            max_total_memory_bytes: Task::DEFAULT_MAX_TOTAL_MEMORY_BYTES,
            max_processes: Task::DEFAULT_MAX_PROCESSES,
            max_objects: Task::DEFAULT_MAX_OBJECTS,
            max_total_objects: Task::DEFAULT_MAX_TOTAL_OBJECTS,
            max_open_files: Task::DEFAULT_MAX_OPEN_FILES,
            max_file_bytes: u64::MAX,
            max_output_bytes: u64::MAX,
            grace: Task::DEFAULT_GRACE,
            user: None,
            strict: false,
            list_processes: false,
            without: Layers::default(),
            cgroup: None,
            cache: true,
            stdio: [None, None, None],
        }
    }

    /// Adds an argument. The guest finds the program's file name before the first one.
    pub fn arg(mut self, argument: impl Into<String>) -> Task {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Task {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the guest's environment, which is otherwise empty.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Task {
        let name = name.into();
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Grants the directory `host`, which the guest sees as `guest`. Its working directory is `/`.
    pub fn directory(mut self, host: impl Into<PathBuf>, guest: impl Into<String>, access: Access) -> Task {
        let grant = Grant::Host { path: host.into(), read_only: access == Access::ReadOnly };
        self.directories.push((grant, guest.into()));
        self
    }

    /// Grants a private `/tmp` in memory, shared by the processes of the run, that holds at most this much.
    pub fn tmp(mut self, capacity_bytes: u64) -> Task {
        self.directories.push((Grant::Tmp { capacity_bytes }, "/tmp".to_owned()));
        self
    }

    /// Grants the component in `file` under a name, so that guests can start processes of it.
    pub fn component(mut self, name: impl Into<String>, file: impl Into<PathBuf>) -> Task {
        self.components.push((name.into(), file.into()));
        self
    }

    /// Kills the run after this much wall time. By default there is no such limit.
    pub fn timeout(mut self, timeout: Duration) -> Task {
        self.timeout = Some(timeout);
        self
    }

    /// Kills a process that has used this much processor time. By default there is no such limit.
    pub fn cpu_time(mut self, limit: Duration) -> Task {
        self.cpu_time = Some(limit);
        self
    }

    /// Limits all memories and tables of one process together.
    pub fn max_memory(mut self, bytes: u64) -> Task {
        self.max_memory_bytes = bytes;
        self
    }

    /// Limits all memories and tables of all processes together.
    pub fn max_total_memory(mut self, bytes: u64) -> Task {
        self.max_total_memory_bytes = bytes;
        self
    }

    /// Limits how many processes there can be at a time.
    pub fn max_processes(mut self, processes: usize) -> Task {
        self.max_processes = processes;
        self
    }

    /// Shared objects that one process may have at a time.
    pub fn max_objects(mut self, objects: usize) -> Task {
        self.max_objects = objects;
        self
    }

    /// Shared objects that all processes may have at a time. Each costs the supervisor a descriptor.
    pub fn max_total_objects(mut self, objects: usize) -> Task {
        self.max_total_objects = objects;
        self
    }

    /// Files, and objects that it waits for in its event loop, that one process may have open at a time. A few of them are
    /// the worker's own.
    pub fn max_open_files(mut self, files: u64) -> Task {
        self.max_open_files = files;
        self
    }

    /// How long a file may become by what one process writes, standard streams that are files included. Without this, as
    /// long as it likes.
    pub fn max_file_size(mut self, bytes: u64) -> Task {
        self.max_file_bytes = bytes;
        self
    }

    /// How much one process may write to its standard output and error together; what is more is refused to it. Without
    /// this, as much as it likes.
    pub fn max_output(mut self, bytes: u64) -> Task {
        self.max_output_bytes = bytes;
        self
    }

    /// How long a run that listens to stop requests may take to end when it is stopped.
    pub fn grace(mut self, grace: Duration) -> Task {
        self.grace = grace;
        self
    }

    /// The user whose rights workers have on a host where this program is root and user namespaces can't be had.
    /// Elsewhere it is not used: workers have the rights of the invoking user.
    pub fn user(mut self, user: Identity) -> Task {
        self.user = Some(user);
        self
    }

    /// Fails instead of warning when this machine refuses a layer of the sandbox.
    pub fn strict(mut self, strict: bool) -> Task {
        self.strict = strict;
        self
    }

    /// Lists every process in the report.
    pub fn list_processes(mut self, list: bool) -> Task {
        self.list_processes = list;
        self
    }

    /// Whether compiled artifacts are taken from and kept in the user's cache; they are by default.
    pub fn use_cache(mut self, cache: bool) -> Task {
        self.cache = cache;
        self
    }

    /// Standard input; by default this program's own.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Task {
        self.stdio[0] = Some(stdin.into());
        self
    }

    /// Standard output; by default this program's own.
    pub fn stdout(mut self, stdout: impl Into<OwnedFd>) -> Task {
        self.stdio[1] = Some(stdout.into());
        self
    }

    /// Standard error; by default this program's own.
    pub fn stderr(mut self, stderr: impl Into<OwnedFd>) -> Task {
        self.stdio[2] = Some(stderr.into());
        self
    }

    /// Has the run's processes in a cgroup (version 2) of their own, made in this directory, which must be delegated to this
    /// user. Its controllers `memory` and `pids` limit all processes together by
    /// [`max_total_memory`](Task::max_total_memory), with some room for what the kernel needs for them, and
    /// [`max_processes`](Task::max_processes). One that is not switched on there counts as a missing layer.
    pub fn cgroup(mut self, parent: impl Into<PathBuf>) -> Task {
        self.cgroup = Some(parent.into());
        self
    }

    /// Leaves out every layer that can be left out, so that benchmarks can tell what they cost.
    #[doc(hidden)]
    pub fn unconfined(mut self) -> Task {
        self.without = Layers::all();
        self
    }

    /// Runs the task on this thread, to its end.
    ///
    /// # Errors
    /// When there is no such file, it can't be run, or the run can't be set up. A task that ends badly is no error:
    /// see [`Outcome::cause`].
    pub fn run(self) -> Result<Outcome> {
        self.prepare(&mut ())?.wait(&mut ())
    }

    /// Compiles what has to be compiled. The task begins with [`Running::wait`].
    pub fn prepare(self, attendant: &mut dyn Attendant) -> Result<Running> {
        let cache = match self.cache {
            true => Cache::of_user().inspect_err(|error| attendant.warn(&error.to_string())).ok(),
            false => None,
        };
        self.check()?;
        let open_files = sandbox::raise_open_files();
        if open_files < LEAST_OPEN_FILES {
            return Err(Error::failed(format!(
                "only {open_files} files can be open here, and a run needs {LEAST_OPEN_FILES}: raise ulimit -n"
            )));
        }
        let (controller, orders) = supervisor::connected()?;
        // It enters its namespaces while the artifacts are read.
        let doorstep = Early::start(self.without);
        let artifacts = self.artifacts(cache.as_ref(), attendant)?;
        Ok(Running { task: self, artifacts, cache, doorstep: Some(doorstep?), controller, orders })
    }

    pub(crate) fn check(&self) -> Result<()> {
        let text = self.arguments.iter().map(String::len).sum::<usize>()
            + self.environment.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if text > MAX_TEXT_BYTES {
            return Err(Error::invalid("arguments and environment have more than 1 MiB together: pass a file instead"));
        }
        if self.directories.len() > MAX_GRANTS {
            return Err(Error::invalid(format!("a run can have {MAX_GRANTS} directories at most")));
        }
        if self.components.len() >= MAX_COMPONENTS {
            return Err(Error::invalid(format!("a run can have {} further components at most", MAX_COMPONENTS - 1)));
        }
        if self.max_open_files < LEAST_OPEN_FILES {
            return Err(Error::invalid(format!(
                "a worker needs {LEAST_OPEN_FILES} open files for itself: raise --max-open-files"
            )));
        }
        if self.max_processes == 0 {
            return Err(Error::invalid("a run needs at least one process: raise --max-processes"));
        }
        if let Some((name, _)) = self
            .environment
            .iter()
            .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return Err(Error::invalid(format!("the environment variable {name:?} can't be passed on")));
        }
        let names: Vec<&String> = self.components.iter().map(|(name, _)| name).collect();
        if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            return Err(Error::invalid(format!("two components are named {}", twice.1)));
        }
        Ok(())
    }

    fn artifacts(&self, cache: Option<&Cache>, attendant: &mut dyn Attendant) -> Result<Vec<Artifact>> {
        let files = std::iter::once(&self.program).chain(self.components.iter().map(|(_, file)| file));
        let artifacts: Vec<Artifact> =
            files.map(|file| Artifact::of_file(file, cache, attendant)).collect::<Result<_>>()?;
        if artifacts[0].manifest.run().is_none() {
            return Err(Error::cannot_run(format!(
                "can't run {}: it doesn't export wasi:cli/run; a command does, a library doesn't",
                self.program.display()
            )));
        }
        Ok(artifacts)
    }

    fn unlinkable(&self, number: usize, reason: &str) -> Error {
        let named = number.checked_sub(1).and_then(|index| self.components.get(index));
        let file = named.map_or(&self.program, |(_, file)| file).display();
        let reason = crate::cause::printable(reason);
        Error::cannot_run(format!("can't run {file}: it imports what wasmproc doesn't have: {reason}"))
    }
}

/// Open files that the processes of a run can't do without.
const LEAST_OPEN_FILES: u64 = 96;

/// A task that is ready to begin.
#[derive(Debug)]
pub struct Running {
    task: Task,
    artifacts: Vec<Artifact>,
    cache: Option<Cache>,
    /// Until the run begins.
    doorstep: Option<Early>,
    controller: Controller,
    orders: supervisor::Orders,
}

impl Running {
    /// A handle by which other threads can end or inspect the run.
    pub fn controller(&self) -> Controller {
        self.controller.clone()
    }

    /// Runs the task on this thread, to its end.
    ///
    /// # Errors
    /// When the run can't be set up, or breaks off through no fault of the task.
    pub fn wait(mut self, attendant: &mut dyn Attendant) -> Result<Outcome> {
        // Every cached artifact can turn out to be useless once; what was just compiled can't.
        for _ in 0..=self.artifacts.len() {
            let doorstep = self.doorstep.take().map_or_else(|| Early::start(self.task.without), Ok)?;
            let ingredients = self.task.ingredients(&self.artifacts, doorstep)?;
            match supervisor::run(ingredients, &self.orders, attendant) {
                Ok(outcome) => return Ok(outcome),
                Err(Broken::Run(error)) => return Err(error),
                Err(Broken::Unlinkable(number, reason)) => return Err(self.task.unlinkable(number, &reason)),
                Err(Broken::Artifact(number, reason)) => {
                    let useless = self.artifacts.get(number).is_some_and(Artifact::discard);
                    if !useless {
                        let reason = crate::cause::printable(&reason);
                        return Err(Error::failed(format!("the compiled artifact can't be loaded: {reason}")));
                    }
                    self.artifacts = self.task.artifacts(self.cache.as_ref(), attendant)?;
                }
            }
        }
        Err(Error::failed("compiled artifacts can't be loaded: clear the cache with wasmproc cache clear"))
    }
}
