//! The first process of a run.
//!
//! ```text
//! supervisor ── starts ──▶ doorstep: enters the namespaces, forks init into them, ends
//!                             └──▶ init (pid 1): starts the zygote, starts it again if it dies, makes narrower
//!                                  views of granted directories, reaps everybody and reports it
//! ```
//!
//! One thread; runs no guest code and reads no guest bytes. It believes its supervisor and nobody else. When its
//! control socket closes it exits, and the kernel ends everything in its pid namespace.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wasmproc_sandbox::{
    self as sandbox, Fork, Identity, Layer, Layers, Missing, Namespace, OldRoot, Processors, Procfs, Threads, Walls,
    seccomp,
};

use crate::cause::exit_code;
use crate::wire::init::{FromInit, Grant, Setup, ToInit};
use crate::wire::{self, Channel, Received};
use crate::worker::Confinement;
use crate::zygote::{self, Foundation, Zygote};

mod doorstep;
mod signals;

/// A zygote that dies this often in [`CRASH_WINDOW`] is not started again.
const MAX_CRASHES: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_secs(1);
/// How often, and after how long, a zygote is tried to be started when there is no process left.
const RESTARTS: usize = 100;
const RESTART_PAUSE: Duration = Duration::from_millis(20);

/// The life of init, beginning on the doorstep. `without` has layers of the sandbox to leave out, to see that others hold.
pub(crate) fn main(control: OwnedFd, without: Layers, processors: Processors) -> ! {
    wire::tell_panics(control.as_raw_fd(), FromInit::Failed);
    let mut control: Channel<FromInit, ToInit> = Channel::with_descriptors(control);
    match live(&mut control, without, processors) {
        Ok(()) => sandbox::exit_now(0),
        Err(error) => {
            let _ = control.send(&FromInit::Failed(format!("the run's sandbox can't be set up: {error}")), &[]);
            sandbox::exit_now(exit_code::WASMPROC_FAILED)
        }
    }
}

fn live(control: &mut Channel<FromInit, ToInit>, without: Layers, processors: Processors) -> io::Result<()> {
    sandbox::require_kernel()?;
    signals::ignore_all_but_child()?;
    let (walls, network) = doorstep::enter_namespaces(control, without, processors)?;
    sandbox::set_process_name(c"wasmproc-init")?;
    let foundation = Foundation::lay()?;
    // Only now, because a supervisor may start init before it knows what to tell it.
    let Ok(Some((ToInit::Setup(setup), descriptors))) = control.receive() else { return Ok(()) };
    let mut run = Run::new(walls, without, foundation, processors, setup, descriptors)?;
    let views = run.base_views()?;
    if run.walls.empty_root && run.directories.is_empty() {
        run.old_root = Some(sandbox::enter_empty_root()?);
        run.root_is_empty = true;
    }
    if let Some(network) = network {
        network.enter(&mut run.walls);
    }
    let views: Vec<_> = views.iter().map(AsFd::as_fd).collect();
    control.send(&FromInit::Ready(run.walls.clone()), &views)?;
    run.zygote = run.start_zygote(control, false)?;
    if !without.has(Layer::Seccomp) {
        // The zygote has one of its own; it starts no later for this one.
        sandbox::forbid_new_privileges()?;
        seccomp::report_denied(|_| sandbox::exit_now(exit_code::SIGNAL + libc::SIGSYS as u8))?;
        seccomp::install(seccomp::Role::Init)?;
    }
    run.serve(control)
}

/// What init keeps for as long as the run lasts.
struct Run {
    walls: Walls,
    without: Layers,
    foundation: Foundation,
    setup: Setup,
    /// Whom the zygote and the workers become.
    user: Option<Identity>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    artifacts: Vec<OwnedFd>,
    /// For each grant the directory that views are made of.
    directories: Vec<OwnedFd>,
    procfs: Procfs,
    processors: Processors,
    /// Init's own root is empty, because it needs no directories any more.
    root_is_empty: bool,
    /// What it had before, until the first zygote is forked.
    old_root: Option<OldRoot>,
    threads: Threads,
    zygote: i32,
    /// A zygote that was asked for beside the first, and then instead of it.
    renewed: Option<i32>,
    /// One was asked for: zygotes from now on are made for many workers.
    many: bool,
    crashes: VecDeque<Instant>,
}

