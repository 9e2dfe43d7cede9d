//! Queues.

use std::collections::BTreeSet;
use std::rc::Rc;

use loom::cell::Cell;
use wasmproc_shm::{Batch, Layout, Message, Queue, Refused, Tasks};

use crate::actor::{Actor, Hasty, Patient};
use crate::explore::{bury, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;

/// Room for one message.
const ONE: Layout = Layout::Queue { capacity_bytes: 64, max_items: 1, seats: 4 };
/// Room for two.
const SOME: Layout = Layout::Queue { capacity_bytes: 64, max_items: 3, seats: 4 };

fn of(actor: &Actor, layout: Layout) -> Queue<Actor> {
    Queue::new(actor.clone(), layout, actor.lease(), actor.seat())
}

fn message(number: u64) -> Vec<u8> {
    [number.to_le_bytes(), (!number).to_le_bytes()].concat()
}

fn put(queue: &Queue<Actor>, number: u64) -> Result<(), Refused> {
    queue.put(Message::Here(&message(number)), &mut Patient)
}

fn numbers(batch: &Batch) -> Vec<u64> {
    let number = |bytes: &[u8]| {
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(bytes, message(number), "a message is whole");
        number
    };
    assert!(batch.lengths.iter().all(|length| *length == 16));
    batch.bytes.chunks(16).map(number).collect()
}

fn get(queue: &Queue<Actor>) -> Result<u64, Refused> {
    let mut batch = Batch::default();
    queue.get(1, 0, &mut batch, &mut Patient)?;
    Ok(numbers(&batch)[0])
}

#[test]
fn one_producer_and_one_consumer_wait_for_each_other() {
    explore(3, || {
        let shared = Shared::new(ONE);
        let producer = start(&shared, 0, |actor| {
            let queue = of(&actor, ONE);
            (1..=3).for_each(|number| put(&queue, number).unwrap());
        });
        let queue = of(&Actor::immortal(&shared, 1), ONE);
        (1..=3).for_each(|number| assert_eq!(get(&queue), Ok(number)));
        producer.join().unwrap();
    });
}

#[test]
fn two_producers_wait_for_the_same_room() {
    explore(2, || {
        let shared = Shared::new(ONE);
        let producers =
            [0, 1].map(|number| start(&shared, number, move |actor| put(&of(&actor, ONE), number as u64).unwrap()));
        let queue = of(&Actor::immortal(&shared, 2), ONE);
        let got = BTreeSet::from([get(&queue).unwrap(), get(&queue).unwrap()]);
        assert_eq!(got, BTreeSet::from([0, 1]));
        join(producers);
    });
}

#[test]
fn two_consumers_wait_for_messages_that_come_together() {
    explore(2, || {
        let shared = Shared::new(SOME);
        let consumers = [0, 1].map(|number| start(&shared, number, |actor| get(&of(&actor, SOME)).unwrap()));
        let queue = of(&Actor::immortal(&shared, 2), SOME);
        let both = [message(1), message(2)].concat();
        assert_eq!(queue.put_many(&both, &[16, 16], &mut Patient), (2, Ok(())));
        let got = BTreeSet::from(join(consumers));
        assert_eq!(got, BTreeSet::from([1, 2]));
    });
}

#[test]
fn two_consumers_wait_for_messages_that_come_apart() {
    explore(2, || {
        let shared = Shared::new(SOME);
        let consumers = [0, 1].map(|number| start(&shared, number, |actor| get(&of(&actor, SOME)).unwrap()));
        let queue = of(&Actor::immortal(&shared, 2), SOME);
        (1..=2).for_each(|number| put(&queue, number).unwrap());
        let got = BTreeSet::from(join(consumers));
        assert_eq!(got, BTreeSet::from([1, 2]));
    });
}

#[test]
fn a_consumer_that_gives_up_passes_on_the_wake_that_came_too_late() {
    explore(2, || {
        let shared = Shared::new(SOME);
        let hasty = start(&shared, 0, |actor| {
            let mut batch = Batch::default();
            let result = of(&actor, SOME).get(1, 0, &mut batch, &mut Hasty);
            assert!(matches!(result, Ok(()) | Err(Refused::TimedOut)));
            if result.is_ok() {
                put(&of(&actor, SOME), numbers(&batch)[0]).unwrap();
            }
        });
        let patient = start(&shared, 1, |actor| get(&of(&actor, SOME)).unwrap());
        put(&of(&Actor::immortal(&shared, 2), SOME), 1).unwrap();
        hasty.join().unwrap();
        assert_eq!(patient.join().unwrap(), 1);
    });
}

#[test]
fn room_for_two_small_messages_wakes_both_who_wait_to_put_them() {
    // One message fills the ring. When it is taken, nobody takes anything more until both were put.
    explore(2, || {
        let shared = Shared::new(SOME);
        let consumer = of(&Actor::immortal(&shared, 2), SOME);
        consumer.put(Message::Here(&[7; 56]), &mut Patient).unwrap();
        let producers =
            [0, 1].map(|number| start(&shared, number, move |actor| put(&of(&actor, SOME), number as u64).unwrap()));
        let mut batch = Batch::default();
        consumer.get(1, 0, &mut batch, &mut Patient).unwrap();
        assert_eq!(batch.bytes, [7; 56]);
        join(producers);
    });
}

#[test]
fn a_producer_that_waits_for_more_room_than_there_is_passes_the_wake_on() {
    explore(2, || {
        let shared = Shared::new(SOME);
        let consumer = of(&Actor::immortal(&shared, 2), SOME);
        (1..=2).for_each(|number| put(&consumer, number).unwrap());
        let large = start(&shared, 0, |actor| {
            let _ = of(&actor, SOME).put(Message::Here(&[7; 56]), &mut Hasty);
        });
        let small = start(&shared, 1, |actor| of(&actor, SOME).put(Message::Here(&[8; 16]), &mut Patient).unwrap());
        assert_eq!(get(&consumer), Ok(1));
        small.join().unwrap();
        large.join().unwrap();
    });
}

#[test]
fn two_producers_in_each_others_way_are_no_damage() {
    // The consumer takes and one producer puts, between two looks of the other.
    explore(2, || {
        let shared = Shared::new(ONE);
        put(&of(&Actor::immortal(&shared, 3), ONE), 1).unwrap();
        let producer = start(&shared, 0, |actor| put(&of(&actor, ONE), 2).unwrap());
        let other = start(&shared, 1, |actor| put(&of(&actor, ONE), 3).unwrap());
        let consumer = start(&shared, 2, |actor| {
            let queue = of(&actor, ONE);
            (0..3).map(|_| get(&queue).unwrap()).collect::<BTreeSet<u64>>()
        });
        producer.join().unwrap();
        other.join().unwrap();
        assert_eq!(consumer.join().unwrap(), BTreeSet::from([1, 2, 3]));
    });
}

#[test]
fn a_queue_that_is_never_empty_is_never_said_to_be() {
    explore(3, || {
        let shared = Shared::new(ONE);
        put(&of(&Actor::immortal(&shared, 0), ONE), 1).unwrap();
        let two = Layout::Queue { capacity_bytes: 64, max_items: 2, seats: 4 };
        let mover = start(&shared, 0, move |actor| {
            let queue = of(&actor, two);
            for number in 2..=4 {
                put(&queue, number).unwrap();
                assert_eq!(get(&queue), Ok(number - 1));
            }
        });
        let looker = start(&shared, 1, move |actor| {
            let length = of(&actor, two).len();
            assert!((1..=2).contains(&length), "{length}");
        });
        mover.join().unwrap();
        looker.join().unwrap();
    });
}

#[test]
fn closing_wakes_consumers_and_producers() {
    explore(3, || {
        let shared = Shared::new(ONE);
        let consumer = start(&shared, 0, |actor| get(&of(&actor, ONE)));
        of(&Actor::immortal(&shared, 2), ONE).close(&mut Patient).unwrap();
        assert_eq!(consumer.join().unwrap(), Err(Refused::Closed));
    });
    explore(3, || {
        let shared = Shared::new(ONE);
        let queue = of(&Actor::immortal(&shared, 2), ONE);
        put(&queue, 1).unwrap();
        let producer = start(&shared, 0, |actor| put(&of(&actor, ONE), 2));
        queue.close(&mut Patient).unwrap();
        assert_eq!(producer.join().unwrap(), Err(Refused::Closed));
        assert_eq!((get(&queue), get(&queue)), (Ok(1), Err(Refused::Closed)));
    });
}

#[test]
fn what_was_put_before_the_closing_is_got_after_it() {
    explore(2, || {
        let shared = Shared::new(SOME);
        let producer = start(&shared, 0, |actor| put(&of(&actor, SOME), 1));
        let closer = start(&shared, 1, |actor| of(&actor, SOME).close(&mut Patient).unwrap());
        let queue = of(&Actor::immortal(&shared, 2), SOME);
        let got = get(&queue);
        closer.join().unwrap();
        match producer.join().unwrap() {
            Ok(()) => assert_eq!(got, Ok(1)),
            Err(refused) => assert_eq!((got, refused), (Err(Refused::Closed), Refused::Closed)),
        }
    });
}

#[test]
fn a_join_waits_for_tasks_that_tasks_put() {
    // The first task puts the second and is done before that one is.
    explore(2, || {
        let shared = Shared::new(SOME);
        let first = of(&Actor::immortal(&shared, 1), SOME);
        put(&first, 1).unwrap();
        assert_eq!(get(&first), Ok(1));
        let finished = Rc::new(Cell::new(false));
        let finish = finished.clone();
        let second = start(&shared, 0, move |actor| {
            let queue = of(&actor, SOME);
            assert_eq!(get(&queue), Ok(2));
            finish.set(true);
            queue.task_done().unwrap();
        });
        let first = start(&shared, 1, |actor| {
            let queue = of(&actor, SOME);
            put(&queue, 2).unwrap();
            queue.task_done().unwrap();
        });
        assert_eq!(of(&Actor::immortal(&shared, 2), SOME).join(&mut Patient), Ok(Tasks::Done));
        assert!(finished.get());
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_messages_and_of_room() {
    explore(3, || {
        let shared = Shared::new(ONE);
        let producer = start(&shared, 0, |actor| {
            let queue = of(&actor, ONE);
            for number in 1..=2 {
                actor.poll_until(|| queue.poll_room());
                put(&queue, number).unwrap();
            }
        });
        let actor = Actor::immortal(&shared, 1);
        let queue = of(&actor, ONE);
        for number in 1..=2 {
            actor.poll_until(|| queue.poll_items());
            assert_eq!(get(&queue), Ok(number));
        }
        producer.join().unwrap();
    });
}

// --- deaths ---

/// What is left in a queue that nobody uses any more.
fn drain(shared: &Rc<Shared>, layout: Layout) -> Vec<u64> {
    let queue = of(&Actor::immortal(shared, 3), layout);
    let mut left = Vec::new();
    let mut batch = Batch::default();
    while queue.try_get(1, 0, &mut batch, &mut Patient) == Ok(true) {
        left.append(&mut numbers(&std::mem::take(&mut batch)));
    }
    left
}

#[test]
fn a_message_of_a_producer_that_died_is_there_or_not_and_others_go_on() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(SOME);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| put(&of(&actor, SOME), 1).unwrap());
        let other = start(&shared, 1, |actor| put(&of(&actor, SOME), 2).unwrap());
        let lived = mortal.join().unwrap();
        bury(&shared, SOME, 0);
        other.join().unwrap();
        let mut all = drain(&shared, SOME);
        all.sort_unstable();
        assert!(all == [1, 2] || (lived.is_none() && all == [2]), "{all:?}");
        lived.is_some()
    });
}

