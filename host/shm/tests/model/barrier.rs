//! Barriers.

use wasmproc_shm::{Barrier, Layout, Passed, Refused};

use crate::actor::{Actor, Hasty, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

const TWO: Layout = Layout::Barrier { parties: 2, seats: 4 };
const THREE: Layout = Layout::Barrier { parties: 3, seats: 4 };

fn of(actor: &Actor, layout: Layout) -> Barrier<Actor> {
    Barrier::new(actor.clone(), layout, actor.lease(), actor.seat())
}

#[test]
fn three_pass_together() {
    explore(2, || {
        let shared = Shared::new(THREE);
        let actors = [0, 1, 2].map(|number| start(&shared, number, |actor| of(&actor, THREE).wait(&mut Patient)));
        let mut indices = actors.map(|actor| actor.join().unwrap().unwrap().index);
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2]);
    });
}

#[test]
fn two_pass_twice() {
    explore(3, || {
        let shared = Shared::new(TWO);
        let twice = |actor: Actor| {
            let barrier = of(&actor, TWO);
            barrier.wait(&mut Patient).unwrap();
            barrier.wait(&mut Patient).unwrap();
        };
        let actors = [0, 1].map(|number| start(&shared, number, twice));
        join(actors);
        assert_eq!(of(&Actor::immortal(&shared, 2), TWO).changes(), 2);
    });
}

#[test]
fn a_time_out_breaks_it_for_both_or_for_nobody() {
    explore(3, || {
        let shared = Shared::new(TWO);
        let hasty = start(&shared, 0, |actor| of(&actor, TWO).wait(&mut Hasty));
        let patient = start(&shared, 1, |actor| of(&actor, TWO).wait(&mut Patient));
        let (hasty, patient) = (hasty.join().unwrap(), patient.join().unwrap());
        assert_eq!(hasty.is_ok(), patient.is_ok());
        if hasty.is_err() {
            assert_eq!((hasty, patient), (Err(Refused::TimedOut), Err(Refused::BarrierBroken)));
        }
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_pass() {
    explore(2, || {
        let shared = Shared::new(TWO);
        let actors = [0, 1].map(|number| start(&shared, number, |actor| of(&actor, TWO).wait(&mut Patient).unwrap()));
        let actor = Actor::immortal(&shared, 2);
        let barrier = of(&actor, TWO);
        actor.poll_until(|| barrier.poll(0));
        join(actors);
    });
}

#[test]
fn a_party_that_dies_breaks_it_or_all_pass() {
    explore_deaths(0, |dies_at| {
        let shared = Shared::new(THREE);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor, THREE).wait(&mut Patient));
        let others = [1, 2].map(|number| start(&shared, number, |actor| of(&actor, THREE).wait(&mut Patient)));
        let lived = mortal.join().unwrap();
        bury(&shared, THREE, 0);
        let [one, other] = others.map(|other| other.join().unwrap().map(drop));
        assert_eq!(one, other);
        assert!(matches!(one, Ok(()) | Err(Refused::BarrierBroken)), "{one:?}");
        if let Some(passed) = lived {
            assert!(matches!(passed, Ok(Passed { .. })));
        }
        lived.is_some()
    });
}

#[test]
fn one_of_two_that_dies_breaks_it_or_both_pass() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(TWO);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor, TWO).wait(&mut Patient));
        let other = start(&shared, 1, |actor| of(&actor, TWO).wait(&mut Patient).map(drop));
        let lived = mortal.join().unwrap();
        bury(&shared, TWO, 0);
        let other = other.join().unwrap();
        assert!(matches!(other, Ok(()) | Err(Refused::BarrierBroken)), "{other:?}");
        lived.is_some()
    });
}

#[test]
fn a_party_that_dies_while_it_breaks_or_resets_it_leaves_nobody_asleep() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(TWO);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| {
            let barrier = of(&actor, TWO);
            barrier.abort(&mut Patient).unwrap();
            barrier.reset(&mut Patient).unwrap();
        });
        let other = start(&shared, 1, |actor| of(&actor, TWO).wait(&mut Patient).map(drop));
        let lived = mortal.join().unwrap();
        bury(&shared, TWO, 0);
        assert_eq!(other.join().unwrap(), Err(Refused::BarrierBroken));
        lived.is_some()
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_that_a_party_died() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(TWO);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| {
            of(&actor, TWO).abort(&mut Patient).unwrap();
        });
        let poller = start(&shared, 1, |actor| {
            let barrier = of(&actor, TWO);
            actor.poll_until(|| barrier.poll(0));
            actor.poll_until(|| barrier.is_broken());
        });
        let lived = mortal.join().unwrap();
        bury(&shared, TWO, 0);
        poller.join().unwrap();
        lived.is_some()
    });
}
