//! A socket that carries whole messages with descriptors.
//!
//! The socket is of type SEQPACKET, so one `recv` is one packet. A message longer than a packet travels as several:
//! each begins with a byte that says whether more follow, and is full if so. The descriptors of a message travel with its
//! last packet. Received bytes are buffered up to a bound and never trusted.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_MESSAGE_BYTES;

/// Payload bytes of one packet. Every worker keeps a buffer of this size, and most messages are much shorter.
pub(super) const PACKET_BYTES: usize = 8 * 1024;
/// The most descriptors in one message.
pub(crate) const MAX_DESCRIPTORS: usize = 64;
/// Packets waiting for a peer that doesn't read; beyond it the peer is given up.
const MAX_OUTBOX_PACKETS: usize = 8 * MAX_MESSAGE_BYTES / PACKET_BYTES;
/// Descriptors waiting for it: this process has only so many.
const MAX_OUTBOX_DESCRIPTORS: usize = 4 * MAX_DESCRIPTORS;

/// How often, and how soon, a packet is tried again for which the kernel has no memory at the moment.
const RETRIES: u32 = 200;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

const LAST: u8 = 0;
const MORE: u8 = 1;

/// Two connected sockets, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Whether something is there to be received within that time, or nothing more will come.
pub(crate) fn is_readable(socket: &impl AsFd, timeout: Timespec) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&timeout)) == Ok(1)
}

/// One end of a connection that sends `Out` and receives `In`.
#[derive(Debug)]
pub(crate) struct Channel<Out, In> {
    socket: OwnedFd,
    /// The packets of a message of which more are to come.
    partial: Vec<u8>,
    packet: Box<[u8]>,
    outbox: VecDeque<Packet>,
    outbox_bytes: usize,
    outbox_descriptors: usize,
    /// The peer went away and had not read everything.
    had_unread: bool,
    /// How many descriptors a message may bring; more are closed by the kernel.
    descriptors: usize,
    messages: PhantomData<fn(Out) -> In>,
}

#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What [`Channel::try_receive`] found.
#[derive(Debug)]
pub(crate) enum Received<In> {
    Message(In, Vec<OwnedFd>),
    /// Nothing now.
    Empty,
    /// The peer is gone.
    Closed,
}

