//! The supervisor: owns a run, decides everything, trusts nobody.
//!
//! One thread with one epoll set. All decisions are made by [`table::Table`], a pure value; this module turns what
//! arrives on descriptors into events for it, and its actions into messages and signals. A message is bounded by the
//! channel, and what a worker says is checked where it is acted on.

mod attendant;
mod controller;
mod dialogue;
mod kernel;
mod memories;
mod report;
mod spawn;
mod table;
mod unfinished;
mod views;
mod watched;
mod workers;
mod zygotes;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use wasmproc_sandbox::{Cgroup, Missing, Usage, WaitStatus, Walls};

pub use attendant::{Attendant, Interruption};
pub use controller::Controller;
pub(crate) use controller::{Orders, connected};
pub use report::{Allowed, Outcome, ProcessReport, ProcessState, ProcessView, Report};
pub(crate) use spawn::{Component, Limits, MAX_DIRECTORIES, Plan, View, guest_path};
#[cfg(feature = "fuzzing")]
pub(crate) use table::history;
pub(crate) use table::main_start;

use crate::error::{Context, Error, Result};
use crate::role::{self, Doorstep, Early};
use crate::wire::init::{FromInit, Setup, ToInit};
use crate::wire::worker::Start;
use crate::wire::zygote::WorkerId;
use crate::wire::{self, Channel, Received};
use crate::{Cause, Pid};
use controller::Order;
use memories::{Consequence, Memories};
use report::Recorder;
use table::{Action, Event, Table};
use unfinished::Unfinished;
use views::Views;
use watched::Watched;
use workers::Workers;
use zygotes::{Which, Zygote};

/// All that a run is made of.
pub(crate) struct Ingredients {
    pub(crate) setup: Setup,
    pub(crate) artifacts: Vec<OwnedFd>,
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) components: Vec<Component>,
    pub(crate) limits: Limits,
    pub(crate) plan: Plan,
    pub(crate) start: Start,
    pub(crate) grace: Duration,
    pub(crate) strict: bool,
    pub(crate) list_processes: bool,
    pub(crate) doorstep: Early,
    pub(crate) cgroup: Option<Cgroup>,
    /// What the grants leave without a wall.
    pub(crate) exposed: Vec<Missing>,
}

/// Why a run broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The zygote could not load the artifact of the component with this number.
    Artifact(usize, String),
    /// The component with this number imports what nobody provides.
    Unlinkable(usize, String),
    Run(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Broken {
        Broken::Run(error)
    }
}

const INIT: u64 = 0;
const ZYGOTE: u64 = 1;
const INTERRUPTION: u64 = 2;
const ORDERS: u64 = 3;
const RENEWED: u64 = 4;
const RETIRING: u64 = 5;
/// A worker's number is added to this.
const FIRST_WORKER: u64 = 16;

/// How long the kernel and init may take for each end in a run whose processes are all killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A run in progress.
pub(crate) struct Supervisor<'a> {
    attendant: &'a mut dyn Attendant,
    orders: &'a controller::Orders,
    epoll: Rc<OwnedFd>,
    began: Instant,
    init: Watched<ToInit, FromInit>,
    doorstep: Doorstep,
    init_process: Option<OwnedFd>,
    zygote: Option<Zygote>,
    /// A better one, until it is ready to take over.
    renewed: Option<Zygote>,
    /// The one that it took over from, until it has answered what it was asked.
    retiring: Option<Zygote>,
    /// Forks that were asked for while there was no zygote.
    unsent_forks: Vec<WorkerId>,
    workers: Workers,
    unfinished: Unfinished,
    table: Table,
    memories: Memories,
    /// Deaths of workers whose birth has not been announced yet, by their number in the run's namespace.
    early_deaths: HashMap<i32, (WaitStatus, Usage)>,
    views: Views,
    /// The run's grants as init passed them on.
    grants: Vec<OwnedFd>,
    expected_grants: usize,
    stdin: Option<OwnedFd>,
    grace: Duration,
    strict: bool,
    stopped_by: Option<u8>,
    recorder: Recorder,
    /// Last, so that it goes when everybody in it is gone.
    cgroup: Option<Cgroup>,
    exposed: Vec<Missing>,
    /// Processes that the kernel has killed for the memory of all of them, as far as their deaths are told.
    memory_kills: u64,
    /// Since when no end was told, although all processes are being killed.
    silent_since: Option<Instant>,
    broken: Option<Broken>,
    finished: Option<Cause>,
}

