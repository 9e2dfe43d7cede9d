//! The one message that is written without allocating: a signal handler tells which system call was denied.
//!
//! It is the first variant of [`FromWorker`](super::worker::FromWorker) and of [`Answer`](super::compiler::Answer).

use std::os::fd::RawFd;

/// Sends `Denied(number)` over the socket `control`. Async-signal-safe; a socket that can't take it is left alone.
pub(crate) fn report_denied(control: RawFd, number: u32) {
    let message = packet(number);
    // SAFETY: the descriptor may be closed or of another kind; the call then fails, which is all right here.
    #[expect(unsafe_code, reason = "only raw system calls are safe in a signal handler")]
    unsafe {
        libc::send(control, message.as_ptr().cast(), message.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    }
}

/// A zero for "last packet", a zero for the first variant, and the number in base 128.
fn packet(number: u32) -> [u8; 7] {
    let mut message = [0; 7];
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
