//! Shared objects: who has which, what is on its way in messages, and what becomes of them when somebody dies.
//!
//! ```text
//!            create                    spawn, ticket + redeem
//!  (nothing) ──────▶ granted to its maker ───────────────────▶ granted to more
//!                          │  drop, or death                        │
//!                          ▼                                        ▼
//!                       leaving ──── recovered ────▶ gone when nobody can reach it
//! ```
//!
//! An end of a pipe is an object of its own that at most one process has: granting it moves it. Both ends lie in one
//! memory, which goes with the second one.

#[cfg(any(test, feature = "fuzzing"))]
mod check;
mod collect;
mod passing;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wasmproc_shm::{Death, End, Layout};

use super::{Action, Now, Table};
use crate::Pid;
use crate::supervisor::spawn::refuse;
use crate::wire::object::{ObjectId, ObjectReply, ObjectRequest, Spec};
use crate::wire::worker::{Refusal, RefusalCode, Reply};
use crate::wire::zygote::WorkerId;

/// The most processes that can have an object in which each has a seat.
const MAX_SEATS: usize = 1 << 16;

/// What the supervisor does with memories.
#[derive(Debug, PartialEq)]
pub(crate) enum ObjectAction {
    /// Send this reply with the memory, made now if a layout is given, and before it a board if the process asked for one.
    Grant {
        to: Pid,
        worker: WorkerId,
        request: u64,
        reply: ObjectReply,
        memory: ObjectId,
        make: Option<Layout>,
        board: bool,
    },
    /// Make memory for a long message and send it.
    Parcel {
        to: Pid,
        worker: WorkerId,
        request: u64,
        parcel: u64,
        bytes: u64,
    },
    /// Send that memory to the one who got the message.
    Unpack {
        worker: WorkerId,
        request: u64,
        parcel: u64,
        bytes: u64,
    },
    /// Send the eventfd of an object.
    Doorbell {
        worker: WorkerId,
        request: u64,
        memory: ObjectId,
    },
    /// Free what a process has of an object, and say `Recovered` when that is done.
    Recover {
        pid: Pid,
        object: ObjectId,
        memory: ObjectId,
        layout: Layout,
        seat: u32,
        end: End,
        death: Death,
    },
    /// Nobody will ever have this end of a pipe again.
    Close {
        memory: ObjectId,
        layout: Layout,
        end: End,
    },
    Free(ObjectId),
    FreeParcel(u64),
    /// Say who holds these locks.
    ReadHolders(Vec<ObjectId>),
    /// Look whether an internal lock is held as somebody says, and say `Stalled` if so.
    CheckStall {
        memory: ObjectId,
        layout: Layout,
        at: usize,
        holder: u32,
        count: u32,
    },
    /// Call a process out of its wait.
    Alarm(Pid),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum ObjectEvent {
    /// `made`: it was to be made for this.
    NotGranted {
        to: Pid,
        request: u64,
        memory: ObjectId,
        made: bool,
        reason: String,
    },
    NotPacked {
        to: Pid,
        request: u64,
        parcel: u64,
        reason: String,
    },
    Recovered {
        pid: Pid,
        object: ObjectId,
    },
    /// Who holds which lock: the number of a lease.
    Holders(Vec<(ObjectId, u32)>),
    /// This process holds an internal lock and doesn't go on.
    Stalled(Pid),
}

/// All objects of a run.
#[derive(Debug, Default)]
pub(super) struct Objects {
    objects: BTreeMap<ObjectId, Object>,
    memories: HashMap<ObjectId, Memory>,
    granted: HashMap<Pid, BTreeSet<ObjectId>>,
    tickets: HashMap<u64, Ticket>,
    parcels: HashMap<u64, Parcel>,
    last_object: u64,
    last_ticket: u64,
    /// When to look for what nobody can reach: see `collect`.
    look_at: Option<Now>,
}

#[derive(Debug)]
struct Object {
    spec: Spec,
    memory: ObjectId,
    end: End,
    holders: BTreeMap<Pid, u32>,
    /// Holders that have dropped it or died, until their traces are removed.
    leaving: BTreeMap<Pid, u32>,
    free_seats: BTreeSet<u32>,
    seats_used: u32,
    tickets: BTreeSet<u64>,
}

#[derive(Debug)]
struct Memory {
    bytes: u64,
    /// One, or the ends of a pipe that are left.
    objects: BTreeSet<ObjectId>,
    tickets: BTreeSet<u64>,
    parcels: BTreeSet<u64>,
}

#[derive(Debug)]
struct Ticket {
    via: ObjectId,
    object: ObjectId,
}

#[derive(Debug)]
struct Parcel {
    via: ObjectId,
    length: u64,
    /// What it is charged with: whole pages.
    charged: u64,
}

impl Object {
    fn is_pipe(&self) -> bool {
        matches!(self.spec.layout, Layout::Pipe { .. })
    }

