//! The first process of a run.
//!
//! ```text
//! supervisor ── starts ──▶ doorstep: enters the namespaces, forks init into them, ends
//!                             └──▶ init (pid 1): starts the zygote, makes the network, hears what the run is and tells
//!                                  the zygote; starts another if it dies; makes narrower views of granted directories;
//!                                  reaps everybody and reports it
//! ```
//!
//! One thread; runs no guest code and reads no guest bytes. It believes its supervisor and nobody else. When its
//! control socket closes it exits, and the kernel ends everything in its pid namespace.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use wasmproc_sandbox::{
    self as sandbox, Fork, Identity, Layer, Layers, Missing, Namespace, OldRoot, Processors, Session, Threads,
    WaitStatus, Walls, seccomp,
};

use crate::cause::exit_code;
use crate::wire::init::{FromInit, Grant, Setup, ToInit};
use crate::wire::zygote::{FromZygote, ToZygote, ZygoteSetup};
use crate::wire::{self, Channel, Received};
use crate::worker::Confinement;
use crate::zygote::{self, Surroundings};

mod doorstep;
mod signals;

/// How long to wait in order to look.
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// A zygote that dies this often in [`CRASH_WINDOW`] is not started again.
const MAX_CRASHES: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_secs(1);
/// How often, and after how long, a zygote is tried to be started when there is no process left.
const RESTARTS: usize = 100;
const RESTART_PAUSE: Duration = Duration::from_millis(20);
/// How long the kernel wants to hear nothing more of how far sessions give way: a tenth of a second.
const WAY_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 110_000_000 };

/// What init's parent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    /// The first thread of the command, which ends when that does.
    Command,
    /// Some thread of a program that embeds the library and may go on without it.
    Program,
}

/// The life of init, beginning on the doorstep. `without` has layers of the sandbox to leave out, to see that others hold.
pub(crate) fn main(control: OwnedFd, without: Layers, processors: Processors, parent: Parent) -> ! {
    wire::tell_panics(control.as_raw_fd(), FromInit::Failed);
    let mut control: Channel<FromInit, ToInit> = Channel::with_descriptors(control);
    match live(&mut control, without, processors, parent) {
        Ok(()) => sandbox::exit_now(0),
        Err(error) => {
            let _ = control.send(&FromInit::Failed(format!("the run's sandbox can't be set up: {error}")), &[]);
            sandbox::exit_now(exit_code::WASMPROC_FAILED)
        }
    }
}

fn live(
    control: &mut Channel<FromInit, ToInit>,
    without: Layers,
    processors: Processors,
    parent: Parent,
) -> io::Result<()> {
    sandbox::require_kernel()?;
    signals::ignore_all_but_child()?;
    let surroundings = Surroundings::find()?;
    let mut walls = doorstep::enter_namespaces(control, without, &surroundings)?;
    sandbox::set_process_name(c"wasmproc-init")?;
    if parent == Parent::Command {
        // Who is stopped doesn't see a socket close.
        sandbox::die_with_parent()?;
    }
    processors.restore();
    let session = Session::begin(&surroundings.procfs);
    let threads = Threads::of_this_process(&surroundings.procfs);
    // It makes its engine beside everything from here to its setup.
    let zygote = NewZygote::fork(&threads, &surroundings)?;
    processors.move_child(zygote.pid);
    let network = doorstep::enter_network(&mut walls, without, &surroundings)?;
    if !wire::is_readable(control, NOT_AT_ALL) {
        // The zygote may have taken the supervisor's processor, and can have this one while init waits.
        processors.fetch_child(zygote.pid);
    }
    // Only now, because a supervisor may start init before it knows what to tell it.
    let Ok(Some((ToInit::Setup(setup), descriptors))) = control.receive() else { return Ok(()) };
    let mut given = Given::take(&setup, descriptors)?;
    if let Some(cgroup) = &given.cgroup {
        sandbox::enter_cgroup(cgroup.as_fd())
            .map_err(|error| io::Error::new(error.kind(), format!("the run can't enter its cgroup: {error}")))?;
    }
    let joining = Joining { network, cgroup: given.cgroup.take() };
    let mut run = Run::new(walls, without, surroundings, session, threads, setup, given)?;
    let old_root = run.begin(control, &zygote, &joining)?;
    // It loads meanwhile.
    processors.move_child(zygote.pid);
    run.confine(old_root)?;
    // Only now can it be asked for workers.
    control.send(&FromInit::Zygote { renewed: false }, &[zygote.socket.as_fd()])?;
    drop((zygote, joining));
    run.serve(control)
}

