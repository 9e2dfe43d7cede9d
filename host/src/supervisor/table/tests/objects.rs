//! Shared objects in the process table.

use std::time::Duration;

use wasmproc_sandbox::WaitStatus;
use wasmproc_shm::Layout;

use super::{MAIN, World, spawn};
use crate::Pid;
use crate::wire::object::{Blocker, ObjectId, ObjectReply, ObjectRequest, Spec};
use crate::wire::worker::{RefusalCode, Reply, Request, ToWorker};

const PIPE: Layout = Layout::Pipe { capacity_bytes: 4096, duplex: false };
const QUEUE: Layout = Layout::Queue { capacity_bytes: 4096, max_items: 10, seats: 0 };

fn create(layout: Layout) -> ObjectRequest {
    ObjectRequest::Create { spec: Spec { layout, reentrant: false }, board: false }
}

impl World {
    fn running() -> World {
        let mut world = World::new(10);
        world.fork_all();
        world
    }

    fn ask(&mut self, pid: Pid, request: ObjectRequest) -> Result<ObjectReply, RefusalCode> {
        let id = self.request(pid, Request::Object(request));
        let reply = self.heard.iter().find_map(|(_, message)| match message {
            ToWorker::Reply { request, result } if *request == id => Some(result.clone()),
            _ => None,
        });
        match reply.expect("the request is answered") {
            Ok(Reply::Object(reply)) => Ok(reply),
            Ok(other) => panic!("{other:?} is no answer"),
            Err(refusal) => Err(refusal.code),
        }
    }

    fn tell(&mut self, pid: Pid, request: ObjectRequest) {
        self.request(pid, Request::Object(request));
    }

    /// Makes an object and returns its number, and that of the other end if it is a pipe.
    fn make(&mut self, pid: Pid, layout: Layout) -> (ObjectId, Option<ObjectId>) {
        match self.ask(pid, create(layout)) {
            Ok(ObjectReply::Granted { id, other, .. }) => (id, other),
            other => panic!("{other:?} is no object"),
        }
    }

    fn child_with(&mut self, parent: Pid, objects: &[ObjectId]) -> Pid {
        let mut spawn = spawn(false);
        spawn.objects = objects.to_vec();
        self.spawn_with(parent, spawn).expect("a child starts")
    }

    fn can_open(&mut self, pid: Pid, id: ObjectId) -> bool {
        self.ask(pid, ObjectRequest::Open { object: id, board: false }).is_ok()
    }

    fn ticket(&mut self, pid: Pid, via: ObjectId, object: ObjectId) -> u64 {
        match self.ask(pid, ObjectRequest::Ticket { via, object }) {
            Ok(ObjectReply::Ticket(ticket)) => ticket,
            other => panic!("{other:?} is no ticket"),
        }
    }

    fn die(&mut self, pid: Pid) {
        let worker = self.worker_of(pid);
        self.reap(worker, WaitStatus::Signaled(9));
        self.reap_killed();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.handle(super::Event::Tick);
    }
}

#[test]
fn an_object_is_for_those_who_were_granted_it() {
    let mut world = World::running();
    let (lock, _) = world.make(MAIN, Layout::Lock);
    let with = world.child_with(MAIN, &[lock]);
    let without = world.child_with(MAIN, &[]);

    assert!(world.can_open(with, lock));
    assert!(!world.can_open(without, lock));
    assert!(!world.can_open(MAIN, ObjectId(999)), "a number that was never issued opens nothing");
}

#[test]
fn memory_is_freed_when_the_last_holder_is_gone() {
    let mut world = World::running();
    let before = world.table.memory_bytes;
    let (lock, _) = world.make(MAIN, Layout::Lock);
    let child = world.child_with(MAIN, &[lock]);
    world.tell(MAIN, ObjectRequest::Drop(lock));
    assert_eq!(world.memories.len(), 1, "the child has it");
    assert!(!world.can_open(MAIN, lock), "what was dropped is not ours any more");

    world.die(child);
    assert!(world.memories.is_empty());
    assert_eq!(world.table.memory_bytes, before);
}

#[test]
fn an_end_of_a_pipe_moves_to_a_child() {
    let mut world = World::running();
    let (first, second) = world.make(MAIN, PIPE);
    let second = second.expect("a pipe has two ends");
    let child = world.child_with(MAIN, &[second]);

    assert!(world.can_open(child, second));
    assert!(!world.can_open(MAIN, second));
    assert!(world.can_open(MAIN, first));
    world.die(child);
    assert_eq!(world.memories.len(), 1, "the other end is still there");
    world.tell(MAIN, ObjectRequest::Drop(first));
    assert!(world.memories.is_empty());
}

