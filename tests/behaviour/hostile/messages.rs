//! Messages that are none, or not this worker's to send, or not now.

use std::collections::BTreeMap;

use super::{
    Duration, FINISHED, LAST, MORE, PACKET_BYTES, Puppet, SPAWN, TRAPPED, asked, betrayed, said, send, send_descriptors,
};
use crate::harness::CONTROL;

/// Bytes that a sequence of packets of no meaning begins with.
const FULL: [u8; 1 + PACKET_BYTES] = [MORE; 1 + PACKET_BYTES];

#[test]
fn packets_that_are_none_end_their_sender() {
    let mut too_long = FULL.to_vec();
    too_long.push(0);
    let packets: [(&[u8], &str); 5] = [
        (&[LAST, 0xff, 0xff, 0xff], "a message can't be decoded"),
        (&[LAST], "a message can't be decoded"),
        (&[MORE, 7, 0], "a packet is short, or is no packet"),
        (&[7, 7, 7], "a packet is short, or is no packet"),
        (&too_long, "a packet is too large"),
    ];
    let outcome = betrayed(&[], |stage| {
        for (packet, _) in packets {
            let hostile = stage.puppet();
            let sent = send(stage, hostile, packet);
            assert!(sent.is_none_or(|sent| sent == packet.len() as i64), "{sent:?}");
            stage.dies(hostile);
        }
    });
    for (index, (_, reason)) in packets.iter().enumerate() {
        outcome.failed_for(index, &format!("its worker breaks the rules: {reason}"));
    }
    outcome.stayed_within(64);
}

#[test]
fn a_message_without_end_ends_its_sender() {
    let outcome = betrayed(&[], |stage| {
        let hostile = stage.puppet();
        while send(stage, hostile, &FULL).is_some() {}
        stage.dies(hostile);
    });
    outcome.failed_for(0, "a message is too large");
    outcome.stayed_within(96);
}

/// Each of them has not sent too much by itself.
#[test]
fn unfinished_messages_of_many_are_bounded_together() {
    const COUNT: usize = 12;
    let outcome = betrayed(&["", &COUNT.to_string()], |stage| {
        let all: Vec<Puppet> = (0..COUNT).map(|_| stage.puppet()).collect();
        for hostile in &all {
            super::floods::send_many(stage, *hostile, &FULL, 15 << 7);
        }
        // As many as there is room for may stay as they are.
        while all.iter().filter(|hostile| stage.is_alive(**hostile)).count() > 4 {
            stage.wait(Duration::from_millis(10));
        }
        for hostile in all {
            stage.kill(hostile);
            stage.dies(hostile);
        }
    });
    outcome.failed_for(0, "a message was begun and not gone on with");
    outcome.stayed_within(192);
}

#[test]
fn a_worker_that_closes_its_socket_and_lives_is_ended() {
    let outcome = betrayed(&[], |stage| {
        let hostile = stage.puppet();
        stage.call(hostile, libc::SYS_close, [CONTROL, 0, 0, 0, 0, 0]);
        stage.dies(hostile);
        let hostile = stage.puppet();
        send(stage, hostile, &[]);
        stage.dies(hostile);
        // Another name for it keeps it open.
        let hostile = stage.puppet();
        let copy = stage.call(hostile, libc::SYS_fcntl, [CONTROL, libc::F_DUPFD_CLOEXEC as u64, 100, 0, 0, 0]);
        assert_eq!(copy, Some(100));
        assert_eq!(stage.call(hostile, libc::SYS_close, [CONTROL, 0, 0, 0, 0, 0]), Some(0));
        stage.wait(Duration::from_millis(100));
        assert!(stage.is_alive(hostile), "it has its socket");
        stage.call(hostile, libc::SYS_close, [100, 0, 0, 0, 0, 0]);
        stage.dies(hostile);
        // What it may not do it does not do a second time.
        let hostile = stage.puppet();
        stage.call(hostile, libc::SYS_shutdown, [CONTROL, libc::SHUT_WR as u64, 0, 0, 0, 0]);
        stage.dies(hostile);
    });
    for index in 0..3 {
        outcome.failed_for(index, "its worker closed its control socket and went on");
    }
    let (cause, code, _) = &outcome.hostile()[3];
    assert_eq!((cause.as_str(), *code), ("denied-syscall", 159));
}

