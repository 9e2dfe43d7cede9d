//! How processes leave the table: by themselves, by request, by a limit, or along with an ancestor.

use std::collections::BTreeSet;
use std::time::Duration;

use wasmproc_sandbox::{CpuTimer, Usage, WaitStatus};
use wasmproc_shm::Death;

use super::{Action, MAIN, Now, Phase, Process, Record, Table};
use crate::supervisor::spawn;
use crate::wire::worker::{Output, Refusal, RefusalCode, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};

/// Spares that die one after the other, without one that begins, before they are not replaced any more.
const MAX_LOST_SPARES: u32 = 8;
/// Results up to this length travel with the news of the end; longer ones are kept until asked for.
const INLINE_OUTPUT_BYTES: usize = 4096;

impl Table {
    pub(super) fn terminate(
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
            let earlier = process.grace_over;
            if earlier.is_none_or(|(earlier, _)| over < earlier) {
                process.grace_over = Some((over, Some(by)));
                self.set_alarm(target, earlier.map(|(earlier, _)| earlier), over);
            }
            // Once is enough, however often it is asked for.
            if earlier.is_none() {
                self.tell(target, ToWorker::Stop, actions);
            }
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, grace: Duration, now: Now, actions: &mut Vec<Action>) {
        let again = std::mem::replace(&mut self.stopping, true);
        let listens = self.processes.get(&MAIN).is_some_and(|main| main.listens_for_stop);
        if again || !listens || grace.is_zero() {
            return self.kill(MAIN, &Cause::Killed(None), now, actions);
        }
        for pid in self.processes.keys().copied().collect::<Vec<_>>() {
            self.tell(pid, ToWorker::Stop, actions);
        }
        if let Some(main) = self.processes.get_mut(&MAIN) {
            let over = now.saturating_add(grace);
            let earlier = main.grace_over.replace((over, None)).map(|(earlier, _)| earlier);
            self.set_alarm(MAIN, earlier, over);
        }
    }

    /// The grace period of a process ends then, and not when it was to before.
    fn set_alarm(&mut self, pid: Pid, before: Option<Now>, now: Now) {
        if let Some(before) = before {
            self.alarms.remove(&(before, pid));
        }
        self.alarms.insert((now, pid));
        // That may have been the same moment.
        self.alarms
            .extend(self.processes.get(&pid).and_then(|process| process.deadline).map(|deadline| (deadline, pid)));
    }

