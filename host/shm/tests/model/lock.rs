//! Locks.

use std::rc::Rc;

use loom::cell::Cell;
use wasmproc_shm::{Acquired, Findings, Layout, Lock, Refused};

use crate::actor::{Actor, Hasty, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

/// What the lock protects. Two who touch it without an order between them are found out.
struct Protected(Cell<u32>);

impl Protected {
    fn new() -> Rc<Protected> {
        Rc::new(Protected(Cell::new(0)))
    }

    fn raise(&self) {
        self.0.set(self.0.get() + 1);
    }
}

fn acquire_and_raise(actor: Actor, protected: &Protected) -> Acquired {
    let lock = Lock::new(actor.clone(), actor.lease());
    let acquired = lock.acquire(&mut Patient).unwrap();
    protected.raise();
    lock.release().unwrap();
    acquired
}

fn one_at_a_time(actors: usize, preemptions: usize) {
    explore(preemptions, move || {
        let (shared, protected) = (Shared::new(Layout::Lock), Protected::new());
        let actors: Vec<_> = (0..actors)
            .map(|number| {
                let protected = protected.clone();
                start(&shared, number, move |actor| acquire_and_raise(actor, &protected))
            })
            .collect();
        let number = actors.len() as u32;
        actors.into_iter().for_each(|actor| assert_eq!(actor.join().unwrap(), Acquired::Clean));
        assert_eq!(protected.0.get(), number);
    });
}

#[test]
fn two_hold_a_lock_one_after_the_other() {
    one_at_a_time(2, 4);
}

#[test]
fn three_hold_a_lock_one_after_the_other() {
    one_at_a_time(3, 2);
}

#[test]
fn who_gives_up_passes_on_the_wake_that_came_too_late() {
    explore(2, || {
        let (shared, protected) = (Shared::new(Layout::Lock), Protected::new());
        let hasty = start(&shared, 0, |actor| {
            let lock = Lock::new(actor.clone(), actor.lease());
            match lock.acquire(&mut Hasty) {
                Ok(_) => lock.release().unwrap(),
                Err(refused) => assert_eq!(refused, Refused::TimedOut),
            }
        });
        let others = [1, 2].map(|number| {
            let protected = protected.clone();
            start(&shared, number, move |actor| acquire_and_raise(actor, &protected))
        });
        hasty.join().unwrap();
        join(others);
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_the_release() {
    explore(3, || {
        let (shared, protected) = (Shared::new(Layout::Lock), Protected::new());
        let inside = protected.clone();
        let other = start(&shared, 0, move |actor| acquire_and_raise(actor, &inside));
        let actor = Actor::immortal(&shared, 1);
        let lock = Lock::new(actor.clone(), actor.lease());
        actor.poll_until(|| lock.poll());
        lock.acquire(&mut Patient).unwrap();
        protected.raise();
        lock.release().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_lock_whose_holder_died_goes_to_one_other_as_abandoned() {
    explore_deaths(1, |dies_at| {
        let (shared, protected) = (Shared::new(Layout::Lock), Protected::new());
        let inside = protected.clone();
        let mortal = start_mortal(&shared, 0, dies_at, move |actor| acquire_and_raise(actor, &inside));
        let others = [1, 2].map(|number| {
            let protected = protected.clone();
            start(&shared, number, move |actor| acquire_and_raise(actor, &protected))
        });
        let lived = mortal.join().unwrap();
        let findings = bury(&shared, Layout::Lock, 0);
        let acquired = join(others);
        // Or to the next one that comes, if the others had it before.
        let last = acquire_and_raise(Actor::immortal(&shared, 3), &protected);
        let abandoned = acquired.iter().chain([&last]).filter(|acquired| **acquired == Acquired::Abandoned).count();
        assert_eq!(abandoned, usize::from(findings == Findings::Held));
        assert!(protected.0.get() >= 3);
        lived.is_some()
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_release_by_one_who_died() {
    explore_deaths(3, |dies_at| {
        let shared: Rc<Shared> = Shared::new(Layout::Lock);
        let protected = Protected::new();
        let mortal = start_mortal(&shared, 0, dies_at, move |actor| acquire_and_raise(actor, &protected));
        let poller = start(&shared, 1, |actor| {
            let lock = Lock::new(actor.clone(), actor.lease());
            actor.poll_until(|| lock.poll());
        });
        let lived = mortal.join().unwrap();
        bury(&shared, Layout::Lock, 0);
        poller.join().unwrap();
        lived.is_some()
    });
}
