//! Conditions.

use wasmproc_shm::{Condition, Layout, Lock};

use crate::actor::{Actor, Hasty, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

const LAYOUT: Layout = Layout::Condition { seats: 4 };

fn of(actor: &Actor) -> Condition<Actor> {
    Condition::new(actor.clone(), LAYOUT, actor.lease(), actor.seat())
}

#[test]
fn a_notification_for_all_reaches_all_who_began() {
    explore(2, || {
        let shared = Shared::new(LAYOUT);
        for number in [0, 1] {
            of(&Actor::immortal(&shared, number)).begin(&mut Patient).unwrap();
        }
        let waiters = [0, 1].map(|number| start(&shared, number, |actor| of(&actor).finish(&mut Patient).unwrap()));
        assert_eq!(of(&Actor::immortal(&shared, 2)).notify(u32::MAX, &mut Patient), Ok(2));
        join(waiters);
    });
}

#[test]
fn who_gives_up_was_notified_or_was_not_counted() {
    explore(3, || {
        let shared = Shared::new(LAYOUT);
        let hasty = start(&shared, 0, |actor| {
            let condition = of(&actor);
            condition.begin(&mut Patient).unwrap();
            condition.finish(&mut Hasty).is_ok()
        });
        let notifier = start(&shared, 1, |actor| of(&actor).notify(1, &mut Patient).unwrap());
        assert_eq!(hasty.join().unwrap(), notifier.join().unwrap() == 1);
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_notification() {
    explore(3, || {
        let shared = Shared::new(LAYOUT);
        let notifier = start(&shared, 0, |actor| of(&actor).notify(1, &mut Patient).unwrap());
        let poller = start(&shared, 1, |actor| {
            let condition = of(&actor);
            actor.poll_until(|| condition.poll(0));
        });
        notifier.join().unwrap();
        poller.join().unwrap();
    });
}

#[test]
fn a_notification_that_the_dead_did_not_use_reaches_another() {
    // The mortal waits as everybody waits: with a lock, which it has to acquire again before it can act.
    explore_deaths(2, |dies_at| {
        let (shared, behind) = (Shared::new(LAYOUT), Shared::new(Layout::Lock));
        for number in [0, 1] {
            of(&Actor::immortal(&shared, number)).begin(&mut Patient).unwrap();
        }
        let mortal = start_mortal(&shared, 0, dies_at, move |actor| {
            of(&actor).finish(&mut Patient).unwrap();
            let lock = Lock::new(actor.with(&behind), actor.lease());
            lock.acquire(&mut Patient).unwrap();
        });
        let other = start(&shared, 1, |actor| of(&actor).finish(&mut Patient).unwrap());
        let notifier = of(&Actor::immortal(&shared, 2));
        // The one whose turn it is is the mortal.
        assert_eq!(notifier.notify(1, &mut Patient), Ok(1));
        let lived = mortal.join().unwrap();
        bury(&shared, LAYOUT, 0);
        if lived.is_some() {
            notifier.notify(1, &mut Patient).unwrap();
        }
        other.join().unwrap();
        lived.is_some()
    });
}

#[test]
fn one_who_dies_as_it_begins_to_wait_stops_nobody() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let other = Actor::immortal(&shared, 1);
        of(&other).begin(&mut Patient).unwrap();
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor).begin(&mut Patient).unwrap());
        let notifier = start(&shared, 2, |actor| of(&actor).notify(2, &mut Patient).unwrap());
        let lived = mortal.join().unwrap();
        bury(&shared, LAYOUT, 0);
        assert!(notifier.join().unwrap() >= 1);
        of(&other).finish(&mut Patient).unwrap();
        lived.is_some()
    });
}

#[test]
fn a_notifier_who_dies_leaves_nobody_asleep_that_it_called() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        for number in [1, 2] {
            of(&Actor::immortal(&shared, number)).begin(&mut Patient).unwrap();
        }
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor).notify(2, &mut Patient).unwrap());
        let waiters = [1, 2].map(|number| start(&shared, number, |actor| of(&actor).finish(&mut Patient).unwrap()));
        let lived = mortal.join().unwrap();
        bury(&shared, LAYOUT, 0);
        // Whom it didn't call is called now. Those that it did call are not.
        let called = of(&Actor::immortal(&shared, 0)).notify(2, &mut Patient).unwrap();
        assert!(lived.is_none() || called == 0);
        join(waiters);
        lived.is_some()
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_notification_by_one_who_died() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(LAYOUT);
        of(&Actor::immortal(&shared, 2)).begin(&mut Patient).unwrap();
        let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor).notify(1, &mut Patient).unwrap());
        let poller = start(&shared, 1, |actor| {
            let condition = of(&actor);
            actor.poll_until(|| condition.poll(0));
        });
        let lived = mortal.join().unwrap();
        bury(&shared, LAYOUT, 0);
        let again = of(&Actor::immortal(&shared, 2));
        if again.notifications() == 0 {
            again.notify(1, &mut Patient).unwrap();
        }
        poller.join().unwrap();
        lived.is_some()
    });
}
