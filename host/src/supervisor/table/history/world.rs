//! What is around the table: a zygote, workers, memories and a clock, as far as the table can see them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component as PathPart, PathBuf};
use std::time::Duration;

use wasmproc_sandbox::{Usage, WaitStatus};

use super::super::{Action, Event, Now, ObjectAction, ObjectEvent, Phase, Table, main_start};
use crate::Pid;
use crate::supervisor::spawn::{Component, Limits, Plan, View};
use crate::wire::init::NoView;
use crate::wire::object::{ObjectId, ObjectRequest};
use crate::wire::worker::{FromWorker, Request, Start, Target, ToWorker};
use crate::wire::zygote::WorkerId;

/// A run that is killed is over after this many rounds of reaping at the latest.
const MAX_ROUNDS: usize = 100;

pub(super) struct World {
    table: Table,
    now: Now,
    workers: BTreeMap<WorkerId, Worker>,
    forking: BTreeSet<WorkerId>,
    narrowing: VecDeque<Pid>,
    recovering: Vec<(Pid, ObjectId)>,
    memories: BTreeSet<ObjectId>,
    parcels: BTreeSet<u64>,
    /// What stands in the locks.
    holders: BTreeMap<ObjectId, u32>,
    exhausted: bool,
    stalled: bool,
    last_request: u64,
    /// Requests that were not answered yet, from whom, and whether they have to be.
    asked: BTreeMap<u64, (Pid, bool)>,
    ended: BTreeSet<Pid>,
    /// The zygotes were let go.
    dismissed: bool,
    finished: bool,
}

#[derive(Debug, Default)]
struct Worker {
    pid: Option<Pid>,
    killed: bool,
    deaf: bool,
}

fn plan() -> Plan {
    let view = |guest: &str, grant| View {
        guest: guest.to_owned(),
        grant,
        path: PathBuf::new(),
        read_only: grant == 1,
        narrowed: false,
    };
    Plan {
        component: 0,
        arguments: Vec::new(),
        environment: Vec::new(),
        directories: vec![view("/a", 0), view("/a/b", 1)],
        max_memory_bytes: 16 << 20,
        cpu_time: None,
        timeout: Some(Duration::from_secs(60)),
        terminals: [false; 3],
        parallelism: 2,
        max_output_bytes: u64::MAX,
    }
}

