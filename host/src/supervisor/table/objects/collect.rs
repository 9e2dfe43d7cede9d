//! What becomes of objects that nobody can have any more.
//!
//! An object stays as long as somebody has it, or could redeem a ticket for it: a ticket that is in a carrier which stays.
//! So to count tickets is not enough. A queue whose ticket travels in itself, and two that travel in each other, have
//! tickets that nobody can ever redeem. They are looked for when an object is left with nothing but tickets, and none of
//! those is where somebody could redeem it at once. That means a look at everything, so among many it is done later, for
//! all that has come together by then.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Object, ObjectAction, Objects};
use crate::supervisor::table::{Action, Now, Table};
use crate::wire::object::ObjectId;

/// Memories and tickets that are few enough to look at them at any time.
const FEW: usize = 1000;
/// Until they are looked at if they are more.
const PAUSE: Duration = Duration::from_secs(1);

impl Table {
    /// Looks for what nobody can reach, if that was put off until now.
    pub(in super::super) fn collect_lost(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.objects.look_at.is_some_and(|due| due <= now) {
            self.memory_bytes -= self.objects.remove_lost(actions);
        }
    }
}

impl Object {
    /// Whether somebody has it, or has left something in it.
    fn is_had(&self) -> bool {
        !self.holders.is_empty() || !self.leaving.is_empty()
    }
}

impl Objects {
    /// Removes `id` if nobody can reach it, and all that went with it. Returns the bytes that are free then.
    pub(super) fn collect(&mut self, id: ObjectId, now: Now, actions: &mut Vec<Action>) -> u64 {
        let (freed, in_doubt) = self.remove_all(&mut BTreeSet::from([id]), actions);
        if !in_doubt {
            return freed;
        }
        if self.memories.len() + self.tickets.len() > FEW {
            self.look_at.get_or_insert(now.saturating_add(PAUSE));
            return freed;
        }
        freed + self.remove_lost(actions)
    }

    /// Removes all that nobody can reach. Returns the bytes that are free then.
    fn remove_lost(&mut self, actions: &mut Vec<Action>) -> u64 {
        self.look_at = None;
        let mut suspects = BTreeSet::new();
        for carrier in self.lost_carriers() {
            self.void_tickets(carrier, &mut suspects);
        }
        // Of what is left then, nothing is in doubt.
        self.remove_all(&mut suspects, actions).0
    }

    /// When something is to be looked for that nobody can reach.
    pub(in super::super) fn next_look(&self) -> Option<Now> {
        self.look_at
    }

    /// Removes those that nobody has and no ticket is for, and what that leaves without either. Says how many bytes are
    /// free then, and whether there was one that has nothing but tickets in what nobody has.
    fn remove_all(&mut self, suspects: &mut BTreeSet<ObjectId>, actions: &mut Vec<Action>) -> (u64, bool) {
        let (mut freed, mut in_doubt) = (0, false);
        while let Some(id) = suspects.pop_first() {
            let Some(object) = self.objects.get(&id).filter(|object| !object.is_had()) else { continue };
            if object.tickets.is_empty() {
                freed += self.remove(id, suspects, actions);
            } else {
                in_doubt |= !self.can_be_redeemed_at_once(object);
            }
        }
        (freed, in_doubt)
    }

    /// The usual case: its message lies in a queue that somebody has.
    fn can_be_redeemed_at_once(&self, object: &Object) -> bool {
        object.tickets.iter().filter_map(|ticket| self.tickets.get(ticket)).any(|ticket| self.is_memory_had(ticket.via))
    }

    fn is_memory_had(&self, memory: ObjectId) -> bool {
        let objects = self.memories.get(&memory).into_iter().flat_map(|memory| &memory.objects);
        objects.filter_map(|id| self.objects.get(id)).any(Object::is_had)
    }

    /// The memories with tickets in them that nobody can ever redeem. Takes a look at every object and every ticket.
    fn lost_carriers(&self) -> Vec<ObjectId> {
        let mut ahead: Vec<ObjectId> = self.memories.keys().copied().filter(|id| self.is_memory_had(*id)).collect();
        let mut reached: BTreeSet<ObjectId> = ahead.iter().copied().collect();
        while let Some(carrier) = ahead.pop() {
            let tickets = self.memories.get(&carrier).into_iter().flat_map(|memory| &memory.tickets);
            let objects = tickets.filter_map(|ticket| self.objects.get(&self.tickets.get(ticket)?.object));
            ahead.extend(objects.map(|object| object.memory).filter(|memory| reached.insert(*memory)));
        }
        let lost = self.memories.iter().filter(|(id, memory)| !memory.tickets.is_empty() && !reached.contains(id));
        lost.map(|(id, _)| *id).collect()
    }

    /// Takes the tickets out of a carrier. What they were for is suspected.
    fn void_tickets(&mut self, carrier: ObjectId, suspects: &mut BTreeSet<ObjectId>) {
        let Some(memory) = self.memories.get_mut(&carrier) else { return };
        for number in std::mem::take(&mut memory.tickets) {
            if let Some(ticket) = self.tickets.remove(&number)
                && let Some(object) = self.objects.get_mut(&ticket.object)
            {
                object.tickets.remove(&number);
                suspects.insert(ticket.object);
            }
        }
    }

    /// Removes an object that nobody has and that no ticket is for.
    fn remove(&mut self, id: ObjectId, suspects: &mut BTreeSet<ObjectId>, actions: &mut Vec<Action>) -> u64 {
        let Some(object) = self.objects.remove(&id) else { return 0 };
        let (memory, layout, end) = (object.memory, object.spec.layout, object.end);
        if object.is_pipe() {
            actions.push(Action::Object(ObjectAction::Close { memory, layout, end }));
        }
        let Some(shared) = self.memories.get_mut(&memory) else { return 0 };
        shared.objects.remove(&id);
        if !shared.objects.is_empty() {
            // The other end, which may be in its own pipe.
            suspects.extend(&shared.objects);
            return 0;
        }
        self.void_tickets(memory, suspects);
        let Some(shared) = self.memories.remove(&memory) else { return 0 };
        let mut freed = shared.bytes;
        for parcel in shared.parcels {
            freed += self.parcels.remove(&parcel).map_or(0, |parcel| parcel.charged);
            actions.push(Action::Object(ObjectAction::FreeParcel(parcel)));
        }
        actions.push(Action::Object(ObjectAction::Free(memory)));
        freed
    }
}
