//! Processes are killed and stopped at random while they use all there is; others take their place.

use std::time::Duration;

use wasmproc_shm::{
    Acquired, Barrier, Batch, Cells, Condition, End, Findings, Layout, Lease, Lock, Message, Pipe, Queue, Refused,
    Seat, Semaphore, Width,
};

use crate::child::{Child, Ended, HANGS, alone, await_that};
use crate::world::{Inside, Notes, Object, Random, Until, View, lease};

fn kills() -> u32 {
    std::env::var("SHM_KILLS").map_or(400, |number| number.parse().expect("SHM_KILLS is a number"))
}

const QUEUE: Layout = Layout::Queue { capacity_bytes: 4096, max_items: 20, seats: SLOTS };
const SEMAPHORE: Layout = Layout::Semaphore { permits: PERMITS, bounded: true, seats: SLOTS };
const CONDITION: Layout = Layout::Condition { seats: SLOTS };
const BARRIER: Layout = Layout::Barrier { parties: 2, seats: SLOTS };
const CELLS: Layout = Layout::Cells { width: Width::Eight, length: 2 };
const PERMITS: u32 = 2;

/// Two produce, two consume, and the others use what is left.
const SLOTS: u32 = 8;
const PRODUCERS: std::ops::Range<u32> = 0..2;
const CONSUMERS: std::ops::Range<u32> = 2..4;

/// How many messages one producer puts in its life.
const MESSAGES: u32 = 2000;

/// What the processes note where nobody can damage it.
struct Record {
    notes: Notes,
    lives: u32,
}

const STOP: usize = 0;
const INSIDE: usize = 16;
const HOLDS: usize = 32;
const OPERATIONS: usize = 48;
const LIVES: usize = 64;

impl Record {
    fn new(lives: u32) -> Record {
        Record { notes: Notes::new(LIVES + lives as usize * (MESSAGES as usize / 4 + 1) * 2), lives }
    }

    /// How many messages the producer with this lease knows to have been put.
    fn acknowledged(&self, life: u32) -> usize {
        assert!(life < self.lives);
        LIVES + life as usize * (MESSAGES as usize / 4 + 1)
    }

    /// Notes that a message was taken. Returns whether it was taken before.
    fn took(&self, life: u32, message: u32) -> bool {
        let at = self.acknowledged(life) + 1 + message as usize / 4;
        let shift = message % 4 * 8;
        self.notes.add(at, 1 << shift) >> shift & 0xff != 0
    }

    fn was_taken(&self, life: u32, message: u32) -> bool {
        self.notes.get(self.acknowledged(life) + 1 + message as usize / 4) >> (message % 4 * 8) & 0xff != 0
    }
}

struct World<'a> {
    queue: Object<'a>,
    lock: Object<'a>,
    cells: Object<'a>,
    semaphore: Object<'a>,
    condition: Object<'a>,
    barrier: Object<'a>,
}

impl<'a> World<'a> {
    fn new() -> World<'a> {
        World {
            queue: Object::new(QUEUE),
            lock: Object::new(Layout::Lock),
            cells: Object::new(CELLS),
            semaphore: Object::new(SEMAPHORE),
            condition: Object::new(CONDITION),
            barrier: Object::new(BARRIER),
        }
    }

    fn noting<'b>(&self, notes: &'b Notes, slot: u32) -> World<'b> {
        let at = INSIDE + slot as usize;
        World {
            queue: self.queue.noting(notes, at),
            lock: self.lock.noting(notes, at),
            cells: self.cells.noting(notes, at),
            semaphore: self.semaphore.noting(notes, at),
            condition: self.condition.noting(notes, at),
            barrier: self.barrier.noting(notes, at),
        }
    }

    /// Returns whether the dead one was found in the middle of something.
    fn bury(&self, dead: Lease, seat: Seat) -> bool {
        [&self.queue, &self.lock, &self.cells, &self.semaphore, &self.condition, &self.barrier]
            .map(|object| object.bury(dead, seat, End::First) == Findings::Held)
            .contains(&true)
    }
}

fn hang() -> Until {
    Until::it_hangs()
}

fn letter(life: u32, number: u32, random: &mut Random) -> Vec<u8> {
    let length = 12 + random.below(500) as usize;
    let mut bytes = [life, number, length as u32].map(u32::to_le_bytes).concat();
    bytes.resize(length, (life ^ number) as u8);
    bytes
}

/// Whose message it is, and which.
fn read(bytes: &[u8]) -> (u32, u32) {
    let field = |at: usize| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap());
    let (life, number) = (field(0), field(1));
    assert_eq!(field(2) as usize, bytes.len(), "a message is whole");
    assert!(bytes[12..].iter().all(|byte| *byte == (life ^ number) as u8), "a message is whole");
    (life, number)
}