#[test]
fn a_producer_that_dies_while_it_waits_for_room_leaves_the_room_to_another() {
    explore_deaths(0, |dies_at| {
        let shared = Shared::new(ONE);
        put(&of(&Actor::immortal(&shared, 2), ONE), 3).unwrap();
        let mortal = start_mortal(&shared, 0, dies_at, |actor| put(&of(&actor, ONE), 1).unwrap());
        let other = start(&shared, 1, |actor| put(&of(&actor, ONE), 2).unwrap());
        // After the second of these there is room for the last.
        let consumer = start(&shared, 2, |actor| {
            let queue = of(&actor, ONE);
            [get(&queue).unwrap(), get(&queue).unwrap()]
        });
        let lived = mortal.join().unwrap();
        bury(&shared, ONE, 0);
        other.join().unwrap();
        let mut all = consumer.join().unwrap().to_vec();
        all.extend(drain(&shared, ONE));
        all.sort_unstable();
        assert!(all == [1, 2, 3] || (lived.is_none() && all == [2, 3]), "{all:?}");
        lived.is_some()
    });
}

#[test]
fn a_message_is_taken_by_a_consumer_that_died_or_still_there() {
    consumer_dies(1, true);
}

#[test]
fn a_consumer_that_dies_when_it_is_woken_leaves_the_message_to_another() {
    consumer_dies(0, false);
}