#[test]
fn a_child_that_cannot_start_gives_the_end_of_a_pipe_back() {
    let mut world = World::running();
    // The spares have to be used up before a fork can fail.
    while !world.table.spares.is_empty() {
        world.table.spares.clear();
    }
    let (_, second) = world.make(MAIN, PIPE);
    let second = second.expect("a pipe has two ends");
    let mut spawn = spawn(false);
    spawn.objects = vec![second];
    world.request(MAIN, Request::Spawn(Box::new(spawn)));
    while let Some(worker) = world.forking.pop_first() {
        world.handle(super::Event::NotForked(worker, "no process left".to_owned()));
    }

    assert!(world.can_open(MAIN, second));
}

#[test]
fn a_ticket_grants_once_and_only_through_its_queue() {
    let mut world = World::running();
    let (queue, _) = world.make(MAIN, QUEUE);
    let (other, _) = world.make(MAIN, QUEUE);
    let (lock, _) = world.make(MAIN, Layout::Lock);
    let child = world.child_with(MAIN, &[queue, other]);
    let ticket = world.ticket(MAIN, queue, lock);

    let elsewhere = world.ask(child, ObjectRequest::Redeem { via: other, ticket });
    assert_eq!(elsewhere, Err(RefusalCode::Denied));
    let redeemed = world.ask(child, ObjectRequest::Redeem { via: queue, ticket });
    assert_eq!(redeemed, Ok(ObjectReply::Redeemed(lock)));
    assert!(world.can_open(child, lock));
    let twice = world.ask(child, ObjectRequest::Redeem { via: queue, ticket });
    assert_eq!(twice, Err(RefusalCode::Denied));
    assert_eq!(world.ask(child, ObjectRequest::Ticket { via: lock, object: queue }), Err(RefusalCode::Invalid));
}

#[test]
fn what_is_being_cleaned_up_after_a_process_is_not_granted_to_it_again() {
    let mut world = World::running();
    let (queue, _) = world.make(MAIN, QUEUE);
    let (semaphore, _) = world.make(MAIN, Layout::Semaphore { permits: 1, bounded: true, seats: 0 });
    let child = world.child_with(MAIN, &[queue, semaphore]);
    let ticket = world.ticket(MAIN, queue, semaphore);
    world.busy = true;
    world.tell(child, ObjectRequest::Drop(semaphore));
    let redeem = || ObjectRequest::Redeem { via: queue, ticket };
    assert_eq!(world.ask(child, redeem()), Err(RefusalCode::Limit));

    world.busy = false;
    world.finish_recoveries();
    assert_eq!(world.ask(child, redeem()), Ok(ObjectReply::Redeemed(semaphore)));
}

#[test]
fn a_long_message_stays_until_its_taker_says_that_it_has_it() {
    let mut world = World::running();
    let before = world.table.memory_bytes;
    let (queue, _) = world.make(MAIN, QUEUE);
    let own = world.table.memory_bytes;
    let Ok(ObjectReply::Parcel { parcel, .. }) = world.ask(MAIN, ObjectRequest::Parcel { via: queue, bytes: 10_000 })
    else {
        panic!("there is room for it");
    };
    assert!(world.table.memory_bytes > own);
    for _ in 0..2 {
        let unpacked = world.ask(MAIN, ObjectRequest::Unpack { via: queue, parcel });
        assert_eq!(unpacked, Ok(ObjectReply::Parcel { parcel, bytes: 10_000 }));
    }
    world.tell(MAIN, ObjectRequest::Discard { via: queue, parcel });
    assert_eq!(world.table.memory_bytes, own);
    assert_eq!(world.ask(MAIN, ObjectRequest::Unpack { via: queue, parcel }), Err(RefusalCode::Denied));
    world.tell(MAIN, ObjectRequest::Drop(queue));
    assert_eq!(world.table.memory_bytes, before);
}

#[test]
fn a_ticket_keeps_its_object_alive_and_dies_with_its_queue() {
    let mut world = World::running();
    let (queue, _) = world.make(MAIN, QUEUE);
    let (first, second) = world.make(MAIN, PIPE);
    let second = second.expect("a pipe has two ends");
    world.ticket(MAIN, queue, second);
    assert!(!world.can_open(MAIN, second), "the end is on its way");
    world.tell(MAIN, ObjectRequest::Drop(first));
    assert_eq!(world.memories.len(), 2);

    world.tell(MAIN, ObjectRequest::Drop(queue));
    assert!(world.memories.is_empty());
    assert_eq!(world.closed_ends, 2, "who waits at the other end is told");
}

