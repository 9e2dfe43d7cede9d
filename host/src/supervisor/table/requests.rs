//! What workers say, and what comes of it. Nothing of it is believed without a look into the table.

use super::birth::charged_for;
use super::{Action, Now, Phase, Process, Table};
use crate::cause::cut;
use crate::supervisor::spawn;
use crate::wire::MAX_REASON_BYTES;
use crate::wire::worker::{Child, FromWorker, Output, Refusal, RefusalCode, Reply, Request, Spawn, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};

/// A run that starts this many processes gets a zygote that is made for many.
const MANY: u64 = 16;
/// With less than this left of the run's memory no process is started: it could not even begin.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

impl Table {
    pub(super) fn said(&mut self, worker: WorkerId, message: FromWorker, now: Now, actions: &mut Vec<Action>) {
        // A spare has nothing to say; a worker whose process is gone is on its way out.
        let Some(&pid) = self.by_worker.get(&worker) else { return };
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.phase != Phase::Running {
            return;
        }
        match message {
            FromWorker::Request { id, request } => self.request(pid, id, request, now, actions),
            FromWorker::Finished { code, output } => {
                process.cause = Some(Cause::Exited(code));
                process.phase = Phase::Draining;
                // That was its last word. One that stays all the same would wait for nobody to kill it.
                actions.extend(process.worker.map(Action::Kill));
                self.keep_output(pid, output);
                self.end_daemons(pid, now, actions);
                self.announce_return(pid, actions);
            }
            FromWorker::Trapped { message, backtrace } => {
                let [message, backtrace] = [message, backtrace].map(|text| cut(text, MAX_REASON_BYTES));
                self.end_badly(pid, Cause::Trapped { message, backtrace }, now, actions);
            }
            FromWorker::OutputLimit => self.output_limit(pid, actions),
            FromWorker::OutOfMemory => self.end_badly(pid, Cause::OutOfMemory, now, actions),
            FromWorker::Rejected(reason) => {
                self.end_badly(pid, Cause::Rejected(cut(reason, MAX_REASON_BYTES)), now, actions);
            }
            FromWorker::SandboxFailed(reason) => {
                self.end_badly(pid, Cause::SandboxFailed(cut(reason, MAX_REASON_BYTES)), now, actions);
            }
            FromWorker::Failed(reason) => {
                self.end_badly(pid, Cause::Failed(cut(reason, MAX_REASON_BYTES)), now, actions);
            }
            FromWorker::Aborted => self.end_badly(pid, Cause::Signaled(libc::SIGABRT as u8), now, actions),
            FromWorker::Denied(number) => self.end_badly(pid, Cause::DeniedSyscall(number), now, actions),
        }
    }

    fn output_limit(&mut self, pid: Pid, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if !std::mem::replace(&mut process.output_limit_told, true) {
            let name = &process.name;
            actions.push(Action::Notice(format!(
                "process {pid} ({name}) has written as much as --max-output allows: more is refused to it"
            )));
        }
    }

    pub(super) fn request(&mut self, pid: Pid, id: u64, request: Request, now: Now, actions: &mut Vec<Action>) {
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
            Request::Object(request) => self.object_request(pid, id, request, now, actions),
        }
    }

    pub(super) fn spawn(&mut self, parent: Pid, id: u64, mut spawn: Spawn, now: Now, actions: &mut Vec<Action>) {
        let Some(process) = self.processes.get(&parent) else { return };
        let objects = std::mem::take(&mut spawn.objects);
        let planned = if let Err(refusal) = self.check_objects(parent, &objects) {
            Err(refusal)
        } else if self.processes.len() >= self.limits.max_processes {
            let limit = self.limits.max_processes;
            Err(spawn::refuse(RefusalCode::Limit, format!("the run has {limit} processes, its --max-processes")))
        } else if process.daemon {
            let message = format!("process {parent} is a daemon, and daemons may not have children");
            Err(spawn::refuse(RefusalCode::Invalid, message))
        } else {
            spawn::plan(spawn, &process.plan, &self.components, (parent, &process.name))
        };
        let planned = planned.and_then(|(plan, start)| {
            let least = LEAST_MEMORY_BYTES.saturating_add(charged_for(&start));
            match self.memory_bytes.saturating_add(least) > self.limits.max_total_memory_bytes {
                true => Err(spawn::refuse(RefusalCode::Limit, "the run's memory, its --max-total-memory, is used up")),
                false => Ok((plan, start)),
            }
        });
        let (plan, start) = match planned {
            Ok(planned) => planned,
            Err(refusal) => return self.reply(parent, id, Err(refusal), actions),
        };
        self.wants_spares = true;
        let narrowed = plan.directories.iter().any(|directory| directory.narrowed);
        let directories = plan.directories.clone();
        let pid = self.add(plan, start, Some((parent, id)), now);
        if let Err(refusal) = self.pass_objects(parent, pid, &objects) {
            return self.stillborn(pid, &refusal.message, now, actions);
        }
        self.give_way(actions);
        if pid.0 == MANY {
            actions.push(Action::RenewZygote);
        }
        if narrowed {
            actions.push(Action::Narrow(pid, directories));
        } else {
            self.seek_worker(pid, actions);
        }
    }

    pub(super) fn watch(&mut self, watcher: Pid, target: Pid, actions: &mut Vec<Action>) {
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

    pub(super) fn forget_output(&mut self, target: Pid, owner: Pid) -> Option<Vec<u8>> {
        if self.kept.get(&target).is_none_or(|(parent, _)| *parent != owner) {
            return None;
        }
        let (_, output) = self.kept.remove(&target)?;
        self.kept_bytes -= output.len() as u64;
        Some(output)
    }

    pub(super) fn children(&self, pid: Pid) -> Vec<Child> {
        let Some(process) = self.processes.get(&pid) else { return Vec::new() };
        let living = process.children.iter().filter_map(|child| self.processes.get(child));
        let child = |child: &Process| Child { pid: child.pid, name: child.name.clone(), daemon: child.daemon };
        // One that was started but not yet announced to its parent is no news that this reply should break.
        living.filter(|child| child.spawned_by.is_none()).map(child).collect()
    }

    pub(super) fn grant_memory(&mut self, pid: Pid, bytes: u64) -> Result<(), Refusal> {
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
}