    fn take_seat(&mut self) -> Option<u32> {
        let Some(seats) = self.spec.layout.seats() else { return Some(0) };
        if let Some(seat) = self.free_seats.pop_first() {
            return Some(seat);
        }
        if self.seats_used == seats {
            return None;
        }
        self.seats_used += 1;
        Some(self.seats_used - 1)
    }

    fn free_seat(&mut self, seat: u32) {
        if self.spec.layout.seats().is_some() {
            self.free_seats.insert(seat);
        }
    }
}

impl Objects {
    /// The object, if the process has it.
    fn of(&self, pid: Pid, id: ObjectId) -> Result<&Object, Refusal> {
        let object = self.objects.get(&id).filter(|object| object.holders.contains_key(&pid));
        object.ok_or_else(|| refuse(RefusalCode::Denied, format!("process {pid} has no object {}", id.0)))
    }

    pub(super) fn has(&self, pid: Pid, id: ObjectId) -> bool {
        self.of(pid, id).is_ok()
    }

    pub(super) fn memory_of(&self, id: ObjectId) -> Option<ObjectId> {
        self.objects.get(&id).map(|object| object.memory)
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    fn add(&mut self, spec: Spec, memory: ObjectId, end: End) -> ObjectId {
        self.last_object += 1;
        let id = ObjectId(self.last_object);
        let object = Object {
            spec,
            memory,
            end,
            holders: BTreeMap::new(),
            leaving: BTreeMap::new(),
            free_seats: BTreeSet::new(),
            seats_used: 0,
            tickets: BTreeSet::new(),
        };
        self.objects.insert(id, object);
        id
    }

    /// Gives `id` to a process that doesn't have it.
    fn grant(&mut self, pid: Pid, id: ObjectId) -> Result<(), Refusal> {
        let object =
            self.objects.get_mut(&id).ok_or_else(|| refuse(RefusalCode::Denied, format!("no object {}", id.0)))?;
        if object.holders.contains_key(&pid) {
            return Ok(());
        }
        // What it held is found by its number: what it holds anew would be taken for that.
        if object.leaving.contains_key(&pid) {
            let name = object.spec.layout.name();
            let message = format!("{name} {} is being cleaned up after this process: try again", id.0);
            return Err(refuse(RefusalCode::Limit, message));
        }
        let seat = object.take_seat().ok_or_else(|| {
            let name = object.spec.layout.name();
            refuse(RefusalCode::Limit, format!("{name} {} is in the hands of as many processes as it has seats", id.0))
        })?;
        object.holders.insert(pid, seat);
        self.granted.entry(pid).or_default().insert(id);
        Ok(())
    }

    /// Takes `id` away from a process without a trace: an end of a pipe that moves.
    fn take_away(&mut self, pid: Pid, id: ObjectId) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.holders.remove(&pid);
        }
        if let Some(granted) = self.granted.get_mut(&pid) {
            granted.remove(&id);
        }
    }

    /// A process has nothing to do with `id` any more.
    fn leave(&mut self, pid: Pid, id: ObjectId, death: Death, actions: &mut Vec<Action>) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        let Some(seat) = object.holders.remove(&pid) else { return };
        object.leaving.insert(pid, seat);
        let (memory, layout, end) = (object.memory, object.spec.layout, object.end);
        actions.push(Action::Object(ObjectAction::Recover { pid, object: id, memory, layout, seat, end, death }));
    }
}

/// Who asked for an object, and whether it needs a board too.
#[derive(Clone, Copy)]
struct Asked {
    pid: Pid,
    request: u64,
    board: bool,
}

