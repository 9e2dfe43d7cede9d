//! Duplex pipes: both ends send and receive, and closing one end closes two directions.

use wasmproc_shm::{End, Layout, Pipe, Refused};

use crate::actor::Actor;
use crate::explore::{bury_end, explore, explore_deaths, join, start, start_mortal};
use crate::memory::Shared;
use crate::pipe::{receive, send};

/// Room for one message of sixteen bytes in each direction.
const LAYOUT: Layout = Layout::Pipe { capacity_bytes: 32, duplex: true };

/// Asks twice, waits for each answer, and closes. Returns the answers, and how it was sent home if it was.
fn ask(actor: Actor) -> (Vec<u64>, Result<(), Refused>) {
    let pipe = Pipe::new(actor, LAYOUT, End::First);
    let mut answers = Vec::new();
    let asked = (1..=2).try_for_each(|question| {
        send(&pipe, question)?;
        answers.push(receive(&pipe)?);
        Ok(())
    });
    pipe.close();
    (answers, asked)
}

/// Answers until there are no more questions. Returns the questions, and whether somebody wanted every answer.
fn answer(actor: Actor) -> (Vec<u64>, bool) {
    let pipe = Pipe::new(actor, LAYOUT, End::Second);
    let mut questions = Vec::new();
    let mut wanted = true;
    loop {
        match receive(&pipe) {
            Ok(question) => {
                questions.push(question);
                match send(&pipe, question * 10) {
                    Ok(()) => {}
                    Err(refused) => {
                        assert_eq!(refused, Refused::Closed);
                        wanted = false;
                    }
                }
            }
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                pipe.close();
                return (questions, wanted);
            }
        }
    }
}

/// Sends what doesn't depend on anything that comes, closes for sending, and reads to the end of the stream. Returns how many
/// it has sent, and what it read.
fn talk(actor: Actor, end: End, numbers: &[u64]) -> (usize, Vec<u64>) {
    let pipe = Pipe::new(actor, LAYOUT, end);
    let sent = numbers.iter().take_while(|number| send(&pipe, **number).is_ok()).count();
    pipe.close_sending();
    let mut received = Vec::new();
    while let Ok(number) = receive(&pipe) {
        received.push(number);
    }
    assert_eq!(receive(&pipe), Err(Refused::Closed));
    (sent, received)
}

#[test]
fn questions_and_answers_go_there_and_back() {
    explore(2, || {
        let shared = Shared::new(LAYOUT);
        let asker = start(&shared, 0, ask);
        let answerer = start(&shared, 1, answer);
        assert_eq!(asker.join().unwrap(), (vec![10, 20], Ok(())));
        assert_eq!(answerer.join().unwrap(), (vec![1, 2], true));
    });
}

#[test]
fn directions_are_closed_one_by_one() {
    explore(3, || {
        let shared = Shared::new(LAYOUT);
        let one = start(&shared, 0, |actor| talk(actor, End::First, &[1]));
        let other = start(&shared, 1, |actor| talk(actor, End::Second, &[11]));
        assert_eq!(join([one, other]), [(1, vec![11]), (1, vec![1])]);
    });
}

#[test]
fn who_answers_one_that_dies_reads_what_is_left_and_then_the_end() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let asker = start_mortal(&shared, 0, dies_at, ask);
        let answerer = start(&shared, 1, answer);
        let lived = asker.join().unwrap();
        bury_end(&shared, LAYOUT, 0, End::First);
        let (questions, wanted) = answerer.join().unwrap();
        assert!([&[][..], &[1], &[1, 2]].contains(&&questions[..]), "{questions:?}");
        if let Some(came) = &lived {
            assert_eq!((came, questions.len(), wanted), (&(vec![10, 20], Ok(())), 2, true));
        }
        lived.is_some()
    });
}

#[test]
fn who_asks_one_that_dies_has_its_answers_and_then_the_end() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let answerer = start_mortal(&shared, 1, dies_at, answer);
        let asker = start(&shared, 0, ask);
        // It doesn't come to an end before the asker has, if it doesn't die.
        let lived = answerer.join().unwrap();
        bury_end(&shared, LAYOUT, 1, End::Second);
        let (answers, asked) = asker.join().unwrap();
        assert!([&[][..], &[10], &[10, 20]].contains(&&answers[..]), "{answers:?}");
        assert_eq!(asked, if answers.len() == 2 { Ok(()) } else { Err(Refused::Closed) });
        assert!(lived.is_none() || answers.len() == 2);
        lived.is_some()
    });
}

/// The survivor's second message has room when its first was taken, or never.
fn one_that_dies_is_heard_out(mortal: End) {
    explore_deaths(1, move |dies_at| {
        let shared = Shared::new(LAYOUT);
        let dying = start_mortal(&shared, 0, dies_at, move |actor| talk(actor, mortal, &[1]));
        let survivor = start(&shared, 1, move |actor| talk(actor, mortal.other(), &[11, 12]));
        let lived = dying.join().unwrap();
        bury_end(&shared, LAYOUT, 0, mortal);
        let (sent, received) = survivor.join().unwrap();
        assert!([&[][..], &[1]].contains(&&received[..]), "{received:?}");
        if let Some(dying) = &lived {
            assert_eq!((dying, sent, received), (&(1, vec![11, 12]), 2, vec![1]));
        }
        lived.is_some()
    });
}

#[test]
fn who_talks_with_a_first_end_that_dies_hears_it_out_and_is_told() {
    one_that_dies_is_heard_out(End::First);
}

#[test]
fn who_talks_with_a_second_end_that_dies_hears_it_out_and_is_told() {
    one_that_dies_is_heard_out(End::Second);
}

#[test]
fn who_waits_in_an_event_loop_hears_that_the_other_end_died() {
    explore_deaths(1, |dies_at| {
        let shared = Shared::new(LAYOUT);
        let asker = start_mortal(&shared, 0, dies_at, ask);
        let answerer = start(&shared, 1, |actor| {
            let pipe = Pipe::new(actor.clone(), LAYOUT, End::Second);
            loop {
                actor.poll_until(|| pipe.poll_receive());
                let Ok(question) = receive(&pipe) else { return };
                actor.poll_until(|| pipe.poll_send());
                let _ = send(&pipe, question);
            }
        });
        let lived = asker.join().unwrap();
        bury_end(&shared, LAYOUT, 0, End::First);
        answerer.join().unwrap();
        lived.is_some()
    });
}
