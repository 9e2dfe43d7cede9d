//! The process table: who there is, who waits for whom, what happens next.
//!
//! A pure value. Events go in, actions come out, time is an argument; nothing here touches a descriptor. One mutator,
//! the loop in `supervisor`, feeds it one event at a time.
//!
//! ```text
//!              Forked                     Finished               Reaped and no child left
//!   Starting ─────────▶ Running ───────────────────▶ Draining ─────────────────────────────▶ Ended
//!      │                   │  trap, limit, kill          │ kill                                 ▲
//!      │                   └────────────▶ Dying ◀────────┘                                      │
//!      └── can't be forked ─────────────────┴── worker reaped and no descendant left ───────────┘
//! ```
//!
//! Invariants, checked by the tests after every event:
//! - a process that is not Ended has its parent in the table, and is among that parent's children;
//! - a Dying process has only Dying or Ended descendants;
//! - a daemon has no children;
//! - the run is over exactly when the first process has Ended.

mod birth;
#[cfg(any(test, feature = "fuzzing"))]
mod check;
mod crowd;
mod deadlock;
mod death;
#[cfg(feature = "fuzzing")]
pub(crate) mod history;
mod objects;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use wasmproc_sandbox::{Usage, WaitStatus};

use super::report::Allowed;
use super::spawn::{Component, Directories, Limits, Plan};
use crate::wire::init::NoView;
use crate::wire::worker::{FromWorker, Refusal, Reply, Start, Target, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};
use crowd::FEW_PER_PROCESSOR;
use deadlock::Waits;
use objects::Objects;
pub(crate) use objects::{ObjectAction, ObjectEvent};

/// Time since the run began.
pub(crate) type Now = Duration;

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event {
    Forked(WorkerId),
    NotForked(WorkerId, String),
    /// A zygote died; these forks, which it was asked for and didn't answer, never happened.
    ForksLost(Vec<WorkerId>),
    Said(WorkerId, FromWorker),
    /// The worker broke the rules of the protocol.
    Misbehaved(WorkerId, String),
    /// The worker is dead and had not read what it was to begin with: this.
    NeverBegan(WorkerId, Box<Start>),
    Reaped(WorkerId, WaitStatus, Usage),
    /// The directories of a starting process are ready, or can't be had.
    Narrowed(Pid, Result<(), NoView>),
    /// The user wants the run to end: by request, and after this by force.
    Stop {
        grace: Duration,
    },
    /// The user wants the run to end now.
    Kill,
    Object(ObjectEvent),
    /// Time has passed.
    Tick,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Fork(WorkerId),
    /// Replace the zygote by one that is made for many workers.
    RenewZygote,
    /// Put the run behind others by so many of nice(2)'s steps, and no further.
    GiveWay(u8),
    /// Begin the process in this worker. Its directories are those of the plan.
    Start(WorkerId, Box<Start>, Directories),
    /// Make the views that this process needs and say `Narrowed`.
    Narrow(Pid, Directories),
    Tell(WorkerId, ToWorker),
    Kill(WorkerId),
    /// Let go of the zygotes: nothing will be forked any more.
    Dismiss,
    Object(ObjectAction),
    /// Something that the user should know. One line.
    Notice(String),
    /// A process has ended.
    Ended(Box<Record>),
    /// The run is over.
    Finished(Cause),
}

/// A process that has ended, for the report and the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) pid: Pid,
    pub(crate) name: String,
    pub(crate) parent: Option<Pid>,
    pub(crate) started: Now,
    pub(crate) ended: Now,
    pub(crate) cause: Cause,
    pub(crate) usage: Usage,
    pub(crate) allowed: Allowed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Running,
    Draining,
    Dying,
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    name: String,
    parent: Option<Pid>,
    daemon: bool,
    phase: Phase,
    worker: Option<WorkerId>,
    children: BTreeSet<Pid>,
    watchers: BTreeSet<Pid>,
    /// Why it ends, once that is known.
    cause: Option<Cause>,
    output: Option<Vec<u8>>,
    /// It had a result, for which there was no room.
    lost_output: bool,
    plan: Plan,
    /// What it has been sent to begin with, until a worker is there.
    start: Option<Box<Start>>,
    /// The reply that its parent waits for.
    spawned_by: Option<(Pid, u64)>,
    listens_for_stop: bool,
    /// The user knows that it has written as much as it may.
    output_limit_told: bool,
    memory_bytes: u64,
    /// What it was started with, beyond what everybody may have: it is kept here and in its worker.
    start_bytes: u64,
    /// How often its worker died before it began.
    lost_workers: u32,
    begun: Now,
    /// When it is killed as timed out.
    deadline: Option<Now>,
    /// When a grace period is over, and on whose request.
    grace_over: Option<(Now, Option<Pid>)>,
    usage: Usage,
}

/// What the user sees of a live process.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) pid: Pid,
    pub(crate) parent: Option<Pid>,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    pub(crate) phase: Phase,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) begun: Now,
    pub(crate) living_children: usize,
    pub(crate) waits_for: Option<String>,
}

