//! What is done to an object: every operation there is, by one of the processes.

use wasmproc_shm::{
    Barrier, Batch, Cells, Condition, Death, End, Event, GaveUp, Layout, Lock, Message, Pipe, Queue, Semaphore, holder,
    possessions, recover,
};

use crate::input::Input;
use crate::peer::{Few, Peer};

/// A step that is not an operation but a death has this bit.
const DEATH: u8 = 0x80;

/// Whatever comes of a step, it comes, and soon.
pub fn take(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    if step & DEATH != 0 {
        let (dead, seat) = input.process();
        let end = if step & 1 == 0 { End::First } else { End::Second };
        let death = if step & 2 == 0 { Death::Violent } else { Death::Peaceful };
        recover(peer, layout, dead, seat, end, death);
        possessions(&peer, layout);
        holder(&peer, layout);
        return;
    }
    match layout {
        Layout::Lock => lock(step, peer, input),
        Layout::Event => event(step, peer),
        Layout::Semaphore { .. } => semaphore(step, peer, layout, input),
        Layout::Condition { .. } => condition(step, peer, layout, input),
        Layout::Barrier { .. } => barrier(step, peer, layout, input),
        Layout::Queue { .. } => queue(step, peer, layout, input),
        Layout::Pipe { .. } => pipe(step, peer, layout, input),
        Layout::Cells { .. } => cells(step, peer, layout, input),
    }
}

fn patience() -> Few {
    Few::or(GaveUp::TimedOut)
}

fn lock(step: u8, peer: &Peer<'_>, input: &mut Input<'_>) {
    let lock = Lock::new(peer, input.process().0);
    match step % 5 {
        0 => _ = lock.try_acquire(),
        1 => _ = lock.acquire(&mut patience()),
        2 => _ = lock.release(),
        3 => _ = lock.quick_acquire(),
        _ => _ = lock.poll(),
    }
}

fn event(step: u8, peer: &Peer<'_>) {
    let event = Event::new(peer);
    match step % 4 {
        0 => event.set(),
        1 => event.clear(),
        2 => _ = event.wait(&mut Few::or(GaveUp::Cancelled)),
        _ => _ = event.poll(),
    }
}

fn semaphore(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let (me, seat) = input.process();
    let semaphore = Semaphore::new(peer, layout, me, seat);
    match step % 5 {
        0 => _ = semaphore.try_acquire(&mut patience()),
        1 => _ = semaphore.acquire(&mut patience()),
        2 => _ = semaphore.release(input.number(), &mut patience()),
        3 => _ = semaphore.release(u32::MAX - input.number(), &mut patience()),
        _ => _ = semaphore.poll(),
    }
}

fn condition(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let (me, seat) = input.process();
    let condition = Condition::new(peer, layout, me, seat);
    match step % 5 {
        0 => _ = condition.begin(&mut patience()),
        1 => _ = condition.finish(&mut patience()),
        2 => condition.settle(),
        3 => _ = condition.notify(input.number(), &mut patience()),
        _ => _ = condition.poll(input.number()),
    }
}

fn barrier(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let (me, seat) = input.process();
    let barrier = Barrier::new(peer, layout, me, seat);
    match step % 5 {
        0 => {
            if let Ok(passed) = barrier.wait(&mut patience()) {
                assert!(passed.index < barrier.parties(), "whoever passes is one of the parties");
            }
        }
        1 => _ = barrier.abort(&mut patience()),
        2 => _ = barrier.reset(&mut patience()),
        3 => _ = barrier.poll(input.number()),
        _ => assert!(barrier.waiting() <= barrier.parties()),
    }
}

fn queue(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let Layout::Queue { capacity_bytes, max_items, .. } = layout else { return };
    let (me, seat) = input.process();
    let queue = Queue::new(peer, layout, me, seat);
    let mut batch = Batch::default();
    match step % 10 {
        0 => _ = queue.try_put(Message::Here(&message(input)), &mut patience()),
        1 => _ = queue.put(Message::Elsewhere(&message(input)), &mut patience()),
        2 => {
            let lengths = [input.number(), input.number(), input.number()];
            let bytes = vec![1; lengths.iter().sum::<u32>() as usize];
            let (put, result) = queue.put_many(&bytes, &lengths, &mut patience());
            assert!(put <= 3 && (put == 3 || result.is_err()));
        }
        3 => _ = queue.try_get(input.number() as usize, 100, &mut batch, &mut patience()),
        4 => _ = queue.get(input.number() as usize, 9999, &mut batch, &mut patience()),
        5 => _ = queue.task_done(),
        6 => _ = queue.join(&mut patience()),
        7 => _ = queue.poll_items() || queue.poll_room(),
        8 => assert!(queue.len() <= max_items as usize),
        _ => _ = queue.close(&mut patience()),
    }
    check(&batch, capacity_bytes, max_items);
}

fn pipe(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let Layout::Pipe { capacity_bytes, .. } = layout else { return };
    let end = if step & 0x40 == 0 { End::First } else { End::Second };
    let pipe = Pipe::new(peer, layout, end);
    let mut batch = Batch::default();
    match step % 7 {
        0 => _ = pipe.send(Message::Here(&message(input)), &mut patience()),
        1 => _ = pipe.receive(&mut batch, &mut patience()),
        2 => _ = pipe.wait(&mut patience()),
        3 => _ = pipe.poll_receive(),
        4 => _ = pipe.poll_send(),
        5 => pipe.close_sending(),
        _ => pipe.close(),
    }
    check(&batch, capacity_bytes, 1);
}

fn cells(step: u8, peer: &Peer<'_>, layout: Layout, input: &mut Input<'_>) {
    let Layout::Cells { width, length } = layout else { return };
    let cells = Cells::new(peer, layout);
    let (first, count) = (input.number(), input.number());
    let mut bytes = Vec::new();
    let value = match step % 6 {
        0 => cells.load(first),
        1 => cells.swap(first, u64::from(count) << 40),
        2 => cells.add(first, u64::MAX - u64::from(count)),
        3 => cells.compare_exchange(first, count.into(), u64::MAX),
        4 => cells.read(first, count, &mut bytes).map(|()| 0),
        _ => cells.write(first, &vec![7; count as usize * width.bytes()]).map(|()| 0),
    };
    let wanted = if step % 6 < 4 { 1 } else { count };
    assert_eq!(value.is_some(), first.checked_add(wanted).is_some_and(|end| end <= length), "cells are there or not");
    assert!(width.bytes() == 8 || value.unwrap_or(0) >> (width.bytes() * 8) == 0, "a value is as wide as its cell");
}

/// Up to a little more than has room in the smallest ring.
fn message(input: &mut Input<'_>) -> Vec<u8> {
    vec![7; input.number() as usize * 17]
}

fn check(batch: &Batch, capacity_bytes: u32, max_items: u32) {
    assert!(batch.bytes.len() <= capacity_bytes as usize, "a copy is bounded");
    assert!(batch.lengths.len() <= max_items as usize, "a copy is bounded");
    let total: u64 = batch.lengths.iter().map(|length| u64::from(*length)).sum();
    assert_eq!(total, batch.bytes.len() as u64, "all that was copied is told of");
}
