//! Scenarios of queues.

use std::time::Duration;

use serde::{Serialize, Serializer, ser};
use wasmproc_guest::ErrorKind::{Abandoned, Closed, Encoding, Invalid, NotOwner, Timeout, TooLarge};
use wasmproc_guest::{Batch, ByteQueue, Error, Event, Process, Queue, SharedValue};
use wasmproc_test_programs::raw::queue;
use wasmproc_test_programs::{MOMENT, linger, refusal, scenarios, takes_a_moment, told, until};

scenarios!(
    messages_of_many_to_many_come_whole_once_and_in_order,
    messages_of_every_length_come_as_they_were,
    the_longest_message_comes_and_a_longer_one_is_refused,
    a_full_queue_is_waited_for_as_long_as_told,
    a_ring_is_full_by_bytes_too,
    an_empty_queue_is_waited_for_as_long_as_told,
    what_was_put_outlives_its_producer,
    what_a_parent_and_then_its_child_put_comes_in_that_order,
    a_value_that_cannot_be_serialised_leaves_the_queue_as_it_was,
    closing_sends_waiting_getters_home_at_once,
    closing_sends_waiting_putters_home_and_getters_drain,
    len_and_is_full_tell_what_is_queued,
    many_go_in_one_call,
    many_that_have_no_room_together_wait_for_it,
    many_with_a_time_out_tell_how_many_went,
    malformed_batches_are_refused,
    join_waits_until_all_is_dealt_with,
    join_of_an_unused_queue_does_not_wait,
    join_of_a_closed_queue_waits_for_what_is_left,
    a_task_is_done_once_and_by_its_taker,
    join_says_once_that_a_taker_has_died,
    a_message_of_another_type_is_an_error,
    sizes_that_are_out_of_bounds_are_invalid,
);

const RING: usize = 64 << 10;
const HEADER: usize = 8;
const MIB: usize = 1 << 20;

/// Bytes of which no two neighbours, and no two messages of other lengths, are alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index as u32 ^ length as u32).wrapping_mul(0x9E37_79B1).to_le_bytes()[3]).collect()
}

fn produce(queue: Queue<(u32, u32)>, me: u32) {
    for number in 0..500 {
        queue.put((me, number)).expect("it is open");
    }
}

fn consume(queue: Queue<(u32, u32)>) -> Vec<(u32, u32)> {
    queue.iter().collect::<Result<_, _>>().expect("whole messages")
}

fn messages_of_many_to_many_come_whole_once_and_in_order() -> Result<(), Error> {
    let queue = Queue::bounded(20)?;
    let consumers = (0..3).map(|_| Process::spawn(consume, queue.clone())).collect::<Result<Vec<_>, _>>()?;
    let producers = (0..3).map(|me| Process::spawn(produce, (queue.clone(), me))).collect::<Result<Vec<_>, _>>()?;
    producers.into_iter().try_for_each(Process::result)?;
    queue.close()?;
    let mut all = Vec::new();
    for consumer in consumers {
        let taken = consumer.result()?;
        for producer in 0..3 {
            assert!(taken.iter().filter(|(from, _)| *from == producer).is_sorted(), "{taken:?}");
        }
        all.extend(taken);
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..3).flat_map(|producer| (0..500).map(move |number| (producer, number))).collect();
    assert_eq!(all, expected);
    Ok(())
}

fn echo(there: ByteQueue, back: ByteQueue) {
    while let Ok(message) = there.get() {
        back.put(&message).expect("it is open");
    }
}

