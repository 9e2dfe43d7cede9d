//! Semaphores.

use std::rc::Rc;

use wasmproc_shm::{Findings, Layout, Refused, Semaphore, initialise};

use crate::actor::{Actor, Hasty, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

const BOUNDED: Layout = Layout::Semaphore { permits: 1, bounded: true, seats: 4 };
const SIGNAL: Layout = Layout::Semaphore { permits: 0, bounded: false, seats: 0 };

fn of(actor: &Actor, layout: Layout) -> Semaphore<Actor> {
    Semaphore::new(actor.clone(), layout, actor.lease(), actor.seat())
}

fn permits(layout: Layout) -> Rc<Shared> {
    let shared = Shared::new(layout);
    initialise(&Actor::immortal(&shared, 3), layout);
    shared
}

fn acquire_and_release(actor: Actor) {
    let semaphore = of(&actor, BOUNDED);
    semaphore.acquire(&mut Patient).unwrap();
    semaphore.release(1, &mut Patient).unwrap();
}

fn hand_to_hand<const ACTORS: usize>(preemptions: usize) {
    explore(preemptions, || {
        let shared = permits(BOUNDED);
        let actors = std::array::from_fn::<_, ACTORS, _>(|number| start(&shared, number, acquire_and_release));
        join(actors);
        assert_eq!(of(&Actor::immortal(&shared, 3), BOUNDED).available(), 1);
    });
}

#[test]
fn one_permit_goes_from_hand_to_hand_between_two() {
    hand_to_hand::<2>(2);
}

#[test]
fn one_permit_goes_from_hand_to_hand_between_three() {
    hand_to_hand::<3>(0);
}

#[test]
fn signals_for_two_reach_both() {
    explore(3, || {
        let shared = permits(SIGNAL);
        let waiters =
            [0, 1].map(|number| start(&shared, number, |actor| of(&actor, SIGNAL).acquire(&mut Patient).unwrap()));
        let giver = start(&shared, 2, |actor| of(&actor, SIGNAL).release(2, &mut Patient).unwrap());
        join(waiters);
        giver.join().unwrap();
        assert_eq!(of(&Actor::immortal(&shared, 3), SIGNAL).available(), 0);
    });
}

#[test]
fn who_gives_up_passes_on_the_permit_that_came_too_late() {
    explore(3, || {
        let shared = permits(SIGNAL);
        let hasty = start(&shared, 0, |actor| match of(&actor, SIGNAL).acquire(&mut Hasty) {
            Ok(()) => of(&actor, SIGNAL).release(1, &mut Patient).unwrap(),
            Err(refused) => assert_eq!(refused, Refused::TimedOut),
        });
        let patient = start(&shared, 1, |actor| of(&actor, SIGNAL).acquire(&mut Patient).unwrap());
        let giver = start(&shared, 2, |actor| of(&actor, SIGNAL).release(1, &mut Patient).unwrap());
        hasty.join().unwrap();
        patient.join().unwrap();
        giver.join().unwrap();
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_permit() {
    explore(4, || {
        let shared = permits(SIGNAL);
        let giver = start(&shared, 0, |actor| of(&actor, SIGNAL).release(1, &mut Patient).unwrap());
        let poller = start(&shared, 1, |actor| {
            let semaphore = of(&actor, SIGNAL);
            actor.poll_until(|| semaphore.poll());
        });
        giver.join().unwrap();
        poller.join().unwrap();
    });
}

fn one_dies<const OTHERS: usize>(preemptions: usize) {
    explore_deaths(preemptions, |dies_at| {
        let shared = permits(BOUNDED);
        let mortal = start_mortal(&shared, 0, dies_at, acquire_and_release);
        let others = std::array::from_fn::<_, OTHERS, _>(|index| start(&shared, index + 1, acquire_and_release));
        let lived = mortal.join().unwrap();
        bury(&shared, BOUNDED, 0);
        join(others);
        assert_eq!(of(&Actor::immortal(&shared, 3), BOUNDED).available(), 1);
        lived.is_some()
    });
}

#[test]
fn permits_of_the_dead_come_back_once_to_one_who_waits() {
    one_dies::<1>(1);
}

#[test]
fn permits_of_the_dead_come_back_once_to_two_who_wait() {
    one_dies::<2>(0);
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_permit_of_the_dead() {
    explore_deaths(2, |dies_at| {
        let shared = permits(BOUNDED);
        let mortal = start_mortal(&shared, 0, dies_at, acquire_and_release);
        let poller = start(&shared, 1, |actor| {
            let semaphore = of(&actor, BOUNDED);
            actor.poll_until(|| semaphore.poll());
        });
        let lived = mortal.join().unwrap();
        bury(&shared, BOUNDED, 0);
        poller.join().unwrap();
        lived.is_some()
    });
}

#[test]
fn a_signal_by_one_who_died_counts_or_never_happened() {
    explore_deaths(2, |dies_at| {
        let shared = permits(SIGNAL);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor, SIGNAL).release(1, &mut Patient).unwrap());
        let waiter = start(&shared, 1, |actor| of(&actor, SIGNAL).acquire(&mut Patient).unwrap());
        let lived = mortal.join().unwrap();
        assert_ne!(bury(&shared, SIGNAL, 0), Findings::Held);
        // One more for certain: now there are one or two.
        let semaphore = of(&Actor::immortal(&shared, 3), SIGNAL);
        if lived.is_none() {
            semaphore.release(1, &mut Patient).unwrap();
        }
        waiter.join().unwrap();
        assert!(semaphore.available() <= 1);
        lived.is_some()
    });
}
