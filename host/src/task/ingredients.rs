//! What a run is made of, out of what its task was told.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use wasmproc_sandbox::{Cgroup, CgroupLimits, Missing, ProcessLimits};

use super::Task;
use crate::artifact::{Artifact, Cache};
use crate::error::{Context, Error, Result};
use crate::role::Early;
use crate::supervisor::{self, Component, Ingredients, Limits, Plan, View};
use crate::wire::init::{ComponentSetup, Grant, Setup};
use crate::{units, worker};

/// Results that ended processes left and nobody has taken yet.
const MAX_KEPT_OUTPUT_BYTES: u64 = 256 << 20;
/// Init, zygotes and spares.
const CGROUP_EXTRA_PROCESSES: u64 = 16;
/// What the kernel and the worker use for a process, beside what is asked for.
const CGROUP_EXTRA_BYTES_EACH: u64 = 1 << 20;

impl Task {
    pub(crate) fn views(&self) -> Result<Vec<View>> {
        let mut views: Vec<View> = Vec::new();
        for (grant, (source, guest)) in self.directories.iter().enumerate() {
            let guest = supervisor::guest_path(guest).map_err(|refusal| Error::invalid(refusal.message))?;
            if views.iter().any(|view| view.guest == guest) {
                return Err(Error::invalid(format!("two directories are to be {guest} in the guest")));
            }
            let read_only = matches!(source, Grant::Host { read_only: true, .. });
            views.push(View { guest, grant, path: PathBuf::new(), read_only, narrowed: false });
        }
        Ok(views)
    }

    fn grants(&self) -> Result<Vec<Grant>> {
        let grant = |(grant, _): &(Grant, String)| match grant {
            Grant::Host { path, read_only } => {
                let path = real_directory(path)?;
                Ok(Grant::Host { path, read_only: *read_only })
            }
            Grant::Tmp { .. } => Ok(grant.clone()),
        };
        self.directories.iter().map(grant).collect()
    }

    /// What is granted to be written to although something else relies on it.
    fn exposed(&self, grants: &[Grant]) -> Vec<Missing> {
        let guests = || self.directories.iter().map(|(_, guest)| supervisor::guest_path(guest).unwrap_or_default());
        let named = || grants.iter().zip(guests());
        let writable = |(grant, guest)| match grant {
            &Grant::Host { ref path, read_only: false } => Some((path, guest)),
            _ => None,
        };
        let writable = || named().filter_map(writable);
        let mut exposed = Vec::new();
        for (inner, inner_guest) in named() {
            let Grant::Host { path: inner, read_only: true } = inner else { continue };
            // The guest finds the inner one by its name, and as a part of the outer one.
            let contains = |outer: &Path, guest: &str| inner.starts_with(outer) && inner_guest.starts_with(guest);
            let outer = writable().find(|(outer, guest)| contains(outer, guest)).map(|(outer, _)| outer.display());
            exposed.extend(outer.map(|outer| Missing {
                layer: format!("read-only {}", inner.display()),
                reason: format!("the guest can write to it as a part of {outer}"),
                remedy: format!("grant {outer} with :ro, or only folders of it"),
            }));
        }
        let cache = Cache::of_user().ok();
        let reached = |cache: &Cache| writable().map(|(path, _)| path).find(|path| cache.is_within_reach_from(path));
        if let Some((cache, path)) = cache.and_then(|cache| reached(&cache).map(|path| (cache, path.display()))) {
            exposed.push(Missing {
                layer: "wall around the cache".to_owned(),
                reason: format!(
                    "by {path} the guest can change the native code in {}, which other runs execute",
                    cache.folder().display()
                ),
                remedy: format!("grant {path} with :ro, or a folder beside the cache"),
            });
        }
        exposed
    }

    fn stdio(&self) -> Result<[OwnedFd; 3]> {
        let own = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let own = [own.0.as_fd(), own.1.as_fd(), own.2.as_fd()];
        let stream = |index: usize| match &self.stdio[index] {
            Some(given) => given.try_clone(),
            // A stream that is closed here is an empty one there.
            None => own[index].try_clone_to_owned().or_else(|error| match error.raw_os_error() {
                Some(libc::EBADF) => nothing(),
                // One that is there and can't be passed on must not be lost silently.
                _ => Err(error),
            }),
        };
        let streams: std::io::Result<_> = (|| Ok([stream(0)?, stream(1)?, stream(2)?]))();
        streams.context(|| "can't duplicate the standard streams".to_owned())
    }