impl World {
    pub(super) fn new() -> World {
        let limits = Limits {
            max_processes: 6,
            max_total_memory_bytes: 16 << 20,
            max_kept_output_bytes: 24 << 10,
            max_objects: 8,
            max_total_objects: 12,
        };
        let component = |name: Option<&str>, has_run| Component {
            name: name.map(str::to_owned),
            has_run,
            has_entry: true,
            starts_processes: true,
        };
        let mut world = World {
            table: Table::new(limits, vec![component(None, true), component(Some("b"), false)]),
            now: Duration::ZERO,
            workers: BTreeMap::new(),
            forking: BTreeSet::new(),
            narrowing: VecDeque::new(),
            recovering: Vec::new(),
            memories: BTreeSet::new(),
            parcels: BTreeSet::new(),
            holders: BTreeMap::new(),
            exhausted: false,
            stalled: false,
            last_request: 0,
            asked: BTreeMap::new(),
            ended: BTreeSet::new(),
            dismissed: false,
            finished: false,
        };
        let directories = plan().directories.into_iter().map(|view| (view.guest, view.read_only)).collect();
        let start = Start { directories, ..main_start(Vec::new(), Vec::new(), 2) };
        let actions = world.table.begin(plan(), start, Duration::ZERO);
        world.act(actions);
        world
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn handle(&mut self, event: Event) {
        let actions = self.table.handle(event, self.now);
        self.table.check();
        self.act(actions);
    }

    // --- what the table wants ---

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Fork(worker) => {
                    assert!(!self.dismissed, "who was let go is not asked");
                    assert!(self.forking.insert(worker), "a worker is asked for once");
                }
                Action::Dismiss => {
                    assert!(!std::mem::replace(&mut self.dismissed, true), "zygotes are let go once");
                    self.forking.clear();
                }
                Action::Start(worker, start, views) => {
                    check_rights(&start, &views);
                    let to = self.workers.get_mut(&worker).expect("only a living worker is started");
                    assert!(to.pid.replace(start.pid).is_none(), "a worker is started once");
                    self.hear(worker);
                }
                Action::Narrow(pid, _) => self.narrowing.push_back(pid),
                Action::Tell(worker, message) => {
                    if let ToWorker::Reply { request, .. } = message {
                        assert!(self.asked.remove(&request).is_some(), "a request is answered once");
                    }
                    self.hear(worker);
                }
                Action::RenewZygote | Action::GiveWay(_) | Action::Notice(_) => {}
                Action::Object(action) => self.act_on_memory(action),
                Action::Kill(worker) => {
                    self.workers.get_mut(&worker).expect("only the living are killed").killed = true;
                }
                Action::Ended(record) => assert!(self.ended.insert(record.pid), "nobody ends twice"),
                Action::Finished(_) => assert!(!std::mem::replace(&mut self.finished, true), "a run ends once"),
            }
        }
        let living = self.table.snapshot();
        assert_eq!(self.finished, living.is_empty(), "the run is over when nobody is left");
    }

    /// A worker gets a message, and perhaps doesn't read it.
    fn hear(&mut self, worker: WorkerId) {
        let to = self.workers.get(&worker).expect("only the living are spoken to");
        assert!(to.pid.is_some(), "only started workers are spoken to");
        if to.deaf {
            self.handle(Event::Misbehaved(worker, "it is stalled".to_owned()));
        }
    }

    fn act_on_memory(&mut self, action: ObjectAction) {
        match action {
            ObjectAction::Grant { to, request, memory, make, worker, .. } => {
                assert!(make.is_some() || self.memories.contains(&memory), "what is granted is there");
                if let Some(layout) = make {
                    assert!(layout.check().is_ok(), "no senseless memory is made");
                    assert!(self.memories.insert(memory), "memory is made once");
                }
                if self.exhausted {
                    let made = make.is_some();
                    let reason = "there is no memory".to_owned();
                    return self.say_of_objects(ObjectEvent::NotGranted { to, request, memory, made, reason });
                }
                self.answer(worker, request);
            }
            ObjectAction::Parcel { to, request, parcel, .. } if self.exhausted => {
                let reason = "there is no memory".to_owned();
                self.say_of_objects(ObjectEvent::NotPacked { to, request, parcel, reason });
            }
            ObjectAction::Parcel { worker, request, parcel, .. } => {
                assert!(self.parcels.insert(parcel), "a parcel is made once");
                self.answer(worker, request);
            }
            ObjectAction::Unpack { worker, request, parcel, .. } => {
                assert!(self.parcels.contains(&parcel), "a parcel that is sent is there");
                self.answer(worker, request);
            }
            ObjectAction::Doorbell { worker, request, memory } => {
                assert!(self.memories.contains(&memory), "an object that rings is there");
                self.answer(worker, request);
            }
            ObjectAction::Recover { pid, object, memory, .. } => {
                assert!(self.memories.contains(&memory), "an object is recovered while it is there");
                self.recovering.push((pid, object));
            }
            ObjectAction::Close { memory, .. } => assert!(self.memories.contains(&memory), "an end is closed in time"),
            ObjectAction::Free(memory) => assert!(self.memories.remove(&memory), "memory is freed once"),
            ObjectAction::FreeParcel(parcel) => assert!(self.parcels.remove(&parcel), "a parcel is freed once"),
            ObjectAction::ReadHolders(locks) => {
                let holders = locks.into_iter().filter_map(|lock| Some((lock, *self.holders.get(&lock)?))).collect();
                self.say_of_objects(ObjectEvent::Holders(holders));
            }
            ObjectAction::CheckStall { holder, .. } => {
                let holder = Pid(holder.into());
                let is_known = self.workers.values().any(|worker| worker.pid == Some(holder));
                if self.stalled && is_known {
                    self.say_of_objects(ObjectEvent::Stalled(holder));
                }
            }
            ObjectAction::Alarm(_) => {}
        }
    }

    fn answer(&mut self, worker: WorkerId, request: u64) {
        assert!(self.asked.remove(&request).is_some(), "a request is answered once");
        self.hear(worker);
    }

    fn say_of_objects(&mut self, event: ObjectEvent) {
        self.handle(Event::Object(event));
    }

    // --- what happens ---

    /// A worker that lives.
    pub(super) fn pick(&self, number: usize) -> Option<WorkerId> {
        self.workers.keys().nth(number % self.workers.len().max(1)).copied()
    }

    pub(super) fn say(&mut self, worker: WorkerId, mut message: FromWorker) {
        // A request by a number of its own, so that its answer can be told from others.
        if let FromWorker::Request { id, request } = &mut message {
            self.last_request += 1;
            *id = self.last_request;
            let pid = self.workers.get(&worker).and_then(|worker| worker.pid);
            let heard =
                self.table.snapshot().iter().any(|process| Some(process.pid) == pid && process.phase == Phase::Running);
            if heard {
                let must = is_answered(request);
                self.asked.extend(pid.map(|pid| (self.last_request, (pid, must))));
            }
        }
        self.handle(Event::Said(worker, message));
    }

    pub(super) fn fork(&mut self) {
        if let Some(worker) = self.forking.pop_first() {
            self.workers.insert(worker, Worker::default());
            self.handle(Event::Forked(worker));
        }
    }

    pub(super) fn fail_fork(&mut self) {
        if let Some(worker) = self.forking.pop_first() {
            self.handle(Event::NotForked(worker, "there is no process left".to_owned()));
        }
    }

    pub(super) fn lose_forks(&mut self) {
        let lost = std::mem::take(&mut self.forking);
        self.handle(Event::ForksLost(lost.into_iter().collect()));
    }

    pub(super) fn reap(&mut self, worker: WorkerId, status: WaitStatus) {
        if self.workers.remove(&worker).is_some() {
            self.handle(Event::Reaped(worker, status, Usage::default()));
        }
    }

    pub(super) fn reap_killed(&mut self, number: usize) {
        let killed: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.killed).map(|(worker, _)| *worker).collect();
        if let Some(worker) = killed.get(number % killed.len().max(1)) {
            self.reap(*worker, WaitStatus::Signaled(9));
        }
    }

    pub(super) fn narrow(&mut self) {
        if let Some(pid) = self.narrowing.pop_front() {
            self.handle(Event::Narrowed(pid, Ok(())));
        }
    }

    pub(super) fn fail_narrow(&mut self) {
        if let Some(pid) = self.narrowing.pop_front() {
            let no_view = NoView { reason: "there is no such directory".to_owned(), is_short: self.exhausted };
            self.handle(Event::Narrowed(pid, Err(no_view)));
        }
    }

    pub(super) fn recover(&mut self, number: usize) {
        if !self.recovering.is_empty() {
            let (pid, object) = self.recovering.swap_remove(number % self.recovering.len());
            self.say_of_objects(ObjectEvent::Recovered { pid, object });
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
        self.table.check_time(self.now);
    }

    pub(super) fn hold(&mut self, lock: ObjectId, holder: u32) {
        self.holders.insert(lock, holder);
    }

    pub(super) fn deafen(&mut self, number: usize) {
        let worker = self.pick(number);
        if let Some(worker) = worker.and_then(|worker| self.workers.get_mut(&worker)) {
            worker.deaf = true;
        }
    }

    pub(super) fn exhaust(&mut self) {
        self.exhausted = !self.exhausted;
    }

    pub(super) fn stall(&mut self) {
        self.stalled = !self.stalled;
    }

    // --- the end ---

    /// Does what is still to be done, and kills the run.
    pub(super) fn bring_to_an_end(&mut self) {
        self.catch_up();
        if !self.finished {
            self.check_answers();
            self.handle(Event::Kill);
        }
        for _ in 0..MAX_ROUNDS {
            self.catch_up();
            while self.workers.values().any(|worker| worker.killed) {
                self.reap_killed(0);
            }
        }
        assert!(self.finished, "a run that is killed ends");
        self.table.check_end();
        assert!(self.memories.is_empty(), "memories are freed with their objects");
        assert!(self.parcels.is_empty(), "parcels are freed with their carriers");
    }

    /// What was asked for of zygote, init and memories is done.
    fn catch_up(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.fork();
            self.narrow();
            self.recover(0);
        }
    }

    fn check_answers(&self) {
        let living = self.table.snapshot();
        for (pid, must) in self.asked.values() {
            let runs = living.iter().any(|process| process.pid == *pid && process.phase == Phase::Running);
            assert!(!(runs && *must), "whoever runs has its requests answered");
        }
    }
}

