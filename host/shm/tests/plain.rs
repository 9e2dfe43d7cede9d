//! Each object against a plain model of it, in memory of one process; and in memory full of nonsense.

use std::collections::VecDeque;

use proptest::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use wasmproc_shm::{
    Barrier, Batch, Cells, Condition, Death, End, Event, Findings, Heap, Layout, Lease, Lock, Memory, Message, Never,
    Pipe, Queue, Refused, Seat, Semaphore, Tasks, Width, holder, initialise, possessions, recover,
};

/// Where a queue keeps the tail and the head of its ring: part of the format, as the tests for it need them.
const QUEUE_TAIL: usize = 8;
const QUEUE_HEAD: usize = 20;
/// The highest position and the highest count of a ring.
const POSITION: u64 = (1 << 40) - 1;

fn lease() -> Lease {
    Lease::new(1).unwrap()
}

fn heap(layout: Layout) -> Heap {
    let heap = Heap::new(layout.bytes());
    initialise(&heap, layout);
    heap
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| seed.wrapping_add(index as u8)).collect()
}

/// A place in the ring where a run of puts and gets begins.
fn beginnings() -> impl Strategy<Value = u64> {
    let near_the_end = (0..1024u64).prop_map(|back| (POSITION & !7) - back * 8);
    let positions = prop_oneof![Just(0), near_the_end];
    let counts = prop_oneof![Just(0u64), (0..8u64).prop_map(|back| (1 << 24) - 1 - back)];
    (positions, counts).prop_map(|(position, count)| count << 40 | position)
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, usize),
    PutMany(Vec<(u8, usize)>),
    Get(usize, usize),
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..64usize, 0..=5000usize, 4080..=4096usize]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (any::<u8>(), lengths()).prop_map(|(seed, length)| Step::Put(seed, length)),
        prop::collection::vec((any::<u8>(), 0..600usize), 0..12).prop_map(Step::PutMany),
        (0..6usize, 0..5000usize).prop_map(|(items, bytes)| Step::Get(items, bytes)),
    ];
    prop::collection::vec(step, 1..60)
}

