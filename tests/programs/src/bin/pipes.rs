//! Scenarios of pipes.

use std::time::Duration;

use wasmproc_guest::ErrorKind::{Closed, Denied, Invalid, NotOwner, Timeout, TooLarge};
use wasmproc_guest::{
    ByteConnection, Connection, Error, ObjectId, Process, Queue, SharedValue, byte_pipe, duplex_byte_pipe, duplex_pipe,
    pipe,
};
use wasmproc_test_programs::{
    DEATHS, ENDS, MOMENT, bury, die, linger, refusal, scenarios, takes_a_moment, told, until,
};

scenarios!(
    boundaries_of_messages_are_kept,
    a_duplex_pipe_carries_questions_and_answers,
    messages_of_every_length_come_as_they_were,
    the_longest_message_comes_and_a_longer_one_is_refused,
    an_end_of_a_one_way_pipe_goes_one_way,
    a_full_pipe_is_waited_for_as_long_as_told,
    an_empty_pipe_is_waited_for_as_long_as_told,
    poll_tells_of_messages_and_of_the_end,
    closing_for_sending_leaves_the_other_direction,
    a_dropped_end_is_the_end_of_the_stream_for_the_other,
    however_its_sender_ends_what_was_sent_is_read,
    sending_to_a_dead_receiver_is_refused,
    a_waiting_sender_learns_that_its_receiver_is_dead,
    a_waiting_receiver_learns_that_its_sender_is_dead,
    an_end_that_was_moved_to_a_child_is_not_ours_any_more,
    an_end_that_was_moved_in_a_message_is_not_ours_any_more,
    an_end_travels_from_hand_to_hand,
    either_end_of_a_one_way_pipe_travels_through_a_pipe,
    an_end_comes_back_from_where_it_was_moved,
    dropping_the_handle_of_a_moved_end_closes_nothing,
    an_end_is_open_only_once,
    an_end_that_is_lost_with_its_message_is_closed,
    sizes_that_are_out_of_bounds_are_invalid,
);

const RING: usize = 64 << 10;
const HEADER: usize = 8;
const MIB: usize = 1 << 20;

fn lengths(connection: ByteConnection) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Ok(message) = connection.recv() {
        assert!(message.iter().all(|&byte| usize::from(byte) == message.len() % 251));
        lengths.push(message.len());
    }
    lengths
}

fn of_length(length: usize) -> Vec<u8> {
    vec![(length % 251) as u8; length]
}

fn boundaries_of_messages_are_kept() -> Result<(), Error> {
    let (sender, receiver) = byte_pipe(Some(4096))?;
    let child = Process::spawn(lengths, receiver)?;
    let expected: Vec<usize> = (0..1000).map(|number| number * 7 % 500).collect();
    for &length in &expected {
        sender.send(&of_length(length))?;
    }
    drop(sender);
    assert_eq!(child.result()?, expected);
    Ok(())
}

fn double(numbers: Connection<u64, u32>) {
    for number in &numbers {
        numbers.send(2 * u64::from(number.expect("a number"))).expect("main is there");
    }
}

fn a_duplex_pipe_carries_questions_and_answers() -> Result<(), Error> {
    let (here, there) = duplex_pipe()?;
    let child = Process::spawn(double, there)?;
    for number in 0..500u32 {
        here.send(number)?;
        assert_eq!(here.recv()?, 2 * u64::from(number));
    }
    drop(here);
    child.result()
}

fn echo(end: ByteConnection) {
    while let Ok(message) = end.recv() {
        end.send(&message).expect("main is there");
    }
}

fn messages_of_every_length_come_as_they_were() -> Result<(), Error> {
    let (here, there) = duplex_byte_pipe(None)?;
    let child = Process::spawn(echo, there)?;
    let exactly = RING - HEADER;
    for length in [0, 1, 7, 8, 9, exactly - 1, exactly, exactly + 1, RING, RING + 1, MIB, 3 * MIB, 0] {
        here.send(&of_length(length))?;
        assert!(here.recv()? == of_length(length), "{length} bytes");
    }
    drop(here);
    child.result()
}

fn the_longest_message_comes_and_a_longer_one_is_refused() -> Result<(), Error> {
    let (here, there) = duplex_byte_pipe(None)?;
    let child = Process::spawn(echo, there)?;
    let mut message = vec![7; 64 * MIB];
    message[64 * MIB - 1] = 8;
    here.send(&message)?;
    assert!(here.recv()? == message);
    message.push(9);
    assert_eq!(refusal(here.send(&message)), TooLarge);
    here.send(b"the pipe goes on")?;
    assert_eq!(here.recv()?, b"the pipe goes on");
    drop(here);
    child.result()
}