#[test]
fn a_worker_that_stays_after_its_last_words_is_ended() {
    let outcome = betrayed(&["panic"], |stage| {
        let hostile = stage.puppet();
        // Somebody else's, as if it were its own.
        let trapped = said(stage, TRAPPED);
        send(stage, hostile, &trapped);
        stage.dies(hostile);
        // It says so and goes on to ask for a child.
        let hostile = stage.puppet();
        let (finished, spawn) = (said(stage, FINISHED), asked(stage, SPAWN));
        send(stage, hostile, &finished);
        send(stage, hostile, &spawn);
        stage.dies(hostile);
    });
    let hostile: Vec<(String, u64)> = outcome.hostile().into_iter().map(|(cause, code, _)| (cause, code)).collect();
    let told = |cause: &str, code| (cause.to_owned(), code);
    assert_eq!(hostile[..3], [told("trapped", 134), told("trapped", 134), told("exited", 0)]);
}

/// Of another, in another order, twice, cut off, and with each of its bytes changed.
#[test]
fn messages_of_others_changed_and_in_disorder_disturb_nobody() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut tries = 0;
    betrayed(&["talk"], |stage| {
        let mut hostile = stage.puppet();
        // One of each kind: by what comes before and behind the number of a request.
        let kind = |packet: &Vec<u8>| (packet.get(1).copied(), packet.get(3..5.min(packet.len())).map(<[u8]>::to_vec));
        let kinds: BTreeMap<_, _> = stage.recorded().into_iter().map(|packet| (kind(&packet), packet)).collect();
        for packet in kinds.values().rev().flat_map(|packet| mutants(packet, &mut seed)) {
            tries += 1;
            if send(stage, hostile, &packet).is_none() {
                stage.dies(hostile);
                hostile = stage.puppet();
            }
        }
        // Whatever it still is, and has for children, ends with it.
        stage.kill(hostile);
        stage.dies(hostile);
    });
    assert!(tries > 1000, "{tries} mutants");
}

/// A message twice, and what becomes of it when it is cut off or one of its bytes is another.
fn mutants(packet: &[u8], seed: &mut u64) -> Vec<Vec<u8>> {
    let mut mutants = vec![packet.to_vec(), packet.to_vec()];
    for _ in 0..MUTANTS {
        // Of Marsaglia: "Xorshift RNGs".
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let (choice, value) = ((*seed >> 8) as usize, (*seed >> 40) as u8);
        // The beginning is where numbers, kinds and lengths are.
        let place = 1 + choice % (packet.len() - 1).clamp(1, 24);
        let mut mutant = packet.to_vec();
        match choice % 8 {
            0 => mutant.truncate(place),
            1 => mutant.insert(place.min(packet.len()), value),
            2..5 => mutant[place.min(packet.len() - 1)] = value % 10,
            _ => mutant[place.min(packet.len() - 1)] = value,
        }
        mutants.push(mutant);
    }
    mutants
}

const MUTANTS: usize = 100;

#[test]
fn descriptors_end_their_sender() {
    let outcome = betrayed(&[], |stage| {
        let hostile = stage.puppet();
        // A pipe's end, an event loop, a socket, and one packet with as many as the kernel takes.
        send_descriptors(stage, hostile, CONTROL, &[1]);
        stage.dies(hostile);
        let hostile = stage.puppet();
        send_descriptors(stage, hostile, CONTROL, &[CONTROL as i32]);
        stage.dies(hostile);
        let hostile = stage.puppet();
        send_descriptors(stage, hostile, CONTROL, &[1; 253]);
        stage.dies(hostile);
        // As many packets as fit, each with as many.
        let hostile = stage.puppet();
        while send_descriptors(stage, hostile, CONTROL, &[1; 253]).is_some_and(|sent| sent > 0) {}
        stage.dies(hostile);
    });
    for index in 0..4 {
        outcome.failed_for(index, "a packet is too large or carries descriptors");
    }
    outcome.stayed_within(64);
}