fn consumer_dies(preemptions: usize, both_there: bool) {
    explore_deaths(preemptions, move |dies_at| {
        let shared = Shared::new(SOME);
        let producer = of(&Actor::immortal(&shared, 2), SOME);
        let there = if both_there { 2 } else { 0 };
        (1..=there).for_each(|number| put(&producer, number).unwrap());
        let mortal = start_mortal(&shared, 0, dies_at, |actor| get(&of(&actor, SOME)).unwrap());
        let other = start(&shared, 1, |actor| get(&of(&actor, SOME)).unwrap());
        (there + 1..=2).for_each(|number| put(&producer, number).unwrap());
        let lived = mortal.join().unwrap();
        bury(&shared, SOME, 0);
        let got = other.join().unwrap();
        let left = drain(&shared, SOME);
        match lived {
            Some(mine) => assert_eq!((left, mine + got), (vec![], 3)),
            None => assert!(left.is_empty() || (left.len() == 1 && got + left[0] == 3), "{got} {left:?}"),
        }
        lived.is_some()
    });
}

#[test]
fn a_join_says_so_if_a_task_was_abandoned() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(SOME);
        let putter = of(&Actor::immortal(&shared, 2), SOME);
        put(&putter, 1).unwrap();
        let mortal = start_mortal(&shared, 0, dies_at, |actor| {
            let queue = of(&actor, SOME);
            assert_eq!(get(&queue), Ok(1));
            queue.task_done().unwrap();
        });
        let joiner = start(&shared, 1, |actor| of(&actor, SOME).join(&mut Patient).unwrap());
        let lived = mortal.join().unwrap();
        bury(&shared, SOME, 0);
        let left = drain(&shared, SOME);
        if !left.is_empty() {
            // It was never taken: it isn't abandoned, and it is done by another.
            of(&Actor::immortal(&shared, 3), SOME).task_done().unwrap();
        }
        let tasks = joiner.join().unwrap();
        if lived.is_some() || !left.is_empty() {
            assert_eq!(tasks, Tasks::Done);
        }
        lived.is_some()
    });
}

