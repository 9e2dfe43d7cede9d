//! The process table, tested as a value: event by event, and with random histories.

mod hostile;
mod objects;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use wasmproc_sandbox::WaitStatus;

use super::Event;
use crate::wire::worker::{FromWorker, Output, Reply, Request, ToWorker};
use crate::wire::zygote::WorkerId;
use crate::{Cause, Pid};
use world::{MAIN, World, spawn};

#[test]
fn the_end_of_main_waits_for_children_and_kills_daemons() {
    let mut world = World::new(10);
    world.fork_all();
    let child = world.spawn(MAIN, false).expect("a child");
    let daemon = world.spawn(MAIN, true).expect("a daemon");
    world.finish(MAIN, 3, None);
    assert_eq!(world.cause(daemon), Some(&Cause::Killed(None)));
    assert_eq!(world.finished, None, "the child is still alive");
    world.finish(child, 0, None);
    assert_eq!(world.finished, Some(Cause::Exited(3)));
}

#[test]
fn a_crowd_gives_way_and_comes_back_when_most_of_it_has_gone() {
    // Two processors.
    let mut world = World::new(200);
    world.table.limits.max_total_memory_bytes = 1 << 30;
    world.fork_all();
    let mut children = Vec::new();
    let mut start =
        |world: &mut World, count| children.extend((0..count).map(|_| world.spawn(MAIN, false).expect("a child")));
    start(&mut world, 14);
    assert!(world.ways.is_empty(), "a few are no crowd: {:?}", world.ways);
    start(&mut world, 1);
    start(&mut world, 16);
    start(&mut world, 100);
    assert_eq!(world.ways, [3, 6, 9, 10], "once for each time that they have doubled");
    for child in children.drain(..).rev() {
        world.finish(child, 0, None);
    }
    assert_eq!(world.ways.last(), Some(&0));
    assert!(world.ways.len() < 10, "not at every change: {:?}", world.ways);
}

#[test]
fn spares_that_all_die_are_not_replaced_until_somebody_needs_one() {
    let mut world = World::new(10);
    world.fork_all();
    world.spawn(MAIN, false).expect("a child");
    world.fork_all();
    let mut deaths = 0;
    while let Some(spare) = world.alive.iter().find_map(|(worker, pid)| pid.is_none().then_some(*worker)) {
        world.reap(spare, WaitStatus::Signaled(9));
        world.fork_all();
        deaths += 1;
        assert!(deaths < 100, "they are replaced for ever");
    }
    assert!(deaths > 2, "some are replaced");
    world.spawn(MAIN, false).expect("another child");
    world.fork_all();
    assert!(world.alive.values().any(Option::is_none), "there are spares again");
}

#[test]
fn zygotes_and_spares_go_once_nothing_can_be_started_any_more() {
    let mut world = World::new(10);
    world.fork_all();
    let child = world.spawn(MAIN, false).expect("a child");
    world.fork_all();
    world.finish(child, 0, None);
    assert!(!world.dismissed, "the first process may start more");
    let worker = world.worker_of(MAIN);
    world.handle(Event::Said(worker, FromWorker::Finished { code: 0, output: None }));
    assert!(world.dismissed);
    let is_spare = |(worker, pid): (&WorkerId, &Option<Pid>)| pid.is_none().then_some(*worker);
    assert!(world.alive.iter().filter_map(is_spare).all(|spare| world.killed.contains(&spare)));
    world.reap_killed();
    assert!(world.forking.is_empty() && world.finished.is_some());
}

#[test]
fn a_child_that_watches_its_parent_learns_that_its_main_function_has_returned() {
    let mut world = World::new(10);
    world.fork_all();
    let child = world.spawn(MAIN, false).expect("a child");
    world.request(child, Request::Watch(MAIN));
    assert_eq!(world.news(child, MAIN), []);
    world.finish(MAIN, 5, None);
    assert_eq!(world.news(child, MAIN), [(Cause::Exited(5), Output::None)]);
    world.request(child, Request::Watch(MAIN));
    assert_eq!(world.news(child, MAIN).len(), 2, "asking late is answered at once");
}