fn room_for(length: usize) -> usize {
    8 + length.next_multiple_of(8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_behaves_as_a_deque_does(begin in beginnings(), steps in steps(), max_items in prop_oneof![1..10u32, Just(1000)]) {
        let layout = Layout::Queue { capacity_bytes: 4096, max_items, seats: 2 };
        let heap = heap(layout);
        heap.long(QUEUE_TAIL).store(begin, Relaxed);
        heap.long(QUEUE_HEAD).store(begin, Relaxed);
        let queue = Queue::new(&heap, layout, lease(), Seat(1));
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut taken = 0;
        for step in steps {
            let used = |model: &VecDeque<Vec<u8>>| model.iter().map(|message| room_for(message.len())).sum::<usize>();
            let fits = |model: &VecDeque<Vec<u8>>, length| {
                model.len() < max_items as usize && used(model) + room_for(length) <= 4096
            };
            match step {
                Step::Put(seed, length) => {
                    let message = bytes(seed, length);
                    let put = queue.try_put(Message::Here(&message), &mut Never);
                    if length > 4088 {
                        prop_assert_eq!(put, Err(Refused::TooLarge));
                    } else {
                        prop_assert_eq!(put, Ok(fits(&model, length)));
                        if put == Ok(true) {
                            model.push_back(message);
                        }
                    }
                }
                Step::PutMany(messages) => {
                    let all: Vec<u8> = messages.iter().flat_map(|(seed, length)| bytes(*seed, *length)).collect();
                    let lengths: Vec<u32> = messages.iter().map(|(_, length)| *length as u32).collect();
                    let (put, result) = queue.put_many(&all, &lengths, &mut Never);
                    let mut expected = 0;
                    while expected < messages.len() && fits(&model, messages[expected].1) {
                        model.push_back(bytes(messages[expected].0, messages[expected].1));
                        expected += 1;
                    }
                    prop_assert_eq!(put, expected);
                    prop_assert_eq!(result, if put == messages.len() { Ok(()) } else { Err(Refused::TimedOut) });
                }
                Step::Get(items, most) => {
                    let mut batch = Batch::default();
                    let got = queue.try_get(items, most, &mut batch, &mut Never);
                    prop_assert_eq!(got, Ok(!model.is_empty()));
                    let mut expected = Batch::default();
                    while let Some(next) = model.front() {
                        let alone = expected.lengths.is_empty();
                        let over = expected.lengths.len() >= items || expected.bytes.len() + next.len() > most;
                        if !alone && over {
                            break;
                        }
                        expected.lengths.push(next.len() as u32);
                        expected.bytes.extend(model.pop_front().unwrap());
                    }
                    taken += expected.lengths.len();
                    prop_assert_eq!(batch, expected);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_full(), !fits(&model, 0));
        }
        for _ in 0..taken {
            queue.task_done().unwrap();
        }
        prop_assert_eq!(queue.task_done(), Err(Refused::NotOwner));
        prop_assert_eq!(queue.join(&mut Never).is_ok(), model.is_empty());
    }

    #[test]
    fn a_pipe_behaves_as_a_deque_does(begin in beginnings(), steps in steps()) {
        let layout = Layout::Pipe { capacity_bytes: 4096, duplex: true };
        let heap = heap(layout);
        for at in [16, 48, 80, 112] {
            heap.long(at).store(begin, Relaxed);
        }
        let ends = [End::First, End::Second].map(|end| Pipe::new(&heap, layout, end));
        let mut models: [VecDeque<Vec<u8>>; 2] = Default::default();
        for (index, step) in steps.into_iter().enumerate() {
            let (from, model) = (index % 2, &mut models[index % 2]);
            match step {
                Step::Put(seed, length) => {
                    let message = bytes(seed, length);
                    let used: usize = model.iter().map(|message| room_for(message.len())).sum();
                    let expected = match length {
                        4089.. => Err(Refused::TooLarge),
                        _ if used + room_for(length) > 4096 => Err(Refused::TimedOut),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(ends[from].send(Message::Here(&message), &mut Never), expected);
                    if expected.is_ok() {
                        model.push_back(message);
                    }
                }
                _ => {
                    let mut batch = Batch::default();
                    let received = ends[1 - from].receive(&mut batch, &mut Never);
                    match model.pop_front() {
                        Some(message) => prop_assert_eq!((received, batch.bytes), (Ok(()), message)),
                        None => prop_assert_eq!(received, Err(Refused::TimedOut)),
                    }
                }
            }
        }
        ends[0].close();
        let mut batch = Batch::default();
        // What was sent before is read, then comes the end; and nobody reads what goes the other way.
        for message in &models[0] {
            batch = Batch::default();
            prop_assert_eq!(ends[1].receive(&mut batch, &mut Never), Ok(()));
            prop_assert_eq!(&batch.bytes, message);
        }
        prop_assert_eq!(ends[1].receive(&mut batch, &mut Never), Err(Refused::Closed));
        prop_assert_eq!(ends[1].send(Message::Here(b""), &mut Never), Err(Refused::Closed));
    }

    #[test]
    fn a_bounded_semaphore_counts(permits in 1..5u32, steps in prop::collection::vec((0..3usize, any::<bool>(), 1..4u32), 0..60)) {
        let layout = Layout::Semaphore { permits, bounded: true, seats: 3 };
        let heap = heap(layout);
        let holders = [0, 1, 2].map(|seat| Semaphore::new(&heap, layout, Lease::new(seat + 1).unwrap(), Seat(seat)));
        let mut held = [0; 3];
        for (who, acquires, count) in steps {
            let free = permits - held.iter().sum::<u32>();
            prop_assert_eq!(holders[who].available(), free);
            if acquires {
                let expected = if free > 0 { Ok(()) } else { Err(Refused::TimedOut) };
                prop_assert_eq!(holders[who].acquire(&mut Never), expected);
                held[who] += u32::from(free > 0);
            } else {
                let expected = if held[who] >= count { Ok(()) } else { Err(Refused::NotOwner) };
                prop_assert_eq!(holders[who].release(count, &mut Never), expected);
                held[who] -= if expected.is_ok() { count } else { 0 };
            }
        }
        for (seat, held) in [0, 1, 2].into_iter().zip(held) {
            let findings = recover(&heap, layout, Lease::new(seat + 1).unwrap(), Seat(seat), End::First, Death::Violent);
            prop_assert_eq!(findings, if held > 0 { Findings::Held } else { Findings::Nothing });
        }
        prop_assert_eq!(holders[0].available(), permits);
    }

    #[test]
    fn cells_behave_as_an_array_does(
        width in prop_oneof![Just(Width::One), Just(Width::Two), Just(Width::Four), Just(Width::Eight)],
        steps in prop::collection::vec((0..9u32, 0..3u8, any::<u64>()), 0..60),
    ) {
        let layout = Layout::Cells { width, length: 7 };
        let heap = heap(layout);
        let cells = Cells::new(&heap, layout);
        let mask = u64::MAX >> (64 - width.bytes() * 8);
        let mut model = [0u64; 7];
        for (index, what, value) in steps {
            let before = model.get(index as usize).copied();
            let seen = match what {
                0 => cells.swap(index, value),
                1 => cells.add(index, value),
                _ => cells.compare_exchange(index, before.unwrap_or(0), value),
            };
            prop_assert_eq!(seen, before);
            if let Some(cell) = model.get_mut(index as usize) {
                *cell = if what == 1 { cell.wrapping_add(value) } else { value } & mask;
            }
        }
        let (mut read, mut expected) = (Vec::new(), Vec::new());
        cells.read(0, 7, &mut read).unwrap();
        model.iter().for_each(|cell| expected.extend_from_slice(&cell.to_le_bytes()[..width.bytes()]));
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(cells.read(3, 5, &mut read), None);
        prop_assert_eq!(cells.write(u32::MAX, &read), None);
        cells.write(0, &expected).unwrap();
    }

    #[test]
    fn memory_full_of_nonsense_is_an_error_and_nothing_else(
        control in prop::collection::vec(nonsense(), 128),
        data in prop::collection::vec(any::<u8>(), 64),
    ) {
        for layout in LAYOUTS {
            let heap = Heap::new(layout.bytes());
            for at in 0..layout.bytes() / 4 {
                let word = if at < control.len() { control[at] } else { u32::from_le_bytes([data[at % 64]; 4]) };
                heap.word(at).store(word, Relaxed);
            }
            use_everything(&heap, layout);
        }
    }
}

/// Words that are likely to do harm: small numbers, and numbers with few bits.
fn nonsense() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..9u32, (0..32u32).prop_map(|bit| 1 << bit), any::<u32>(), Just(u32::MAX)]
}

const LAYOUTS: [Layout; 9] = [
    Layout::Lock,
    Layout::Event,
    Layout::Semaphore { permits: 3, bounded: true, seats: 4 },
    Layout::Semaphore { permits: 3, bounded: false, seats: 0 },
    Layout::Condition { seats: 4 },
    Layout::Barrier { parties: 2, seats: 4 },
    Layout::Queue { capacity_bytes: 4096, max_items: 5, seats: 4 },
    Layout::Pipe { capacity_bytes: 4096, duplex: true },
    Layout::Cells { width: Width::Two, length: 5 },
];

/// Every operation of every object. They may say what they like.
fn use_everything(heap: &Heap, layout: Layout) {
    let (me, seat) = (lease(), Seat(1));
    let mut batch = Batch::default();
    let dead = || {
        for end in [End::First, End::Second] {
            for death in [Death::Violent, Death::Peaceful] {
                recover(heap, layout, Lease::new(2).unwrap(), Seat(0), end, death);
            }
        }
        possessions(heap, layout);
        holder(heap, layout);
    };
    dead();
    match layout {
        Layout::Lock => {
            let lock = Lock::new(heap, me);
            lock.try_acquire();
            lock.acquire(&mut Never).ok();
            lock.poll();
            lock.release().ok();
        }
        Layout::Event => {
            let event = Event::new(heap);
            event.wait(&mut Never).ok();
            event.set();
            event.clear();
            event.poll();
        }
        Layout::Semaphore { .. } => {
            let semaphore = Semaphore::new(heap, layout, me, seat);
            semaphore.acquire(&mut Never).ok();
            semaphore.try_acquire(&mut Never).ok();
            semaphore.release(2, &mut Never).ok();
            semaphore.release(u32::MAX, &mut Never).ok();
            semaphore.poll();
        }
        Layout::Condition { .. } => {
            let condition = Condition::new(heap, layout, me, seat);
            condition.begin(&mut Never).ok();
            condition.finish(&mut Never).ok();
            condition.notify(u32::MAX, &mut Never).ok();
            condition.poll(0);
        }
        Layout::Barrier { .. } => {
            let barrier = Barrier::new(heap, layout, me, seat);
            barrier.wait(&mut Never).ok();
            barrier.abort(&mut Never).ok();
            barrier.reset(&mut Never).ok();
            barrier.wait(&mut Never).ok();
            barrier.poll(0);
            barrier.waiting();
        }
        Layout::Queue { .. } => {
            let queue = Queue::new(heap, layout, me, seat);
            queue.len();
            queue.poll_items();
            queue.poll_room();
            for length in [0, 1, 4088] {
                queue.put(Message::Here(&bytes(1, length)), &mut Never).ok();
                queue.put_many(&bytes(1, 16), &[8, 0, 8], &mut Never).1.ok();
                batch = Batch::default();
                queue.get(3, 5000, &mut batch, &mut Never).ok();
            }
            queue.task_done().ok();
            queue.join(&mut Never).ok();
            queue.close(&mut Never).ok();
        }
        Layout::Pipe { .. } => {
            for end in [End::First, End::Second] {
                let pipe = Pipe::new(heap, layout, end);
                pipe.poll_receive();
                pipe.poll_send();
                for length in [0, 1, 4088] {
                    pipe.send(Message::Elsewhere(&bytes(1, length)), &mut Never).ok();
                    batch = Batch::default();
                    pipe.receive(&mut batch, &mut Never).ok();
                }
                pipe.wait(&mut Never).ok();
                pipe.close();
            }
        }
        Layout::Cells { .. } => {
            Cells::new(heap, layout).add(4, 70000);
        }
    }
    drop(batch);
    dead();
}

#[test]
fn positions_between_double_words_are_damage() {
    let layout = Layout::Queue { capacity_bytes: 4096, max_items: 5, seats: 4 };
    for position in [1, 4, 4092] {
        let heap = heap(layout);
        heap.long(QUEUE_TAIL).store(position, Relaxed);
        heap.long(QUEUE_HEAD).store(position, Relaxed);
        let queue = Queue::new(&heap, layout, lease(), Seat(0));
        assert_eq!(queue.try_put(Message::Here(b"1"), &mut Never), Err(Refused::Damaged));
    }
}

#[test]
fn a_recovery_that_was_interrupted_is_done_once_more() {
    let layout = Layout::Semaphore { permits: 2, bounded: true, seats: 2 };
    let heap = heap(layout);
    // The word of the claim, as a supervisor leaves it that is stopped in the middle.
    heap.word(2).store(Lease::SUPERVISOR.number(), Relaxed);
    heap.word(5).store(0, Relaxed);
    assert_eq!(recover(&heap, layout, lease(), Seat(0), End::First, Death::Violent), Findings::Held);
    assert_eq!(Semaphore::new(&heap, layout, lease(), Seat(0)).available(), 2);
}

#[test]
fn a_get_of_no_messages_takes_one() {
    let layout = Layout::Queue { capacity_bytes: 4096, max_items: 5, seats: 2 };
    let heap = heap(layout);
    let queue = Queue::new(&heap, layout, lease(), Seat(0));
    queue.put(Message::Here(b"1"), &mut Never).unwrap();
    let mut batch = Batch::default();
    assert_eq!(queue.try_get(0, 0, &mut batch, &mut Never), Ok(true));
    assert_eq!(batch.bytes, b"1");
    queue.task_done().unwrap();
    assert_eq!(queue.join(&mut Never), Ok(Tasks::Done));
}

#[test]
fn a_note_of_a_message_elsewhere_travels_alone() {
    let layout = Layout::Queue { capacity_bytes: 4096, max_items: 5, seats: 2 };
    let heap = heap(layout);
    let queue = Queue::new(&heap, layout, lease(), Seat(0));
    for message in [Message::Here(b"1"), Message::Elsewhere(b"2"), Message::Here(b"3")] {
        queue.put(message, &mut Never).unwrap();
    }
    for (expected, elsewhere) in [(b"1", false), (b"2", true), (b"3", false)] {
        let mut batch = Batch::default();
        queue.get(9, 9999, &mut batch, &mut Never).unwrap();
        assert_eq!((&batch.bytes[..], batch.elsewhere), (&expected[..], elsewhere));
    }
}
