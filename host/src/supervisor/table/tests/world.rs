//! A world for the table: what zygotes, workers and a kernel would do, as far as its tests need it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use wasmproc_sandbox::{Usage, WaitStatus};

use super::super::{Action, Event, ObjectAction, ObjectEvent, Phase, Table, main_start};
use crate::supervisor::spawn::{Component, Limits, Plan};
use crate::wire::object::{ObjectId, ObjectReply};
use crate::wire::worker::{FromWorker, Output, Reply, Request, Spawn, Target, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};

/// A table with a world around it that does what a zygote, workers and a kernel would do.
pub(super) struct World {
    pub(super) table: Table,
    pub(super) now: Duration,
    /// Workers that are alive, and the process that each was started with.
    pub(super) alive: HashMap<WorkerId, Option<Pid>>,
    pub(super) forking: BTreeSet<WorkerId>,
    pub(super) killed: BTreeSet<WorkerId>,
    pub(super) heard: Vec<(Pid, ToWorker)>,
    pub(super) ended: Vec<(Pid, Cause)>,
    pub(super) finished: Option<Cause>,
    pub(super) requests: u64,
    /// What has to be recovered is held by somebody, so that it takes a while.
    pub(super) busy: bool,
    pub(super) unrecovered: Vec<(Pid, ObjectId)>,
    /// Memories that were made and not freed.
    pub(super) memories: BTreeSet<ObjectId>,
    /// What the locks say of their holders.
    pub(super) holders: HashMap<ObjectId, u32>,
    pub(super) closed_ends: usize,
    pub(super) alarmed: Vec<Pid>,
    pub(super) notices: Vec<String>,
    /// How far the run has given way.
    pub(super) ways: Vec<u8>,
    /// There is no zygote any more.
    pub(super) dismissed: bool,
}

pub(super) fn plan() -> Plan {
    Plan {
        component: 0,
        arguments: Vec::new(),
        environment: Vec::new(),
        directories: Vec::new(),
        max_memory_bytes: 1 << 30,
        cpu_time: None,
        timeout: None,
        terminals: [false; 3],
        parallelism: 2,
        max_output_bytes: u64::MAX,
    }
}

impl World {
    pub(super) fn new(max_processes: usize) -> World {
        let limits = Limits {
            max_processes,
            max_total_memory_bytes: 64 << 20,
            max_kept_output_bytes: 1 << 20,
            max_objects: 8,
            max_total_objects: 12,
        };
        let component = Component { name: None, has_run: true, has_entry: true, starts_processes: true };
        let mut world = World {
            table: Table::new(limits, vec![component]),
            now: Duration::ZERO,
            alive: HashMap::new(),
            forking: BTreeSet::new(),
            killed: BTreeSet::new(),
            heard: Vec::new(),
            ended: Vec::new(),
            finished: None,
            requests: 0,
            busy: false,
            unrecovered: Vec::new(),
            memories: BTreeSet::new(),
            holders: HashMap::new(),
            closed_ends: 0,
            alarmed: Vec::new(),
            notices: Vec::new(),
            ways: Vec::new(),
            dismissed: false,
        };
        let actions = world.table.begin(plan(), main_start(Vec::new(), Vec::new(), 2), Duration::ZERO);
        world.act(actions);
        world
    }

    pub(super) fn handle(&mut self, event: Event) {
        let actions = self.table.handle(event, self.now);
        self.act(actions);
        self.check();
    }