#[test]
fn a_process_that_dies_badly_takes_its_descendants_along() {
    let mut world = World::new(10);
    world.fork_all();
    let child = world.spawn(MAIN, false).expect("a child");
    let grandchild = world.spawn(child, false).expect("a grandchild");
    let worker = world.worker_of(child);
    world.reap(worker, WaitStatus::Signaled(11));
    assert_eq!(world.news(MAIN, child), [], "a death is told when all of it is over");
    world.reap_killed();
    assert_eq!(world.cause(grandchild), Some(&Cause::ParentLost));
    assert_eq!(world.news(MAIN, child), [(Cause::Signaled(11), Output::None)]);
    assert_eq!(world.finished, None);
}

#[test]
fn a_worker_that_says_that_it_has_trapped_and_stays_is_killed() {
    let mut world = World::new(10);
    world.fork_all();
    let child = world.spawn(MAIN, false).expect("a child");
    let worker = world.worker_of(child);
    let trap = FromWorker::Trapped { message: "trap".to_owned(), backtrace: String::new() };
    world.handle(Event::Said(worker, trap));
    assert!(world.killed.contains(&worker));
    world.reap_killed();
    assert!(matches!(world.cause(child), Some(Cause::Trapped { .. })), "what it said is still why");
}

#[test]
fn a_daemon_may_not_have_children_and_strangers_may_not_be_killed() {
    let mut world = World::new(10);
    world.fork_all();
    let daemon = world.spawn(MAIN, true).expect("a daemon");
    let other = world.spawn(MAIN, false).expect("another");
    assert!(world.spawn(daemon, false).expect_err("refused").contains("daemon"));
    world.request(other, Request::Terminate { pid: daemon, grace: Duration::ZERO });
    world.reap_killed();
    assert_eq!(world.cause(daemon), None, "only a parent may terminate");
}

#[test]
fn a_worker_that_dies_before_its_zygote_told_of_it_is_no_loss() {
    let mut world = World::new(10);
    world.fork_all();
    let id = world.request(MAIN, Request::Spawn(Box::new(spawn(false))));
    let lost = std::mem::take(&mut world.forking);
    world.handle(Event::ForksLost(lost.into_iter().collect()));
    world.fork_all();
    assert!(id > 0 && world.spawn(MAIN, false).is_ok());
}

#[test]
fn a_run_that_listens_gets_its_grace_and_one_that_does_not_gets_none() {
    let grace = Duration::from_secs(2);
    let mut deaf = World::new(10);
    deaf.fork_all();
    deaf.handle(Event::Stop { grace });
    deaf.reap_killed();
    assert_eq!(deaf.finished, Some(Cause::Killed(None)));

    let mut listening = World::new(10);
    listening.fork_all();
    listening.request(MAIN, Request::ListenForStop);
    listening.handle(Event::Stop { grace });
    assert!(listening.heard.contains(&(MAIN, ToWorker::Stop)));
    assert!(listening.killed.is_empty());
    listening.now = Duration::from_secs(3);
    listening.handle(Event::Tick);
    listening.reap_killed();
    assert_eq!(listening.finished, Some(Cause::Killed(None)));
}

#[test]
fn the_limit_of_processes_is_an_error_and_nothing_more() {
    let mut world = World::new(3);
    world.fork_all();
    let first = world.spawn(MAIN, false).expect("a child");
    world.spawn(MAIN, false).expect("a child");
    assert!(world.spawn(MAIN, false).expect_err("refused").contains("--max-processes"));
    world.finish(first, 0, None);
    world.spawn(MAIN, false).expect("there is room again");
}

#[test]
fn a_long_result_is_kept_for_the_parent_and_a_short_one_comes_along() {
    let mut world = World::new(10);
    world.fork_all();
    let (short, long) = (world.spawn(MAIN, false).expect("a child"), world.spawn(MAIN, false).expect("a child"));
    world.finish(short, 0, Some(vec![1]));
    world.finish(long, 0, Some(vec![2; 10_000]));
    assert_eq!(world.news(MAIN, short), [(Cause::Exited(0), Output::Here(vec![1]))]);
    assert_eq!(world.news(MAIN, long), [(Cause::Exited(0), Output::Kept)]);
    let id = world.request(MAIN, Request::TakeOutput(long));
    let reply = ToWorker::Reply { request: id, result: Ok(Reply::Output(vec![2; 10_000])) };
    assert!(world.heard.contains(&(MAIN, reply)));
}