fn messages_of_every_length_come_as_they_were() -> Result<(), Error> {
    let (there, back) = (ByteQueue::new()?, ByteQueue::new()?);
    let child = Process::spawn(echo, (there.clone(), back.clone()))?;
    let exactly = RING - HEADER;
    let lengths = [0, 1, 7, 8, 9, 4096, exactly / 2, exactly - 1, exactly, exactly + 1, RING, RING + 1, MIB, 3 * MIB];
    for length in lengths.into_iter().chain(lengths.into_iter().rev()) {
        there.put(&pattern(length))?;
        assert!(back.get()? == pattern(length), "{length} bytes");
    }
    // What is short and what is long keep their order.
    for length in [3, MIB, 0, RING] {
        there.put(&pattern(length))?;
    }
    for length in [3, MIB, 0, RING] {
        assert!(back.get()? == pattern(length), "{length} bytes");
    }
    there.close()?;
    child.result()
}

fn the_longest_message_comes_and_a_longer_one_is_refused() -> Result<(), Error> {
    let (there, back) = (ByteQueue::new()?, ByteQueue::new()?);
    let child = Process::spawn(echo, (there.clone(), back.clone()))?;
    let mut message = vec![7; 64 * MIB];
    message[64 * MIB - 1] = 8;
    there.put(&message)?;
    assert!(back.get()? == message);
    message.push(9);
    assert_eq!(refusal(there.put(&message)), TooLarge);
    assert_eq!(refusal(there.try_put(&message)), TooLarge);
    there.put(b"the queue goes on")?;
    assert_eq!(back.get()?, b"the queue goes on");
    there.close()?;
    child.result()
}

fn a_full_queue_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let queue = Queue::bounded(2)?;
    queue.put(1)?;
    queue.try_put(2)?;
    assert!(queue.is_full());
    assert_eq!(refusal(queue.try_put(3)), Timeout);
    assert_eq!(refusal(takes_a_moment(|| queue.put_timeout(3, MOMENT))), Timeout);
    let take = |queue: Queue<u32>| {
        linger();
        queue.get().expect("one is there")
    };
    let child = Process::spawn(take, queue.clone())?;
    queue.put_timeout(3, Duration::MAX)?;
    assert_eq!(child.result()?, 1);
    assert_eq!((queue.get()?, queue.get()?, queue.try_get()?), (2, 3, None));
    Ok(())
}

fn a_ring_is_full_by_bytes_too() -> Result<(), Error> {
    let queue = Queue::<()>::builder().capacity(4096).create_bytes()?;
    queue.put(&[1; 4096 - HEADER])?;
    assert_eq!(refusal(queue.try_put(&[])), Timeout);
    // One that travels in memory of its own needs a place in the ring as well.
    assert_eq!(refusal(queue.try_put(&[3; 5000])), Timeout);
    assert_eq!(queue.get()?.len(), 4096 - HEADER);
    queue.try_put(&[3; 5000])?;
    queue.try_put(&[])?;
    assert_eq!((queue.get()?.len(), queue.get()?.len()), (5000, 0));
    Ok(())
}

fn an_empty_queue_is_waited_for_as_long_as_told() -> Result<(), Error> {
    let queue = Queue::new()?;
    assert_eq!(queue.try_get()?, None);
    assert_eq!(takes_a_moment(|| queue.get_timeout(MOMENT))?, None);
    assert!(takes_a_moment(|| queue.get_many_timeout(5, MOMENT))?.is_empty());
    let put = |queue: Queue<u32>| {
        linger();
        queue.put(7).expect("there is room");
    };
    let child = Process::spawn(put, queue.clone())?;
    assert_eq!(queue.get_timeout(Duration::MAX)?, Some(7));
    child.result()
}

fn what_was_put_outlives_its_producer() -> Result<(), Error> {
    let queue = Queue::new()?;
    Process::spawn(produce, (queue.clone(), 1))?.result()?;
    let die = |queue: Queue<(u32, u32)>| -> () {
        queue.put((2, 0)).expect("there is room");
        panic!("as it must");
    };
    assert_eq!(Process::spawn(die, queue.clone())?.join()?.code(), -6);
    assert_eq!(queue.len(), 501);
    for number in 0..500 {
        assert_eq!(queue.get()?, (1, number));
    }
    assert_eq!(queue.get()?, (2, 0));
    Ok(())
}

