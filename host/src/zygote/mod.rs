//! The fork server: loads the artifacts once, links them once, and forks workers that have all of it already.
//!
//! One thread, no random numbers, no event loop, no guest code. Everything that all workers have in common is done
//! here, once: the engine, the identity, the limits, the long seccomp list. Init forks the first one before the run is
//! known, so that the engine is there when it is.

mod stack;
mod text;
mod warm;

use std::fs::{self, File};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use wasmproc_sandbox::{self as sandbox, Fork, ForkKey, Layer, Procfs, Threads, seccomp};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::artifact::engine::engine;
use crate::wire::init::ComponentSetup;
use crate::wire::zygote::{FromZygote, ToZygote, WorkerId, ZygoteSetup};
use crate::wire::{self, Channel};
use crate::worker::{self, Host, Program};

/// What init finds out for its zygotes, which may see nothing of the host any more when they begin.
pub(crate) struct Surroundings {
    pub(crate) procfs: Procfs,
    /// /dev/null.
    nothing: OwnedFd,
    /// The machine has huge pages. On small ones, what is moved to them would cost more than it saves.
    has_huge_pages: bool,
}

/// Where the machine says whether it has.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

impl Surroundings {
    pub(crate) fn find() -> io::Result<Surroundings> {
        let nothing = rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| io::Error::new(error.kind(), format!("/dev/null: {error}")))?;
        let has_huge_pages = !fs::read_to_string(HUGE_PAGES).is_ok_and(|setting| setting.contains("[never]"));
        Ok(Surroundings { procfs: Procfs::of_host(), nothing, has_huge_pages })
    }
}

/// What doesn't depend on the run. The first zygote makes it while its run is still being read.
struct Foundation {
    engine: Engine,
    linker: Linker<Host>,
}

impl Foundation {
    fn lay() -> wasmtime::Result<Foundation> {
        let engine = engine()?;
        let linker = worker::linker(&engine)?;
        stack::for_signals()?;
        Engine::tls_eager_initialize();
        warm::find_random_source();
        Ok(Foundation { engine, linker })
    }
}

/// The zygote's own descriptors are from here on; below are those that its workers inherit.
const OWN: RawFd = worker::CONTROL + 1;

/// Moves a descriptor to where a zygote keeps its own.
pub(crate) fn own(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    sandbox::raise(descriptor, OWN)
}

/// Lives a zygote's life in a process that init has just forked. Of its descriptors only `control` is its own; init's are
/// closed by number.
pub(crate) fn main(control: OwnedFd, surroundings: &Surroundings) -> ! {
    wire::tell_panics(control.as_raw_fd(), FromZygote::Failed);
    let mut control: Channel<FromZygote, ToZygote> = Channel::with_descriptors(control);
    match prepare(&mut control, surroundings) {
        Ok(Some(prepared)) => {
            if prepared.setup.for_many {
                // When nothing is left to be freed here.
                warm::use_up_free_chunks();
            }
            Server { control, prepared }.serve()
        }
        // There is no run.
        Ok(None) => sandbox::exit_now(0),
        Err(message) => {
            let _ = control.send(&message, &[]);
            sandbox::exit_now(crate::cause::exit_code::WASMPROC_FAILED)
        }
    }
}

/// All that workers are forked with.
struct Prepared {
    programs: Vec<Program>,
    threads: Threads,
    fork_key: ForkKey,
    setup: ZygoteSetup,
}

fn prepare(
    control: &mut Channel<FromZygote, ToZygote>,
    surroundings: &Surroundings,
) -> Result<Option<Prepared>, FromZygote> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| FromZygote::Failed(format!("{what}: {error}"))
    };
    sandbox::set_process_name(c"wasmproc-zygote").map_err(failed("it can't be named"))?;
    let parent = rustix::process::getppid();
    let foundation =
        Foundation::lay().map_err(|error| FromZygote::Failed(format!("the engine can't be made: {error:#}")))?;
    // Never dropped: that takes its time, and workers would find the free memory and copy it, page by page.
    let foundation = ManuallyDrop::new(foundation);
    let Ok(Some((ToZygote::Setup(setup), descriptors))) = control.receive() else { return Ok(None) };
    let given = Given::take(&setup, descriptors, control).map_err(failed("the run's descriptors can't be had"))?;
    if setup.for_many && surroundings.has_huge_pages {
        // Without huge pages it works as well, only slower.
        let _ = text::move_to_huge_pages(&surroundings.procfs);
    }
    let procfs = &surroundings.procfs;
    let threads = Threads::of_this_process(procfs).raise(OWN).map_err(failed("no descriptor is left"))?;
    let data_bytes = sandbox::data_in_use(procfs);
    let descriptors = procfs.open(c"self/fd", OFlags::PATH);
    let descriptors = descriptors.ok().and_then(|descriptors| sandbox::raise(descriptors, OWN).ok());
    enter(&setup, given.network, given.cgroup).map_err(failed("the sandbox can't be set up"))?;
    stdio(&surroundings.nothing, &given.stdout, &given.stderr)
        .map_err(failed("the standard streams can't be passed on"))?;
    drop((given.stdout, given.stderr));
    sandbox::close_between(3, worker::CONTROL).map_err(failed("descriptors can't be closed"))?;
    confine(&setup, parent, data_bytes).map_err(failed("the sandbox can't be set up"))?;
    let fork_key = ForkKey::draw().map_err(failed("forking can't be kept from workers"))?;
    let programs = foundation.load(&setup.components, &given.artifacts, descriptors.as_ref())?;
    restrict_files(&setup, &given.directories)
        .map_err(failed("directories can't be granted without a wall around all other files"))?;
    drop(given.directories);
    // Loaded code is mapped; from here on nothing becomes executable any more.
    let confinement = setup.confinement;
    if confinement.has(Layer::Seccomp) {
        let role = seccomp::Role::Zygote(confinement.files, &fork_key);
        seccomp::install(role).map_err(failed("the filter can't be installed"))?;
    }
    Ok(Some(Prepared { programs, threads, fork_key, setup }))
}