#[test]
fn a_queue_that_travels_in_itself_goes_with_its_last_owner() {
    let mut world = World::running();
    let before = world.table.memory_bytes;
    let (queue, _) = world.make(MAIN, QUEUE);
    for _ in 0..3 {
        world.ticket(MAIN, queue, queue);
    }
    let parcel = world.ask(MAIN, ObjectRequest::Parcel { via: queue, bytes: 10_000 });
    assert!(parcel.is_ok());
    world.tell(MAIN, ObjectRequest::Drop(queue));
    assert!(world.memories.is_empty(), "nobody can redeem its tickets");
    assert_eq!(world.table.memory_bytes, before);
}

#[test]
fn queues_that_travel_in_each_other_go_with_the_owner_of_the_last() {
    let mut world = World::running();
    let (outside, _) = world.make(MAIN, QUEUE);
    let (first, second) = world.make(MAIN, PIPE);
    let child = world.child_with(MAIN, &[outside]);
    let (one, _) = world.make(child, QUEUE);
    let (two, _) = world.make(child, QUEUE);
    world.ticket(child, one, two);
    world.ticket(child, two, one);
    world.ticket(child, outside, two);
    let end = world.ticket(MAIN, outside, second.expect("a pipe has two ends"));
    assert!(world.ask(child, ObjectRequest::Redeem { via: outside, ticket: end }).is_ok());
    world.ticket(child, two, second.expect("it was redeemed"));

    world.die(child);
    assert_eq!(world.memories.len(), 4, "through the queue that somebody has, all can be had");
    world.tell(MAIN, ObjectRequest::Drop(outside));
    assert_eq!(world.memories.len(), 1, "the pipe is left, for its other end");
    assert_eq!(world.closed_ends, 1, "which is told");
    assert!(world.can_open(MAIN, first));
}

#[test]
fn a_queue_in_a_queue_in_a_queue_can_be_had_from_the_outermost() {
    let mut world = World::running();
    let (outer, _) = world.make(MAIN, QUEUE);
    let (middle, _) = world.make(MAIN, QUEUE);
    let (inner, _) = world.make(MAIN, QUEUE);
    let around_inner = world.ticket(MAIN, middle, inner);
    let around_middle = world.ticket(MAIN, outer, middle);
    world.ticket(MAIN, inner, middle);
    world.tell(MAIN, ObjectRequest::Drop(middle));
    world.tell(MAIN, ObjectRequest::Drop(inner));

    let redeem = |via, ticket| ObjectRequest::Redeem { via, ticket };
    assert_eq!(world.ask(MAIN, redeem(outer, around_middle)), Ok(ObjectReply::Redeemed(middle)));
    assert_eq!(world.ask(MAIN, redeem(middle, around_inner)), Ok(ObjectReply::Redeemed(inner)));
    world.tell(MAIN, ObjectRequest::Drop(outer));
    assert_eq!(world.memories.len(), 2);
}

#[test]
fn among_many_what_is_lost_goes_a_moment_later() {
    let mut world = World::running();
    let before = world.table.memory_bytes;
    let (queue, _) = world.make(MAIN, QUEUE);
    for _ in 0..1000 {
        world.ticket(MAIN, queue, queue);
    }
    world.tell(MAIN, ObjectRequest::Drop(queue));
    assert_eq!(world.memories.len(), 1);
    let due = world.table.next_deadline().expect("somebody looks");
    world.pass(due - world.now);
    assert!(world.memories.is_empty());
    assert_eq!(world.table.memory_bytes, before);
    assert_eq!(world.table.next_deadline(), None);
}

#[test]
fn an_end_of_a_pipe_that_is_sent_through_itself_is_lost_with_the_other() {
    let mut world = World::running();
    let (first, second) = world.make(MAIN, PIPE);
    let second = second.expect("a pipe has two ends");
    let ticket = world.ticket(MAIN, second, second);
    let redeemed = world.ask(MAIN, ObjectRequest::Redeem { via: first, ticket });
    assert_eq!(redeemed, Ok(ObjectReply::Redeemed(second)), "who has the other end can have it");

    world.ticket(MAIN, second, second);
    world.ticket(MAIN, first, first);
    assert!(world.memories.is_empty(), "there is no other end now");
}