fn an_end_of_a_one_way_pipe_goes_one_way() -> Result<(), Error> {
    let (sender, receiver) = byte_pipe(None)?;
    assert_eq!(refusal(sender.recv()), Denied);
    assert_eq!(refusal(sender.try_recv()), Denied);
    assert_eq!(refusal(sender.poll(Duration::ZERO)), Denied);
    assert_eq!(refusal(receiver.send(b"no")), Denied);
    assert_eq!(refusal(receiver.try_send(b"no")), Denied);
    assert_eq!(refusal(receiver.send(&of_length(MIB))), Denied);
    sender.send(b"yes")?;
    assert_eq!(receiver.recv()?, b"yes");
    Ok(())
}

fn a_full_pipe_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let (sender, receiver) = byte_pipe(Some(4096))?;
    sender.send(&[1; 3000])?;
    assert_eq!(refusal(sender.try_send(&[2; 3000])), Timeout);
    assert_eq!(refusal(takes_a_moment(|| sender.send_timeout(&[2; 3000], MOMENT))), Timeout);
    let receive_late = |receiver: ByteConnection| {
        linger();
        (receiver.recv().expect("it is there").len(), receiver.recv().expect("it comes").len())
    };
    let child = Process::spawn(receive_late, receiver)?;
    sender.send_timeout(&[2; 3001], Duration::MAX)?;
    assert_eq!(child.result()?, (3000, 3001));
    Ok(())
}

fn an_empty_pipe_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let (sender, receiver) = pipe()?;
    assert_eq!(receiver.try_recv()?, None);
    assert_eq!(takes_a_moment(|| receiver.recv_timeout(MOMENT))?, None);
    let send_late = |sender: Connection<u32>| {
        linger();
        sender.send(7).expect("main is there");
    };
    let child = Process::spawn(send_late, sender)?;
    assert_eq!(receiver.recv_timeout(Duration::MAX)?, Some(7));
    child.result()
}

fn poll_tells_of_messages_and_of_the_end() -> Result<(), Error> {
    let (sender, receiver) = byte_pipe(None)?;
    assert!(!receiver.poll(Duration::ZERO)?);
    assert!(!takes_a_moment(|| receiver.poll(MOMENT))?);
    let send_late = |sender: ByteConnection| {
        linger();
        sender.send(b"").expect("main is there");
    };
    let child = Process::spawn(send_late, sender)?;
    assert!(receiver.poll(Duration::MAX)?);
    assert!(receiver.poll(Duration::ZERO)?, "it takes nothing away");
    assert_eq!(receiver.recv()?, b"");
    child.result()?;
    assert!(receiver.poll(Duration::MAX)?, "the end of the stream");
    assert_eq!(refusal(receiver.recv()), Closed);
    assert!(receiver.poll(Duration::ZERO)?);
    Ok(())
}

fn closing_for_sending_leaves_the_other_direction() -> Result<(), Error> {
    let (here, there) = duplex_pipe::<u32, u64>()?;
    let add_up = |numbers: Connection<u64, u32>| {
        let sum = numbers.iter().map(|number| u64::from(number.expect("a number"))).sum::<u64>();
        // All is read, and only now it answers.
        numbers.send(sum).expect("main listens");
    };
    let child = Process::spawn(add_up, there)?;
    here.send(20)?;
    here.send(22)?;
    here.close_sending()?;
    here.close_sending()?;
    assert_eq!(refusal(here.send(1)), Closed);
    assert_eq!(here.recv()?, 42);
    child.result()?;
    assert_eq!(refusal(here.recv()), Closed);
    Ok(())
}

fn a_dropped_end_is_the_end_of_the_stream_for_the_other() -> Result<(), Error> {
    let (here, there) = duplex_pipe::<u32, u32>()?;
    there.send(1)?;
    there.send(2)?;
    here.send(3)?;
    drop(there);
    assert_eq!((here.recv()?, here.recv()?), (1, 2));
    assert_eq!(refusal(here.recv()), Closed);
    assert_eq!(refusal(here.try_recv()), Closed);
    // The supervisor closes it, a moment later.
    until("sending is refused", || here.try_send(4).is_err());
    assert_eq!(refusal(here.send(4)), Closed);
    Ok(())
}

fn send_three_and_die(sender: ByteConnection, ready: SharedValue<u32>, how: String) {
    for length in [1, MIB, 3] {
        sender.send(&of_length(length)).expect("main is there");
    }
    ready.store(1);
    die(&how);
}