#[test]
fn a_task_that_was_taken_and_abandoned_is_never_said_to_be_done() {
    explore(3, || {
        let shared = Shared::new(SOME);
        let dead = of(&Actor::immortal(&shared, 0), SOME);
        put(&dead, 1).unwrap();
        assert_eq!(get(&dead), Ok(1));
        let joiner = start(&shared, 1, |actor| of(&actor, SOME).join(&mut Patient).unwrap());
        bury(&shared, SOME, 0);
        assert_eq!(joiner.join().unwrap(), Tasks::Abandoned);
    });
}

#[test]
fn a_queue_whose_closer_died_is_closed_for_all_or_open() {
    let closing = |waits: fn(Actor)| {
        explore_deaths(1, move |dies_at| {
            let shared = Shared::new(ONE);
            let mortal = start_mortal(&shared, 0, dies_at, |actor| of(&actor, ONE).close(&mut Patient).unwrap());
            let waiter = start(&shared, 1, waits);
            let lived = mortal.join().unwrap();
            bury(&shared, ONE, 0);
            let queue = of(&Actor::immortal(&shared, 3), ONE);
            if !queue.is_closed() {
                queue.close(&mut Patient).unwrap();
            }
            waiter.join().unwrap();
            lived.is_some()
        });
    };
    closing(|actor| assert_eq!(get(&of(&actor, ONE)), Err(Refused::Closed)));
    closing(|actor| {
        let queue = of(&actor, ONE);
        actor.poll_until(|| queue.poll_items());
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_a_message_by_one_who_died() {
    explore_deaths(2, |dies_at| {
        let shared = Shared::new(ONE);
        let mortal = start_mortal(&shared, 0, dies_at, |actor| put(&of(&actor, ONE), 1).unwrap());
        let poller = start(&shared, 1, |actor| {
            let queue = of(&actor, ONE);
            actor.poll_until(|| queue.poll_items());
        });
        let lived = mortal.join().unwrap();
        bury(&shared, ONE, 0);
        let queue = of(&Actor::immortal(&shared, 3), ONE);
        if queue.is_empty() {
            put(&queue, 2).unwrap();
        }
        poller.join().unwrap();
        lived.is_some()
    });
}