/// One thing that can happen in a random history; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Spawn { by: usize, daemon: bool },
    Finish(usize),
    Trap(usize),
    Terminate { by: usize, target: usize },
    DieSilently(usize),
    ReapOne,
    ForkOne,
    FailFork,
    LoseZygote,
    Misbehave(usize),
    Tick,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0usize..8;
    prop_oneof![
        6 => (number.clone(), any::<bool>()).prop_map(|(by, daemon)| Step::Spawn { by, daemon }),
        3 => number.clone().prop_map(Step::Finish),
        1 => number.clone().prop_map(Step::Trap),
        1 => (number.clone(), number.clone()).prop_map(|(by, target)| Step::Terminate { by, target }),
        1 => number.clone().prop_map(Step::DieSilently),
        4 => Just(Step::ReapOne),
        6 => Just(Step::ForkOne),
        1 => Just(Step::FailFork),
        1 => Just(Step::LoseZygote),
        1 => number.prop_map(Step::Misbehave),
        1 => Just(Step::Tick),
        1 => Just(Step::Stop),
    ]
}

impl World {
    fn started(&self) -> Vec<(WorkerId, Pid)> {
        let mut started: Vec<_> = self.alive.iter().filter_map(|(worker, pid)| Some((*worker, (*pid)?))).collect();
        started.sort();
        started
    }

    fn pick(&self, number: usize) -> Option<(WorkerId, Pid)> {
        let started = self.started();
        started.get(number % started.len().max(1)).copied()
    }

    fn take(&mut self, step: Step) {
        if self.finished.is_some() {
            return;
        }
        match step {
            Step::Spawn { by, daemon } => {
                if let Some((_, pid)) = self.pick(by) {
                    self.request(pid, Request::Spawn(Box::new(spawn(daemon))));
                }
            }
            Step::Finish(number) => self.last_word(number, FromWorker::Finished { code: 0, output: Some(vec![7]) }),
            Step::Trap(number) => {
                let trap = FromWorker::Trapped { message: "trap".to_owned(), backtrace: String::new() };
                self.last_word(number, trap);
            }
            Step::Terminate { by, target } => {
                if let (Some((_, by)), Some((_, target))) = (self.pick(by), self.pick(target)) {
                    self.request(by, Request::Terminate { pid: target, grace: Duration::ZERO });
                }
            }
            Step::DieSilently(number) => {
                if let Some((worker, _)) = self.pick(number) {
                    self.killed.remove(&worker);
                    self.reap(worker, WaitStatus::Signaled(9));
                }
            }
            Step::ReapOne => {
                if let Some(worker) = self.killed.pop_first() {
                    self.reap(worker, WaitStatus::Signaled(9));
                }
            }
            Step::ForkOne => {
                if let Some(worker) = self.forking.pop_first() {
                    self.alive.insert(worker, None);
                    self.handle(Event::Forked(worker));
                }
            }
            Step::FailFork => {
                if let Some(worker) = self.forking.pop_first() {
                    self.handle(Event::NotForked(worker, "no memory".to_owned()));
                }
            }
            Step::LoseZygote => {
                let lost = std::mem::take(&mut self.forking);
                self.handle(Event::ForksLost(lost.into_iter().collect()));
            }
            Step::Misbehave(number) => {
                if let Some((worker, _)) = self.pick(number) {
                    self.handle(Event::Misbehaved(worker, "garbage".to_owned()));
                }
            }
            Step::Tick => {
                self.now += Duration::from_secs(1);
                self.handle(Event::Tick);
            }
            Step::Stop => self.handle(Event::Stop { grace: Duration::from_secs(1) }),
        }
    }

    fn last_word(&mut self, number: usize, message: FromWorker) {
        if let Some((worker, _)) = self.pick(number) {
            self.handle(Event::Said(worker, message));
            self.killed.insert(worker);
        }
    }

    /// Does whatever the outside still owes, until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.fork_all();
            self.reap_killed();
        }
    }
}

proptest! {
    #[test]
    fn any_history_keeps_the_invariants_and_can_be_brought_to_an_end(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new(6);
        for step in steps {
            world.take(step);
        }
        if world.finished.is_none() {
            world.handle(Event::Kill);
        }
        world.settle();
        prop_assert!(world.finished.is_some(), "a run that is killed ends");
        let pids: BTreeSet<Pid> = world.ended.iter().map(|(pid, _)| *pid).collect();
        prop_assert_eq!(pids.len(), world.ended.len(), "nobody ends twice");
    }
}