fn produce(world: &World, record: &Record, life: u32, slot: u32) -> i32 {
    let mut random = Random::new(life.into());
    let queue = Queue::new(&world.queue.memory, QUEUE, lease(life), Seat(slot));
    for number in 0..MESSAGES {
        if record.notes.get(STOP) != 0 {
            break;
        }
        queue.put(Message::Here(&letter(life, number, &mut random)), &mut hang()).unwrap();
        record.notes.set(record.acknowledged(life), number + 1);
        record.notes.add(OPERATIONS, 1);
    }
    0
}

fn consume(world: &World, record: &Record, life: u32, slot: u32) -> i32 {
    let queue = Queue::new(&world.queue.memory, QUEUE, lease(life), Seat(slot));
    let mut seen = std::collections::HashMap::new();
    loop {
        let mut batch = Batch::default();
        match queue.get(1, 0, &mut batch, &mut hang()) {
            Ok(()) => {}
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                return 0;
            }
        }
        let (from, number) = read(&batch.bytes);
        assert!(!record.took(from, number), "message {number} of {from} came twice");
        assert!(seen.insert(from, number).is_none_or(|before| before < number), "messages of one come in order");
        queue.task_done().unwrap();
        record.notes.add(OPERATIONS, 1);
    }
}

fn mix(world: &World, record: &Record, life: u32, slot: u32) -> i32 {
    let mut random = Random::new(life.into());
    let (me, seat) = (lease(life), Seat(slot));
    let lock = Lock::new(&world.lock.memory, me);
    let cells = Cells::new(&world.cells.memory, CELLS);
    let semaphore = Semaphore::new(&world.semaphore.memory, SEMAPHORE, me, seat);
    let condition = Condition::new(&world.condition.memory, CONDITION, me, seat);
    let barrier = Barrier::new(&world.barrier.memory, BARRIER, me, seat);
    while record.notes.get(STOP) == 0 {
        match random.below(5) {
            0 | 1 => raise_both(&lock, &cells),
            2 => hold_a_permit(&semaphore, record, slot),
            3 => {
                condition.begin(&mut hang()).unwrap();
                let finished = condition.finish(&mut Until::after(Duration::from_micros(random.below(500))));
                assert!(matches!(finished, Ok(()) | Err(Refused::TimedOut)), "{finished:?}");
                condition.notify(1 + random.below(3) as u32, &mut hang()).unwrap();
            }
            _ => {
                let passed = barrier.wait(&mut Until::after(Duration::from_micros(random.below(2000))));
                assert!(matches!(passed, Ok(_) | Err(Refused::TimedOut | Refused::BarrierBroken)), "{passed:?}");
                if passed.is_err() {
                    barrier.reset(&mut hang()).unwrap();
                }
            }
        }
        record.notes.add(OPERATIONS, 1);
    }
    0
}

/// Two numbers that are the same whenever nobody is between the two additions.
fn raise_both(lock: &Lock<View>, cells: &Cells<View>) {
    let acquired = lock.acquire(&mut hang()).unwrap();
    let (first, second) = (cells.load(0).unwrap(), cells.load(1).unwrap());
    match acquired {
        Acquired::Clean => assert_eq!(first, second, "somebody else is inside"),
        Acquired::Abandoned => {
            assert!(first == second || first == second + 1, "{first} {second}");
            cells.swap(1, first);
        }
    }
    assert_eq!(cells.compare_exchange(0, first, first + 1), Some(first), "somebody else is inside");
    std::hint::spin_loop();
    assert_eq!(cells.compare_exchange(1, first, first + 1), Some(first), "somebody else is inside");
    lock.release().unwrap();
}

fn hold_a_permit(semaphore: &Semaphore<View>, record: &Record, slot: u32) {
    semaphore.acquire(&mut hang()).unwrap();
    record.notes.set(HOLDS + slot as usize, 1);
    let holding: u32 = (0..SLOTS as usize).map(|slot| record.notes.get(HOLDS + slot)).sum();
    assert!(holding <= PERMITS, "{holding} hold a permit");
    record.notes.set(HOLDS + slot as usize, 0);
    semaphore.release(1, &mut hang()).unwrap();
}

fn start(world: &World, record: &Record, life: u32, slot: u32) -> Child {
    Child::start(HANGS * 6, || {
        let world = world.noting(&record.notes, slot);
        if PRODUCERS.contains(&slot) {
            produce(&world, record, life, slot)
        } else if CONSUMERS.contains(&slot) {
            consume(&world, record, life, slot)
        } else {
            mix(&world, record, life, slot)
        }
    })
}