    pub(super) fn ingredients(&self, artifacts: &[Artifact], doorstep: Early) -> Result<Ingredients> {
        let [stdin, stdout, stderr] = self.stdio()?;
        let terminals = [&stdin, &stdout, &stderr].map(rustix::termios::isatty);
        let parallelism = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let arguments: Vec<String> = std::iter::once(name).chain(self.arguments.iter().cloned()).collect();
        let directories = self.views()?;
        let mut start = supervisor::main_start(arguments.clone(), self.environment.clone(), parallelism);
        start.terminals = terminals;
        start.max_output_bytes = self.max_output_bytes;
        start.directories = directories.iter().map(|view| (view.guest.clone(), view.read_only)).collect();
        let files = artifacts.iter().map(|artifact| artifact.file.try_clone()).collect::<std::io::Result<Vec<_>>>();
        let grants = self.grants()?;
        let exposed = self.exposed(&grants);
        Ok(Ingredients {
            setup: Setup {
                grants,
                user: self.user,
                limits: ProcessLimits {
                    // What the host side of a worker needs comes on top of what its guest may have.
                    memory_bytes: self.max_memory_bytes.saturating_add(worker::HOST_SIDE_BYTES),
                    open_files: self.max_open_files,
                    file_bytes: self.max_file_bytes,
                },
                components: artifacts
                    .iter()
                    .map(|artifact| ComponentSetup { runs_at_start: artifact.manifest.runs_at_start })
                    .collect(),
                cgroup: self.cgroup.is_some(),
            },
            artifacts: files.context(|| "can't duplicate an artifact's descriptor".to_owned())?,
            stdin,
            stdout,
            stderr,
            components: self.known_components(artifacts),
            limits: Limits {
                max_processes: self.max_processes,
                max_total_memory_bytes: self.memory_beside_code(artifacts)?,
                max_kept_output_bytes: MAX_KEPT_OUTPUT_BYTES,
                max_objects: self.max_objects,
                max_total_objects: self.max_total_objects,
            },
            plan: Plan {
                component: 0,
                arguments,
                environment: self.environment.clone(),
                directories,
                max_memory_bytes: self.max_memory_bytes,
                cpu_time: self.cpu_time,
                timeout: self.timeout,
                terminals,
                parallelism,
                max_output_bytes: self.max_output_bytes,
            },
            start,
            grace: self.grace,
            strict: self.strict,
            list_processes: self.list_processes,
            doorstep,
            cgroup: self.own_cgroup()?,
            exposed,
        })
    }

    /// What the processes of the run may have together: its memory without the compiled code, which they share.
    fn memory_beside_code(&self, artifacts: &[Artifact]) -> Result<u64> {
        let code: u64 = artifacts.iter().map(|artifact| artifact.manifest.artifact_bytes).sum();
        self.max_total_memory_bytes.checked_sub(code).filter(|rest| *rest > 0).ok_or_else(|| {
            let code = units::show_bytes(code);
            Error::failed(format!("the compiled code alone has {code}; allow the run more with --max-total-memory"))
        })
    }

    /// The run's own cgroup. The kernel counts there what the limits of processes don't: page tables, stacks, sockets.
    fn own_cgroup(&self) -> Result<Option<Cgroup>> {
        let Some(parent) = &self.cgroup else { return Ok(None) };
        let processes = self.max_processes as u64 + CGROUP_EXTRA_PROCESSES;
        let extra = processes.saturating_mul(CGROUP_EXTRA_BYTES_EACH).saturating_add(worker::HOST_SIDE_BYTES);
        let limits = CgroupLimits { memory_bytes: self.max_total_memory_bytes.saturating_add(extra), processes };
        let cgroup = Cgroup::create(parent, limits);
        cgroup.map(Some).context(|| format!("can't make a cgroup in {}", parent.display()))
    }

    fn known_components(&self, artifacts: &[Artifact]) -> Vec<Component> {
        let names = std::iter::once(None).chain(self.components.iter().map(|(name, _)| Some(name.clone())));
        let component = |(name, artifact): (Option<String>, &Artifact)| Component {
            name,
            has_run: artifact.manifest.run().is_some(),
            has_entry: artifact.manifest.entry().is_some(),
            starts_processes: artifact.manifest.starts_processes(),
        };
        names.zip(artifacts).map(component).collect()
    }
}

/// The directory's real name, so that what is granted is what was meant.
fn real_directory(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    let real = std::fs::canonicalize(path).map_err(|error| Error::invalid(format!("can't grant {shown}: {error}")))?;
    match real.is_dir() {
        true => Ok(real),
        false => Err(Error::invalid(format!("can't grant {shown}: it is not a directory; grant the one it lies in"))),
    }
}

fn nothing() -> std::io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}
