//! A process that writes nonsense into all that it was granted.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use wasmproc_shm::{
    Barrier, Batch, Cells, Condition, Death, End, Event, Layout, Lock, Memory, Message, Pipe, Queue, Seat, Semaphore,
    Width, holder, possessions, recover,
};

use crate::child::{Child, Ended, alone};
use crate::world::{Object, Random, Until, View, lease};

const LAYOUTS: [Layout; 9] = [
    Layout::Lock,
    Layout::Event,
    Layout::Semaphore { permits: 3, bounded: true, seats: 4 },
    Layout::Semaphore { permits: 3, bounded: false, seats: 0 },
    Layout::Condition { seats: 4 },
    Layout::Barrier { parties: 2, seats: 4 },
    Layout::Queue { capacity_bytes: 4096, max_items: 5, seats: 4 },
    Layout::Pipe { capacity_bytes: 4096, duplex: true },
    Layout::Cells { width: Width::Two, length: 500 },
];

fn duration() -> Duration {
    let seconds =
        std::env::var("SHM_SCRIBBLE_SECONDS").map(|number| number.parse().expect("SHM_SCRIBBLE_SECONDS is a number"));
    Duration::from_secs(seconds.unwrap_or(2))
}

/// A time that an operation on a damaged object may take before it gives up.
fn moment() -> Until {
    Until::after_at_most(Duration::from_millis(2))
}

/// Writes over everything, now wildly and now with numbers that are likely to do harm, and leaves it alone for a moment
/// from time to time.
fn scribble(objects: &[Object], until: Instant) -> i32 {
    let mut random = Random::new(7);
    while Instant::now() < until {
        for object in objects {
            let words = object.layout.bytes() as u64 / 4;
            for _ in 0..random.below(200) {
                let control = if random.below(3) > 0 { words.min(128) } else { words };
                let at = random.below(control) as usize;
                let value = match random.below(4) {
                    0 => random.next() as u32,
                    1 => random.below(9) as u32,
                    2 => 1 << random.below(32),
                    _ => 0,
                };
                object.memory.word(at).store(value, Relaxed);
            }
        }
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(2000)));
        }
    }
    0
}

/// Uses an object that somebody damages. Whatever comes of it, it comes.
fn use_damaged(memory: View, layout: Layout, number: u32) {
    let (me, seat) = (lease(number), Seat(number));
    let mut batch = Batch::default();
    match layout {
        Layout::Lock => {
            let lock = Lock::new(memory, me);
            if lock.acquire(&mut moment()).is_ok() {
                lock.release().ok();
            }
            lock.poll();
        }
        Layout::Event => {
            let event = Event::new(memory);
            event.set();
            event.clear();
            event.wait(&mut moment()).ok();
            event.poll();
        }
        Layout::Semaphore { .. } => {
            let semaphore = Semaphore::new(memory, layout, me, seat);
            semaphore.acquire(&mut moment()).ok();
            semaphore.release(1, &mut moment()).ok();
            semaphore.poll();
        }
        Layout::Condition { .. } => {
            let condition = Condition::new(memory, layout, me, seat);
            condition.begin(&mut moment()).ok();
            condition.finish(&mut moment()).ok();
            condition.notify(2, &mut moment()).ok();
            condition.poll(condition.notifications());
        }
        Layout::Barrier { .. } => {
            let barrier = Barrier::new(memory, layout, me, seat);
            barrier.wait(&mut moment()).ok();
            barrier.reset(&mut moment()).ok();
            barrier.poll(barrier.changes());
        }
        Layout::Queue { .. } => {
            let queue = Queue::new(memory, layout, me, seat);
            queue.put(Message::Here(&[number as u8; 1500]), &mut moment()).ok();
            queue.put_many(&[1; 64], &[1, 30, 33], &mut moment()).1.ok();
            queue.get(9, 9999, &mut batch, &mut moment()).ok();
            assert!(batch.bytes.len() <= 5 * 4096 && batch.lengths.len() <= 5, "a copy is bounded");
            queue.task_done().ok();
            queue.join(&mut moment()).ok();
            queue.poll_items();
            queue.poll_room();
            queue.len();
        }
        Layout::Pipe { .. } => {
            let pipe = Pipe::new(memory, layout, if number == 1 { End::First } else { End::Second });
            pipe.send(Message::Here(&[number as u8; 1500]), &mut moment()).ok();
            pipe.receive(&mut batch, &mut moment()).ok();
            assert!(batch.bytes.len() <= 4096, "a copy is bounded");
            pipe.poll_receive();
            pipe.poll_send();
        }
        Layout::Cells { .. } => {
            let cells = Cells::new(memory, layout);
            cells.add(number, 1).unwrap();
            cells.read(0, 500, &mut batch.bytes).unwrap();
        }
    }
}

/// Two who use objects of their own, which nobody damages.
fn use_own(queue: &Object, lock: &Object, number: u32, round: u32) {
    let me = lease(number);
    let own = Queue::new(&queue.memory, queue.layout, me, Seat(number));
    own.put(Message::Here(&round.to_le_bytes()), &mut Until::it_hangs()).unwrap();
    let mut batch = Batch::default();
    own.get(1, 0, &mut batch, &mut Until::it_hangs()).unwrap();
    assert_eq!(batch.lengths, [4]);
    own.task_done().unwrap();
    let own = Lock::new(&lock.memory, me);
    own.acquire(&mut Until::it_hangs()).unwrap();
    assert_eq!(own.holder(), number);
    own.release().unwrap();
}

#[test]
fn a_scribbler_breaks_what_it_was_granted_and_nothing_else() {
    let _alone = alone();
    let objects: Vec<Object> = LAYOUTS.map(Object::new).into_iter().collect();
    let queue = Object::new(Layout::Queue { capacity_bytes: 4096, max_items: 9, seats: 4 });
    let lock = Object::new(Layout::Lock);
    let until = Instant::now() + duration();
    let watchdog = duration() + Duration::from_secs(30);
    let mut scribbler = Child::start(watchdog, || scribble(&objects, until));
    let users = [1, 2].map(|number| {
        Child::start(watchdog, || {
            let mut round = 0;
            while Instant::now() < until {
                for object in &objects {
                    use_damaged(&object.memory, object.layout, number);
                    use_own(&queue, &lock, number, round);
                }
                round += 1;
            }
            i32::from(round == 0)
        })
    });
    // Meanwhile the supervisor looks at them and recovers them, as if somebody had died.
    while Instant::now() < until {
        for object in &objects {
            for end in [End::First, End::Second] {
                recover(&object.memory, object.layout, lease(3), Seat(3), end, Death::Violent);
            }
            possessions(&object.memory, object.layout);
            holder(&object.memory, object.layout);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    for mut user in users {
        assert_eq!(user.wait(), Ended::Exited(0));
    }
    assert_eq!(scribbler.wait(), Ended::Exited(0));
}
