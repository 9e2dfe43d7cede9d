//! Pipes of one direction. `duplex.rs` has those of two.

use wasmproc_shm::{Batch, End, Layout, Message, Pipe, Refused};

use crate::actor::{Actor, Patient};
use crate::explore::{bury_end, explore, explore_deaths, start, start_mortal};
use crate::memory::Shared;

/// Room for one message of eight bytes, and half of another.
const LAYOUT: Layout = Layout::Pipe { capacity_bytes: 32, duplex: false };

pub(crate) fn send(pipe: &Pipe<Actor>, number: u64) -> Result<(), Refused> {
    let bytes = [number.to_le_bytes(), (!number).to_le_bytes()].concat();
    pipe.send(Message::Here(&bytes), &mut Patient)
}

pub(crate) fn receive(pipe: &Pipe<Actor>) -> Result<u64, Refused> {
    let mut batch = Batch::default();
    pipe.receive(&mut batch, &mut Patient)?;
    let (number, check) = batch.bytes.split_at(8);
    let number = u64::from_le_bytes(number.try_into().unwrap());
    assert_eq!(check, (!number).to_le_bytes());
    Ok(number)
}

fn receive_all(actor: Actor) -> Vec<u64> {
    let pipe = Pipe::new(actor, LAYOUT, End::Second);
    let mut received = Vec::new();
    loop {
        match receive(&pipe) {
            Ok(number) => received.push(number),
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                return received;
            }
        }
    }
}

/// Sends two, and returns how many were taken.
fn send_two(actor: Actor) -> u64 {
    let pipe = Pipe::new(actor, LAYOUT, End::First);
    let sent = (1..=2).take_while(|number| send(&pipe, *number).is_ok()).count() as u64;
    pipe.close();
    sent
}

#[test]
fn all_that_is_sent_arrives_in_order_before_the_end() {
    explore(3, || {
        let shared = Shared::new(LAYOUT);
        let sender = start(&shared, 0, send_two);
        let receiver = start(&shared, 1, receive_all);
        assert_eq!(sender.join().unwrap(), 2);
        assert_eq!(receiver.join().unwrap(), [1, 2]);
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_of_messages_room_and_the_end() {
    explore(3, || {
        let shared = Shared::new(LAYOUT);
        let sender = start(&shared, 0, |actor| {
            let pipe = Pipe::new(actor.clone(), LAYOUT, End::First);
            for number in 1..=2 {
                send(&pipe, number).unwrap();
                actor.poll_until(|| pipe.poll_send());
            }
            pipe.close();
        });
        let receiver = start(&shared, 1, |actor| {
            let pipe = Pipe::new(actor.clone(), LAYOUT, End::Second);
            for number in 1..=2 {
                actor.poll_until(|| pipe.poll_receive());
                assert_eq!(receive(&pipe), Ok(number));
            }
            actor.poll_until(|| pipe.poll_receive());
            assert_eq!(receive(&pipe), Err(Refused::Closed));
        });
        sender.join().unwrap();
        receiver.join().unwrap();
    });
}

#[test]
fn what_was_sent_before_its_sender_died_arrives_and_then_the_end() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let sender = start_mortal(&shared, 0, dies_at, send_two);
        let receiver = start(&shared, 1, receive_all);
        let lived = sender.join().unwrap();
        bury_end(&shared, LAYOUT, 0, End::First);
        let received = receiver.join().unwrap();
        assert!([&[][..], &[1], &[1, 2]].contains(&&received[..]), "{received:?}");
        assert!(lived.is_none() || received.len() == 2);
        lived.is_some()
    });
}

#[test]
fn a_sender_whose_receiver_died_is_told() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let receiver = start_mortal(&shared, 1, dies_at, receive_all);
        let sender = start(&shared, 0, |actor| {
            let pipe = Pipe::new(actor.clone(), LAYOUT, End::First);
            (1..=2).try_for_each(|number| send(&pipe, number)).map(|()| pipe.close())
        });
        // It doesn't come to an end before the sender has, if it doesn't die.
        let lived = receiver.join().unwrap();
        bury_end(&shared, LAYOUT, 1, End::Second);
        let sent = sender.join().unwrap();
        assert!(matches!(sent, Ok(()) | Err(Refused::Closed)), "{sent:?}");
        assert!(lived.is_none() || sent.is_ok());
        lived.is_some()
    });
}

#[test]
fn who_waits_in_an_event_loop_hears_that_the_other_end_died() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let sender = start_mortal(&shared, 0, dies_at, send_two);
        let receiver = start(&shared, 1, |actor| {
            let pipe = Pipe::new(actor.clone(), LAYOUT, End::Second);
            loop {
                actor.poll_until(|| pipe.poll_receive());
                if receive(&pipe).is_err() {
                    return;
                }
            }
        });
        let lived = sender.join().unwrap();
        bury_end(&shared, LAYOUT, 0, End::First);
        receiver.join().unwrap();
        lived.is_some()
    });
}