/// All processes of a run.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    components: Vec<Component>,
    processes: BTreeMap<Pid, Process>,
    by_worker: HashMap<WorkerId, Pid>,
    /// Outputs of ended children that their parents have not asked for yet.
    kept: HashMap<Pid, (Pid, Vec<u8>)>,
    kept_bytes: u64,
    spares: VecDeque<WorkerId>,
    forking: BTreeSet<WorkerId>,
    /// Processes waiting for a worker.
    waiting: VecDeque<Pid>,
    wants_spares: bool,
    /// No process can be started any more.
    dismissed: bool,
    /// Spares that have died since a worker began.
    lost_spares: u32,
    /// How many processes the run can have before it gives way to others, and how far it does.
    few: usize,
    gives_way: u8,
    last_pid: u64,
    last_worker: u64,
    memory_bytes: u64,
    stopping: bool,
    objects: Objects,
    waits: Waits,
    /// When to look at which process: its deadline, and the end of its grace period.
    alarms: BTreeSet<(Now, Pid)>,
}

const MAIN: Pid = Pid(1);

impl Table {
    /// A table in which nothing runs yet.
    pub(crate) fn new(limits: Limits, components: Vec<Component>) -> Table {
        Table {
            limits,
            components,
            processes: BTreeMap::new(),
            by_worker: HashMap::new(),
            kept: HashMap::new(),
            kept_bytes: 0,
            spares: VecDeque::new(),
            forking: BTreeSet::new(),
            waiting: VecDeque::new(),
            wants_spares: false,
            dismissed: false,
            lost_spares: 0,
            few: usize::MAX,
            gives_way: 0,
            last_pid: 0,
            last_worker: 0,
            memory_bytes: 0,
            stopping: false,
            objects: Objects::default(),
            waits: Waits::default(),
            alarms: BTreeSet::new(),
        }
    }

    /// Begins the first process.
    pub(crate) fn begin(&mut self, plan: Plan, start: Start, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.wants_spares = self.components.iter().any(|component| component.starts_processes);
        self.few = FEW_PER_PROCESSOR * plan.parallelism as usize;
        self.add(plan, start, None, now);
        self.seek_worker(MAIN, &mut actions);
        actions
    }

    /// Takes in one event and says what to do.
    pub(crate) fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Forked(worker) => self.forked(worker, &mut actions),
            Event::NotForked(worker, reason) => self.not_forked(worker, &reason, now, &mut actions),
            Event::ForksLost(workers) => self.forks_lost(&workers, &mut actions),
            Event::Said(worker, message) => self.said(worker, message, now, &mut actions),
            Event::Misbehaved(worker, how) => {
                // Who has returned, or is dying, has been killed for that.
                if let Some(&pid) = self.by_worker.get(&worker)
                    && self.processes.get(&pid).is_some_and(|process| process.phase == Phase::Running)
                {
                    self.kill(pid, &Cause::Failed(how), now, &mut actions);
                }
            }
            Event::NeverBegan(worker, start) => self.never_began(worker, start, &mut actions),
            Event::Reaped(worker, status, usage) => self.reaped(worker, status, usage, now, &mut actions),
            Event::Narrowed(pid, result) => self.narrowed(pid, result, now, &mut actions),
            Event::Stop { grace } => self.stop(grace, now, &mut actions),
            Event::Kill => self.kill(MAIN, &Cause::Killed(None), now, &mut actions),
            Event::Object(event) => self.object_event(event, now, &mut actions),
            Event::Tick => {
                self.tick(now, &mut actions);
                self.look_for_circles(now, &mut actions);
                self.collect_lost(now, &mut actions);
            }
        }
        self.dismiss(&mut actions);
        actions
    }

    /// When the next `Tick` is due. It may find nothing to do.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        let alarm = self.alarms.first().map(|(when, _)| *when);
        let looks = [self.waits.next_deadline(), self.objects.next_look()];
        alarm.into_iter().chain(looks.into_iter().flatten()).min()
    }

    /// Whether the first process is being killed, with all others.
    pub(crate) fn is_dying(&self) -> bool {
        self.processes.get(&MAIN).is_some_and(|main| main.phase == Phase::Dying)
    }

    /// The processes that are alive, parents before children.
    pub(crate) fn snapshot(&self) -> Vec<Snapshot> {
        let snapshot = |process: &Process| Snapshot {
            pid: process.pid,
            parent: process.parent,
            name: process.name.clone(),
            daemon: process.daemon,
            phase: process.phase,
            worker: process.worker,
            begun: process.begun,
            living_children: process.children.len(),
            waits_for: self.waits.of(process.pid),
        };
        self.processes.values().map(snapshot).collect()
    }

    fn reply(&self, pid: Pid, request: u64, result: Result<Reply, Refusal>, actions: &mut Vec<Action>) {
        self.tell(pid, ToWorker::Reply { request, result }, actions);
    }

    /// Tells a process something if it can still hear.
    fn tell(&self, pid: Pid, message: ToWorker, actions: &mut Vec<Action>) {
        if let Some(process) = self.processes.get(&pid)
            && process.phase == Phase::Running
            && let Some(worker) = process.worker
        {
            actions.push(Action::Tell(worker, message));
        }
    }
}

/// What a first process starts from.
pub(crate) fn main_start(arguments: Vec<String>, environment: Vec<(String, String)>, parallelism: u32) -> Start {
    Start {
        pid: MAIN,
        name: "main".to_owned(),
        parent: None,
        daemon: false,
        component: 0,
        target: Target::Main,
        input: Vec::new(),
        arguments,
        environment,
        directories: Vec::new(),
        stdin: true,
        terminals: [false; 3],
        memory_limit_bytes: 0,
        memory_allowance_bytes: 0,
        cpu_time: None,
        parallelism,
        max_output_bytes: u64::MAX,
    }
}