/// The descriptors that came with the setup.
struct Given {
    stdout: OwnedFd,
    stderr: OwnedFd,
    network: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
    artifacts: Vec<OwnedFd>,
    directories: Vec<OwnedFd>,
}

impl Given {
    fn take(
        setup: &ZygoteSetup,
        descriptors: Vec<OwnedFd>,
        control: &mut Channel<FromZygote, ToZygote>,
    ) -> io::Result<Given> {
        let missing = || io::Error::other("some are missing: raise ulimit -n");
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(missing);
        let (stdout, stderr) = (next()?, next()?);
        let network = setup.enters_network.then(&mut next).transpose()?;
        let cgroup = setup.enters_cgroup.then(&mut next).transpose()?;
        let artifacts: Vec<OwnedFd> = descriptors.map(own).collect::<io::Result<_>>()?;
        let directories = match setup.directories.is_empty() {
            true => Vec::new(),
            false => control.receive()?.map(|(_, directories)| directories).unwrap_or_default(),
        };
        let directories: Vec<OwnedFd> = directories.into_iter().map(own).collect::<io::Result<_>>()?;
        if artifacts.len() != setup.components.len() || directories.len() != setup.directories.len() {
            return Err(missing());
        }
        Ok(Given { stdout, stderr, network, cgroup, artifacts, directories })
    }
}

/// Goes where init has gone since it forked this zygote.
fn enter(setup: &ZygoteSetup, network: Option<OwnedFd>, cgroup: Option<OwnedFd>) -> io::Result<()> {
    if let Some(network) = network {
        sandbox::enter_network(&network)?;
    }
    if let Some(cgroup) = cgroup {
        sandbox::enter_cgroup(cgroup.as_fd())?;
    }
    if setup.empties_root {
        sandbox::copy_mounts()?;
        sandbox::empty_root()?;
    }
    Ok(())
}

/// All the walls that don't differ from worker to worker.
fn confine(setup: &ZygoteSetup, parent: Option<Pid>, data_bytes: u64) -> io::Result<()> {
    let confinement = setup.confinement;
    worker::ignore_signals();
    if let Some(user) = setup.user {
        sandbox::become_user(user)?;
    }
    if confinement.has(Layer::Capabilities) {
        sandbox::drop_capabilities()?;
    }
    sandbox::forbid_new_privileges()?;
    sandbox::hide_from_tracers()?;
    if confinement.dies_with_parent {
        sandbox::die_with_parent()?;
        if rustix::process::getppid() != parent {
            sandbox::exit_now(0);
        }
    }
    if confinement.has(Layer::Limits) {
        confinement.limits.apply(data_bytes)?;
    }
    seccomp::report_denied(|denied| sandbox::exit_now(crate::cause::exit_code::SIGNAL + denied.signal()))
}

/// Landlock, as far as it can be the same for all workers. A view of a directory is a mount without a parent, for which
/// rules about the directory that it is a view of don't hold: so workers that have views bring rules of their own.
fn restrict_files(setup: &ZygoteSetup, directories: &[OwnedFd]) -> io::Result<()> {
    let (confinement, has_views) = (setup.confinement, setup.empties_root);
    if has_views || !confinement.landlock {
        let is_walled = has_views || confinement.files == seccomp::Files::None;
        // Without any, a run that may open files at all would have no wall around the others.
        return if is_walled || !confinement.has(Layer::Landlock) {
            Ok(())
        } else {
            Err(io::Error::other("this machine has neither mount namespaces nor Landlock"))
        };
    }
    let granted: Vec<_> = directories.iter().map(AsFd::as_fd).zip(setup.directories.iter().copied()).collect();
    sandbox::restrict(&granted)
}

