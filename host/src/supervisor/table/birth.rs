//! How processes come into the table and get their workers.

use std::collections::BTreeSet;

use wasmproc_sandbox::Usage;

use super::{Action, MAIN, Now, Phase, Process, Table};
use crate::supervisor::spawn::{self, Plan};
use crate::wire::init::NoView;
use crate::wire::worker::{RefusalCode, Reply, Start};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};

/// Workers kept ready for a run that starts processes.
const SPARES: usize = 2;
/// What a process may be started with before that is counted as memory of the run.
const FREE_START_BYTES: u64 = 64 << 10;
/// How often a process is given another worker, because the one before died too early.
const MAX_LOST_WORKERS: u32 = 8;
/// Memory that a process may use without asking, if the run has it.
const FIRST_ALLOWANCE_BYTES: u64 = 2 << 20;

impl Table {
    pub(super) fn add(&mut self, plan: Plan, mut start: Start, spawned_by: Option<(Pid, u64)>, now: Now) -> Pid {
        self.last_pid += 1;
        let pid = Pid(self.last_pid);
        if start.name.is_empty() {
            start.name = format!("process-{pid}");
        }
        start.pid = pid;
        let parent = spawned_by.map(|(parent, _)| parent);
        let available = self.limits.max_total_memory_bytes.saturating_sub(self.memory_bytes);
        let start_bytes = if parent.is_some() { charged_for(&start) } else { 0 };
        let available = available.saturating_sub(start_bytes);
        let allowance = FIRST_ALLOWANCE_BYTES.min(available).min(plan.max_memory_bytes);
        start.memory_limit_bytes = plan.max_memory_bytes;
        start.memory_allowance_bytes = allowance;
        start.cpu_time = plan.cpu_time;
        self.memory_bytes += allowance + start_bytes;
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
            lost_output: false,
            deadline: plan.timeout.and_then(|timeout| now.checked_add(timeout)),
            plan,
            start: Some(Box::new(start)),
            spawned_by,
            listens_for_stop: false,
            output_limit_told: false,
            memory_bytes: allowance,
            start_bytes,
            lost_workers: 0,
            begun: now,
            grace_over: None,
            usage: Usage::default(),
        };
        self.alarms.extend(process.deadline.map(|deadline| (deadline, pid)));
        self.processes.insert(pid, process);
        if let Some(parent) = parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.children.insert(pid);
        }
        pid
    }

    /// Gives `pid` a spare worker, or puts it in line for the next.
    pub(super) fn seek_worker(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        match self.spares.pop_front() {
            Some(worker) => self.start(pid, worker, actions),
            None => self.waiting.push_back(pid),
        }
        self.stock_up(actions);
    }

    /// Has as many workers forked as wait for one, and the spares.
    pub(super) fn stock_up(&mut self, actions: &mut Vec<Action>) {
        let running = self.processes.get(&MAIN).is_some_and(|main| main.phase == Phase::Running);
        let spares = if self.wants_spares && running && !self.stopping { SPARES } else { 0 };
        while self.spares.len() + self.forking.len() < self.waiting.len() + spares {
            self.last_worker += 1;
            let worker = WorkerId(self.last_worker);
            self.forking.insert(worker);
            actions.push(Action::Fork(worker));
        }
    }

    pub(super) fn forked(&mut self, worker: WorkerId, actions: &mut Vec<Action>) {
        if !self.forking.remove(&worker) {
            return actions.push(Action::Kill(worker));
        }
        match self.waiting.pop_front() {
            Some(pid) => self.start(pid, worker, actions),
            None => self.spares.push_back(worker),
        }
        self.stock_up(actions);
    }

    pub(super) fn not_forked(&mut self, worker: WorkerId, reason: &str, now: Now, actions: &mut Vec<Action>) {
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

    pub(super) fn forks_lost(&mut self, workers: &[WorkerId], actions: &mut Vec<Action>) {
        for worker in workers {
            self.forking.remove(worker);
        }
        self.stock_up(actions);
    }

    pub(super) fn start(&mut self, pid: Pid, worker: WorkerId, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return actions.push(Action::Kill(worker)) };
        let Some(start) = process.start.take() else { return actions.push(Action::Kill(worker)) };
        process.phase = Phase::Running;
        process.worker = Some(worker);
        self.lost_spares = 0;
        self.by_worker.insert(worker, pid);
        actions.push(Action::Start(worker, start, process.plan.directories.clone()));
        if let Some((parent, request)) = process.spawned_by.take() {
            let reply = Reply::Spawned { pid, name: process.name.clone() };
            self.reply(parent, request, Ok(reply), actions);
        }
    }

    /// A worker died in which nothing of the process had run: it begins in another one.
    pub(super) fn never_began(&mut self, worker: WorkerId, start: Box<Start>, actions: &mut Vec<Action>) {
        let Some(pid) = self.by_worker.get(&worker).copied() else { return };
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.phase != Phase::Running || process.lost_workers == MAX_LOST_WORKERS {
            return;
        }
        process.lost_workers += 1;
        process.phase = Phase::Starting;
        process.worker = None;
        process.start = Some(start);
        let directories = process.plan.directories.clone();
        self.by_worker.remove(&worker);
        if directories.iter().any(|directory| directory.narrowed) {
            actions.push(Action::Narrow(pid, directories));
        } else {
            self.seek_worker(pid, actions);
        }
    }

    /// A process that could not be started: an error for its parent, or the end of the run.
    pub(super) fn stillborn(&mut self, pid: Pid, reason: &str, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.cause = Some(Cause::Failed(reason.to_owned()));
        process.phase = Phase::Dying;
        if let Some((parent, request)) = process.spawned_by.take() {
            // Its parent never learns the pid, so nobody waits for it.
            process.watchers.clear();
            self.return_objects(pid, parent);
            self.reply(parent, request, Err(spawn::refuse(RefusalCode::Limit, reason)), actions);
        }
        self.settle(pid, now, actions);
    }

    pub(super) fn narrowed(&mut self, pid: Pid, result: Result<(), NoView>, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.phase != Phase::Starting {
            return;
        }
        match result {
            Ok(()) => self.seek_worker(pid, actions),
            Err(NoView { reason, is_short }) => {
                process.cause = Some(Cause::Failed(reason.clone()));
                process.phase = Phase::Dying;
                process.watchers.clear();
                if let Some((parent, request)) = process.spawned_by.take() {
                    self.return_objects(pid, parent);
                    let code = if is_short { RefusalCode::Limit } else { RefusalCode::Denied };
                    self.reply(parent, request, Err(spawn::refuse(code, reason)), actions);
                }
                self.settle(pid, now, actions);
            }
        }
    }
}

/// What is kept of this as long as the process lives, and counts as memory of the run.
pub(super) fn charged_for(start: &Start) -> u64 {
    (start.bytes() as u64).saturating_sub(FREE_START_BYTES)
}
