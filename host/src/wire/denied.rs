//! Messages that are written without allocating: a signal handler tells which system call was denied.
//!
//! `Denied` is the first variant of [`FromWorker`](super::worker::FromWorker) and of [`Answer`](super::compiler::Answer),
//! `Aborted` one of the former; compile workers may abort by themselves.

use std::os::fd::RawFd;

use wasmproc_sandbox::seccomp::Denied;

/// Sends it over the socket `control`. Async-signal-safe; a socket that can't take it is left alone.
pub(crate) fn report_denied(control: RawFd, denied: Denied) {
    let (message, length) = match denied {
        Denied::Call(number) => (packet(number), PACKET_BYTES),
        Denied::Abort => (ABORTED, 2),
    };
    // SAFETY: the descriptor may be closed or of another kind; the call then fails, which is all right here.
    #[expect(unsafe_code, reason = "only raw system calls are safe in a signal handler")]
    unsafe {
        libc::send(control, message.as_ptr().cast(), length, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    }
}

const PACKET_BYTES: usize = 7;
/// A zero for "last packet", and the number of the variant.
const ABORTED: [u8; PACKET_BYTES] = [0, 9, 0, 0, 0, 0, 0];

/// A zero for "last packet", a zero for the first variant, and the number in base 128.
fn packet(number: u32) -> [u8; PACKET_BYTES] {
    let mut message = [0; PACKET_BYTES];
    for (position, byte) in message[2..].iter_mut().enumerate() {
        let rest = number >> (7 * position);
        // Every digit but the last is marked; the leading zeros that this writes are part of the encoding.
        *byte = (rest & 0x7f) as u8 | if position < 4 { 0x80 } else { 0 };
    }
    message
}

#[cfg(test)]
mod tests {
    use super::super::compiler::Answer;
    use super::super::worker::FromWorker;
    use super::*;

    #[test]
    fn an_abort_is_written_as_the_wire_reads_it() {
        let decoded: FromWorker = postcard::from_bytes(&ABORTED[1..2]).expect("it is a message");
        assert!(matches!(decoded, FromWorker::Aborted), "{decoded:?}");
    }

    #[test]
    fn a_denied_call_is_written_as_the_wire_reads_it() {
        for number in [0, 1, 127, 128, 435, u32::MAX] {
            let message = packet(number);
            let decoded: FromWorker = postcard::from_bytes(&message[1..]).expect("it is a message");
            assert!(matches!(decoded, FromWorker::Denied(read) if read == number), "{number}: {decoded:?}");
            let decoded: Answer = postcard::from_bytes(&message[1..]).expect("it is an answer");
            assert!(matches!(decoded, Answer::Denied(read) if read == number), "{number}: {decoded:?}");
        }
    }
}