/// The descriptors that come with the setup.
struct Given {
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// The entrance of the run's own, if it has one.
    cgroup: Option<OwnedFd>,
    artifacts: Vec<OwnedFd>,
}

impl Given {
    fn take(setup: &Setup, descriptors: Vec<OwnedFd>) -> io::Result<Given> {
        let missing = || io::Error::other("the supervisor sent too few descriptors");
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(missing);
        let (stdout, stderr) = (next()?, next()?);
        let cgroup = setup.cgroup.then(&mut next).transpose()?;
        let artifacts: Vec<OwnedFd> = descriptors.collect();
        if artifacts.len() != setup.components.len() {
            return Err(missing());
        }
        Ok(Given { stdout, stderr, cgroup, artifacts })
    }
}

/// A zygote that doesn't know yet what the run is.
struct NewZygote {
    pid: i32,
    /// The supervisor's, once the zygote has its setup.
    socket: Channel<ToZygote, FromZygote>,
}

impl NewZygote {
    fn fork(threads: &Threads, surroundings: &Surroundings) -> io::Result<NewZygote> {
        let (socket, theirs) = wire::pair()?;
        // Out of the way of the numbers that the zygote clears.
        let theirs = zygote::own(theirs)?;
        match sandbox::clone_process(threads, false, 0)? {
            Fork::Parent { pid, .. } => Ok(NewZygote { pid, socket: Channel::new(socket) }),
            Fork::Child => {
                drop(socket);
                zygote::main(theirs, surroundings)
            }
        }
    }
}

/// What the first zygote has to join, because it is older: later ones are born there.
#[derive(Default)]
struct Joining {
    network: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
}

