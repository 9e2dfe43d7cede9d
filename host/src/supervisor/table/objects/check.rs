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
            let objects = self.objects.values().filter(|object| object.memory == *id).count();
            assert_eq!(objects, memory.objects, "memory is there for its objects");
            assert!(objects > 0, "and goes with them");
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
    }

    /// Panics if anybody has an object. Returns how many memories there are.
    #[cfg(feature = "fuzzing")]
    pub(in super::super) fn check_end(&self) -> usize {
        assert!(self.objects.values().all(|object| object.holders.is_empty() && object.leaving.is_empty()));
        self.memories.len()
    }

    fn check_object(&self, id: ObjectId, object: &Object) {
        assert!(self.memories.contains_key(&object.memory), "an object has its memory");
        for pid in object.holders.keys() {
            assert!(self.granted.get(pid).is_some_and(|ids| ids.contains(&id)), "holders are granted what they have");
            assert!(!object.leaving.contains_key(pid), "who leaves is gone before it comes back");
        }
        assert!(!object.is_pipe() || object.holders.len() <= 1, "an end of a pipe has one owner");
        let tickets = self.tickets.values().filter(|ticket| ticket.object == id).count();
        assert_eq!(object.tickets, tickets, "tickets are counted");
        let wanted = !object.holders.is_empty() || !object.leaving.is_empty() || tickets > 0;
        assert!(wanted, "what nobody can have any more is gone");
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