impl Table {
    pub(super) fn object_request(
        &mut self,
        pid: Pid,
        id: u64,
        request: ObjectRequest,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let result = match request {
            ObjectRequest::Create { spec, board } => self.create_object(pid, id, spec, board, actions),
            ObjectRequest::Open { object, board } => self.open_object(pid, id, object, board, actions),
            ObjectRequest::Drop(object) => {
                if let Some(granted) = self.objects.granted.get_mut(&pid) {
                    granted.remove(&object);
                }
                self.objects.leave(pid, object, Death::Peaceful, actions);
                Ok(())
            }
            ObjectRequest::Ticket { via, object } => {
                self.issue_ticket(pid, (via, object), now, actions).map(|ticket| {
                    self.reply(pid, id, Ok(Reply::Object(ObjectReply::Ticket(ticket))), actions);
                })
            }
            ObjectRequest::Redeem { via, ticket } => self.redeem_ticket(pid, via, ticket).map(|object| {
                self.reply(pid, id, Ok(Reply::Object(ObjectReply::Redeemed(object))), actions);
            }),
            ObjectRequest::Parcel { via, bytes } => self.make_parcel(pid, id, via, bytes, actions),
            ObjectRequest::Unpack { via, parcel } => self.unpack_parcel(pid, id, via, parcel, actions),
            ObjectRequest::Discard { via, parcel } => {
                self.discard_parcel(pid, via, parcel, actions);
                Ok(())
            }
            ObjectRequest::Doorbell(object) => self.objects.of(pid, object).map(|object| object.memory).map(|memory| {
                if let Some(worker) = self.worker_of(pid) {
                    actions.push(Action::Object(ObjectAction::Doorbell { worker, request: id, memory }));
                }
            }),
            ObjectRequest::Blocked { sequence, on } => {
                self.blocked(pid, sequence, on, now);
                Ok(())
            }
            ObjectRequest::Unblocked => {
                self.unblocked(pid);
                Ok(())
            }
            ObjectRequest::Stalled { object, at, holder, count } => {
                if let Ok(object) = self.objects.of(pid, object) {
                    let (memory, layout) = (object.memory, object.spec.layout);
                    actions.push(Action::Object(ObjectAction::CheckStall { memory, layout, at, holder, count }));
                }
                Ok(())
            }
        };
        if let Err(refusal) = result {
            self.reply(pid, id, Err(refusal), actions);
        }
    }

    pub(super) fn object_event(&mut self, event: ObjectEvent, now: Now, actions: &mut Vec<Action>) {
        match event {
            ObjectEvent::NotGranted { to, request, memory, made, reason } => {
                self.not_granted(to, memory, made, now, actions);
                let reason = format!("this machine has no memory or descriptor left: {reason}");
                self.reply(to, request, Err(refuse(RefusalCode::Limit, reason)), actions);
            }
            ObjectEvent::NotPacked { to, request, parcel, reason } => {
                self.forget_parcel(parcel);
                let reason = format!("this machine has no memory or descriptor left: {reason}");
                self.reply(to, request, Err(refuse(RefusalCode::Limit, reason)), actions);
            }
            ObjectEvent::Recovered { pid, object } => self.recovered(pid, object, now, actions),
            ObjectEvent::Holders(holders) => self.holders_read(&holders, now, actions),
            ObjectEvent::Stalled(pid) => self.kill(pid, &crate::Cause::Stalled, now, actions),
        }
    }

    fn worker_of(&self, pid: Pid) -> Option<WorkerId> {
        self.processes.get(&pid).and_then(|process| process.worker)
    }

    fn create_object(
        &mut self,
        pid: Pid,
        request: u64,
        mut spec: Spec,
        board: bool,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        spec.layout = spec.layout.with_seats(self.limits.max_processes.min(MAX_SEATS) as u32);
        spec.layout.check().map_err(|wrong| refuse(RefusalCode::Invalid, wrong.to_string()))?;
        self.check_quota(pid, 1 + usize::from(matches!(spec.layout, Layout::Pipe { .. })))?;
        let bytes = (spec.layout.bytes() as u64).next_multiple_of(4096);
        self.charge(bytes)?;
        let memory = ObjectId(self.objects.last_object + 1);
        let first = self.objects.add(spec, memory, End::First);
        let second = matches!(spec.layout, Layout::Pipe { .. }).then(|| self.objects.add(spec, memory, End::Second));
        let shared = Memory {
            bytes,
            objects: second.into_iter().chain([first]).collect(),
            tickets: BTreeSet::new(),
            parcels: BTreeSet::new(),
        };
        self.objects.memories.insert(memory, shared);
        self.objects.grant(pid, first)?;
        if let Some(second) = second {
            self.objects.grant(pid, second)?;
        }
        self.send_grant(Asked { pid, request, board }, first, Some(second), actions);
        Ok(())
    }

