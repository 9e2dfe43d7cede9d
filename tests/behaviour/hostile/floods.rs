//! More than anybody could want, as fast as a processor can.

use std::fs;

use super::{CHILDREN, DOORBELL, Duration, MORE, Puppet, Stage, asked, betrayed};
use crate::harness::{CONTROL, is_root, skip};

/// Where it has what it sends, its counter, and the last answer.
const PACKET_AT: usize = 0;
const COUNTER_AT: usize = 32 << 10;
const ANSWER_AT: usize = 64 << 10;
const ANSWER_BYTES: u64 = 16 << 10;

/// ```text
/// again: inc  qword ptr [rbx]
///        mov  rsi, r12
///        mov  rdx, r13
///        mov  eax, SYS_sendto
///        syscall
///        jmp  again
/// ```
pub(super) const SEND: &[u8] = b"\x48\xff\x03\x4c\x89\xe6\x4c\x89\xea\xb8\x2c\0\0\0\x0f\x05\xeb\xee";

/// ```text
/// again: inc  qword ptr [rbx]
///        mov  rsi, r12
///        mov  rdx, r13
///        mov  eax, SYS_sendto
///        syscall
///        mov  rsi, r14
///        mov  rdx, r15
///        xor  eax, eax    ; SYS_read
///        syscall
///        jmp  again
/// ```
pub(super) const SEND_AND_READ: &[u8] =
    b"\x48\xff\x03\x4c\x89\xe6\x4c\x89\xea\xb8\x2c\0\0\0\x0f\x05\x4c\x89\xf6\x4c\x89\xfa\x31\xc0\x0f\x05\xeb\xe4";

/// ```text
/// again: mov  rsi, r12
///        mov  rdx, r13
///        mov  eax, SYS_sendto
///        syscall
///        dec  qword ptr [rbx]
///        jnz  again
/// rest:  mov  rsi, r14
///        mov  rdx, r15
///        xor  eax, eax    ; SYS_read
///        syscall
///        jmp  rest
/// ```
const SEND_SO_MANY: &[u8] = b"\x4c\x89\xe6\x4c\x89\xea\xb8\x2c\0\0\0\x0f\x05\x48\xff\x0b\x75\xee\
    \x4c\x89\xf6\x4c\x89\xfa\x31\xc0\x0f\x05\xeb\xf4";

/// ```text
/// again: mov  rsi, r12
///        mov  rdx, r13
///        mov  eax, SYS_sendto
///        syscall
///        dec  qword ptr [rbx]
///        jnz  again
/// ```
/// And then [`SLEEP`].
const SEND_SO_MANY_ONLY: &[u8] = b"\x4c\x89\xe6\x4c\x89\xea\xb8\x2c\0\0\0\x0f\x05\x48\xff\x0b\x75\xee";

/// ```text
/// again: mov  rsi, r12
///        mov  rdx, r13
///        mov  eax, SYS_sendto
///        syscall
///        mov  rsi, r14
///        mov  rdx, r15
///        xor  eax, eax    ; SYS_read
///        syscall
///        dec  qword ptr [rbx]
///        jnz  again
/// ```
/// And then [`SLEEP`].
const SEND_AND_READ_SO_MANY: &[u8] = b"\x4c\x89\xe6\x4c\x89\xea\xb8\x2c\0\0\0\x0f\x05\
    \x4c\x89\xf6\x4c\x89\xfa\x31\xc0\x0f\x05\x48\xff\x0b\x75\xe4";

/// ```text
/// rest:  mov  rdi, rbx    ; where there is a 0
///        xor  esi, esi    ; FUTEX_WAIT, as long as that is 0
///        xor  edx, edx
///        xor  r10d, r10d
///        mov  eax, SYS_futex
///        syscall
///        jmp  rest
/// ```
const SLEEP: &[u8] = b"\x48\x89\xdf\x31\xf6\x31\xd2\x45\x31\xd2\xb8\xca\0\0\0\x0f\x05\xeb\xed";

/// Sends a packet so many times, and never reads what is answered.
pub(super) fn send_many_only(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8], times: u64) {
    begin(stage, puppet, packet, &[SEND_SO_MANY_ONLY, SLEEP].concat(), times);
}

/// Sends a packet so many times, reads an answer to each, and returns the last one.
pub(super) fn ask_many(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8], times: u64) -> Vec<u8> {
    begin(stage, puppet, packet, &[SEND_AND_READ_SO_MANY, SLEEP].concat(), times);
    while left(stage, puppet) > 0 {
        stage.wait(Duration::from_millis(5));
    }
    stage.read(puppet, ANSWER_AT, ANSWER_BYTES as usize).expect("it is alive")
}