/// Runs to the end.
pub(crate) fn run(
    ingredients: Ingredients,
    orders: &controller::Orders,
    attendant: &mut dyn Attendant,
) -> Result<Outcome, Broken> {
    let mut supervisor = Supervisor::begin(ingredients, orders, attendant)?;
    let result = supervisor.serve();
    supervisor.tear_down();
    if let Some(broken) = supervisor.broken.take() {
        return Err(broken);
    }
    let cause = result?;
    supervisor.recorder.recoveries = supervisor.memories.found;
    Ok(supervisor.recorder.outcome(cause, supervisor.stopped_by))
}

impl<'a> Supervisor<'a> {
    fn begin(
        ingredients: Ingredients,
        orders: &'a controller::Orders,
        attendant: &'a mut dyn Attendant,
    ) -> Result<Supervisor<'a>> {
        let (control, doorstep) = ingredients.doorstep.begin()?;
        let mut init: Channel<ToInit, FromInit> = Channel::with_descriptors(control);
        let mut descriptors = vec![ingredients.stdout, ingredients.stderr];
        if let Some(cgroup) = &ingredients.cgroup {
            descriptors.push(cgroup.entrance().context(|| "the run's cgroup can't be entered".to_owned())?);
        }
        descriptors.extend(ingredients.artifacts);
        match init.post(&ToInit::Setup(ingredients.setup), descriptors) {
            // It is heard below why it is gone.
            Err(error) if !wire::is_gone(&error) => return Err(error).context(|| "init can't be told".to_owned()),
            _ => {}
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context(|| "can't make an epoll set".to_owned())?;
        let epoll = Rc::new(epoll);
        let init = Watched::new(&epoll, init, INIT).context(|| "can't watch init".to_owned())?;
        let mut supervisor = Supervisor {
            attendant,
            orders,
            epoll,
            began: Instant::now(),
            init,
            doorstep,
            init_process: None,
            zygote: None,
            renewed: None,
            retiring: None,
            unsent_forks: Vec::new(),
            workers: Workers::default(),
            unfinished: Unfinished::default(),
            table: Table::new(ingredients.limits, ingredients.components),
            memories: Memories::default(),
            early_deaths: HashMap::new(),
            views: Views::default(),
            grants: Vec::new(),
            expected_grants: ingredients.plan.directories.len(),
            stdin: Some(ingredients.stdin),
            grace: ingredients.grace,
            strict: ingredients.strict,
            stopped_by: None,
            recorder: Recorder::new(ingredients.list_processes),
            cgroup: ingredients.cgroup,
            exposed: ingredients.exposed,
            memory_kills: 0,
            silent_since: None,
            broken: None,
            finished: None,
        };
        watch(&supervisor.epoll, supervisor.orders.bell(), ORDERS)?;
        if let Some(interruption) = supervisor.attendant.interruption() {
            watch(&supervisor.epoll, interruption, INTERRUPTION)?;
        }
        let actions = supervisor.table.begin(ingredients.plan, ingredients.start, Duration::ZERO);
        supervisor.act(actions);
        Ok(supervisor)
    }