    fn open_object(
        &mut self,
        pid: Pid,
        request: u64,
        id: ObjectId,
        board: bool,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        self.objects.of(pid, id)?;
        self.send_grant(Asked { pid, request, board }, id, None, actions);
        Ok(())
    }

    /// Sends an object that the process has. `made`: just now, with this other end if it is a pipe.
    fn send_grant(&mut self, asked: Asked, id: ObjectId, made: Option<Option<ObjectId>>, actions: &mut Vec<Action>) {
        let Asked { pid: to, request, board } = asked;
        let Some(worker) = self.worker_of(to) else { return };
        let Some(object) = self.objects.objects.get(&id) else { return };
        let Some(&seat) = object.holders.get(&to) else { return };
        let (memory, spec, end) = (object.memory, object.spec, object.end);
        let reply = ObjectReply::Granted { id, other: made.flatten(), memory, spec, end, seat };
        let make = made.map(|_| spec.layout);
        actions.push(Action::Object(ObjectAction::Grant { to, worker, request, reply, memory, make, board }));
    }

    fn not_granted(&mut self, pid: Pid, memory: ObjectId, made: bool, now: Now, actions: &mut Vec<Action>) {
        if !made {
            return;
        }
        let objects = self.objects.objects.iter().filter(|(_, object)| object.memory == memory);
        let objects: Vec<ObjectId> = objects.map(|(id, _)| *id).collect();
        for id in objects {
            self.objects.take_away(pid, id);
            self.memory_bytes -= self.objects.collect(id, now, actions);
        }
    }

    fn check_quota(&self, pid: Pid, more: usize) -> Result<(), Refusal> {
        let own = self.limits.max_objects;
        let granted = self.objects.granted.get(&pid).map_or(0, BTreeSet::len);
        if granted + more > own {
            return Err(refuse(
                RefusalCode::Limit,
                format!("process {pid} has {granted} objects: --max-objects is {own}"),
            ));
        }
        self.check_total(more)?;
        // A lease has 29 bits.
        if u32::try_from(pid.0).ok().and_then(wasmproc_shm::Lease::new).is_none() {
            return Err(refuse(RefusalCode::Limit, "the run has started too many processes to share objects"));
        }
        Ok(())
    }

    /// Whether there can be so many more files of objects and long messages.
    fn check_total(&self, more: usize) -> Result<(), Refusal> {
        let (objects, parcels) = (self.objects.len(), self.objects.parcels.len());
        let total = self.limits.max_total_objects;
        if objects + parcels + more > total {
            let message =
                format!("the run has {objects} objects and {parcels} long messages: --max-total-objects is {total}");
            return Err(refuse(RefusalCode::Limit, message));
        }
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Refusal> {
        let total = self.memory_bytes.saturating_add(bytes);
        if total > self.limits.max_total_memory_bytes {
            let message = format!("{bytes} bytes more would be over the run's --max-total-memory");
            return Err(refuse(RefusalCode::Limit, message));
        }
        self.memory_bytes = total;
        Ok(())
    }

    // --- leaving ---

    /// A process is gone, or never began.
    pub(super) fn release_objects(&mut self, pid: Pid, death: Death, actions: &mut Vec<Action>) {
        self.unblocked(pid);
        for id in self.objects.granted.remove(&pid).unwrap_or_default() {
            self.objects.leave(pid, id, death, actions);
        }
    }

    fn recovered(&mut self, pid: Pid, id: ObjectId, now: Now, actions: &mut Vec<Action>) {
        let Some(object) = self.objects.objects.get_mut(&id) else { return };
        if let Some(seat) = object.leaving.remove(&pid) {
            object.free_seat(seat);
        }
        self.memory_bytes -= self.objects.collect(id, now, actions);
    }
}
