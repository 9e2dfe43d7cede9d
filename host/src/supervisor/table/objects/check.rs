//! What has to hold among the objects after every event. For tests and for fuzzing.

use std::collections::BTreeSet;

use super::{Object, Objects};
use crate::Pid;
use crate::wire::object::ObjectId;

impl Objects {
    /// Panics if the objects contradict each other.
    pub(in super::super) fn check(&self, lives: impl Fn(Pid) -> bool) {
        for (id, object) in &self.objects {
            self.check_object(*id, object);
            assert!(object.holders.keys().all(|pid| lives(*pid)), "only the living have objects");
        }
        for (pid, ids) in &self.granted {
            let has = |id| self.objects.get(id).is_some_and(|object| object.holders.contains_key(pid));
            assert!(ids.iter().all(has), "what is granted is there");
        }
        for (id, memory) in &self.memories {
            let objects = self.objects.iter().filter(|(_, object)| object.memory == *id).map(|(id, _)| *id);
            assert_eq!(objects.collect::<BTreeSet<_>>(), memory.objects, "memory is there for its objects");
            assert!(!memory.objects.is_empty(), "and goes with them");
            assert!(memory.tickets.iter().all(|ticket| self.tickets.get(ticket).is_some_and(|one| one.via == *id)));
            assert!(memory.parcels.iter().all(|parcel| self.parcels.get(parcel).is_some_and(|one| one.via == *id)));
        }
        let is_carried = |via, has: &dyn Fn(&super::Memory) -> bool| self.memories.get(via).is_some_and(has);
        for (number, ticket) in &self.tickets {
            assert!(is_carried(&ticket.via, &|memory| memory.tickets.contains(number)), "a ticket has its carrier");
            assert!(self.objects.contains_key(&ticket.object), "a ticket is for something");
        }
        for (number, parcel) in &self.parcels {
            assert!(is_carried(&parcel.via, &|memory| memory.parcels.contains(number)), "a parcel has its carrier");
        }
        if self.look_at.is_none() {
            self.check_reach();
        }
    }

    /// Panics if there is anything.
    #[cfg(feature = "fuzzing")]
    pub(in super::super) fn check_end(&self) {
        assert!(self.objects.is_empty() && self.memories.is_empty(), "objects go with those who have them");
        assert!(self.tickets.is_empty() && self.parcels.is_empty(), "and so does what is on its way");
    }

    /// Panics if something is there that nobody has or can redeem: one step at a time from what somebody has.
    fn check_reach(&self) {
        let had = |object: &&Object| !object.holders.is_empty() || !object.leaving.is_empty();
        let mut reached: BTreeSet<ObjectId> = self.objects.values().filter(had).map(|object| object.memory).collect();
        loop {
            let redeemable = self.tickets.values().filter(|ticket| reached.contains(&ticket.via));
            let more: BTreeSet<ObjectId> = redeemable.map(|ticket| self.objects[&ticket.object].memory).collect();
            if more.is_subset(&reached) {
                break;
            }
            reached.extend(more);
        }
        for (id, object) in &self.objects {
            let redeemable = object.tickets.iter().any(|ticket| reached.contains(&self.tickets[ticket].via));
            assert!(had(&object) || redeemable, "what nobody can have any more is gone: object {}", id.0);
        }
    }

    fn check_object(&self, id: ObjectId, object: &Object) {
        assert!(self.memories.contains_key(&object.memory), "an object has its memory");
        for pid in object.holders.keys() {
            assert!(self.granted.get(pid).is_some_and(|ids| ids.contains(&id)), "holders are granted what they have");
            assert!(!object.leaving.contains_key(pid), "who leaves is gone before it comes back");
        }
        assert!(!object.is_pipe() || object.holders.len() <= 1, "an end of a pipe has one owner");
        let tickets = self.tickets.iter().filter(|(_, ticket)| ticket.object == id).map(|(number, _)| *number);
        assert_eq!(object.tickets, tickets.collect(), "an object knows its tickets");
        if let Some(seats) = object.spec.layout.seats() {
            let taken = object.holders.values().chain(object.leaving.values()).chain(&object.free_seats);
            let distinct: BTreeSet<u32> = taken.copied().collect();
            let all = object.holders.len() + object.leaving.len() + object.free_seats.len();
            assert_eq!(distinct.len(), all, "a seat has one owner");
            assert_eq!(distinct, (0..object.seats_used).collect(), "no seat is lost");
            assert!(object.seats_used <= seats, "seats exist");
        }
    }

    /// Bytes of all memories and parcels.
    pub(in super::super) fn bytes(&self) -> u64 {
        let memories: u64 = self.memories.values().map(|memory| memory.bytes).sum();
        memories + self.parcels.values().map(|parcel| parcel.charged).sum::<u64>()
    }
}