fn what_a_parent_and_then_its_child_put_comes_in_that_order() -> Result<(), Error> {
    let queue = Queue::new()?;
    queue.put_many(0..10)?;
    let put = |queue: Queue<u32>| (10..20).try_for_each(|number| queue.put(number)).expect("there is room");
    let child = Process::spawn(put, queue.clone())?;
    for number in 0..20 {
        assert_eq!(queue.get()?, number);
    }
    child.result()?;
    assert_eq!(queue.try_get()?, None);
    Ok(())
}

/// Serialises as a number, or refuses to.
struct Moody(Option<u32>);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.ok_or_else(|| ser::Error::custom("not today"))?.serialize(serializer)
    }
}

fn a_value_that_cannot_be_serialised_leaves_the_queue_as_it_was() -> Result<(), Error> {
    let queue = Queue::<Vec<Moody>>::bounded(1)?;
    let refused = refusal(queue.put(vec![Moody(Some(1)), Moody(None)]));
    assert_eq!((refused, queue.len(), queue.is_full()), (Encoding, 0, false));
    queue.put(vec![Moody(Some(2)), Moody(Some(3))])?;
    // It would wait for ever if it went for a place before it was serialised.
    assert_eq!(refusal(queue.put(vec![Moody(None)])), Encoding);
    assert_eq!(Queue::<Vec<u32>>::open(queue.id())?.get()?, [2, 3]);
    assert!(queue.is_empty());
    Ok(())
}

fn get(queue: Queue<u32>, coming: SharedValue<u32>) -> String {
    coming.add(1);
    told(queue.get())
}

fn closing_sends_waiting_getters_home_at_once() -> Result<(), Error> {
    let (queue, coming) = (Queue::new()?, SharedValue::new(0)?);
    let spawn = |_| Process::spawn(get, (queue.clone(), coming.clone()));
    let getters = (0..3).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 3);
    linger();
    queue.close()?;
    for getter in getters {
        assert_eq!(getter.result()?, "Closed");
    }
    assert_eq!(refusal(queue.get()), Closed);
    assert_eq!(refusal(queue.try_get()), Closed);
    Ok(())
}

fn put(queue: Queue<u32>, coming: SharedValue<u32>) -> String {
    coming.add(1);
    told(queue.put(9))
}

fn closing_sends_waiting_putters_home_and_getters_drain() -> Result<(), Error> {
    let (queue, coming) = (Queue::bounded(2)?, SharedValue::new(0)?);
    queue.put(1)?;
    queue.put(2)?;
    let spawn = |_| Process::spawn(put, (queue.clone(), coming.clone()));
    let putters = (0..3).map(spawn).collect::<Result<Vec<_>, _>>()?;
    until("all come", || coming.load() == 3);
    linger();
    queue.close()?;
    queue.close()?;
    for putter in putters {
        assert_eq!(putter.result()?, "Closed");
    }
    assert!(queue.is_closed());
    assert_eq!(refusal(queue.put(3)), Closed);
    assert_eq!(refusal(queue.try_put(3)), Closed);
    assert_eq!((queue.get()?, queue.get_timeout(Duration::MAX)?), (1, Some(2)));
    assert_eq!(refusal(queue.get()), Closed);
    Ok(())
}

fn len_and_is_full_tell_what_is_queued() -> Result<(), Error> {
    let queue = Queue::bounded(3)?;
    let look = |queue: Queue<u32>| (queue.len(), queue.is_empty(), queue.is_full());
    for expected in [(0, true, false), (1, false, false), (2, false, false), (3, false, true)] {
        assert_eq!(look(queue.clone()), expected);
        assert_eq!(Process::spawn(look, queue.clone())?.result()?, expected);
        let _ = queue.try_put(0);
    }
    queue.get()?;
    assert_eq!(look(queue.clone()), (2, false, false));
    Ok(())
}

