//! Passing objects on: at spawn, by tickets in messages; and the memories of long messages.
//!
//! A ticket is bound to the queue or pipe that its message travels in, its carrier, and goes with it. It keeps its object
//! alive, and grants it once. A parcel, the memory of a long message, is bound in the same way.

use std::collections::BTreeSet;

use wasmproc_shm::Layout;

use super::super::{Action, Now, Table};
use super::{Object, ObjectAction, Parcel, Ticket};
use crate::Pid;
use crate::supervisor::spawn::refuse;
use crate::wire::MAX_QUEUED_BYTES;
use crate::wire::object::ObjectId;
use crate::wire::worker::{Refusal, RefusalCode};

/// Tickets and parcels of one carrier that are on their way.
const MAX_ON_THE_WAY: usize = 10_000;
/// Tickets of all carriers together.
const MAX_TICKETS: usize = 1 << 18;

impl Table {
    /// Whether `parent` can pass all these to a child.
    pub(in super::super) fn check_objects(&self, parent: Pid, ids: &[ObjectId]) -> Result<(), Refusal> {
        for (index, id) in ids.iter().enumerate() {
            let object = self.objects.of(parent, *id)?;
            if object.is_pipe() && ids[..index].contains(id) {
                return Err(refuse(RefusalCode::Invalid, format!("connection {} can be moved only once", id.0)));
            }
        }
        let distinct: BTreeSet<&ObjectId> = ids.iter().collect();
        if distinct.len() > self.limits.max_objects {
            let limit = self.limits.max_objects;
            return Err(refuse(
                RefusalCode::Limit,
                format!("{} objects for a process: --max-objects is {limit}", ids.len()),
            ));
        }
        Ok(())
    }

    /// Passes what was checked to a child. An error means that one of them had no seat left.
    pub(in super::super) fn pass_objects(&mut self, parent: Pid, child: Pid, ids: &[ObjectId]) -> Result<(), Refusal> {
        for id in ids {
            if self.objects.objects.get(id).is_some_and(Object::is_pipe) {
                self.objects.take_away(parent, *id);
            }
            self.objects.grant(child, *id)?;
        }
        Ok(())
    }

    /// A child could not be started: its parent has its connections back.
    pub(in super::super) fn return_objects(&mut self, child: Pid, parent: Pid) {
        let ids: Vec<ObjectId> = self.objects.granted.get(&child).into_iter().flatten().copied().collect();
        for id in ids {
            if self.objects.objects.get(&id).is_some_and(Object::is_pipe) && self.processes.contains_key(&parent) {
                self.objects.take_away(child, id);
                // It was the parent's before, so there is a place for it.
                let _ = self.objects.grant(parent, id);
            }
        }
    }

