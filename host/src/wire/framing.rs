//! Packets made of bytes: for fuzzing.
//!
//! A peer sends them, and what a channel makes of them is compared with what it should, worked out here in another way.
//! What arrives is sent once more, and must arrive as it was.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::{MAX_DESCRIPTORS, PACKET_BYTES};
use super::{Channel, MAX_MESSAGE_BYTES, Received, compiler, init, pair, worker, zygote};

/// As many packets as make a message that is too long.
const MANY: usize = MAX_MESSAGE_BYTES / PACKET_BYTES + 1;
const MAX_PACKETS: usize = 64;
/// With a first byte from here on the first packet may come many times, if it is long. That takes its time, so it is not for every input.
const LONG: u8 = 0xf8;

/// What somebody sends. All but `times` is as it is on the wire.
struct Packet {
    bytes: Vec<u8>,
    descriptors: usize,
    times: usize,
}

/// What a receiver makes of it.
#[derive(Debug, PartialEq)]
enum Heard {
    Message(String, usize),
    BrokenRules,
    Closed,
}

/// Sends the packets that `bytes` are. Panics if the channel makes anything else of them than it should.
pub(crate) fn exchange(bytes: &[u8]) {
    let Some((&pair, rest)) = bytes.split_first() else { return };
    let packets = packets(rest, pair >= LONG);
    let before = free_descriptor();
    match pair % 8 {
        0 => check::<worker::FromWorker>(&packets, false),
        1 => check::<worker::ToWorker>(&packets, true),
        2 => check::<compiler::Answer>(&packets, true),
        3 => check::<compiler::Request>(&packets, true),
        4 => check::<init::FromInit>(&packets, true),
        5 => check::<init::ToInit>(&packets, true),
        6 => check::<zygote::FromZygote>(&packets, true),
        _ => check::<zygote::ToZygote>(&packets, true),
    }
    assert_eq!(before, free_descriptor(), "no descriptor is left open");
}

/// Names and bytes to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let hello = postcard::to_stdvec(&worker::FromWorker::Failed("hello".to_owned())).unwrap_or_default();
    let long = postcard::to_stdvec(&worker::FromWorker::Failed("long".repeat(PACKET_BYTES / 4))).unwrap_or_default();
    let failed = postcard::to_stdvec(&zygote::FromZygote::Failed("hello".to_owned())).unwrap_or_default();
    vec![
        ("one", seed(0, &[(0, 0, &[&[0], &hello[..]].concat())])),
        (
            "two-packets",
            seed(
                0,
                &[(0, 0, &[&[1], &long[..PACKET_BYTES]].concat()), (0, 0, &[&[0], &long[PACKET_BYTES..]].concat())],
            ),
        ),
        ("a-short-one", seed(0, &[(0, 0, &[&[1], &hello[..4]].concat()), (0, 0, &[&[0], &hello[4..]].concat())])),
        ("descriptors", seed(6, &[(0, 200, &[&[0], &failed[..]].concat())])),
        ("refused-descriptors", seed(0, &[(0, 200, &[&[0], &hello[..]].concat())])),
        ("too-long", seed(LONG, &[(255, 0, &[1; PACKET_BYTES + 1])])[..6].to_vec()),
        ("nothing", seed(0, &[(0, 0, &[])])),
    ]
}

fn seed(pair: u8, packets: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut seed = vec![pair];
    for (times, descriptors, bytes) in packets {
        seed.extend([*times, *descriptors]);
        seed.extend((bytes.len() as u16).to_le_bytes());
        seed.extend(*bytes);
    }
    seed
}

fn packets(mut bytes: &[u8], long: bool) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let [times, descriptors, low, high, rest @ ..] = bytes
        && packets.len() < MAX_PACKETS
    {
        let length = usize::from(u16::from_le_bytes([*low, *high])) % (PACKET_BYTES + 16);
        let (here, others) = rest.split_at(length.min(rest.len()));
        bytes = others;
        let mut packet = here.to_vec();
        // Short of bytes: long packets don't take long inputs.
        packet.resize(length, 0);
        let many = long && *times == u8::MAX && packets.is_empty() && length > PACKET_BYTES / 2;
        let descriptors = usize::from(descriptors.saturating_sub(180));
        packets.push(Packet { bytes: packet, descriptors, times: if many { MANY } else { 1 } });
    }
    packets
}