fn many_go_in_one_call() -> Result<(), Error> {
    let queue = ByteQueue::new()?;
    let batch: Batch = ["one", "", "three"].iter().collect();
    assert_eq!(queue.put_many(&batch)?, 3);
    queue.put(b"four")?;
    assert_eq!(queue.get_many(2)?.iter().collect::<Vec<_>>(), [&b"one"[..], b""]);
    let rest = |queue: ByteQueue| queue.get_many(100).expect("two are there").iter().map(<[u8]>::to_vec).collect();
    let rest: Vec<Vec<u8>> = Process::spawn(rest, queue.clone())?.result()?;
    assert_eq!(rest, [&b"three"[..], b"four"]);
    assert_eq!(queue.put_many(&Batch::new())?, 0);
    // A long one comes alone.
    queue.put(&pattern(MIB))?;
    queue.put(b"short")?;
    assert!(queue.get_many(100)?.iter().eq([&pattern(MIB)[..]]));
    assert_eq!(queue.get_many(100)?.len(), 1);
    Ok(())
}

fn many_that_have_no_room_together_wait_for_it() -> Result<(), Error> {
    let queue = Queue::bounded(10)?;
    let consume = |queue: Queue<u32>| {
        let mut taken = Vec::new();
        while let Ok(some) = queue.get_many(7) {
            assert!((1..=7).contains(&some.len()));
            taken.extend(some);
        }
        taken
    };
    let child = Process::spawn(consume, queue.clone())?;
    assert_eq!(queue.put_many(0..1000)?, 1000);
    queue.close()?;
    assert!(child.result()?.into_iter().eq(0..1000));
    Ok(())
}

fn three_and_a_half() -> queue::Batch {
    queue::Batch { bytes: vec![5; 7], lengths: vec![2, 2, 2, 1] }
}

fn many_with_a_time_out_tell_how_many_went() -> Result<(), Error> {
    let queue = queue::Queue::create(queue::Options { capacity_bytes: None, max_items: Some(3) })?;
    assert_eq!(queue.put_many(&three_and_a_half(), Some(0))?, 3);
    assert_eq!(refusal(queue.put_many(&three_and_a_half(), Some(1000))), Timeout);
    queue.get(None)?;
    assert_eq!(queue.put_many(&three_and_a_half(), Some(1000))?, 1);
    queue.close()?;
    assert_eq!(refusal(queue.put_many(&three_and_a_half(), None)), Closed);
    assert_eq!(queue.get_many(10, None)?.lengths, [2, 2, 2]);
    Ok(())
}

fn malformed_batches_are_refused() -> Result<(), Error> {
    let queue = queue::Queue::create(queue::Options { capacity_bytes: Some(4096), max_items: None })?;
    for lengths in [vec![], vec![6], vec![8], vec![3, 3], vec![u32::MAX, 8], vec![7, 0, u32::MAX]] {
        let batch = queue::Batch { bytes: vec![1; 7], lengths };
        assert_eq!(refusal(queue.put_many(&batch, Some(0))), Invalid, "{:?}", batch.lengths);
    }
    let too_long = queue::Batch { bytes: vec![1; 5000], lengths: vec![5000] };
    assert_eq!(refusal(queue.put_many(&too_long, Some(0))), TooLarge);
    assert_eq!(refusal(queue.get_many(0, Some(0)).map(|batch| batch.lengths)), Invalid);
    assert_eq!(queue.len(), 0);
    Ok(())
}

fn deal_with(queue: Queue<u32>, taken: Event, go: Event) {
    for number in 0..3 {
        assert_eq!(queue.get().expect("it is there"), number);
    }
    taken.set();
    go.wait().expect("main sets it");
    for _ in 0..3 {
        queue.task_done().expect("three were taken");
    }
}