/// Sends a packet so many times, and then waits for answers.
pub(super) fn send_many(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8], times: u64) {
    begin(stage, puppet, packet, SEND_SO_MANY, times);
}

/// Sends a packet again and again.
pub(super) fn flood(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8], code: &[u8]) {
    begin(stage, puppet, packet, code, 0);
}

fn begin(stage: &mut Stage<'_, '_>, puppet: Puppet, packet: &[u8], code: &[u8], count: u64) {
    let address = stage.write(puppet, PACKET_AT, packet);
    let counter = stage.write(puppet, COUNTER_AT, &count.to_ne_bytes());
    let answer = stage.write(puppet, ANSWER_AT, &[]);
    let registers = [counter, address, packet.len() as u64, answer, ANSWER_BYTES];
    stage.run(puppet, code, [CONTROL, 0, 0, libc::MSG_NOSIGNAL as u64], registers);
}

/// How many packets a flood has sent.
fn sent(stage: &mut Stage<'_, '_>, puppet: Puppet) -> u64 {
    left(stage, puppet)
}

/// How many packets are still to be sent, if their number is known.
fn left(stage: &mut Stage<'_, '_>, puppet: Puppet) -> u64 {
    let counter = stage.read(puppet, COUNTER_AT, 8).expect("it is alive");
    u64::from_ne_bytes(counter.try_into().expect("eight bytes"))
}

/// It is no crime to ask much: others have their turn all the same.
#[test]
fn a_flood_of_requests_starves_nobody() {
    if !is_root() {
        return skip("only root can take over a worker that was not looked at from its beginning");
    }
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        let request = asked(stage, CHILDREN);
        flood(stage, hostile, &request, SEND_AND_READ);
        // The bystander is as fast as ever.
        stage.that_is_all();
        while sent(stage, hostile) < 30_000 {
            stage.wait(Duration::from_millis(10));
        }
        stage.look_again();
        stage.kill(hostile);
        stage.dies(hostile);
    });
    assert!(outcome.rounds() > 10, "{:?}", outcome.ended);
    outcome.stayed_within(64);
}

#[test]
fn a_flood_whose_answers_nobody_reads_ends_its_sender() {
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        let request = asked(stage, CHILDREN);
        flood(stage, hostile, &request, SEND);
        stage.dies(hostile);
    });
    outcome.failed_for(0, "does not read its messages");
    outcome.stayed_within(96);
}

/// Each of its answers brings a descriptor.
#[test]
fn a_flood_for_descriptors_ends_its_sender() {
    let mut most = 0;
    let outcome = betrayed(&["talk"], |stage| {
        let hostile = stage.puppet();
        let request = asked(stage, DOORBELL);
        flood(stage, hostile, &request, SEND);
        while stage.is_alive(hostile) {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", stage.supervisor())).map_or(0, Iterator::count);
            most = most.max(descriptors);
            stage.wait(Duration::from_millis(1));
        }
    });
    eprintln!("{most} descriptors at most");
    outcome.failed_for(0, "does not read its messages");
    assert!(most < 1000, "{most} descriptors");
    outcome.stayed_within(96);
}

/// Packets of which each says that more follow, and brings nothing.
#[test]
fn a_flood_of_beginnings_starves_nobody() {
    let outcome = betrayed(&[], |stage| {
        let hostile = stage.puppet();
        flood(stage, hostile, &[MORE], SEND);
        stage.dies(hostile);
    });
    outcome.failed_for(0, "breaks the rules");
}

#[test]
fn a_flood_of_output_passes() {
    let outcome = betrayed(&[], |stage| {
        let hostile = stage.puppet();
        let bytes = [b"\x1b[31m\xff\r".as_slice(), &[b'x'; 100_000]].concat();
        let address = stage.write(hostile, 0, &bytes);
        for stream in [1, 2].repeat(100) {
            stage.call(hostile, libc::SYS_write, [stream, address, bytes.len() as u64, 0, 0, 0]);
        }
        let newline = stage.write(hostile, 0, b"\n");
        stage.call(hostile, libc::SYS_write, [1, newline, 1, 0, 0, 0]);
        stage.kill(hostile);
        stage.dies(hostile);
    });
    outcome.stayed_within(64);
}
