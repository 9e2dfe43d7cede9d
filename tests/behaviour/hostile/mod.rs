//! Workers in an attacker's hands: native code behind the kernel's walls, at a real supervisor.
//!
//! Each test takes a worker over and does what somebody could do there: to its control socket, to its memory, to the
//! streams that it shares with others. The supervisor must survive, with bounded memory and descriptors; the worker must
//! be killed and told for what it did; a bystander in the same run starts processes and shares objects all the while, and
//! must get the right results. Compile workers are taken over too, beside no run of their own.

mod beside;
mod compiler;
mod floods;
mod messages;
mod silence;
mod texts;

use std::fs;
use std::time::Duration;

use serde_json::Value;
use wasmproc_test_artifacts::programs;

use crate::harness::{CONTROL, Ended, Puppet, Scratch, Stage, Wasmproc};

/// The first byte of a packet: whether it is the last of its message.
const LAST: u8 = 0;
const MORE: u8 = 1;
/// What a packet carries at most, beside that byte.
const PACKET_BYTES: usize = 8 << 10;

/// Messages of workers begin with these bytes, after that of the packet.
const FINISHED: &[u8] = &[1];
const TRAPPED: &[u8] = &[2];
const REQUEST: u8 = 8;
/// After that and its number, a request says what it asks for.
const SPAWN: &[u8] = &[0];
const CHILDREN: &[u8] = &[5];
const DOORBELL: &[u8] = &[8, 8];

/// What a run with traitors in it came to.
struct Outcome {
    ended: Ended,
    report: Value,
    /// What the supervisor used when all of them were dead, but one who had done nothing.
    supervisor: Footing,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default)]
struct Footing {
    descriptors: usize,
    peak_memory_bytes: u64,
}

/// Runs the guest that betrays. `script` deals with all hostile processes but the last, which is let go.
#[track_caller]
fn betrayed(arguments: &[&str], script: impl FnOnce(&mut Stage<'_, '_>) + Send) -> Outcome {
    let scratch = Scratch::new();
    let report = scratch.at("report.json");
    let mut supervisor = Footing::default();
    let to_file = format!("--report={report}");
    let all = [&[to_file.as_str(), programs::BETRAYS], arguments].concat();
    let ended = Wasmproc::run(all).taken_over(|stage| {
        script(stage);
        let last = stage.puppet();
        supervisor = Footing::of(stage.supervisor());
        stage.release(last);
    });
    let ended = ended.expect("it ends").expect(0);
    let report = fs::read_to_string(report).expect("there is a report");
    let report = serde_json::from_str(&report).expect("JSON");
    assert!(ended.lines().last().is_some_and(|line| line.starts_with("undisturbed")), "{ended:?}");
    eprintln!("{}; {supervisor:?}", ended.lines().last().expect("it said so"));
    Outcome { ended, report, supervisor }
}

impl Footing {
    fn of(process: i32) -> Footing {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it is alive");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of it");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        // Whose descriptors may not be looked at has none here.
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Footing { descriptors, peak_memory_bytes: kib << 10 }
    }
}

impl Outcome {
    /// What the report says of the hostile processes: cause, exit code, description.
    fn hostile(&self) -> Vec<(String, u64, String)> {
        let processes = self.report["processes"].as_array().expect("a list");
        let hostile = processes.iter().filter(|process| process["name"] == "hostile");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let told = |one: &Value| {
            (text(&one["cause"]), one["exit_code"].as_u64().expect("a number"), text(&one["description"]))
        };
        hostile.map(told).collect()
    }

    /// Asserts that the hostile process number `index` failed, for something with this in it, and that the user knows.
    #[track_caller]
    fn failed_for(&self, index: usize, words: &str) {
        let hostile = self.hostile();
        let (cause, code, description) = &hostile[index];
        assert_eq!((cause.as_str(), *code), ("failed", 125), "{hostile:?}\n{:?}", self.ended);
        assert!(description.contains(words), "{words:?} is not in {description:?}");
        assert!(self.ended.stderr.contains(description), "{:?}", self.ended);
    }

    /// What the bystander did.
    fn rounds(&self) -> u64 {
        let last = self.ended.lines().pop().expect("it says so last");
        let rounds = last.split_whitespace().find_map(|word| word.parse().ok());
        rounds.expect("a number")
    }

    /// Asserts that the supervisor's memory stayed below so many MiB, and that it has no descriptors of the dead.
    #[track_caller]
    fn stayed_within(&self, mib: u64) {
        assert!(self.supervisor.peak_memory_bytes < mib << 20, "{:?}", self.supervisor);
        assert!(self.supervisor.descriptors < 64, "{:?}", self.supervisor);
    }
}

/// Sends a packet over the control socket. Returns what sendto(2) does.
fn send(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8]) -> Option<i64> {
    let address = stage.write(puppet, 0, packet);
    let flags = libc::MSG_NOSIGNAL as u64;
    stage.call(puppet, libc::SYS_sendto, [CONTROL, address, packet.len() as u64, flags, 0, 0])
}

/// Sends one packet with descriptors over a socket. Returns what sendmsg(2) does.
fn send_descriptors(stage: &mut Stage<'_, '_>, puppet: Puppet, socket: u64, descriptors: &[i32]) -> Option<i64> {
    let packet = stage.write(puppet, 0, &[LAST, 7, 0, 5]);
    let slices = stage.write(puppet, 64, &words(&[packet, 4]));
    let length = 16 + 4 * descriptors.len() as u64;
    let kind = u64::from(libc::SOL_SOCKET as u32) | (libc::SCM_RIGHTS as u64) << 32;
    let mut control = words(&[length, kind]);
    control.extend(descriptors.iter().flat_map(|descriptor| descriptor.to_ne_bytes()));
    let control = stage.write(puppet, 4096, &control);
    let header = stage.write(puppet, 128, &words(&[0, 0, slices, 1, control, length, 0]));
    stage.call(puppet, libc::SYS_sendmsg, [socket, header, libc::MSG_NOSIGNAL as u64, 0, 0, 0])
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A recorded message that begins so.
#[track_caller]
fn said(stage: &mut Stage<'_, '_>, start: &[u8]) -> Vec<u8> {
    recorded(stage, |packet| packet[1..].starts_with(start))
}

/// A recorded request of this kind.
#[track_caller]
fn asked(stage: &mut Stage<'_, '_>, start: &[u8]) -> Vec<u8> {
    recorded(stage, |packet| packet.len() > 3 && packet[1] == REQUEST && packet[3..].starts_with(start))
}

/// The first packet of this kind that somebody has sent or is going to send soon.
#[track_caller]
fn recorded(stage: &mut Stage<'_, '_>, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    for _ in 0..1000 {
        if let Some(packet) = stage.recorded().into_iter().find(|packet| is_it(packet)) {
            return packet;
        }
        stage.wait(Duration::from_millis(5));
    }
    panic!("nobody sends such a packet");
}