    pub(super) fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Fork(worker) => drop(self.forking.insert(worker)),
                Action::Start(worker, start, _) => {
                    let before = self.alive.insert(worker, Some(start.pid));
                    assert_eq!(before, Some(None), "a worker is started once, and only when it lives");
                }
                Action::Narrow(pid, _) => self.handle(Event::Narrowed(pid, Ok(()))),
                Action::Tell(worker, message) => {
                    let pid = self.alive.get(&worker).copied().flatten().expect("only started workers are spoken to");
                    self.heard.push((pid, message));
                }
                Action::RenewZygote => {}
                Action::Dismiss => self.dismissed = true,
                Action::GiveWay(steps) => self.ways.push(steps),
                Action::Object(action) => self.act_on_memory(action),
                Action::Notice(line) => self.notices.push(line),
                Action::Kill(worker) => drop(self.killed.insert(worker)),
                Action::Ended(record) => self.ended.push((record.pid, record.cause)),
                Action::Finished(cause) => assert!(self.finished.replace(cause).is_none(), "a run ends once"),
            }
        }
    }

    pub(super) fn act_on_memory(&mut self, action: ObjectAction) {
        match action {
            ObjectAction::Grant { to, request, reply, memory, make, .. } => {
                if make.is_some() {
                    self.memories.insert(memory);
                }
                assert!(self.memories.contains(&memory), "what is granted is there");
                self.answer(to, request, reply);
            }
            ObjectAction::Recover { pid, object, .. } if self.busy => self.unrecovered.push((pid, object)),
            ObjectAction::Recover { pid, object, .. } => {
                self.handle(Event::Object(ObjectEvent::Recovered { pid, object }));
            }
            ObjectAction::Close { .. } => self.closed_ends += 1,
            ObjectAction::Free(memory) => assert!(self.memories.remove(&memory), "memory is freed once"),
            ObjectAction::ReadHolders(locks) => {
                let holders = locks.into_iter().filter_map(|lock| Some((lock, *self.holders.get(&lock)?))).collect();
                self.handle(Event::Object(ObjectEvent::Holders(holders)));
            }
            ObjectAction::Alarm(pid) => self.alarmed.push(pid),
            ObjectAction::Parcel { to, request, parcel, bytes, .. } => {
                self.answer(to, request, ObjectReply::Parcel { parcel, bytes });
            }
            ObjectAction::Unpack { worker, request, parcel, bytes } => {
                let to = self.alive[&worker].expect("a worker that asks has a process");
                self.answer(to, request, ObjectReply::Parcel { parcel, bytes });
            }
            ObjectAction::Doorbell { .. } | ObjectAction::FreeParcel(_) | ObjectAction::CheckStall { .. } => {}
        }
    }

    pub(super) fn answer(&mut self, to: Pid, request: u64, reply: ObjectReply) {
        self.heard.push((to, ToWorker::Reply { request, result: Ok(Reply::Object(reply)) }));
    }

    /// What was held is free: what could not be recovered can be now.
    pub(super) fn finish_recoveries(&mut self) {
        for (pid, object) in std::mem::take(&mut self.unrecovered) {
            self.handle(Event::Object(ObjectEvent::Recovered { pid, object }));
        }
    }

    /// The invariants that the table's module promises.
    pub(super) fn check(&self) {
        self.table.check();
        let living = self.table.snapshot();
        let find = |pid: Pid| living.iter().find(|process| process.pid == pid);
        for process in &living {
            match process.parent {
                None => assert_eq!(process.pid, Pid(1)),
                Some(parent) => {
                    let parent = find(parent).expect("a living process has its parent in the table");
                    assert!(!parent.daemon, "a daemon has no children");
                    if parent.phase == Phase::Dying {
                        assert_eq!(process.phase, Phase::Dying, "descendants of the dying are dying");
                    }
                }
            }
            let children = living.iter().filter(|child| child.parent == Some(process.pid)).count();
            assert_eq!(children, process.living_children);
        }
        assert_eq!(self.finished.is_some(), living.is_empty(), "the run is over when nobody is left");
    }

    pub(super) fn fork_all(&mut self) {
        while let Some(worker) = self.forking.pop_first() {
            self.alive.insert(worker, None);
            self.handle(Event::Forked(worker));
        }
    }

    pub(super) fn reap_killed(&mut self) {
        while let Some(worker) = self.killed.pop_first() {
            self.reap(worker, WaitStatus::Signaled(9));
        }
    }

    pub(super) fn reap(&mut self, worker: WorkerId, status: WaitStatus) {
        if self.alive.remove(&worker).is_some() {
            self.handle(Event::Reaped(worker, status, Usage::default()));
        }
    }

    pub(super) fn worker_of(&self, pid: Pid) -> WorkerId {
        *self.alive.iter().find(|(_, started)| **started == Some(pid)).expect("the process runs").0
    }

    pub(super) fn request(&mut self, pid: Pid, request: Request) -> u64 {
        self.requests += 1;
        let id = self.requests;
        let worker = self.worker_of(pid);
        self.handle(Event::Said(worker, FromWorker::Request { id, request }));
        id
    }

    /// Has `parent` start a process, and returns its pid.
    pub(super) fn spawn(&mut self, parent: Pid, daemon: bool) -> Result<Pid, String> {
        self.spawn_with(parent, spawn(daemon))
    }

    pub(super) fn spawn_with(&mut self, parent: Pid, spawn: Spawn) -> Result<Pid, String> {
        let id = self.request(parent, Request::Spawn(Box::new(spawn)));
        self.fork_all();
        let reply = self.heard.iter().find_map(|(_, message)| match message {
            ToWorker::Reply { request, result } if *request == id => Some(result.clone()),
            _ => None,
        });
        match reply.expect("a spawn is answered") {
            Ok(Reply::Spawned { pid, .. }) => Ok(pid),
            Ok(other) => panic!("{other:?} is no answer to a spawn"),
            Err(refusal) => Err(refusal.message),
        }
    }

    pub(super) fn finish(&mut self, pid: Pid, code: u8, output: Option<Vec<u8>>) {
        let worker = self.worker_of(pid);
        self.handle(Event::Said(worker, FromWorker::Finished { code, output }));
        self.reap(worker, WaitStatus::Exited(code));
        self.reap_killed();
    }

    pub(super) fn cause(&self, pid: Pid) -> Option<&Cause> {
        self.ended.iter().find(|(ended, _)| *ended == pid).map(|(_, cause)| cause)
    }

    pub(super) fn news(&self, listener: Pid, about: Pid) -> Vec<(Cause, Output)> {
        let of = |(to, message): &(Pid, ToWorker)| match message {
            ToWorker::Ended { pid, cause, output } if *to == listener && *pid == about => {
                Some((cause.clone(), output.clone()))
            }
            _ => None,
        };
        self.heard.iter().filter_map(of).collect()
    }
}

pub(super) fn spawn(daemon: bool) -> Spawn {
    Spawn { daemon, ..Spawn::plain(Target::Function("f".to_owned())) }
}

pub(super) const MAIN: Pid = Pid(1);