fn however_its_sender_ends_what_was_sent_is_read() -> Result<(), Error> {
    for how in ENDS {
        let ((sender, receiver), ready) = (byte_pipe(None)?, SharedValue::new(0)?);
        let child = Process::spawn(send_three_and_die, (sender, ready.clone(), how.to_owned()))?;
        until("three are sent", || ready.load() == 1);
        bury(&child, how);
        for length in [1, MIB, 3] {
            assert!(receiver.recv()? == of_length(length), "{how}: {length} bytes");
        }
        assert_eq!(refusal(receiver.recv()), Closed, "{how}");
        assert!(receiver.poll(Duration::ZERO)?);
    }
    Ok(())
}

fn keep_and_die(receiver: ByteConnection, ready: SharedValue<u32>, how: String) {
    let _kept = receiver;
    ready.store(1);
    die(&how);
}

fn sending_to_a_dead_receiver_is_refused() -> Result<(), Error> {
    for how in ENDS {
        let ((sender, receiver), ready) = (byte_pipe(None)?, SharedValue::new(0)?);
        let child = Process::spawn(keep_and_die, (receiver, ready.clone(), how.to_owned()))?;
        until("it is there", || ready.load() == 1);
        bury(&child, how);
        until("sending is refused", || sender.try_send(b"hello").is_err());
        assert_eq!(refusal(sender.send(b"hello")), Closed, "{how}");
        assert_eq!(refusal(sender.send(&of_length(MIB))), Closed, "{how}");
    }
    Ok(())
}

fn a_waiting_sender_learns_that_its_receiver_is_dead() -> Result<(), Error> {
    for how in DEATHS {
        let ((sender, receiver), ready) = (byte_pipe(Some(4096))?, SharedValue::new(0)?);
        let fill = |sender: ByteConnection| loop {
            if let Err(error) = sender.send(&[1; 1000]) {
                return format!("{:?}", error.kind());
            }
        };
        let filler = Process::spawn(fill, sender)?;
        let victim = Process::spawn(keep_and_die, (receiver, ready.clone(), how.to_owned()))?;
        until("it is there", || ready.load() == 1);
        linger();
        bury(&victim, how);
        assert_eq!(filler.result()?, "Closed", "{how}");
    }
    Ok(())
}

fn a_waiting_receiver_learns_that_its_sender_is_dead() -> Result<(), Error> {
    for how in ENDS {
        let ((sender, receiver), ready) = (byte_pipe(None)?, SharedValue::new(0)?);
        let reader = Process::spawn(|receiver: ByteConnection| told(receiver.recv()), receiver)?;
        let victim = Process::spawn(keep_and_die, (sender, ready.clone(), how.to_owned()))?;
        until("it is there", || ready.load() == 1);
        bury(&victim, how);
        assert_eq!(reader.result()?, "Closed", "{how}");
    }
    Ok(())
}

#[track_caller]
fn is_not_ours(end: &ByteConnection) {
    assert_eq!(refusal(end.send(b"x")), NotOwner);
    assert_eq!(refusal(end.try_send(b"x")), NotOwner);
    assert_eq!(refusal(end.recv()), NotOwner);
    assert_eq!(refusal(end.try_recv()), NotOwner);
    assert_eq!(refusal(end.poll(MOMENT)), NotOwner);
    assert_eq!(refusal(end.close_sending()), NotOwner);
}

fn greet(id: ObjectId) {
    ByteConnection::open(id).expect("it was moved here").send(b"from the child").expect("main is there");
}

fn an_end_that_was_moved_to_a_child_is_not_ours_any_more() -> Result<(), Error> {
    let (here, there) = duplex_byte_pipe(None)?;
    let child = Process::builder(greet).share(&there).spawn(there.id())?;
    is_not_ours(&there);
    assert_eq!(refusal(Process::builder(greet).share(&there).spawn(there.id()).map(|_| ())), Denied);
    assert_eq!(here.recv()?, b"from the child");
    child.result()?;
    is_not_ours(&there);
    Ok(())
}

fn an_end_that_was_moved_in_a_message_is_not_ours_any_more() -> Result<(), Error> {
    let (here, there) = duplex_byte_pipe(None)?;
    let queue = Queue::<ByteConnection>::new()?;
    queue.put(&there)?;
    is_not_ours(&there);
    assert!(queue.put(&there).is_err(), "it can't be moved twice");
    let take = |queue: Queue<ByteConnection>| {
        let there = queue.get().expect("it is there");
        there.send(&there.recv().expect("a message")).expect("main is there");
    };
    let child = Process::spawn(take, queue)?;
    here.send(b"there and back")?;
    assert_eq!(here.recv()?, b"there and back");
    child.result()?;
    is_not_ours(&there);
    Ok(())
}

fn pass_on(from: Connection<Connection<u32>>, to: Connection<Connection<u32>>) {
    let baton = from.recv().expect("it comes");
    baton.send(1).expect("main is there");
    to.send(baton).expect("the next one is there");
}