#[test]
fn an_end_of_a_pipe_that_is_in_its_own_pipe_goes_with_the_other() {
    let mut world = World::running();
    let (first, second) = world.make(MAIN, PIPE);
    world.ticket(MAIN, first, second.expect("a pipe has two ends"));
    assert_eq!(world.memories.len(), 1, "who has the first can have the second");
    world.tell(MAIN, ObjectRequest::Drop(first));
    assert!(world.memories.is_empty());
}

#[test]
fn circles_of_queues_give_their_place_back() {
    let mut world = World::running();
    for _ in 0..20 {
        let child = world.child_with(MAIN, &[]);
        let (one, _) = world.make(child, QUEUE);
        let (two, _) = world.make(child, QUEUE);
        world.ticket(child, one, two);
        world.ticket(child, two, one);
        world.busy = true;
        world.die(child);
        world.busy = false;
        world.finish_recoveries();
    }
    assert!(world.memories.is_empty());
}

#[test]
fn objects_are_limited_for_each_process_and_for_the_run() {
    let mut world = World::running();
    let child = world.child_with(MAIN, &[]);
    for _ in 0..8 {
        world.make(MAIN, Layout::Event);
    }
    assert_eq!(world.ask(MAIN, create(Layout::Event)), Err(RefusalCode::Limit), "8 for a process");
    for _ in 0..4 {
        world.make(child, Layout::Event);
    }
    assert_eq!(world.ask(child, create(Layout::Event)), Err(RefusalCode::Limit), "12 for the run");
    let huge = Layout::Queue { capacity_bytes: 1 << 27, max_items: 1, seats: 0 };
    world.tell(child, ObjectRequest::Drop(ObjectId(12)));
    let huge = world.ask(child, create(huge));
    assert_eq!(huge, Err(RefusalCode::Limit), "64 MiB for the run");
}

#[test]
fn a_circle_of_waiters_is_broken_by_an_error_for_one_of_them() {
    let mut world = World::running();
    let (one, _) = world.make(MAIN, Layout::Lock);
    let (two, _) = world.make(MAIN, Layout::Lock);
    let child = world.child_with(MAIN, &[one, two]);
    world.holders = [(one, 1), (two, child.0 as u32)].into();
    world.tell(MAIN, ObjectRequest::Blocked { sequence: 1, on: Blocker::Lock(two) });
    world.pass(Duration::from_millis(60));
    assert!(world.notices.is_empty(), "who is waited for may be just about to release");
    world.tell(child, ObjectRequest::Blocked { sequence: 1, on: Blocker::Lock(one) });

    world.pass(Duration::from_millis(60));
    assert!(world.notices.is_empty(), "one look is not enough");
    world.pass(Duration::from_millis(60));
    assert_eq!(world.alarmed, [child], "the last to wait is the one");
    let told = world.heard.iter().any(|(to, message)| {
        *to == child
            && matches!(message, ToWorker::Deadlock { sequence: 1, message } if message.contains("waits for lock"))
    });
    assert!(told);
    world.pass(Duration::from_millis(500));
    assert_eq!(world.notices.len(), 1, "it is said once: {:?}", world.notices);
}

#[test]
fn a_join_is_part_of_a_circle() {
    let mut world = World::running();
    let (lock, _) = world.make(MAIN, Layout::Lock);
    let child = world.child_with(MAIN, &[lock]);
    world.holders = [(lock, 1)].into();
    world.tell(MAIN, ObjectRequest::Blocked { sequence: 1, on: Blocker::End(child) });
    world.tell(child, ObjectRequest::Blocked { sequence: 1, on: Blocker::Lock(lock) });
    world.pass(Duration::from_millis(60));
    world.pass(Duration::from_millis(60));

    assert_eq!(world.alarmed, [child]);
}

#[test]
fn waits_that_go_on_are_no_circle() {
    let mut world = World::running();
    let (one, _) = world.make(MAIN, Layout::Lock);
    let (two, _) = world.make(MAIN, Layout::Lock);
    let child = world.child_with(MAIN, &[one, two]);
    world.holders = [(one, 1), (two, child.0 as u32)].into();
    for sequence in 1..20 {
        world.tell(MAIN, ObjectRequest::Blocked { sequence, on: Blocker::Lock(two) });
        world.tell(child, ObjectRequest::Blocked { sequence, on: Blocker::Lock(one) });
        world.pass(Duration::from_millis(60));
    }
    assert!(world.notices.is_empty(), "every look finds other waits");
    world.tell(MAIN, ObjectRequest::Unblocked);
    world.pass(Duration::from_millis(60));
    world.pass(Duration::from_millis(60));
    assert!(world.notices.is_empty());
}
