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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use wasmproc_sandbox::{CpuTimer, Usage, WaitStatus};

use super::spawn::{self, Component, Directories, Limits, Plan};
use crate::wire::worker::{
    Child, FromWorker, Output, Refusal, RefusalCode, Reply, Request, Spawn, Start, Target, ToWorker,
};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};

/// Workers kept ready for a run that starts processes.
const SPARES: usize = 2;
/// A run that starts this many processes gets a zygote that is made for many.
const MANY: u64 = 16;
/// Results up to this length travel with the news of the end; longer ones are kept until asked for.
const INLINE_OUTPUT_BYTES: usize = 4096;
/// Memory that a process may use without asking, if the run has it.
const FIRST_ALLOWANCE_BYTES: u64 = 2 << 20;

/// With less than this left of the run's memory no process is started: it could not even begin.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

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
    Reaped(WorkerId, WaitStatus, Usage),
    /// The directories of a starting process are ready, or can't be had.
    Narrowed(Pid, Result<(), String>),
    /// The user wants the run to end: by request, and after this by force.
    Stop {
        grace: Duration,
    },
    /// The user wants the run to end now.
    Kill,
    /// Time has passed.
    Tick,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Fork(WorkerId),
    /// Replace the zygote by one that is made for many workers.
    RenewZygote,
    /// Begin the process in this worker. Its directories are those of the plan.
    Start(WorkerId, Box<Start>, Directories),
    /// Make the views that this process needs and say `Narrowed`.
    Narrow(Pid, Directories),
    Tell(WorkerId, ToWorker),
    Kill(WorkerId),
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
    plan: Plan,
    /// What it has been sent to begin with, until a worker is there.
    start: Option<Box<Start>>,
    /// The reply that its parent waits for.
    spawned_by: Option<(Pid, u64)>,
    listens_for_stop: bool,
    memory_bytes: u64,
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
    last_pid: u64,
    last_worker: u64,
    memory_bytes: u64,
    stopping: bool,
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
            last_pid: 0,
            last_worker: 0,
            memory_bytes: 0,
            stopping: false,
        }
    }

    /// Begins the first process.
    pub(crate) fn begin(&mut self, plan: Plan, start: Start, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.wants_spares = self.components.iter().any(|component| component.starts_processes);
        self.add(plan, start, None, now);
        self.seek_worker(MAIN, &mut actions);
        actions
    }

    /// Takes in one event and says what to do.
    pub(crate) fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Forked(worker) => self.forked(worker, now, &mut actions),
            Event::NotForked(worker, reason) => self.not_forked(worker, &reason, now, &mut actions),
            Event::ForksLost(workers) => self.forks_lost(&workers, &mut actions),
            Event::Said(worker, message) => self.said(worker, message, now, &mut actions),
            Event::Misbehaved(worker, how) => {
                if let Some(&pid) = self.by_worker.get(&worker) {
                    self.kill(pid, &Cause::Failed(how), now, &mut actions);
                }
            }
            Event::Reaped(worker, status, usage) => self.reaped(worker, status, usage, now, &mut actions),
            Event::Narrowed(pid, result) => self.narrowed(pid, result, now, &mut actions),
            Event::Stop { grace } => self.stop(grace, now, &mut actions),
            Event::Kill => self.kill(MAIN, &Cause::Killed(None), now, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
        }
        actions
    }

    /// When the next `Tick` is due.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        let grace = |process: &Process| process.grace_over.as_ref().map(|(when, _)| *when);
        let due = |process: &Process| [process.deadline, grace(process)].into_iter().flatten().min();
        self.processes.values().filter(|process| process.phase != Phase::Dying).filter_map(due).min()
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
        };
        self.processes.values().map(snapshot).collect()
    }

    // --- birth ---

    fn add(&mut self, plan: Plan, mut start: Start, spawned_by: Option<(Pid, u64)>, now: Now) -> Pid {
        self.last_pid += 1;
        let pid = Pid(self.last_pid);
        if start.name.is_empty() {
            start.name = format!("process-{pid}");
        }
        start.pid = pid;
        let parent = spawned_by.map(|(parent, _)| parent);
        let available = self.limits.max_total_memory_bytes.saturating_sub(self.memory_bytes);
        let allowance = FIRST_ALLOWANCE_BYTES.min(available).min(plan.max_memory_bytes);
        start.memory_limit_bytes = plan.max_memory_bytes;
        start.memory_allowance_bytes = allowance;
        start.cpu_time = plan.cpu_time;
        self.memory_bytes += allowance;
        let process = Process {
            pid,
            name: start.name.clone(),
            parent,
            daemon: start.daemon,
            phase: Phase::Starting,
            worker: None,
            children: BTreeSet::new(),
            watchers: parent.into_iter().collect(),
            cause: None,
            output: None,
            deadline: plan.timeout.and_then(|timeout| now.checked_add(timeout)),
            plan,
            start: Some(Box::new(start)),
            spawned_by,
            listens_for_stop: false,
            memory_bytes: allowance,
            begun: now,
            grace_over: None,
            usage: Usage::default(),
        };
        self.processes.insert(pid, process);
        if let Some(parent) = parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.children.insert(pid);
        }
        pid
    }

    /// Gives `pid` a spare worker, or puts it in line for the next.
    fn seek_worker(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        match self.spares.pop_front() {
            Some(worker) => self.start(pid, worker, actions),
            None => self.waiting.push_back(pid),
        }
        self.stock_up(actions);
    }

    /// Has as many workers forked as wait for one, and the spares.
    fn stock_up(&mut self, actions: &mut Vec<Action>) {
        let running = self.processes.get(&MAIN).is_some_and(|main| main.phase == Phase::Running);
        let spares = if self.wants_spares && running && !self.stopping { SPARES } else { 0 };
        while self.spares.len() + self.forking.len() < self.waiting.len() + spares {
            self.last_worker += 1;
            let worker = WorkerId(self.last_worker);
            self.forking.insert(worker);
            actions.push(Action::Fork(worker));
        }
    }

    fn forked(&mut self, worker: WorkerId, _now: Now, actions: &mut Vec<Action>) {
        if !self.forking.remove(&worker) {
            return actions.push(Action::Kill(worker));
        }
        match self.waiting.pop_front() {
            Some(pid) => self.start(pid, worker, actions),
            None => self.spares.push_back(worker),
        }
        self.stock_up(actions);
    }

    fn not_forked(&mut self, worker: WorkerId, reason: &str, now: Now, actions: &mut Vec<Action>) {
        self.forking.remove(&worker);
        // A spare that can't be had is not asked for again until somebody needs one.
        if self.spares.len() + self.forking.len() >= self.waiting.len() {
            return;
        }
        if let Some(pid) = self.waiting.pop_front() {
            self.stillborn(
                pid,
                &format!("this machine has no process, descriptor or memory left: {reason}"),
                now,
                actions,
            );
        }
    }

    fn forks_lost(&mut self, workers: &[WorkerId], actions: &mut Vec<Action>) {
        for worker in workers {
            self.forking.remove(worker);
        }
        self.stock_up(actions);
    }

    fn start(&mut self, pid: Pid, worker: WorkerId, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return actions.push(Action::Kill(worker)) };
        let Some(start) = process.start.take() else { return actions.push(Action::Kill(worker)) };
        process.phase = Phase::Running;
        process.worker = Some(worker);
        self.by_worker.insert(worker, pid);
        actions.push(Action::Start(worker, start, process.plan.directories.clone()));
        if let Some((parent, request)) = process.spawned_by.take() {
            let reply = Reply::Spawned { pid, name: process.name.clone() };
            self.reply(parent, request, Ok(reply), actions);
        }
    }

    /// A process that could not be started: an error for its parent, or the end of the run.
    fn stillborn(&mut self, pid: Pid, reason: &str, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.cause = Some(Cause::Failed(reason.to_owned()));
        process.phase = Phase::Dying;
        if let Some((parent, request)) = process.spawned_by.take() {
            // Its parent never learns the pid, so nobody waits for it.
            process.watchers.clear();
            self.reply(parent, request, Err(spawn::refuse(RefusalCode::Limit, reason)), actions);
        }
        self.settle(pid, now, actions);
    }

    fn narrowed(&mut self, pid: Pid, result: Result<(), String>, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.phase != Phase::Starting {
            return;
        }
        match result {
            Ok(()) => self.seek_worker(pid, actions),
            Err(reason) => {
                process.cause = Some(Cause::Failed(reason.clone()));
                process.phase = Phase::Dying;
                process.watchers.clear();
                if let Some((parent, request)) = process.spawned_by.take() {
                    self.reply(parent, request, Err(spawn::refuse(RefusalCode::Denied, reason)), actions);
                }
                self.settle(pid, now, actions);
            }
        }
    }

    // --- what workers say ---

    fn said(&mut self, worker: WorkerId, message: FromWorker, now: Now, actions: &mut Vec<Action>) {
        // A spare has nothing to say; a worker whose process is gone is on its way out.
        let Some(&pid) = self.by_worker.get(&worker) else { return };
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.phase != Phase::Running {
            return;
        }
        match message {
            FromWorker::Request { id, request } => self.request(pid, id, request, now, actions),
            FromWorker::Finished { code, output } => {
                process.output = output;
                process.cause = Some(Cause::Exited(code));
                process.phase = Phase::Draining;
                self.end_daemons(pid, now, actions);
                self.announce_return(pid, actions);
            }
            FromWorker::Trapped { message, backtrace } => {
                self.end_badly(pid, Cause::Trapped { message, backtrace }, now, actions);
            }
            FromWorker::OutOfMemory => self.end_badly(pid, Cause::OutOfMemory, now, actions),
            FromWorker::Rejected(reason) => self.end_badly(pid, Cause::Rejected(reason), now, actions),
            FromWorker::Failed(reason) => self.end_badly(pid, Cause::Failed(reason), now, actions),
            FromWorker::Denied(number) => self.end_badly(pid, Cause::DeniedSyscall(number), now, actions),
        }
    }

    fn request(&mut self, pid: Pid, id: u64, request: Request, now: Now, actions: &mut Vec<Action>) {
        match request {
            Request::Spawn(spawn) => self.spawn(pid, id, *spawn, now, actions),
            Request::Watch(target) => self.watch(pid, target, actions),
            Request::Forget(target) => {
                if let Some(process) = self.processes.get_mut(&target) {
                    process.watchers.remove(&pid);
                }
                self.forget_output(target, pid);
            }
            Request::TakeOutput(target) => {
                let taken = self.forget_output(target, pid);
                let nothing = || spawn::refuse(RefusalCode::Invalid, format!("process {target} has left no result"));
                self.reply(pid, id, taken.map(Reply::Output).ok_or_else(nothing), actions);
            }
            Request::Terminate { pid: target, grace } => {
                let result = self.terminate(pid, target, grace, now, actions);
                self.reply(pid, id, result.map(|()| Reply::Done), actions);
            }
            Request::Children => {
                let children = self.children(pid);
                self.reply(pid, id, Ok(Reply::Children(children)), actions);
            }
            Request::Memory(bytes) => {
                let result = self.grant_memory(pid, bytes);
                self.reply(pid, id, result.map(|()| Reply::Done), actions);
            }
            Request::ListenForStop => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.listens_for_stop = true;
                }
            }
        }
    }

    fn spawn(&mut self, parent: Pid, id: u64, spawn: Spawn, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get(&parent) else { return };
        let planned = if self.processes.len() >= self.limits.max_processes {
            let limit = self.limits.max_processes;
            Err(spawn::refuse(RefusalCode::Limit, format!("the run has {limit} processes, its --max-processes")))
        } else if self.memory_bytes.saturating_add(LEAST_MEMORY_BYTES) > self.limits.max_total_memory_bytes {
            Err(spawn::refuse(RefusalCode::Limit, "the run's memory, its --max-total-memory, is used up"))
        } else if process.daemon {
            let message = format!("process {parent} is a daemon, and daemons may not have children");
            Err(spawn::refuse(RefusalCode::Invalid, message))
        } else {
            spawn::plan(spawn, &process.plan, &self.components, (parent, &process.name))
        };
        let (plan, start) = match planned {
            Ok(planned) => planned,
            Err(refusal) => return self.reply(parent, id, Err(refusal), actions),
        };
        self.wants_spares = true;
        let narrowed = plan.directories.iter().any(|directory| directory.narrowed);
        let directories = plan.directories.clone();
        let pid = self.add(plan, start, Some((parent, id)), now);
        if pid.0 == MANY {
            actions.push(Action::RenewZygote);
        }
        if narrowed {
            actions.push(Action::Narrow(pid, directories));
        } else {
            self.seek_worker(pid, actions);
        }
    }

    fn watch(&mut self, watcher: Pid, target: Pid, actions: &mut Vec<Action>) {
        let kin = self.processes.get(&watcher).is_some_and(|process| process.parent == Some(target))
            || self.processes.get(&target).is_some_and(|process| process.parent == Some(watcher));
        match self.processes.get_mut(&target) {
            // To its children a parent has ended when its main function has returned.
            Some(process) if kin && (process.phase == Phase::Running || process.parent == Some(watcher)) => {
                process.watchers.insert(watcher);
            }
            // It has ended for the watcher, or is no business of it: either way there is nothing to wait for.
            known => {
                let cause = known.filter(|_| kin).and_then(|process| process.cause.clone());
                let cause = cause.unwrap_or(Cause::ParentLost);
                let ended = ToWorker::Ended { pid: target, cause, output: Output::None };
                self.tell(watcher, ended, actions);
            }
        }
    }

    fn forget_output(&mut self, target: Pid, owner: Pid) -> Option<Vec<u8>> {
        if self.kept.get(&target).is_none_or(|(parent, _)| *parent != owner) {
            return None;
        }
        let (_, output) = self.kept.remove(&target)?;
        self.kept_bytes -= output.len() as u64;
        Some(output)
    }

    fn children(&self, pid: Pid) -> Vec<Child> {
        let Some(process) = self.processes.get(&pid) else { return Vec::new() };
        let living = process.children.iter().filter_map(|child| self.processes.get(child));
        let child = |child: &Process| Child { pid: child.pid, name: child.name.clone(), daemon: child.daemon };
        // One that was started but not yet announced to its parent is no news that this reply should break.
        living.filter(|child| child.spawned_by.is_none()).map(child).collect()
    }

    fn grant_memory(&mut self, pid: Pid, bytes: u64) -> Result<(), Refusal> {
        let Some(process) = self.processes.get_mut(&pid) else {
            return Err(spawn::refuse(RefusalCode::Invalid, "there is no such process"));
        };
        let own = process.memory_bytes.saturating_add(bytes);
        let total = self.memory_bytes.saturating_add(bytes);
        if own > process.plan.max_memory_bytes || total > self.limits.max_total_memory_bytes {
            return Err(spawn::refuse(RefusalCode::Limit, "the memory limit is reached"));
        }
        process.memory_bytes = own;
        self.memory_bytes = total;
        Ok(())
    }

    // --- death ---

    fn terminate(
        &mut self,
        by: Pid,
        target: Pid,
        grace: Duration,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let Some(process) = self.processes.get_mut(&target) else {
            // It ended before; there is nothing to do.
            return Ok(());
        };
        if process.parent != Some(by) {
            let message = format!("process {target} is not a child of process {by}");
            return Err(spawn::refuse(RefusalCode::Denied, message));
        }
        if grace.is_zero() || process.phase == Phase::Starting {
            self.kill(target, &Cause::Killed(Some(by)), now, actions);
        } else {
            let over = now.saturating_add(grace);
            let sooner = process.grace_over.as_ref().is_none_or(|(earlier, _)| over < *earlier);
            if sooner {
                process.grace_over = Some((over, Some(by)));
            }
            self.tell(target, ToWorker::Stop, actions);
        }
        Ok(())
    }

    fn stop(&mut self, grace: Duration, now: Now, actions: &mut Vec<Action>) {
        let again = std::mem::replace(&mut self.stopping, true);
        let listens = self.processes.get(&MAIN).is_some_and(|main| main.listens_for_stop);
        if again || !listens || grace.is_zero() {
            return self.kill(MAIN, &Cause::Killed(None), now, actions);
        }
        for pid in self.processes.keys().copied().collect::<Vec<_>>() {
            self.tell(pid, ToWorker::Stop, actions);
        }
        if let Some(main) = self.processes.get_mut(&MAIN) {
            main.grace_over = Some((now.saturating_add(grace), None));
        }
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let due = |when: Option<Now>| when.is_some_and(|when| when <= now);
        let mut over = Vec::new();
        for process in self.processes.values().filter(|process| process.phase != Phase::Dying) {
            if due(process.deadline) {
                over.push((process.pid, Cause::TimedOut));
            } else if let Some((when, by)) = process.grace_over
                && when <= now
            {
                over.push((process.pid, Cause::Killed(by)));
            }
        }
        for (pid, cause) in over {
            self.kill(pid, &cause, now, actions);
        }
    }

    /// The daemons of a process whose main function has returned.
    fn end_daemons(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get(&pid) else { return };
        let children: Vec<Pid> = process.children.iter().copied().collect();
        for child in children {
            if self.processes.get(&child).is_some_and(|child| child.daemon) {
                self.kill(child, &Cause::Killed(None), now, actions);
            }
        }
    }

    /// A process that ends by itself, but not by returning: its descendants lose their parent.
    fn end_badly(&mut self, pid: Pid, cause: Cause, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.cause = Some(cause);
        process.phase = Phase::Dying;
        self.kill_children(pid, now, actions);
    }

    fn kill_children(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
        let children = self.processes.get(&pid).map(|process| process.children.clone()).unwrap_or_default();
        for child in children {
            self.kill(child, &Cause::ParentLost, now, actions);
        }
    }

    /// Kills `pid` for `cause`, and its descendants because they lose their parent.
    ///
    /// Depth is bounded by the number of processes; the walk keeps its own stack.
    fn kill(&mut self, pid: Pid, cause: &Cause, now: Now, actions: &mut Vec<Action>) {
        let mut doomed = vec![(pid, cause.clone())];
        let mut order = Vec::new();
        while let Some((pid, cause)) = doomed.pop() {
            let Some(process) = self.processes.get_mut(&pid) else { continue };
            if process.phase == Phase::Dying {
                continue;
            }
            // A process whose function has returned keeps that result: only its children are killed.
            if process.phase != Phase::Draining || cause == Cause::TimedOut {
                process.cause = Some(cause);
            }
            process.phase = Phase::Dying;
            if let Some(worker) = process.worker {
                actions.push(Action::Kill(worker));
            }
            doomed.extend(process.children.iter().map(|&child| (child, Cause::ParentLost)));
            order.push(pid);
        }
        // Children first, so that a parent finds none left.
        for pid in order.into_iter().rev() {
            self.settle(pid, now, actions);
        }
    }

    fn reaped(&mut self, worker: WorkerId, status: WaitStatus, usage: Usage, now: Now, actions: &mut Vec<Action>) {
        self.forking.remove(&worker);
        self.spares.retain(|&spare| spare != worker);
        let Some(pid) = self.by_worker.remove(&worker) else {
            return self.stock_up(actions);
        };
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.worker = None;
        process.usage = usage;
        if process.phase == Phase::Running {
            // It died without a last word.
            self.end_badly(pid, cause_of(status), now, actions);
        }
        self.settle(pid, now, actions);
    }

    /// Ends `pid` if nothing of it is left, and then perhaps its parent.
    fn settle(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
        let mut next = Some(pid);
        while let Some(pid) = next.take() {
            let Some(process) = self.processes.get(&pid) else { return };
            let over = matches!(process.phase, Phase::Draining | Phase::Dying);
            if !over || process.worker.is_some() || !process.children.is_empty() {
                return;
            }
            next = self.end(pid, now, actions);
        }
    }

    /// Takes an ended process out of the table and tells everybody. Returns its parent.
    fn end(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) -> Option<Pid> {
        let mut process = self.processes.remove(&pid)?;
        self.waiting.retain(|&waiting| waiting != pid);
        self.memory_bytes -= process.memory_bytes;
        let cause = process.cause.take().unwrap_or(Cause::Killed(None));
        if let Some(parent) = process.parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.children.remove(&pid);
        }
        if let Some((parent, request)) = process.spawned_by.take() {
            let refusal = spawn::refuse(RefusalCode::Limit, "the process was killed before it could start");
            self.reply(parent, request, Err(refusal), actions);
        } else {
            self.announce(&mut process, &cause, actions);
        }
        self.kept.retain(|_, (owner, output)| {
            let stays = *owner != pid;
            if !stays {
                self.kept_bytes -= output.len() as u64;
            }
            stays
        });
        actions.push(Action::Ended(Box::new(Record {
            pid,
            name: process.name,
            parent: process.parent,
            started: process.begun,
            ended: now,
            cause: cause.clone(),
            usage: process.usage,
        })));
        if pid == MAIN {
            actions.push(Action::Finished(cause));
        }
        process.parent
    }

    /// Tells the children of a process, those that watch it, that its main function has returned.
    fn announce_return(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let Some(cause) = process.cause.clone() else { return };
        let (children, others) = process.watchers.iter().partition(|watcher| process.children.contains(watcher));
        process.watchers = others;
        let children: BTreeSet<Pid> = children;
        for child in children {
            let ended = ToWorker::Ended { pid, cause: cause.clone(), output: Output::None };
            self.tell(child, ended, actions);
        }
    }

    /// Tells the watchers of a process that it has ended; its parent also gets the output, or a promise of it.
    fn announce(&mut self, process: &mut Process, cause: &Cause, actions: &mut Vec<Action>) {
        let mut output = process.output.take();
        for watcher in std::mem::take(&mut process.watchers) {
            let mine = if process.parent == Some(watcher) { output.take() } else { None };
            let (output, cause) = match mine {
                None => (Output::None, cause.clone()),
                Some(bytes) if bytes.len() <= INLINE_OUTPUT_BYTES => (Output::Here(bytes), cause.clone()),
                Some(bytes) => self.keep_output(process.pid, watcher, bytes, cause),
            };
            self.tell(watcher, ToWorker::Ended { pid: process.pid, cause, output }, actions);
        }
    }

    fn keep_output(&mut self, pid: Pid, parent: Pid, bytes: Vec<u8>, cause: &Cause) -> (Output, Cause) {
        let total = self.kept_bytes.saturating_add(bytes.len() as u64);
        if total > self.limits.max_kept_output_bytes {
            let limit = self.limits.max_kept_output_bytes >> 20;
            let message = format!("its result has no room: results that nobody takes fill {limit} MiB; join in time");
            return (Output::None, Cause::Failed(message));
        }
        self.kept_bytes = total;
        self.kept.insert(pid, (parent, bytes));
        (Output::Kept, cause.clone())
    }

    // --- words ---

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

/// The cause of a death without a last word.
fn cause_of(status: WaitStatus) -> Cause {
    match status {
        WaitStatus::Signaled(CpuTimer::SIGNAL | CpuTimer::COARSE_SIGNAL) => Cause::CpuTime,
        WaitStatus::Signaled(signal) => Cause::Signaled(signal),
        WaitStatus::Exited(code) => Cause::Failed(format!("its worker ended with code {code} and no explanation")),
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
    }
}