/// Rights only narrow: nobody gets more than the first process has.
fn check_rights(start: &Start, views: &[View]) {
    let all = plan();
    assert!(
        start.memory_limit_bytes <= all.max_memory_bytes && start.memory_allowance_bytes <= start.memory_limit_bytes
    );
    assert!(!matches!(start.target, Target::Attempt { .. }), "attempts are the doctor's");
    assert!(!start.name.is_empty() && !start.name.chars().any(char::is_control), "a name can be shown");
    let names: BTreeSet<&str> = views.iter().map(|view| view.guest.as_str()).collect();
    assert_eq!((names.len(), start.directories.len()), (views.len(), views.len()), "each directory has its own name");
    for view in views {
        let whole =
            all.directories.iter().find(|whole| whole.grant == view.grant).expect("a directory that was granted");
        assert!(view.read_only || !whole.read_only, "what is read-only stays so");
        assert!(view.narrowed || (view.path.as_os_str().is_empty() && view.read_only == whole.read_only));
        assert!(
            view.path.components().all(|part| matches!(part, PathPart::Normal(_))),
            "a view is inside of its grant"
        );
    }
}

/// Whether this request has to be answered: others are followed by news, or by nothing if they make sense.
fn is_answered(request: &Request) -> bool {
    use ObjectRequest::{Blocked, Discard, Drop, Stalled, Unblocked};
    match request {
        Request::Watch(_) | Request::Forget(_) | Request::ListenForStop => false,
        Request::Object(request) => {
            !matches!(request, Drop(_) | Discard { .. } | Blocked { .. } | Unblocked | Stalled { .. })
        }
        _ => true,
    }
}