impl Run {
    fn new(
        mut walls: Walls,
        without: Layers,
        foundation: Foundation,
        processors: Processors,
        setup: Setup,
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<Run> {
        let missing = || io::Error::other("the supervisor sent too few descriptors");
        let mut descriptors = descriptors.into_iter();
        let stdout = descriptors.next().ok_or_else(missing)?;
        let stderr = descriptors.next().ok_or_else(missing)?;
        if setup.cgroup {
            sandbox::enter_cgroup(descriptors.next().ok_or_else(missing)?.as_fd())
                .map_err(|error| io::Error::new(error.kind(), format!("the run can't enter its cgroup: {error}")))?;
        }
        let artifacts: Vec<OwnedFd> = descriptors.collect();
        if artifacts.len() != setup.components {
            return Err(missing());
        }
        let directories = setup.grants.iter().map(|grant| source(grant, &walls)).collect::<io::Result<_>>()?;
        let procfs = Procfs::of_host();
        let user = if without.has(Layer::Capabilities) { None } else { user_to_become(&setup, &mut walls)? };
        Ok(Run {
            walls,
            without,
            foundation,
            setup,
            user,
            stdout,
            stderr,
            artifacts,
            directories,
            threads: Threads::of_this_process(&procfs),
            procfs,
            processors,
            root_is_empty: false,
            old_root: None,
            zygote: 0,
            renewed: None,
            many: false,
            crashes: VecDeque::new(),
        })
    }

    /// The view of each grant that a process has unless its parent narrows it.
    fn base_views(&self) -> io::Result<Vec<OwnedFd>> {
        let views = self.setup.grants.iter().zip(&self.directories).map(|(grant, directory)| match grant {
            Grant::Host { read_only, .. } => self.view(directory, *read_only),
            Grant::Tmp { .. } => directory.try_clone(),
        });
        views.collect()
    }

    /// A directory as a worker may have it: a detached mount, or without a mount namespace the directory itself.
    fn view(&self, directory: &OwnedFd, read_only: bool) -> io::Result<OwnedFd> {
        if self.walls.empty_root {
            sandbox::clone_directory(directory.as_fd(), read_only)
        } else {
            directory.try_clone()
        }
    }

    fn narrow(&self, grant: usize, path: &Path, read_only: bool) -> io::Result<OwnedFd> {
        let directory = self.directories.get(grant).ok_or(io::ErrorKind::NotFound)?;
        let below = match path.as_os_str().is_empty() {
            true => directory.try_clone()?,
            false => sandbox::subdirectory(directory.as_fd(), path)?,
        };
        self.view(&below, read_only)
    }

    fn start_zygote(&mut self, control: &Channel<FromInit, ToInit>, renewed: bool) -> io::Result<i32> {
        let (ours, theirs) = wire::pair()?;
        // Out of the way of the numbers that the zygote clears.
        let theirs = zygote::own(theirs)?;
        // With a mount namespace of its own it can have an empty root while init still finds directories.
        let parts = self.walls.empty_root && !self.root_is_empty;
        let namespaces = if parts { libc::CLONE_NEWNS } else { 0 };
        let Fork::Parent { pid, .. } = sandbox::clone_process(&self.threads, false, namespaces)? else {
            drop(ours);
            let confinement = Confinement {
                files: if self.directories.is_empty() { seccomp::Files::None } else { seccomp::Files::Granted },
                landlock: self.walls.landlock.is_some(),
                limits: self.setup.limits,
                dies_with_parent: !self.walls.has(Namespace::Pid),
                without: self.without,
            };
            let zygote = Zygote {
                control: theirs,
                foundation: &self.foundation,
                stdout: &self.stdout,
                stderr: &self.stderr,
                artifacts: &self.artifacts,
                procfs: &self.procfs,
                empties_root: parts,
                user: self.user,
                directories: &self.directories,
                grants: &self.setup.grants,
                confinement,
                for_many: renewed || self.many,
            };
            zygote.main()
        };
        // The zygote prepares itself meanwhile. It can be asked for workers only when its socket is passed on.
        if let Some(old_root) = self.old_root.take() {
            self.processors.move_child(pid);
            old_root.detach()?;
        }
        control.send(&FromInit::Zygote { renewed }, &[ours.as_fd()])?;
        Ok(pid)
    }

    /// Starts a zygote in the place of a dead one, also if the machine has no process left at the moment.
    fn restart_zygote(&mut self, control: &Channel<FromInit, ToInit>) -> io::Result<i32> {
        for _ in 0..RESTARTS {
            match self.start_zygote(control, false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(RESTART_PAUSE),
                started => return started,
            }
        }
        self.start_zygote(control, false)
    }

    fn serve(&mut self, control: &mut Channel<FromInit, ToInit>) -> io::Result<()> {
        let deaths = signals::child_deaths()?;
        loop {
            let mut polled = [PollFd::new(control, PollFlags::IN), PollFd::new(&deaths, PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [asked, died] = polled.map(|one| !one.revents().is_empty());
            if died {
                signals::acknowledge(&deaths);
                self.reap(control)?;
            }
            if asked && !self.answer(control)? {
                return Ok(());
            }
        }
    }

    /// Answers what has arrived. Returns false when the supervisor is gone.
    fn answer(&mut self, control: &mut Channel<FromInit, ToInit>) -> io::Result<bool> {
        loop {
            match control.try_receive()? {
                Received::Message(ToInit::Narrow { ticket, grant, path, read_only }, _) => {
                    match self.narrow(grant, &path, read_only) {
                        Ok(view) => control.send(&FromInit::Narrowed { ticket, error: None }, &[view.as_fd()])?,
                        Err(error) => {
                            control.send(&FromInit::Narrowed { ticket, error: Some(error.into()) }, &[])?;
                        }
                    }
                }
                Received::Message(ToInit::Renew, _) => {
                    self.many = true;
                    // If there is no process left for it, the present one goes on.
                    self.renewed = self.start_zygote(control, true).ok();
                }
                Received::Message(ToInit::Setup(_), _) => {}
                Received::Empty => return Ok(true),
                Received::Closed => return Ok(false),
            }
        }
    }

    fn reap(&mut self, control: &Channel<FromInit, ToInit>) -> io::Result<()> {
        while let Some((pid, status, usage)) = sandbox::reap()? {
            if self.renewed.is_some_and(|renewed| self.zygote == pid || renewed == pid) {
                // One of two: the other goes on, and is the zygote from now on.
                self.zygote = if self.zygote == pid { self.renewed.take().unwrap_or_default() } else { self.zygote };
                self.renewed = None;
                continue;
            }
            if pid != self.zygote {
                control.send(&FromInit::Reaped { pid, status, usage }, &[])?;
                continue;
            }
            let now = Instant::now();
            self.crashes.push_back(now);
            self.crashes.retain(|&crash| now.duration_since(crash) < CRASH_WINDOW);
            if self.crashes.len() >= MAX_CRASHES {
                return Err(io::Error::other(format!("the zygote keeps dying ({status:?})")));
            }
            self.zygote = self.restart_zygote(control)?;
        }
        Ok(())
    }
}

/// Workers have the rights of the invoking user, except that on a host where that is root and can't be confined to a
/// user namespace they become nobody. Whose files they may then touch is not ours to guess.
fn user_to_become(setup: &Setup, walls: &mut Walls) -> io::Result<Option<Identity>> {
    if walls.has(Namespace::User) || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let grants_files = setup.grants.iter().any(|grant| matches!(grant, Grant::Host { .. }));
    if setup.user.is_none() && grants_files {
        return Err(io::Error::other(
            "this machine has no user namespaces and wasmproc is root here: say with --user UID:GID whose rights to \
             the granted directories the guest has",
        ));
    }
    let user = setup.user.unwrap_or(Identity::NOBODY);
    match sandbox::hindrance_to_become(user) {
        None => {
            walls.user = user.uid;
            Ok(Some(user))
        }
        Some(hindrance) if setup.user.is_some_and(|user| user.uid != 0) => {
            Err(io::Error::other(format!("--user: {hindrance}")))
        }
        Some(hindrance) => {
            walls.missing.push(Missing {
                layer: "user without rights".to_owned(),
                reason: hindrance.to_owned(),
                remedy: "run wasmproc as an ordinary user, or give the container CAP_SETUID and CAP_SETGID".to_owned(),
            });
            Ok(None)
        }
    }
}

/// The directory behind a grant, in this process's mount namespace.
fn source(grant: &Grant, walls: &Walls) -> io::Result<OwnedFd> {
    let named = |what: String| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    match grant {
        Grant::Host { path, .. } => {
            sandbox::host_directory(path).map_err(named(format!("can't open the directory {}", path.display())))
        }
        Grant::Tmp { capacity_bytes } if walls.has(Namespace::Mount) => {
            sandbox::private_tmp(*capacity_bytes).map_err(named("can't make the private /tmp".to_owned()))
        }
        Grant::Tmp { .. } => Err(io::Error::other(
            "a private /tmp needs a mount namespace, which this machine refuses; use --dir instead",
        )),
    }
}