#[test]
fn whoever_is_killed_the_others_lose_nothing_and_come_to_their_end() {
    let _alone = alone();
    let kills = kills();
    let (world, record) = (World::new(), Record::new(kills + SLOTS + 1 + kills / 2));
    let mut random = Random::new(1);
    let mut lives = 0;
    let mut next_life = || {
        lives += 1;
        lives
    };
    let mut slots: Vec<(u32, Child)> = Vec::new();
    for slot in 0..SLOTS {
        let life = next_life();
        slots.push((life, start(&world, &record, life, slot)));
    }
    let (mut killed, mut killed_consumers, mut inside, mut found) = (0, 0, 0, 0);
    while killed < kills {
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        let slot = random.below(SLOTS.into()) as u32;
        let (life, child) = &mut slots[slot as usize];
        let stops = random.below(3) == 0;
        if stops {
            child.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_micros(random.below(3000)));
        }
        if stops && random.below(2) == 0 {
            child.signal(libc::SIGCONT);
            continue;
        }
        let dead = *life;
        match child.kill() {
            Ended::Killed(libc::SIGKILL) => killed += 1,
            // It had put all its messages.
            ended => assert_eq!(ended, Ended::Exited(0)),
        }
        killed_consumers += u32::from(CONSUMERS.contains(&slot));
        inside += u32::from(record.notes.get(INSIDE + slot as usize) != 0);
        record.notes.set(INSIDE + slot as usize, 0);
        record.notes.set(HOLDS + slot as usize, 0);
        found += u32::from(world.bury(lease(dead), Seat(slot)));
        let life = next_life();
        slots[slot as usize] = (life, start(&world, &record, life, slot));
    }
    // The end: all but the consumers stop, and then those when the queue is closed and empty.
    record.notes.set(STOP, 1);
    let (consumers, others): (Vec<_>, Vec<_>) =
        slots.into_iter().enumerate().partition(|(slot, _)| CONSUMERS.contains(&(*slot as u32)));
    let ends = |children: Vec<(usize, (u32, Child))>| {
        for (slot, (_, mut child)) in children {
            let mut ended = None;
            await_that("the end of a process", || {
                ended = child.try_wait();
                ended.is_some()
            });
            assert_eq!(ended, Some(Ended::Exited(0)), "in slot {slot}");
        }
    };
    ends(others);
    Queue::new(&world.queue.memory, QUEUE, lease(lives + 1), Seat(0)).close(&mut hang()).unwrap();
    ends(consumers);

    let missing: u32 = (1..=lives)
        .map(|life| {
            let acknowledged = record.notes.get(record.acknowledged(life));
            (0..acknowledged).filter(|number| !record.was_taken(life, *number)).count() as u32
        })
        .sum();
    let operations = record.notes.get(OPERATIONS);
    eprintln!(
        "{killed} kills, {inside} inside an operation, {found} found; {operations} operations, {missing} messages died with their takers"
    );
    // One at most with each of those who take.
    assert!(missing <= killed_consumers, "{missing} messages are lost, {killed_consumers} takers died");
    assert_eq!(Semaphore::new(&world.semaphore.memory, SEMAPHORE, lease(lives + 1), Seat(0)).available(), PERMITS);
    let cells = Cells::new(&world.cells.memory, CELLS);
    let lock = Lock::new(&world.lock.memory, lease(lives + 1));
    raise_both(&lock, &cells);
    assert!(inside > 0 && found > 0, "nobody was killed in the middle of anything");
}

const PIPE: Layout = Layout::Pipe { capacity_bytes: 4096, duplex: false };

#[test]
fn an_end_of_a_pipe_is_killed_and_the_other_reads_what_is_left_or_is_told() {
    let _alone = alone();
    let mut random = Random::new(2);
    for _ in 0..(kills() / 4).max(1) {
        let (object, record) = (Object::new(PIPE), Record::new(2));
        let (notes, memory): (&Notes, &wasmproc_shm::Mapping<Inside>) = (&record.notes, &object.memory);
        let mut sender = Child::start(HANGS, || {
            let mut random = Random::new(3);
            let pipe = Pipe::new(memory, PIPE, End::First);
            for number in 0.. {
                match pipe.send(Message::Here(&letter(1, number, &mut random)), &mut hang()) {
                    Ok(()) => notes.set(record.acknowledged(1), number + 1),
                    Err(refused) => {
                        assert_eq!(refused, Refused::Closed);
                        break;
                    }
                }
            }
            0
        });
        let mut receiver = Child::start(HANGS, || {
            let pipe = Pipe::new(memory, PIPE, End::Second);
            for expected in 0.. {
                let mut batch = Batch::default();
                match pipe.receive(&mut batch, &mut hang()) {
                    Ok(()) => assert_eq!(read(&batch.bytes), (1, expected)),
                    Err(refused) => {
                        assert_eq!(refused, Refused::Closed);
                        let acknowledged = notes.get(record.acknowledged(1));
                        assert!(expected == acknowledged || expected == acknowledged + 1, "{expected} {acknowledged}");
                        break;
                    }
                }
            }
            0
        });
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        let first = random.below(2) == 0;
        let (dies, lives, end) =
            if first { (&mut sender, &mut receiver, End::First) } else { (&mut receiver, &mut sender, End::Second) };
        assert_eq!(dies.kill(), Ended::Killed(libc::SIGKILL));
        object.bury(lease(1), Seat(0), end);
        assert_eq!(lives.wait(), Ended::Exited(0));
    }
}