impl<Out: Serialize, In: DeserializeOwned> Channel<Out, In> {
    /// A channel whose peer may not send descriptors.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Channel {
            socket,
            partial: Vec::new(),
            packet: Box::default(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            outbox_descriptors: 0,
            had_unread: false,
            descriptors: 0,
            messages: PhantomData,
        }
    }

    /// A channel whose peer may send descriptors.
    pub(crate) fn with_descriptors(socket: OwnedFd) -> Self {
        Channel { descriptors: MAX_DESCRIPTORS, ..Channel::new(socket) }
    }

    /// Gives up the memory that packets are received in, for another channel of a forked process: it is there already.
    pub(crate) fn take_buffer(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.packet)
    }

    /// The channel with memory that another one has given up.
    pub(crate) fn with_buffer(self, packet: Box<[u8]>) -> Self {
        Channel { packet, ..self }
    }

    /// Sends a message, waiting for the peer to read if need be.
    pub(crate) fn send(&self, message: &Out, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_over(self.socket.as_fd(), message, descriptors)
    }

    /// Sends a message if the peer reads, else keeps it until [`Channel::flush`]. Never waits.
    ///
    /// Fails if the peer is gone, or has not read for so long that too much is waiting.
    pub(crate) fn post(&mut self, message: &Out, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let bytes = encode(message)?;
        let mut descriptors = Some(descriptors);
        let mut packets = packets(&bytes).peekable();
        while let Some(packet) = packets.next() {
            let more = packets.peek().is_some();
            let descriptors = if more { Vec::new() } else { descriptors.take().unwrap_or_default() };
            if self.outbox.is_empty() {
                let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
                match send_packet(self.socket.as_fd(), more, packet, &borrowed, SendFlags::DONTWAIT) {
                    Ok(()) => continue,
                    Err(Errno::AGAIN | Errno::TOOMANYREFS) => {}
                    Err(error) => {
                        self.had_unread |= error == Errno::CONNRESET;
                        return Err(error.into());
                    }
                }
            }
            self.outbox_descriptors += descriptors.len();
            if self.outbox.len() >= MAX_OUTBOX_PACKETS || self.outbox_descriptors > MAX_OUTBOX_DESCRIPTORS {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its messages"));
            }
            let mut bytes = Vec::with_capacity(packet.len() + 1);
            bytes.push(if more { MORE } else { LAST });
            bytes.extend_from_slice(packet);
            self.outbox_bytes += bytes.len();
            self.outbox.push_back(Packet { bytes, descriptors });
        }
        Ok(())
    }

    /// Sends what is waiting, as far as the peer reads. Returns whether all of it is sent.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while let Some(packet) = self.outbox.front() {
            let more = packet.bytes[0] == MORE;
            let borrowed: Vec<BorrowedFd<'_>> = packet.descriptors.iter().map(AsFd::as_fd).collect();
            match send_packet(self.socket.as_fd(), more, &packet.bytes[1..], &borrowed, SendFlags::DONTWAIT) {
                Ok(()) => {
                    self.outbox_bytes -= packet.bytes.len();
                    self.outbox_descriptors -= packet.descriptors.len();
                    self.outbox.pop_front();
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::TOOMANYREFS) => {
                    // The socket has room, so whoever waits for that is back at once.
                    std::thread::sleep(RETRY_PAUSE);
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether something is waiting for [`Channel::flush`].
    pub(crate) fn has_backlog(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// How many bytes are waiting for it.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Gives up what is waiting for [`Channel::flush`]. Nothing that is sent after it can be understood.
    pub(crate) fn forget_backlog(&mut self) {
        self.outbox.clear();
        (self.outbox_bytes, self.outbox_descriptors) = (0, 0);
    }

    /// How many bytes are here of a message of which more are to come.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Whether the peer is gone and had not read everything. Known when its end has been received.
    pub(crate) fn had_unread(&self) -> bool {
        self.had_unread
    }

    /// Receives a message, waiting for it. `None` when the peer is gone.
    pub(crate) fn receive(&mut self) -> io::Result<Option<(In, Vec<OwnedFd>)>> {
        loop {
            match self.receive_packet(RecvFlags::empty())? {
                Some(Received::Message(message, descriptors)) => return Ok(Some((message, descriptors))),
                Some(Received::Empty | Received::Closed) => return Ok(None),
                None => {}
            }
        }
    }

    /// Receives a message if there is one. Never waits.
    ///
    /// An error of kind `InvalidData` means that the peer breaks the rules.
    pub(crate) fn try_receive(&mut self) -> io::Result<Received<In>> {
        loop {
            if let Some(received) = self.try_receive_packet()? {
                return Ok(received);
            }
        }
    }

    /// The same, but takes one packet at most: `None` if it was one of a message of which more are to come.
    pub(crate) fn try_receive_packet(&mut self) -> io::Result<Option<Received<In>>> {
        self.receive_packet(RecvFlags::DONTWAIT)
    }

    fn receive_packet(&mut self, flags: RecvFlags) -> io::Result<Option<Received<In>>> {
        if self.packet.is_empty() {
            self.packet = vec![0; PACKET_BYTES + 1].into_boxed_slice();
        }
        let (mut retries, mut was_reset) = (RETRIES, false);
        loop {
            let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let space = if self.descriptors == 0 { &mut space[..0] } else { &mut space[..] };
            let mut control = RecvAncillaryBuffer::new(space);
            let flags = flags | RecvFlags::CMSG_CLOEXEC;
            let mut slices = [IoSliceMut::new(&mut self.packet)];
            let received = match rustix::net::recvmsg(&self.socket, &mut slices, &mut control, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(Some(Received::Empty)),
                Err(Errno::INTR) => continue,
                // The packet is still there.
                Err(error) if is_short_of_memory(error) && retry(&mut retries) => continue,
                // A peer that is gone and had not read everything: that is told once, before its last words.
                Err(Errno::CONNRESET) if !was_reset => {
                    was_reset = true;
                    self.had_unread = true;
                    continue;
                }
                Err(Errno::CONNRESET) => return Ok(Some(Received::Closed)),
                Err(error) => return Err(error.into()),
            };
            if received.bytes == 0 {
                return Ok(Some(Received::Closed));
            }
            // Where descriptors are expected, some are missing when this process can't have more: the receiver of the
            // message sees that.
            let unexpected = received.flags.contains(ReturnFlags::CTRUNC) && self.descriptors == 0;
            if unexpected || received.flags.contains(ReturnFlags::TRUNC) {
                return Err(broken_rules("a packet is too large or carries descriptors"));
            }
            let payload = &self.packet[1..received.bytes];
            if self.partial.len() + payload.len() > MAX_MESSAGE_BYTES {
                return Err(broken_rules("a message is too large"));
            }
            // Otherwise a message could have packets without end.
            let more = match self.packet[0] {
                LAST => false,
                MORE if payload.len() == PACKET_BYTES => true,
                _ => return Err(broken_rules("a packet is short, or is no packet")),
            };
            if more || !self.partial.is_empty() {
                self.partial.extend_from_slice(payload);
            }
            if more {
                return Ok(None);
            }
            let whole = std::mem::take(&mut self.partial);
            let bytes = if whole.is_empty() { payload } else { &whole };
            let message = postcard::from_bytes(bytes).map_err(|_| broken_rules("a message can't be decoded"))?;
            return Ok(Some(Received::Message(message, taken_descriptors(&mut control))));
        }
    }
}

impl<Out, In> AsFd for Channel<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(message).map_err(io::Error::other)
}

/// Sends a message over a socket that may have no channel, waiting for the peer to read if need be.
pub(super) fn send_over(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = encode(message)?;
    let mut packets = packets(&bytes).peekable();
    while let Some(packet) = packets.next() {
        let more = packets.peek().is_some();
        let descriptors = if more { &[] } else { descriptors };
        send_packet(socket, more, packet, descriptors, SendFlags::empty())?;
    }
    Ok(())
}

/// The packets of a message; an empty message has one.
fn packets(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty: Option<&[u8]> = bytes.is_empty().then_some(&[]);
    empty.into_iter().chain(bytes.chunks(PACKET_BYTES))
}

fn send_packet(
    socket: BorrowedFd<'_>,
    more: bool,
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<(), Errno> {
    let head = [if more { MORE } else { LAST }];
    let slices = [IoSlice::new(&head), IoSlice::new(payload)];
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let mut retries = RETRIES;
    loop {
        match rustix::net::sendmsg(socket, &slices, &mut control, flags | SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) if is_short_of_memory(error) && retry(&mut retries) => {}
            // As many descriptors of this user are under way as may be; the receivers take them out.
            Err(Errno::TOOMANYREFS) if !flags.contains(SendFlags::DONTWAIT) && retry(&mut retries) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the kernel lacks memory for a packet. A message that is lost for it would be waited for for ever.
fn is_short_of_memory(error: Errno) -> bool {
    matches!(error, Errno::NOMEM | Errno::NOBUFS)
}

/// Waits a moment, unless that was done often enough.
fn retry(left: &mut u32) -> bool {
    if *left > 0 {
        std::thread::sleep(RETRY_PAUSE);
    }
    left.checked_sub(1).map(|rest| *left = rest).is_some()
}

/// Whether an error of [`Channel::post`] or [`Channel::send`] means that there is nobody who could receive it.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}

fn taken_descriptors(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    // The space for them has room for one or two more, by its rounding.
    descriptors.truncate(MAX_DESCRIPTORS);
    descriptors
}

fn broken_rules(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> (Channel<Vec<u8>, String>, Channel<String, Vec<u8>>) {
        let (left, right) = pair().expect("sockets");
        (Channel::new(left), Channel::with_descriptors(right))
    }

    #[test]
    fn a_message_of_many_packets_arrives_whole() {
        let (mut sender, mut receiver) = channels();
        let message: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
        sender.post(&message, Vec::new()).expect("posting");
        let mut received = None;
        while received.is_none() {
            if let Received::Message(bytes, _) = receiver.try_receive().expect("receiving") {
                received = Some(bytes);
            }
            sender.flush().expect("flushing");
        }
        assert!(received == Some(message));
    }

    #[test]
    fn descriptors_sent_to_a_peer_that_takes_none_break_the_rules() {
        let (mut taker_of_none, sender) = channels();
        let descriptor = rustix::stdio::stdin();
        sender.send(&String::new(), &[descriptor]).expect("sending");
        let error = taker_of_none.try_receive().expect_err("descriptors are refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_peer_that_never_reads_is_given_up_and_never_waited_for() {
        let (mut sender, _receiver) = channels();
        let message = vec![0u8; MAX_MESSAGE_BYTES - 16];
        let posted = (0..20).take_while(|_| sender.post(&message, Vec::new()).is_ok()).count();
        assert!((1..20).contains(&posted), "{posted} messages were kept");
    }

    #[test]
    fn a_peer_that_never_reads_keeps_few_descriptors_waiting() {
        let (mut sender, _receiver) = channels();
        let descriptor = || rustix::stdio::stderr().try_clone_to_owned().expect("a descriptor");
        let posted = (0..10_000).take_while(|_| sender.post(&vec![1], vec![descriptor()]).is_ok()).count();
        // The kernel keeps some hundreds itself.
        assert!((MAX_OUTBOX_DESCRIPTORS..5000).contains(&posted), "{posted} descriptors were kept");
    }

    #[test]
    fn a_packet_that_says_that_more_follow_and_is_not_full_breaks_the_rules() {
        for packet in [&[MORE][..], &[MORE, 1, 2], &[7, 1]] {
            let (mut receiver, sender) = channels();
            rustix::net::send(&sender, packet, SendFlags::empty()).expect("sending");
            let error = receiver.try_receive().expect_err("it is no packet");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{packet:?}");
        }
    }

    #[test]
    fn the_last_words_of_a_peer_that_had_not_read_everything_arrive() {
        let (mut left, right) = channels();
        left.post(&vec![1], Vec::new()).expect("posting");
        right.send(&"last words".to_owned(), &[]).expect("sending");
        drop(right);
        assert!(matches!(left.try_receive(), Ok(Received::Message(words, _)) if words == "last words"));
        assert!(matches!(left.try_receive(), Ok(Received::Closed)));
    }

    #[test]
    fn a_peer_that_is_gone_is_told_apart_from_silence() {
        let (mut left, right) = channels();
        assert!(matches!(left.try_receive(), Ok(Received::Empty)));
        drop(right);
        assert!(matches!(left.try_receive(), Ok(Received::Closed)));
    }
}
