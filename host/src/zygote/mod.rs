//! The fork server: loads the artifacts once, links them once, and forks workers that have all of it already.
//!
//! One thread, no random numbers, no event loop, no guest code. Everything that all workers have in common is done
//! here, once: the empty root, the identity, the limits, the long seccomp list. What all zygotes of a run have in
//! common is done in init, before it knows the run: see [`Foundation`].

mod stack;
mod text;
mod warm;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use wasmproc_sandbox::{self as sandbox, Fork, Identity, Layer, Procfs, Threads, seccomp};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::artifact::engine::engine;
use crate::wire::init::Grant;
use crate::wire::zygote::{FromZygote, ToZygote, WorkerId};
use crate::wire::{self, Channel};
use crate::worker::{self, Confinement, Host, Program};

/// What doesn't depend on the run: init makes it while it waits for its setup, and every zygote inherits it.
pub(crate) struct Foundation {
    engine: Engine,
    linker: Linker<Host>,
    /// /dev/null.
    nothing: OwnedFd,
    /// The machine has huge pages. On small ones, what is moved to them would cost more than it saves.
    has_huge_pages: bool,
}

/// Where the machine says whether it has.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

impl Foundation {
    /// Needs the host's root.
    pub(crate) fn lay() -> io::Result<Foundation> {
        let failed = |error: wasmtime::Error| io::Error::other(format!("the engine can't be made: {error:#}"));
        let engine = engine().map_err(failed)?;
        let linker = worker::linker(&engine).map_err(failed)?;
        stack::for_signals()?;
        Engine::tls_eager_initialize();
        warm::find_random_source();
        let nothing = rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let has_huge_pages = !fs::read_to_string(HUGE_PAGES).is_ok_and(|setting| setting.contains("[never]"));
        Ok(Foundation { engine, linker, nothing, has_huge_pages })
    }
}

/// What a zygote is made of. Of its descriptors only `control` is its own; init's are closed by number.
pub(crate) struct Zygote<'a> {
    pub(crate) control: OwnedFd,
    pub(crate) foundation: &'a Foundation,
    pub(crate) stdout: &'a OwnedFd,
    pub(crate) stderr: &'a OwnedFd,
    pub(crate) artifacts: &'a [OwnedFd],
    /// The granted directories, as init opened them, and what was granted.
    pub(crate) directories: &'a [OwnedFd],
    pub(crate) grants: &'a [Grant],
    pub(crate) procfs: &'a Procfs,
    /// The mount namespace is its own, with the host's root in it.
    pub(crate) empties_root: bool,
    pub(crate) user: Option<Identity>,
    pub(crate) confinement: Confinement,
    /// Many workers will be forked: it may take some milliseconds to make each of them cheaper.
    pub(crate) for_many: bool,
}

/// The zygote's own descriptors are from here on; below are those that its workers inherit.
const OWN: RawFd = worker::CONTROL + 1;

/// Moves a descriptor to where a zygote keeps its own.
pub(crate) fn own(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    sandbox::raise(descriptor, OWN)
}

