//! What a worker could do to make the table larger, or wait, without end.

use std::time::Duration;

use wasmproc_sandbox::WaitStatus;
use wasmproc_shm::Layout;

use super::{MAIN, World, spawn};
use crate::supervisor::table::{Event, main_start};
use crate::wire::object::{ObjectRequest, Spec};
use crate::wire::worker::{FromWorker, Output, Request, Start, ToWorker};
use crate::{Cause, Pid};

fn running() -> World {
    let mut world = World::new(10);
    world.fork_all();
    world
}

fn start_of(pid: Pid) -> Box<Start> {
    Box::new(Start { pid, ..main_start(Vec::new(), Vec::new(), 2) })
}

#[test]
fn a_process_whose_worker_died_before_it_began_begins_in_another() {
    let mut world = running();
    let child = world.spawn(MAIN, false).expect("a child");
    let first = world.worker_of(child);
    world.handle(Event::NeverBegan(first, start_of(child)));
    world.reap(first, WaitStatus::Signaled(9));
    world.fork_all();
    assert_ne!(world.worker_of(child), first);
    world.finish(child, 7, None);
    assert_eq!(world.news(MAIN, child), [(Cause::Exited(7), Output::None)]);
}

#[test]
fn a_process_whose_workers_all_die_before_it_begins_ends_at_last() {
    let mut world = running();
    let child = world.spawn(MAIN, false).expect("a child");
    for _ in 0..100 {
        if world.cause(child).is_some() {
            return;
        }
        let worker = world.worker_of(child);
        world.handle(Event::NeverBegan(worker, start_of(child)));
        world.reap(worker, WaitStatus::Signaled(9));
        world.fork_all();
    }
    panic!("it begins again and again");
}

#[test]
fn a_worker_that_says_that_it_has_returned_and_stays_is_killed() {
    let mut world = running();
    let child = world.spawn(MAIN, false).expect("a child");
    let worker = world.worker_of(child);
    world.handle(Event::Said(worker, FromWorker::Finished { code: 3, output: None }));
    assert!(world.killed.contains(&worker));
    world.reap_killed();
    assert_eq!(world.cause(child), Some(&Cause::Exited(3)));
}

#[test]
fn who_breaks_the_rules_after_its_return_does_not_take_its_children_along() {
    let mut world = running();
    let child = world.spawn(MAIN, false).expect("a child");
    let grandchild = world.spawn(child, false).expect("a grandchild");
    let worker = world.worker_of(child);
    world.handle(Event::Said(worker, FromWorker::Finished { code: 3, output: None }));
    world.handle(Event::Misbehaved(worker, "garbage".to_owned()));
    world.reap_killed();
    assert_eq!(world.cause(child), None);
    world.finish(grandchild, 0, None);
    assert_eq!(world.cause(child), Some(&Cause::Exited(3)));
}

/// That there are no more alarms than limits is checked after every event.
#[test]
fn however_often_a_stop_is_asked_for_it_is_told_once() {
    let mut world = running();
    let child = world.spawn(MAIN, false).expect("a child");
    for more in (0..1000).rev() {
        let grace = Duration::from_secs(1000 + more);
        world.request(MAIN, Request::Terminate { pid: child, grace });
    }
    let stops = world.heard.iter().filter(|(to, message)| *to == child && *message == ToWorker::Stop).count();
    assert_eq!(stops, 1);
    world.now += Duration::from_secs(1000);
    world.handle(Event::Tick);
    assert!(world.killed.contains(&world.worker_of(child)), "the shortest time counts");
}

#[test]
fn long_beginnings_are_memory_of_the_run() {
    let mut world = running();
    let long = || {
        let mut spawn = spawn(false);
        spawn.input = vec![7; 15 << 20];
        spawn
    };
    let before = world.table.memory_bytes;
    let children: Vec<Pid> = (0..3).map(|_| world.spawn_with(MAIN, long()).expect("a child")).collect();
    let refused = world.spawn_with(MAIN, long()).expect_err("the run has 64 MiB");
    assert!(refused.contains("--max-total-memory"), "{refused}");
    for child in children {
        world.finish(child, 0, None);
    }
    assert_eq!(world.table.memory_bytes, before);
}

#[test]
fn results_of_those_who_wait_for_their_children_are_bounded() {
    let mut world = running();
    let children: Vec<Pid> = (0..3).map(|_| world.spawn(MAIN, false).expect("a child")).collect();
    let grandchildren: Vec<Pid> = children.iter().map(|&child| world.spawn(child, false).expect("one")).collect();
    for child in &children {
        // There is room for one, as the limit is 1 MiB.
        world.finish(*child, 0, Some(vec![7; 600 << 10]));
    }
    for grandchild in grandchildren {
        world.finish(grandchild, 0, None);
    }
    assert_eq!(world.news(MAIN, children[0]), [(Cause::Exited(0), Output::Kept)]);
    for child in &children[1..] {
        assert!(
            matches!(&world.news(MAIN, *child)[..], [(Cause::Failed(reason), Output::None)] if reason.contains("room"))
        );
    }
}

#[test]
fn long_messages_are_files_as_objects_are() {
    let mut world = running();
    let layout = Layout::Queue { capacity_bytes: 4096, max_items: 10, seats: 0 };
    world.request(
        MAIN,
        Request::Object(ObjectRequest::Create { spec: Spec { layout, reentrant: false }, board: false }),
    );
    let via = *world.memories.first().expect("a queue");
    for _ in 0..20 {
        world.request(MAIN, Request::Object(ObjectRequest::Parcel { via, bytes: 10_000 }));
    }
    let refused = |(_, message): &&(Pid, ToWorker)| matches!(message, ToWorker::Reply { result: Err(_), .. });
    // The limit is 12, and one is the queue.
    assert_eq!(world.heard.iter().filter(refused).count(), 20 - 11);
}

#[test]
fn too_much_text_is_refused() {
    let mut world = running();
    let mut spawn = spawn(false);
    spawn.arguments = Some(vec!["x".repeat(1000); 1100]);
    assert!(world.spawn_with(MAIN, spawn).is_err());
}