    fn serve(&mut self) -> Result<Cause, Broken> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        loop {
            if let Some(cause) = self.finished.take() {
                return Ok(cause);
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
            let timeout = self.table.next_deadline().map(|deadline| deadline.saturating_sub(self.began.elapsed()));
            let others = [self.memories.retry_after(), self.unfinished.look_after(), self.end_due()];
            let timeout = timeout.into_iter().chain(others.into_iter().flatten()).min();
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context(|| "can't wait for events".to_owned())?,
            }
            if events.is_empty() && self.is_overdue() {
                return Err(Error::failed(
                    "all processes of the run were killed, and init does not tell of their ends",
                )
                .into());
            }
            for event in &events {
                // Copied out of a packed structure.
                let (data, flags) = (event.data.u64(), event.flags);
                match data {
                    INIT => self.hear_init()?,
                    ZYGOTE => self.hear_zygote(Which::Present),
                    RENEWED => self.hear_zygote(Which::Renewed),
                    RETIRING => self.hear_zygote(Which::Retiring),
                    INTERRUPTION => self.interrupted(),
                    ORDERS => self.ordered(),
                    token => self.hear_worker(WorkerId(token - FIRST_WORKER), flags),
                }
            }
            for consequence in self.memories.go_on() {
                self.follow(consequence);
            }
            self.unblock();
            self.handle(Event::Tick);
        }
    }

    /// How much longer the next end may take to be told, once the first process and all others are killed: only init's word,
    /// and before it the zygote's, is missing then.
    fn end_due(&mut self) -> Option<Duration> {
        if !self.table.is_dying() {
            return None;
        }
        let since = self.silent_since.get_or_insert_with(Instant::now);
        Some(END_PATIENCE.saturating_sub(since.elapsed()))
    }

    fn is_overdue(&mut self) -> bool {
        self.end_due() == Some(Duration::ZERO)
    }

    /// Feeds the table one event, and does what it says.
    fn handle(&mut self, event: Event) {
        let actions = self.table.handle(event, self.began.elapsed());
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Fork(worker) => self.fork(worker),
                Action::RenewZygote => self.ask_init(&[ToInit::Renew]),
                Action::GiveWay(steps) => self.ask_init(&[ToInit::GiveWay(steps)]),
                Action::Start(worker, start, views) => self.start(worker, *start, &views),
                Action::Narrow(pid, views) => self.narrow(pid, &views),
                Action::Tell(worker, message) => drop(self.tell(worker, &message, Vec::new())),
                Action::Kill(worker) => self.kill(worker),
                Action::Dismiss => self.dismiss_zygotes(),
                Action::Object(action) => {
                    let consequence = self.memories.act(action);
                    self.follow(consequence);
                }
                Action::Notice(line) => self.attendant.warn(&crate::cause::printable(&line)),
                Action::Ended(record) => {
                    self.memories.forget(record.pid);
                    self.views.forget(record.pid);
                    let report = self.recorder.record(*record);
                    self.attendant.ended(&report);
                }
                Action::Finished(cause) => self.finished = Some(cause),
            }
        }
    }

    fn follow(&mut self, consequence: Consequence) {
        match consequence {
            Consequence::Nothing => {}
            Consequence::Tell(worker, message, descriptors) => drop(self.tell(worker, &message, descriptors)),
            Consequence::Event(event) => self.handle(Event::Object(event)),
        }
    }

    // --- what the table wants ---

    fn narrow(&mut self, pid: Pid, views: &[View]) {
        let requests = self.views.ask(pid, views);
        self.ask_init(&requests);
    }

    fn ask_init(&mut self, requests: &[ToInit]) {
        for request in requests {
            match self.init.post(request, Vec::new()) {
                // If init is gone, so is the run, and says so.
                Err(error) if !wire::is_gone(&error) => {
                    self.broken = Some(Error::failed(format!("init can't be reached: {error}")).into());
                }
                _ => {}
            }
        }
    }

    // --- what arrives ---

    fn hear_init(&mut self) -> Result<(), Broken> {
        self.init.flush();
        loop {
            match self.init.try_receive() {
                Ok(Received::Message(message, descriptors)) => self.init_said(message, descriptors)?,
                Ok(Received::Empty) => return Ok(()),
                Ok(Received::Closed) => {
                    return Err(Error::failed("init was killed, and the whole run with it").into());
                }
                Err(error) => return Err(Error::failed(format!("init can't be understood: {error}")).into()),
            }
        }
    }

    fn init_said(&mut self, message: FromInit, mut descriptors: Vec<OwnedFd>) -> Result<(), Broken> {
        match message {
            FromInit::Born => self.init_process = descriptors.pop(),
            FromInit::Ready(walls) => self.init_ready(walls, descriptors)?,
            FromInit::Failed(message) => return Err(Error::failed(crate::cause::printable(&message)).into()),
            FromInit::Zygote { renewed } => {
                let socket = descriptors.pop().ok_or_else(|| Error::failed("no descriptor is left for the zygote"))?;
                if self.init_process.is_some() {
                    // It has nothing more to do, and now there is a processor without work.
                    self.doorstep.kill();
                }
                let token = if renewed { RENEWED } else { ZYGOTE };
                let zygote = Watched::new(&self.epoll, Channel::with_descriptors(socket), token)
                    .context(|| "can't watch the zygote".to_owned())?;
                if renewed {
                    self.renewed = Some(zygote);
                } else {
                    self.new_zygote(zygote)?;
                }
            }
            FromInit::Narrowed { ticket, error } => {
                if let Some((pid, result)) = self.views.made(ticket, descriptors.pop(), error) {
                    self.handle(Event::Narrowed(pid, result));
                }
            }
            FromInit::Reaped { pid, status, usage } => match self.workers.find(pid) {
                Some(worker) => self.worker_died(worker, status, usage),
                // Only a worker whose birth is still to be told can be dead and unknown.
                None if self.workers.is_expecting() => drop(self.early_deaths.insert(pid, (status, usage))),
                None => {}
            },
        }
        Ok(())
    }

    fn init_ready(&mut self, mut walls: Walls, grants: Vec<OwnedFd>) -> Result<(), Broken> {
        if let Some(cgroup) = &self.cgroup {
            walls.cgroup = cgroup.controllers().iter().map(|name| (*name).to_owned()).collect();
            walls.missing.extend_from_slice(cgroup.missing());
        }
        walls.missing.append(&mut self.exposed);
        if let Some(warning) = walls.warning() {
            if self.strict {
                return Err(Error::failed(format!("--strict: {warning}")).into());
            }
            self.attendant.warn(&warning);
        }
        if grants.len() != self.expected_grants {
            return Err(Error::failed("no descriptors are left for the granted directories: raise ulimit -n").into());
        }
        self.grants = grants;
        self.recorder.walls = walls;
        Ok(())
    }

    fn interrupted(&mut self) {
        match self.attendant.take_interruption() {
            Some(Interruption::Stop { signal }) => {
                self.stopped_by.get_or_insert(signal);
                self.handle(Event::Stop { grace: self.grace });
            }
            Some(Interruption::Inspect) => {
                let views = report::views(self.table.snapshot(), self.began.elapsed(), &self.workers);
                self.attendant.inspect(&views);
            }
            None => {}
        }
    }

    fn ordered(&mut self) {
        for order in self.orders.take() {
            match order {
                Order::Stop { grace } => self.handle(Event::Stop { grace }),
                Order::Kill => self.handle(Event::Kill),
                Order::Inspect(answer) => {
                    let views = report::views(self.table.snapshot(), self.began.elapsed(), &self.workers);
                    // Somebody who stopped waiting needs no answer.
                    let _ = answer.send(views);
                }
            }
        }
    }

    // --- the end ---

    /// Ends everything that is left, and reaps what is this process's own.
    fn tear_down(&mut self) {
        self.workers.kill_all();
        self.hear_of_init();
        // If it has not become init itself, it ends as well, unless somebody has stopped it.
        self.doorstep.kill();
        if let Some(init) = &self.init_process {
            // Zygotes end by themselves, beside init: it would end them only after it has given back what it had.
            (self.zygote, self.renewed, self.retiring) = (None, None, None);
            // The kernel ends the namespace with its first process.
            let _ = rustix::process::pidfd_send_signal(init, rustix::process::Signal::KILL);
            // A host program that reaps all children may have been faster.
            let _ = rustix::process::waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED);
        }
        self.doorstep.wait();
    }

    /// The doorstep tells of init as soon as it comes to run again, which on a busy machine may be when all else is over. An
    /// init that is not known can't be reaped.
    fn hear_of_init(&mut self) {
        if self.init_process.is_none() {
            // Where the doorstep itself has become init, that ends now, and its socket closes.
            self.init.shut_down();
        }
        while self.init_process.is_none() && wire::is_readable(&self.init, role::A_MOMENT) {
            match self.init.try_receive() {
                Ok(Received::Message(FromInit::Born, mut descriptors)) => self.init_process = descriptors.pop(),
                Ok(Received::Message(..) | Received::Empty) => {}
                Ok(Received::Closed) | Err(_) => return,
            }
        }
    }
}

fn watch(epoll: &OwnedFd, source: impl AsFd, token: u64) -> Result<()> {
    epoll::add(epoll, source, EventData::new_u64(token), EventFlags::IN)
        .context(|| "can't watch a descriptor".to_owned())
}