fn join_waits_until_all_is_dealt_with() -> Result<(), Error> {
    let (queue, taken, go) = (Queue::new()?, Event::new()?, Event::new()?);
    queue.put_many(0..3)?;
    assert!(!queue.join_timeout(Duration::ZERO)?, "three are queued");
    let child = Process::spawn(deal_with, (queue.clone(), taken.clone(), go.clone()))?;
    taken.wait()?;
    assert!(queue.is_empty());
    assert!(!takes_a_moment(|| queue.join_timeout(MOMENT))?, "three are taken");
    go.set();
    queue.join()?;
    child.result()?;
    queue.put(3)?;
    assert!(!queue.join_timeout(Duration::ZERO)?, "one more");
    queue.get()?;
    queue.task_done()?;
    assert!(queue.join_timeout(Duration::MAX)?);
    Ok(())
}

fn join_of_an_unused_queue_does_not_wait() -> Result<(), Error> {
    let queue = Queue::<u32>::new()?;
    queue.join()?;
    assert!(queue.join_timeout(Duration::ZERO)?);
    queue.close()?;
    queue.join()
}

fn join_of_a_closed_queue_waits_for_what_is_left() -> Result<(), Error> {
    let queue = Queue::new()?;
    queue.put(1)?;
    let child = Process::spawn(|queue: Queue<u32>| told(queue.join()), queue.clone())?;
    queue.close()?;
    assert!(!takes_a_moment(|| queue.join_timeout(MOMENT))?, "it is queued");
    assert_eq!(queue.get()?, 1);
    assert!(!queue.join_timeout(Duration::ZERO)?, "it is taken");
    assert!(child.is_alive());
    queue.task_done()?;
    queue.join()?;
    assert_eq!(child.result()?, "ok");
    Ok(())
}

fn a_task_is_done_once_and_by_its_taker() -> Result<(), Error> {
    let queue = Queue::new()?;
    assert_eq!(refusal(queue.task_done()), NotOwner);
    queue.put_many([1, 2])?;
    assert_eq!(refusal(queue.task_done()), NotOwner, "nothing was taken");
    queue.get_many(2)?;
    let task_done = |queue: Queue<u32>| told(queue.task_done());
    assert_eq!(Process::spawn(task_done, queue.clone())?.result()?, "NotOwner");
    queue.task_done()?;
    queue.task_done()?;
    assert_eq!(refusal(queue.task_done()), NotOwner);
    queue.join()
}

fn join_says_once_that_a_taker_has_died() -> Result<(), Error> {
    let queue = Queue::new()?;
    queue.put_many([1, 2, 3])?;
    let take_and_die = |queue: Queue<u32>| -> () {
        queue.get_many(2).expect("they are there");
        queue.task_done().expect("of one");
        panic!("as it must");
    };
    assert_eq!(Process::spawn(take_and_die, queue.clone())?.join()?.code(), -6);
    assert!(!queue.join_timeout(Duration::ZERO)?, "the third is queued");
    queue.get()?;
    queue.task_done()?;
    assert_eq!(refusal(queue.join()), Abandoned);
    queue.join()?;
    Ok(())
}

fn a_message_of_another_type_is_an_error() -> Result<(), Error> {
    let text = Queue::<String>::new()?;
    let numbers = Queue::<u32>::open(text.id())?;
    text.put("much more than a number".to_owned())?;
    assert_eq!(refusal(numbers.get()), Encoding);
    assert_eq!(numbers.try_get()?, None);
    Ok(())
}

fn sizes_that_are_out_of_bounds_are_invalid() -> Result<(), Error> {
    for bytes in [0, (1 << 30) + 1, 1 << 31, 1 << 32, u64::MAX] {
        assert_eq!(refusal(Queue::<u32>::builder().capacity(bytes).create()), Invalid, "{bytes} bytes");
    }
    for items in [0, 1 << 24, u32::MAX] {
        assert_eq!(refusal(Queue::<u32>::bounded(items)), Invalid, "{items} items");
    }
    // Not a power of two.
    let queue = Queue::<u32>::builder().capacity(5000).max_items((1 << 24) - 1).create_bytes()?;
    queue.try_put(&[1; 8192 - HEADER])
}