/// What init keeps for as long as the run lasts.
struct Run {
    walls: Walls,
    without: Layers,
    surroundings: Surroundings,
    session: Session,
    /// What the kernel did not want to hear yet of how far the session gives way.
    gives_way: Option<u8>,
    setup: Setup,
    /// Whom the zygote and the workers become.
    user: Option<Identity>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    artifacts: Vec<OwnedFd>,
    /// For each grant the directory that views are made of.
    directories: Vec<OwnedFd>,
    /// Init's own root is empty, because it needs no directories any more.
    root_is_empty: bool,
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
        surroundings: Surroundings,
        session: Session,
        threads: Threads,
        setup: Setup,
        given: Given,
    ) -> io::Result<Run> {
        let Given { stdout, stderr, artifacts, .. } = given;
        let directories = setup.grants.iter().map(|grant| source(grant, &walls)).collect::<io::Result<_>>()?;
        let user = if without.has(Layer::Capabilities) { None } else { user_to_become(&setup, &mut walls)? };
        Ok(Run {
            walls,
            without,
            surroundings,
            session,
            gives_way: None,
            setup,
            user,
            stdout,
            stderr,
            artifacts,
            directories,
            threads,
            root_is_empty: false,
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

    /// Tells the supervisor what stands, and the first zygote what the run is. Returns the host's file tree if init needs it no
    /// more.
    fn begin(
        &mut self,
        control: &Channel<FromInit, ToInit>,
        zygote: &NewZygote,
        joining: &Joining,
    ) -> io::Result<Option<OldRoot>> {
        let views = self.base_views()?;
        let views: Vec<_> = views.iter().map(AsFd::as_fd).collect();
        control.send(&FromInit::Ready(self.walls.clone()), &views)?;
        self.root_is_empty = self.walls.empty_root && self.directories.is_empty();
        let old_root = self.root_is_empty.then(sandbox::enter_empty_root).transpose()?;
        self.zygote = zygote.pid;
        self.tell(zygote, joining, false)?;
        Ok(old_root)
    }

    /// Gives up what init needs no more.
    fn confine(&self, old_root: Option<OldRoot>) -> io::Result<()> {
        if let Some(old_root) = old_root {
            old_root.detach()?;
        }
        if self.without.has(Layer::Seccomp) {
            return Ok(());
        }
        sandbox::forbid_new_privileges()?;
        seccomp::report_denied(|_| sandbox::exit_now(exit_code::SIGNAL + libc::SIGSYS as u8))?;
        seccomp::install(seccomp::Role::Init)
    }

    fn start_zygote(&self, control: &Channel<FromInit, ToInit>, renewed: bool) -> io::Result<i32> {
        let zygote = NewZygote::fork(&self.threads, &self.surroundings)?;
        self.tell(&zygote, &Joining::default(), renewed)?;
        control.send(&FromInit::Zygote { renewed }, &[zygote.socket.as_fd()])?;
        Ok(zygote.pid)
    }

    /// Tells a zygote what the run is.
    fn tell(&self, zygote: &NewZygote, joining: &Joining, renewed: bool) -> io::Result<()> {
        // Where workers have views, they bring Landlock's rules themselves.
        let directories: &[OwnedFd] = if self.walls.empty_root { &[] } else { &self.directories };
        let read_only = |grant: &Grant| matches!(grant, Grant::Host { read_only: true, .. });
        let setup = ZygoteSetup {
            confinement: Confinement {
                files: if self.directories.is_empty() { seccomp::Files::None } else { seccomp::Files::Granted },
                landlock: self.walls.landlock.is_some(),
                limits: self.setup.limits,
                dies_with_parent: !self.walls.has(Namespace::Pid),
                without: self.without,
            },
            user: self.user,
            components: self.setup.components.clone(),
            enters_network: joining.network.is_some(),
            enters_cgroup: joining.cgroup.is_some(),
            empties_root: self.walls.empty_root && !self.root_is_empty,
            directories: self.setup.grants.iter().take(directories.len()).map(read_only).collect(),
            for_many: renewed || self.many,
        };
        let given = [&self.stdout, &self.stderr].into_iter().chain(&joining.network).chain(&joining.cgroup);
        let given: Vec<_> = given.chain(&self.artifacts).map(AsFd::as_fd).collect();
        let sent = zygote.socket.send(&ToZygote::Setup(setup), &given).and_then(|()| match directories {
            [] => Ok(()),
            _ => {
                let directories: Vec<_> = directories.iter().map(AsFd::as_fd).collect();
                zygote.socket.send(&ToZygote::Directories, &directories)
            }
        });
        match sent {
            // One that is dead already is replaced when it is reaped.
            Err(error) if wire::is_gone(&error) => Ok(()),
            sent => sent,
        }
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
            let timeout = self.gives_way.map(|_| WAY_PAUSE);
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
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
            self.give_way();
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
                Received::Message(ToInit::GiveWay(steps), _) => self.gives_way = Some(steps),
                Received::Message(ToInit::Setup(_), _) => {}
                Received::Empty => return Ok(true),
                Received::Closed => return Ok(false),
            }
        }
    }

    /// Passes on how far the session gives way, now or when the kernel listens.
    fn give_way(&mut self) {
        if let Some(steps) = self.gives_way {
            let told = self.session.give_way(steps);
            let is_early = told.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            self.gives_way = is_early.then_some(steps);
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
            if status == WaitStatus::Exited(0) {
                // It was dismissed.
                self.zygote = 0;
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