    pub(super) fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        let mut over = Vec::new();
        while let Some(&(when, pid)) = self.alarms.first()
            && when <= now
        {
            self.alarms.pop_first();
            let Some(process) = self.processes.get(&pid).filter(|process| process.phase != Phase::Dying) else {
                continue;
            };
            if process.deadline.is_some_and(|deadline| deadline <= now) {
                over.push((pid, Cause::TimedOut));
            } else if let Some((when, by)) = process.grace_over
                && when <= now
            {
                over.push((pid, Cause::Killed(by)));
            }
        }
        for (pid, cause) in over {
            self.kill(pid, &cause, now, actions);
        }
    }

    /// The daemons of a process whose main function has returned.
    pub(super) fn end_daemons(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get(&pid) else { return };
        let children: Vec<Pid> = process.children.iter().copied().collect();
        for child in children {
            if self.processes.get(&child).is_some_and(|child| child.daemon) {
                self.kill(child, &Cause::Killed(None), now, actions);
            }
        }
    }

    /// A process that ends by itself, but not by returning: its descendants lose their parent.
    pub(super) fn end_badly(&mut self, pid: Pid, cause: Cause, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.cause = Some(cause);
        process.phase = Phase::Dying;
        // Its word is not taken for it: a worker that says so and stays would be killed by nothing any more.
        actions.extend(process.worker.map(Action::Kill));
        self.kill_children(pid, now, actions);
    }

    /// Lets go of what more processes would have been made with, once only the first one is left and has nothing more to do.
    pub(super) fn dismiss(&mut self, actions: &mut Vec<Action>) {
        let is_over = |main: &Process| matches!(main.phase, Phase::Draining | Phase::Dying);
        if self.dismissed || self.processes.len() != 1 || !self.processes.get(&MAIN).is_some_and(is_over) {
            return;
        }
        self.dismissed = true;
        actions.extend(self.spares.drain(..).map(Action::Kill));
        actions.push(Action::Dismiss);
    }

    pub(super) fn kill_children(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
        let children = self.processes.get(&pid).map(|process| process.children.clone()).unwrap_or_default();
        for child in children {
            self.kill(child, &Cause::ParentLost, now, actions);
        }
    }

    /// Kills `pid` for `cause`, and its descendants because they lose their parent.
    ///
    /// Depth is bounded by the number of processes; the walk keeps its own stack.
    pub(super) fn kill(&mut self, pid: Pid, cause: &Cause, now: Now, actions: &mut Vec<Action>) {
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

    pub(super) fn reaped(
        &mut self,
        worker: WorkerId,
        status: WaitStatus,
        usage: Usage,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.forking.remove(&worker);
        self.spares.retain(|&spare| spare != worker);
        let Some(pid) = self.by_worker.remove(&worker) else {
            // Where they all die there is no use in more, until somebody needs one.
            self.lost_spares += 1;
            return if self.lost_spares <= MAX_LOST_SPARES || !self.waiting.is_empty() {
                self.stock_up(actions)
            };
        };
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.worker = None;
        process.usage = usage;
        let returned = matches!(process.cause, Some(Cause::Exited(_)));
        let death = if returned { Death::Peaceful } else { Death::Violent };
        self.release_objects(pid, death, actions);
        let Some(process) = self.processes.get(&pid) else { return };
        if process.phase == Phase::Running {
            // It died without a last word.
            let is_timed = process.plan.cpu_time.is_some();
            self.end_badly(pid, cause_of(status, is_timed), now, actions);
        }
        self.settle(pid, now, actions);
    }

    /// Ends `pid` if nothing of it is left, and then perhaps its parent.
    pub(super) fn settle(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) {
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
    pub(super) fn end(&mut self, pid: Pid, now: Now, actions: &mut Vec<Action>) -> Option<Pid> {
        let mut process = self.processes.remove(&pid)?;
        self.waiting.retain(|&waiting| waiting != pid);
        if let Some((parent, _)) = process.spawned_by {
            self.return_objects(pid, parent);
        }
        self.release_objects(pid, Death::Violent, actions);
        self.memory_bytes -= process.memory_bytes + process.start_bytes;
        let grace_over = process.grace_over.map(|(over, _)| over);
        for alarm in process.deadline.into_iter().chain(grace_over) {
            self.alarms.remove(&(alarm, pid));
        }
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
        self.give_way(actions);
        actions.push(Action::Ended(Box::new(Record {
            pid,
            name: process.name,
            parent: process.parent,
            started: process.begun,
            ended: now,
            cause: cause.clone(),
            usage: process.usage,
            allowed: process.plan.into(),
        })));
        if pid == MAIN {
            actions.push(Action::Finished(cause));
        }
        process.parent
    }

    /// Tells the children of a process, those that watch it, that its main function has returned.
    pub(super) fn announce_return(&mut self, pid: Pid, actions: &mut Vec<Action>) {
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
    pub(super) fn announce(&mut self, process: &mut Process, cause: &Cause, actions: &mut Vec<Action>) {
        let mut output = process.output.take();
        for watcher in std::mem::take(&mut process.watchers) {
            let mine = if process.parent == Some(watcher) { output.take() } else { None };
            let (output, cause) = match mine {
                None if process.lost_output && process.parent == Some(watcher) => (Output::None, self.no_room()),
                None => (Output::None, cause.clone()),
                Some(bytes) if bytes.len() <= INLINE_OUTPUT_BYTES => (Output::Here(bytes), cause.clone()),
                Some(bytes) => {
                    self.kept.insert(process.pid, (watcher, bytes));
                    (Output::Kept, cause.clone())
                }
            };
            self.tell(watcher, ToWorker::Ended { pid: process.pid, cause, output }, actions);
        }
        self.kept_bytes -= output.as_deref().map_or(0, long_bytes);
    }

    /// Keeps the result of a process until it has ended, and a long one until its parent asks for it, if there is room.
    pub(super) fn keep_output(&mut self, pid: Pid, output: Option<Vec<u8>>) {
        let bytes = output.as_deref().map_or(0, long_bytes);
        let lost = self.kept_bytes.saturating_add(bytes) > self.limits.max_kept_output_bytes;
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.lost_output = lost;
        if !lost {
            self.kept_bytes += bytes;
            process.output = output;
        }
    }

    fn no_room(&self) -> Cause {
        let limit = self.limits.max_kept_output_bytes >> 20;
        Cause::Failed(format!("its result has no room: results that nobody takes fill {limit} MiB; join in time"))
    }
}

/// What counts of a result as kept: those that travel with the news of the end don't.
pub(super) fn long_bytes(output: &[u8]) -> u64 {
    if output.len() > INLINE_OUTPUT_BYTES { output.len() as u64 } else { 0 }
}

/// The cause of a death without a last word.
fn cause_of(status: WaitStatus, is_timed: bool) -> Cause {
    match status {
        WaitStatus::Signaled(CpuTimer::SIGNAL | CpuTimer::COARSE_SIGNAL) if is_timed => Cause::CpuTime,
        WaitStatus::Signaled(signal) => Cause::Signaled(signal),
        WaitStatus::Exited(code) => Cause::Failed(format!("its worker ended with code {code} and no explanation")),
    }
}