impl Zygote<'_> {
    /// Lives a zygote's life in a process that init has just forked.
    pub(crate) fn main(self) -> ! {
        wire::tell_panics(self.control.as_raw_fd(), FromZygote::Failed);
        let confinement = self.confinement;
        let loaded = self.confine_and_load();
        let control: Channel<FromZygote, ToZygote> = Channel::with_descriptors(self.control);
        match loaded {
            Ok((programs, threads)) => Server { control, programs, threads, confinement }.serve(),
            Err(message) => {
                let _ = control.send(&message, &[]);
                sandbox::exit_now(crate::cause::exit_code::WASMPROC_FAILED)
            }
        }
    }

    fn confine_and_load(&self) -> Result<(Vec<Program>, Threads), FromZygote> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| FromZygote::Failed(format!("{what}: {error}"))
        };
        if self.for_many && self.foundation.has_huge_pages {
            // Without huge pages it works as well, only slower.
            let _ = text::move_to_huge_pages(self.procfs);
        }
        let threads = Threads::of_this_process(self.procfs).raise(OWN).map_err(failed("no descriptor is left"))?;
        let data_bytes = sandbox::data_in_use(self.procfs);
        let descriptors = self.procfs.open(c"self/fd", OFlags::PATH);
        let descriptors = descriptors.ok().and_then(|descriptors| sandbox::raise(descriptors, OWN).ok());
        let artifacts: io::Result<Vec<OwnedFd>> =
            self.artifacts.iter().map(|artifact| sandbox::raise(artifact, OWN)).collect();
        let artifacts = artifacts.map_err(failed("the artifacts can't be passed on"))?;
        let directories: io::Result<Vec<OwnedFd>> =
            self.directories.iter().map(|directory| sandbox::raise(directory, OWN)).collect();
        let directories = directories.map_err(failed("the directories can't be passed on"))?;
        stdio(&self.foundation.nothing, self.stdout, self.stderr)
            .map_err(failed("the standard streams can't be passed on"))?;
        sandbox::close_between(3, worker::CONTROL).map_err(failed("descriptors can't be closed"))?;
        self.confine(data_bytes).map_err(failed("the sandbox can't be set up"))?;
        let programs = self.foundation.load(&artifacts, descriptors.as_ref())?;
        self.restrict_files(&directories)
            .map_err(failed("directories can't be granted without a wall around all other files"))?;
        drop(directories);
        // Loaded code is mapped; from here on nothing becomes executable any more.
        if self.confinement.has(Layer::Seccomp) {
            let role = seccomp::Role::Zygote(self.confinement.files);
            seccomp::install(role).map_err(failed("the filter can't be installed"))?;
        }
        if self.for_many {
            warm::use_up_free_chunks();
        }
        Ok((programs, threads))
    }

    /// All the walls that don't differ from worker to worker.
    fn confine(&self, data_bytes: u64) -> io::Result<()> {
        let parent = rustix::process::getppid();
        worker::ignore_signals();
        sandbox::set_process_name(c"wasmproc-zygote")?;
        if self.empties_root {
            sandbox::empty_root()?;
        }
        if let Some(user) = self.user {
            sandbox::become_user(user)?;
        }
        if self.confinement.has(Layer::Capabilities) {
            sandbox::drop_capabilities()?;
        }
        sandbox::forbid_new_privileges()?;
        sandbox::hide_from_tracers()?;
        if self.confinement.dies_with_parent {
            sandbox::die_with_parent()?;
            if rustix::process::getppid() != parent {
                sandbox::exit_now(0);
            }
        }
        if self.confinement.has(Layer::Limits) {
            self.confinement.limits.apply(data_bytes)?;
        }
        seccomp::report_denied(|_| sandbox::exit_now(crate::cause::exit_code::SIGNAL + libc::SIGSYS as u8))
    }

    /// Landlock, as far as it can be the same for all workers. A view of a directory is a mount without a parent, for which
    /// rules about the directory that it is a view of don't hold: so workers that have views bring rules of their own.
    fn restrict_files(&self, directories: &[OwnedFd]) -> io::Result<()> {
        let has_views = self.empties_root;
        if has_views || !self.confinement.landlock {
            let is_walled = has_views || self.confinement.files == seccomp::Files::None;
            // Without any, a run that may open files at all would have no wall around the others.
            return if is_walled || !self.confinement.has(Layer::Landlock) {
                Ok(())
            } else {
                Err(io::Error::other("this machine has neither mount namespaces nor Landlock"))
            };
        }
        let read_only = |grant: &Grant| matches!(grant, Grant::Host { read_only: true, .. });
        let granted = directories.iter().zip(self.grants);
        let granted: Vec<_> = granted.map(|(directory, grant)| (directory.as_fd(), read_only(grant))).collect();
        sandbox::restrict(&granted)
    }
}

/// Workers inherit stdout and stderr; their stdin, if they have one, comes with their start.
fn stdio(nothing: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<()> {
    for (descriptor, number) in [(nothing.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)] {
        sandbox::place(sandbox::raise(descriptor, 3)?, number)?;
    }
    Ok(())
}

impl Foundation {
    fn load(&self, artifacts: &[OwnedFd], descriptors: Option<&OwnedFd>) -> Result<Vec<Program>, FromZygote> {
        let Foundation { engine, linker, .. } = self;
        let program = |(number, artifact): (usize, &OwnedFd)| {
            let component = map(engine, artifact, descriptors)
                .map_err(|error| FromZygote::BadArtifact(number, format!("{error:#}")))?;
            link(engine, linker, &component).map_err(|error| FromZygote::Unlinkable(number, format!("{error:#}")))
        };
        artifacts.iter().enumerate().map(program).collect()
    }
}

fn link(engine: &Engine, linker: &Linker<Host>, component: &Component) -> wasmtime::Result<Program> {
    let names: Vec<String> = component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
    let export = |prefix: &str, function: &str| {
        let name = names.iter().find(|name| name.starts_with(prefix))?;
        let instance = component.get_export_index(None, name)?;
        component.get_export_index(Some(&instance), function)
    };
    Ok(Program {
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
        return with_images(component?);
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
    programs: Vec<Program>,
    threads: Threads,
    confinement: Confinement,
}

impl Server {
    /// Forks workers until the supervisor closes the socket.
    fn serve(mut self) -> ! {
        let ready = self.control.send(&FromZygote::Ready, &[]);
        let mut going = ready.is_ok();
        while going && let Ok(Some((ToZygote::Fork(id), mut descriptors))) = self.control.receive() {
            let (answer, pidfd) = match descriptors.pop() {
                Some(socket) => self.fork(id, socket),
                None => (FromZygote::NotForked { worker: id, reason: "no descriptor is left".to_owned() }, None),
            };
            let descriptors: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
            going = self.control.send(&answer, &descriptors).is_ok();
        }
        sandbox::exit_now(0)
    }

    fn fork(&self, worker: WorkerId, socket: OwnedFd) -> (FromZygote, Option<OwnedFd>) {
        match sandbox::clone_process(&self.threads, true, 0) {
            Ok(Fork::Child) => worker::main(&self.programs, socket, self.confinement),
            Ok(Fork::Parent { pid, pidfd }) => (FromZygote::Forked { worker, pid }, Some(pidfd)),
            Err(error) => (FromZygote::NotForked { worker, reason: error.to_string() }, None),
        }
    }
}
