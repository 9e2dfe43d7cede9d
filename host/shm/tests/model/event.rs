//! Events.

use wasmproc_shm::{Event, Layout};

use crate::actor::{Actor, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

#[test]
fn all_who_wait_return_when_it_is_set() {
    explore(3, || {
        let shared = Shared::new(Layout::Event);
        let waiters =
            [0, 1].map(|number| start(&shared, number, |actor| Event::new(actor).wait(&mut Patient).unwrap()));
        let setter = start(&shared, 2, |actor| Event::new(actor).set());
        join(waiters);
        setter.join().unwrap();
    });
}

#[test]
fn who_waited_returns_even_if_it_was_cleared_at_once() {
    explore(3, || {
        let shared = Shared::new(Layout::Event);
        let setter = start(&shared, 0, |actor| {
            let event = Event::new(actor);
            event.set();
            event.clear();
            event.set();
        });
        let waiter = start(&shared, 1, |actor| Event::new(actor).wait(&mut Patient).unwrap());
        setter.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn nobody_sleeps_while_it_is_set() {
    // It is set. One sets it once more while another clears it, has a third set it, and waits. Whichever of the two sets
    // comes first after the clear wakes the waiter; the other one finds it set.
    explore(4, || {
        let shared = Shared::new(Layout::Event);
        let event = Event::new(Actor::immortal(&shared, 3));
        event.set();
        let setter = start(&shared, 0, |actor| Event::new(actor).set());
        event.clear();
        let another = start(&shared, 1, |actor| Event::new(actor).set());
        event.wait(&mut Patient).unwrap();
        setter.join().unwrap();
        another.join().unwrap();
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_that_it_was_set() {
    explore(4, || {
        let shared = Shared::new(Layout::Event);
        let setter = start(&shared, 0, |actor| Event::new(actor).set());
        let poller = start(&shared, 1, |actor| {
            let event = Event::new(actor.clone());
            actor.poll_until(|| event.poll());
        });
        setter.join().unwrap();
        poller.join().unwrap();
    });
}

#[test]
fn a_set_by_one_who_died_wakes_all_or_never_happened() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(Layout::Event);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| Event::new(actor).set());
        let sleeper = start(&shared, 1, |actor| Event::new(actor).wait(&mut Patient).unwrap());
        let poller = start(&shared, 2, |actor| {
            let event = Event::new(actor.clone());
            actor.poll_until(|| event.poll());
        });
        let lived = mortal.join().unwrap();
        bury(&shared, Layout::Event, 0);
        let event = Event::new(Actor::immortal(&shared, 3));
        if !event.is_set() {
            event.set();
        }
        sleeper.join().unwrap();
        poller.join().unwrap();
        lived.is_some()
    });
}