fn check<M: Serialize + DeserializeOwned + Debug>(packets: &[Packet], takes_descriptors: bool) {
    let Ok((ours, theirs)) = pair() else { return };
    let mut channel: Channel<M, M> = match takes_descriptors {
        true => Channel::with_descriptors(ours),
        false => Channel::new(ours),
    };
    let mut expected = expected::<M>(packets, takes_descriptors).into_iter();
    for packet in packets {
        for _ in 0..packet.times {
            while !sent(&theirs, packet) {
                if !hear_all(&mut channel, &mut expected) {
                    return;
                }
            }
        }
    }
    drop(theirs);
    hear_all(&mut channel, &mut expected);
}

/// Hears what there is. Returns whether there may be more.
fn hear_all<M>(channel: &mut Channel<M, M>, expected: &mut impl Iterator<Item = Heard>) -> bool
where
    M: Serialize + DeserializeOwned + Debug,
{
    loop {
        let heard = match channel.try_receive() {
            Ok(Received::Empty) => return true,
            Ok(Received::Closed) => Heard::Closed,
            Ok(Received::Message(message, descriptors)) => {
                check_round_trip(&message);
                Heard::Message(format!("{message:?}"), descriptors.len())
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
                Heard::BrokenRules
            }
        };
        let last = !matches!(heard, Heard::Message(..));
        assert_eq!(Some(heard), expected.next());
        if last {
            return false;
        }
    }
}

/// What has to arrive, up to the first thing after which nobody listens any more.
fn expected<M: DeserializeOwned + Debug>(packets: &[Packet], takes_descriptors: bool) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut message = Vec::new();
    for packet in packets {
        for _ in 0..packet.times {
            let [head, payload @ ..] = packet.bytes.as_slice() else {
                heard.push(Heard::Closed);
                return heard;
            };
            message.extend_from_slice(payload);
            let refused = packet.descriptors > 0 && !takes_descriptors;
            let is_none = *head > 1 || (*head == 1 && payload.len() != PACKET_BYTES);
            if refused || is_none || payload.len() > PACKET_BYTES || message.len() > MAX_MESSAGE_BYTES {
                heard.push(Heard::BrokenRules);
                return heard;
            }
            if *head != 0 {
                continue;
            }
            let Ok(decoded) = postcard::from_bytes::<M>(&message) else {
                heard.push(Heard::BrokenRules);
                return heard;
            };
            heard.push(Heard::Message(format!("{decoded:?}"), packet.descriptors.min(MAX_DESCRIPTORS)));
            message.clear();
        }
    }
    heard.push(Heard::Closed);
    heard
}

fn check_round_trip<M: Serialize + DeserializeOwned + Debug>(message: &M) {
    let Ok((ours, theirs)) = pair() else { return };
    let (mut sender, mut receiver) = (Channel::<M, M>::new(ours), Channel::<M, M>::new(theirs));
    sender.post(message, Vec::new()).expect("a message that was received can be sent");
    loop {
        match receiver.try_receive().expect("what is sent is understood") {
            Received::Message(arrived, _) => {
                assert_eq!(format!("{arrived:?}"), format!("{message:?}"));
                return;
            }
            Received::Empty => drop(sender.flush().expect("what is kept can be sent")),
            Received::Closed => panic!("the sender is there"),
        }
    }
}

/// Sends a packet if there is room for it.
fn sent(socket: &OwnedFd, packet: &Packet) -> bool {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(128))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = vec![rustix::stdio::stderr(); packet.descriptors];
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)), "there is space for them");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::net::sendmsg(socket, &[IoSlice::new(&packet.bytes)], &mut control, flags) {
        Ok(_) => true,
        Err(Errno::AGAIN | Errno::TOOMANYREFS) => false,
        Err(error) => panic!("sending: {error}"),
    }
}

/// The lowest number that is free.
fn free_descriptor() -> Option<i32> {
    let (one, _other) = pair().ok()?;
    Some(one.as_raw_fd())
}