fn an_end_travels_from_hand_to_hand() -> Result<(), Error> {
    let (baton, receiver) = pipe::<u32>()?;
    let (first, mut last) = pipe::<Connection<u32>>()?;
    let mut runners = Vec::new();
    for _ in 0..5 {
        let (out, next) = pipe()?;
        runners.push(Process::spawn(pass_on, (last, out))?);
        last = next;
    }
    first.send(baton)?;
    let baton = last.recv()?;
    baton.send(2)?;
    drop(baton);
    runners.into_iter().try_for_each(Process::result)?;
    let received = receiver.iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(received, [1, 1, 1, 1, 1, 2]);
    Ok(())
}

fn use_either(ends: Connection<u32, (Connection<u32>, bool)>) {
    let (sender, sends) = ends.recv().expect("it comes");
    assert!(sends);
    sender.send(7).expect("main is there");
    drop(sender);
    let (receiver, sends) = ends.recv().expect("it comes");
    assert!(!sends);
    ends.send(receiver.iter().map(|number| number.expect("a number")).sum::<u32>()).expect("main is there");
}

fn either_end_of_a_one_way_pipe_travels_through_a_pipe() -> Result<(), Error> {
    let (ends, there) = duplex_pipe::<(Connection<u32>, bool), u32>()?;
    let child = Process::spawn(use_either, there)?;
    let (sender, receiver) = pipe()?;
    ends.send((sender, true))?;
    assert_eq!(receiver.recv()?, 7);
    assert_eq!(refusal(receiver.recv()), Closed);
    let (sender, receiver) = pipe()?;
    // One is in it already when it is moved, and one comes later.
    sender.send(20)?;
    ends.send((receiver, false))?;
    sender.send(22)?;
    drop(sender);
    assert_eq!(ends.recv()?, 42);
    child.result()
}

fn an_end_comes_back_from_where_it_was_moved() -> Result<(), Error> {
    let (sender, receiver) = pipe::<u32>()?;
    let (there, back) = (Queue::<Connection<u32>>::bounded(1)?, Queue::<Connection<u32>>::new()?);
    // By its mover, out of the message.
    there.put(&sender)?;
    let again = there.get()?;
    again.send(1)?;
    // From a peer, while an old handle is still there.
    let send_back = |there: Queue<Connection<u32>>, back: Queue<Connection<u32>>| {
        back.put(there.get().expect("it comes")).expect("there is room");
    };
    let child = Process::spawn(send_back, (there.clone(), back.clone()))?;
    there.put(&again)?;
    let once_more = back.get()?;
    child.result()?;
    once_more.send(2)?;
    // After a message that was not sent.
    let (blocker, _kept) = pipe()?;
    there.put(blocker)?;
    assert_eq!(refusal(there.try_put(&once_more)), Timeout);
    once_more.send(3)?;
    drop((sender, again, once_more));
    assert_eq!(receiver.iter().collect::<Result<Vec<_>, _>>()?, [1, 2, 3]);
    Ok(())
}

fn dropping_the_handle_of_a_moved_end_closes_nothing() -> Result<(), Error> {
    let (here, there) = duplex_byte_pipe(None)?;
    let child = Process::builder(|id: ObjectId| echo(ByteConnection::open(id).expect("it was moved here")))
        .share(&there)
        .spawn(there.id())?;
    drop(there);
    linger();
    here.send(b"still there")?;
    assert_eq!(here.recv()?, b"still there");
    drop(here);
    child.result()
}

fn an_end_is_open_only_once() -> Result<(), Error> {
    let (sender, receiver) = byte_pipe(None)?;
    assert_ne!(sender.id(), receiver.id());
    assert_eq!(refusal(ByteConnection::open(sender.id())), Invalid);
    let open = |id: ObjectId| told(ByteConnection::open(id));
    assert_eq!(Process::spawn(open, sender.id())?.result()?, "Denied");
    sender.send(b"both are whole")?;
    assert_eq!(receiver.recv()?, b"both are whole");
    Ok(())
}

fn an_end_that_is_lost_with_its_message_is_closed() -> Result<(), Error> {
    let (sender, receiver) = pipe::<u32>()?;
    let queue = Queue::<Connection<u32>>::new()?;
    queue.put(sender)?;
    drop(queue);
    assert_eq!(refusal(receiver.recv()), Closed);
    Ok(())
}

fn sizes_that_are_out_of_bounds_are_invalid() -> Result<(), Error> {
    for bytes in [0, (1 << 30) + 1, 1 << 31, 1 << 32, u64::MAX] {
        assert_eq!(refusal(byte_pipe(Some(bytes))), Invalid, "{bytes} bytes");
        assert_eq!(refusal(duplex_byte_pipe(Some(bytes))), Invalid, "{bytes} bytes");
    }
    Ok(())
}
