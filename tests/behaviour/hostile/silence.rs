//! Workers that never read what the supervisor has to tell them.

use super::floods::{ask_many, send_many_only};
use super::{Duration, Footing, LAST, Puppet, REQUEST, SPAWN, Stage, betrayed, recorded};
use crate::harness::{CONTROL, skip};

/// A request for the memory of a long message, behind its number.
const PARCEL: &[u8] = &[8, 5];
/// What a child says at its end that has returned 42.
const RESULT_42: &[u8] = &[LAST, 1, 0, 1, 1, 42];
/// What a stop request is on the wire.
const STOP: &[u8] = &[LAST, 3];

/// Others ask the supervisor two thousand times to tell it something.
#[test]
fn a_worker_that_is_asked_to_stop_again_and_again_is_told_once() {
    let mut told = Vec::new();
    let outcome = betrayed(&["stop"], |stage| {
        let hostile = stage.puppet();
        // It goes on until the end of its grace period, as if nothing were.
        while !told.iter().any(|packet| packet == STOP) && stage.is_alive(hostile) {
            stage.wait(Duration::from_millis(5));
            told.extend(received(stage, hostile));
        }
        stage.wait(Duration::from_millis(500));
        while let Some(packet) = received(stage, hostile) {
            told.push(packet);
        }
        stage.dies(hostile);
    });
    assert_eq!(told.iter().filter(|packet| packet.as_slice() == STOP).count(), 1, "{told:?}");
    let (cause, code, description) = &outcome.hostile()[0];
    assert_eq!((cause.as_str(), *code), ("killed", 137), "{description}");
    outcome.stayed_within(64);
}

/// A packet that waits for it, if any does.
fn received(stage: &mut Stage<'_, '_>, puppet: Puppet) -> Option<Vec<u8>> {
    let room: u64 = 16 << 10;
    let space = stage.write(puppet, 64 << 10, &[]);
    let slices = stage.write(puppet, 64, &super::words(&[space, room]));
    let header = stage.write(puppet, 128, &super::words(&[0, 0, slices, 1, 0, 0, 0]));
    let length = stage.call(puppet, libc::SYS_recvmsg, [CONTROL, header, libc::MSG_DONTWAIT as u64, 0, 0, 0])?;
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    stage.read(puppet, 64 << 10, length)
}

/// It has children and reads neither that they are there nor that they have ended.
#[test]
fn the_ends_of_children_pile_up_and_disturb_nobody() {
    const CHILDREN: usize = 300;
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        // For a function that doubles 21.
        let spawn = recorded(stage, |packet| packet.get(3) == Some(&SPAWN[0]) && contains(packet, &[1, 21, 0, 0]));
        send_many_only(stage, hostile, &spawn, CHILDREN as u64);
        let results = |stage: &Stage<'_, '_>| stage.recorded().iter().filter(|packet| *packet == RESULT_42).count();
        while results(stage) < CHILDREN {
            stage.wait(Duration::from_millis(20));
        }
        // Time for the last ones to end.
        stage.wait(Duration::from_millis(200));
        assert!(stage.is_alive(hostile), "there is no rule that it has to read");
        stage.kill(hostile);
        stage.dies(hostile);
        // Those of its children that had not ended do now, and give back what they had.
        while Footing::of(stage.supervisor()).descriptors >= 64 {
            stage.wait(Duration::from_millis(5));
        }
    });
    let processes = outcome.report["processes"].as_array().expect("a list").iter();
    let hostile = processes.clone().find(|process| process["name"] == "hostile").expect("one of them");
    let children = processes.filter(|process| process["parent"] == hostile["pid"]);
    let ended = children.filter(|child| child["cause"] == "exited").count();
    eprintln!("{ended} of its children had ended");
    assert!(ended > CHILDREN / 2, "{ended} of its children had ended");
    // Descriptors were counted above: there are more spares for a while after so many children.
    let peak = outcome.supervisor.peak_memory_bytes;
    assert!(peak < 64 << 20, "{peak} bytes");
}

/// None of them has too much waiting for it alone.
#[test]
fn what_waits_for_many_is_bounded_together() {
    const COUNT: usize = 9;
    // A component that there is not, whose name becomes long when it is told.
    let spawn = [&[LAST, REQUEST, 7, 0, 0, 0, 0, 0, 1, 0x90, 0x03][..], &[0x1b; 400], &[0; 7]].concat();
    let outcome = betrayed(&["", &COUNT.to_string()], |stage| {
        let all: Vec<Puppet> = (0..COUNT).map(|_| stage.puppet()).collect();
        for hostile in &all {
            send_many_only(stage, *hostile, &spawn, 16_000);
        }
        while all.iter().all(|hostile| stage.is_alive(*hostile)) {
            stage.wait(Duration::from_millis(10));
        }
        // Time for the others to send the rest, for which there is room then.
        stage.wait(Duration::from_millis(300));
        let alive = all.iter().filter(|hostile| stage.is_alive(**hostile)).count();
        assert_eq!(alive, COUNT - 1, "it is enough that one goes");
        for hostile in all {
            stage.kill(hostile);
            stage.dies(hostile);
        }
    });
    let causes: Vec<(String, u64, String)> = outcome.hostile();
    let failed = causes.iter().position(|(cause, ..)| cause == "failed").expect("one of them");
    outcome.failed_for(failed, "it does not read, and no memory is left for what waits");
    outcome.stayed_within(700);
    let peak = outcome.supervisor.peak_memory_bytes;
    assert!(peak > 512 << 20, "{peak} bytes: something else has ended it");
}

/// Each is a file of the supervisor.
#[test]
fn no_more_than_ten_thousand_long_messages_are_on_their_way_in_one_queue() {
    const MOST: u64 = 10_000;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if files.is_some_and(|files| files < MOST + 1000) {
        return skip("so many files can't be open");
    }
    let mut descriptors = 0;
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        let answer = ask_many(stage, hostile, &parcel_of_one_byte(stage), MOST);
        assert!(!contains(&answer, b"on their way"), "so many may be");
        descriptors = Footing::of(stage.supervisor()).descriptors;
        stage.kill(hostile);
        stage.dies(hostile);
        let hostile = stage.puppet();
        let answer = ask_many(stage, hostile, &parcel_of_one_byte(stage), MOST + 1);
        assert!(contains(&answer, b"10,000 long messages are on their way"), "{:?}", &answer[..100]);
        stage.kill(hostile);
        stage.dies(hostile);
    });
    assert!(descriptors as u64 > MOST, "{descriptors} descriptors");
    outcome.stayed_within(96);
}

/// What was last asked for a long message, but for one byte: whoever was taken over last has asked for it, and still has
/// the queue.
fn parcel_of_one_byte(stage: &Stage<'_, '_>) -> Vec<u8> {
    let is_it = |packet: &Vec<u8>| packet.len() > 5 && packet[1] == REQUEST && packet[3..].starts_with(PARCEL);
    let packet = stage.recorded().into_iter().rfind(is_it).expect("it has sent one");
    let queue = packet[5..].iter().position(|byte| byte & 0x80 == 0).expect("a number ends");
    [&packet[..=5 + queue], &[1]].concat()
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