    pub(super) fn issue_ticket(
        &mut self,
        pid: Pid,
        (via, object): (ObjectId, ObjectId),
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Result<u64, Refusal> {
        let via = self.carrier(pid, via)?;
        let is_pipe = self.objects.of(pid, object)?.is_pipe();
        let Some(carrier) = self.objects.memories.get_mut(&via) else { return Err(no_carrier()) };
        if carrier.tickets.len() >= MAX_ON_THE_WAY || self.objects.tickets.len() >= MAX_TICKETS {
            return Err(refuse(RefusalCode::Limit, "10,000 objects are on their way: redeem their tickets first"));
        }
        self.objects.last_ticket += 1;
        let ticket = self.objects.last_ticket;
        carrier.tickets.insert(ticket);
        self.objects.tickets.insert(ticket, Ticket { via, object });
        if let Some(object) = self.objects.objects.get_mut(&object) {
            object.tickets.insert(ticket);
        }
        if is_pipe {
            self.objects.take_away(pid, object);
            // It may be the one that it travels in.
            self.memory_bytes -= self.objects.collect(object, now, actions);
        }
        Ok(ticket)
    }

    pub(super) fn redeem_ticket(&mut self, pid: Pid, via: ObjectId, ticket: u64) -> Result<ObjectId, Refusal> {
        let via = self.carrier(pid, via)?;
        let unknown =
            || refuse(RefusalCode::Denied, format!("there is no ticket {ticket} for this, or it was redeemed"));
        let object = self.objects.tickets.get(&ticket).filter(|ticket| ticket.via == via).ok_or_else(unknown)?.object;
        self.check_quota(pid, 1)?;
        self.objects.grant(pid, object)?;
        self.objects.tickets.remove(&ticket);
        if let Some(carrier) = self.objects.memories.get_mut(&via) {
            carrier.tickets.remove(&ticket);
        }
        if let Some(object) = self.objects.objects.get_mut(&object) {
            object.tickets.remove(&ticket);
        }
        Ok(object)
    }

    /// The memory of a queue or pipe that the process has.
    fn carrier(&self, pid: Pid, via: ObjectId) -> Result<ObjectId, Refusal> {
        let object = self.objects.of(pid, via)?;
        match object.spec.layout {
            Layout::Queue { .. } | Layout::Pipe { .. } => Ok(object.memory),
            _ => Err(no_carrier()),
        }
    }

    pub(super) fn make_parcel(
        &mut self,
        to: Pid,
        request: u64,
        via: ObjectId,
        bytes: u64,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let via = self.carrier(to, via)?;
        let Some(worker) = self.worker_of(to) else { return Ok(()) };
        if bytes == 0 || bytes > MAX_QUEUED_BYTES as u64 {
            return Err(refuse(RefusalCode::TooLarge, format!("a message has at most 64 MiB, not {bytes} bytes")));
        }
        let charged = bytes.next_multiple_of(4096);
        if self.objects.memories.get(&via).is_none_or(|carrier| carrier.parcels.len() >= MAX_ON_THE_WAY) {
            return Err(refuse(RefusalCode::Limit, "10,000 long messages are on their way: take them first"));
        }
        self.check_total(1)?;
        self.charge(charged)?;
        self.objects.last_ticket += 1;
        let parcel = self.objects.last_ticket;
        if let Some(carrier) = self.objects.memories.get_mut(&via) {
            carrier.parcels.insert(parcel);
        }
        self.objects.parcels.insert(parcel, Parcel { via, length: bytes, charged });
        actions.push(Action::Object(ObjectAction::Parcel { to, worker, request, parcel, bytes }));
        Ok(())
    }

    pub(super) fn unpack_parcel(
        &mut self,
        pid: Pid,
        request: u64,
        via: ObjectId,
        parcel: u64,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refusal> {
        let bytes = self.parcel(pid, via, parcel)?.length;
        let Some(worker) = self.worker_of(pid) else { return Ok(()) };
        actions.push(Action::Object(ObjectAction::Unpack { worker, request, parcel, bytes }));
        Ok(())
    }

    /// A long message was taken out of its memory, or will never be put into it.
    pub(super) fn discard_parcel(&mut self, pid: Pid, via: ObjectId, parcel: u64, actions: &mut Vec<Action>) {
        if self.parcel(pid, via, parcel).is_ok() {
            self.forget_parcel(parcel);
            actions.push(Action::Object(ObjectAction::FreeParcel(parcel)));
        }
    }

    fn parcel(&self, pid: Pid, via: ObjectId, parcel: u64) -> Result<&Parcel, Refusal> {
        let via = self.carrier(pid, via)?;
        let parcel = self.objects.parcels.get(&parcel).filter(|parcel| parcel.via == via);
        parcel.ok_or_else(|| refuse(RefusalCode::Denied, "the memory of a long message is not there, or was taken"))
    }

    pub(super) fn forget_parcel(&mut self, parcel: u64) {
        let Some(forgotten) = self.objects.parcels.remove(&parcel) else { return };
        if let Some(carrier) = self.objects.memories.get_mut(&forgotten.via) {
            carrier.parcels.remove(&parcel);
        }
        self.memory_bytes -= forgotten.charged;
    }
}

fn no_carrier() -> Refusal {
    refuse(RefusalCode::Invalid, "only queues and pipes carry objects")
}