/// Workers inherit stdout and stderr; their stdin, if they have one, comes with their start.
fn stdio(nothing: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<()> {
    for (descriptor, number) in [(nothing.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)] {
        sandbox::place(sandbox::raise(descriptor, 3)?, number)?;
    }
    Ok(())
}

impl Foundation {
    fn load(
        &self,
        components: &[ComponentSetup],
        artifacts: &[OwnedFd],
        descriptors: Option<&OwnedFd>,
    ) -> Result<Vec<Program>, FromZygote> {
        let Foundation { engine, linker } = self;
        let program = |(number, (artifact, setup)): (usize, (&OwnedFd, &ComponentSetup))| {
            let component = map(engine, artifact, descriptors)
                .map_err(|error| FromZygote::BadArtifact(number, format!("{error:#}")))?;
            link(engine, linker, &component, *setup)
                .map_err(|error| FromZygote::Unlinkable(number, format!("{error:#}")))
        };
        artifacts.iter().zip(components).enumerate().map(program).collect()
    }
}

fn link(
    engine: &Engine,
    linker: &Linker<Host>,
    component: &Component,
    setup: ComponentSetup,
) -> wasmtime::Result<Program> {
    let names: Vec<String> = component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
    let export = |prefix: &str, function: &str| {
        let name = names.iter().find(|name| name.starts_with(prefix))?;
        let instance = component.get_export_index(None, name)?;
        component.get_export_index(Some(&instance), function)
    };
    Ok(Program {
        runs_at_start: setup.runs_at_start,
        run: export("wasi:cli/run@0.2.", "run"),
        entry: export("wasmproc:ipc/entry@0.1.", "call"),
        instance: linker.instantiate_pre(component)?,
    })
}

/// Maps an artifact and the memory images in it, so that all workers share its pages with the page cache.
#[expect(unsafe_code, reason = "an artifact is native code")]
fn map(engine: &Engine, artifact: &OwnedFd, descriptors: Option<&OwnedFd>) -> wasmtime::Result<Component> {
    // The engine opens by name. The root is empty, but a directory of open files can still be entered.
    if let Some(descriptors) = descriptors
        && rustix::process::fchdir(descriptors).is_ok()
    {
        let name = artifact.as_raw_fd().to_string();
        // Somebody who is not the cache's owner any more can read what is open, and can't open it again.
        if File::open(&name).is_err() {
            rustix::process::chdir(c"/")?;
            return read(engine, artifact);
        }
        // SAFETY: artifacts come from a compile worker or the user's own cache, checked against a hash; they run
        // behind the same walls as what they contain. The file is private to the user or a memory file of ours.
        let component = unsafe { Component::deserialize_file(engine, Path::new(&name)) };
        rustix::process::chdir(c"/")?;
        // What lies where nothing may be executed from can still be read.
        return component.map_or_else(|_| read(engine, artifact), with_images);
    }
    read(engine, artifact)
}

/// Copies an artifact into memory.
#[expect(unsafe_code, reason = "an artifact is native code")]
fn read(engine: &Engine, artifact: &OwnedFd) -> wasmtime::Result<Component> {
    let mut bytes = Vec::new();
    let mut file = File::from(artifact.try_clone()?);
    io::Seek::rewind(&mut file)?;
    io::Read::read_to_end(&mut file, &mut bytes)?;
    // SAFETY: as for a mapped artifact.
    with_images(unsafe { Component::deserialize(engine, bytes) }?)
}

/// Makes the images that instances' memories begin as, which needs calls that workers don't have.
fn with_images(component: Component) -> wasmtime::Result<Component> {
    component.initialize_copy_on_write_image()?;
    Ok(component)
}

/// A zygote with everything loaded.
struct Server {
    control: Channel<FromZygote, ToZygote>,
    prepared: Prepared,
}

impl Server {
    /// Forks workers until the supervisor lets go. Who ends in another way than by dismissal is replaced.
    fn serve(mut self) -> ! {
        let is_dismissed = self.answer().unwrap_or(false);
        sandbox::exit_now(if is_dismissed { 0 } else { crate::cause::exit_code::WASMPROC_FAILED })
    }

    /// Answers until it is dismissed or nobody asks any more; says which.
    fn answer(&mut self) -> io::Result<bool> {
        self.control.send(&FromZygote::Ready, &[])?;
        loop {
            let (id, socket) = match self.control.receive()? {
                Some((ToZygote::Fork(id), mut descriptors)) => (id, descriptors.pop()),
                Some((ToZygote::Dismiss, _)) => return Ok(true),
                _ => return Ok(false),
            };
            let (answer, pidfd) = match socket {
                Some(socket) => self.fork(id, socket),
                None => (FromZygote::NotForked { worker: id, reason: "no descriptor is left".to_owned() }, None),
            };
            let descriptors: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
            self.control.send(&answer, &descriptors)?;
        }
    }

    fn fork(&mut self, worker: WorkerId, socket: OwnedFd) -> (FromZygote, Option<OwnedFd>) {
        let Prepared { programs, threads, fork_key, setup } = &self.prepared;
        match fork_key.fork_sibling(threads) {
            Ok(Fork::Child) => worker::main(programs, socket, self.control.take_buffer(), setup.confinement),
            Ok(Fork::Parent { pid, pidfd }) => (FromZygote::Forked { worker, pid }, Some(pidfd)),
            Err(error) => (FromZygote::NotForked { worker, reason: error.to_string() }, None),
        }
    }
}
