//! A process is killed at its first instruction inside an operation, at its second, and so on to the last.

use std::thread;

use wasmproc_shm::{
    Acquired, Barrier, Batch, Condition, End, Findings, GaveUp, Layout, Lock, Mapping, Message, On, Passed, Patience,
    Pipe, Queue, Refused, Seat, Semaphore, Tasks,
};

use crate::child::{Child, HANGS, alone};
use crate::world::{Object, Until, View, lease};

/// The one who dies has the first seat and lease, who is left has the second ones.
const DIES: u32 = 1;
const LIVES: u32 = 2;

/// For the one who dies: it comes to the end of its life when it would have to wait.
struct Ends;

impl<W: wasmproc_shm::Wakers> Patience<&Mapping<W>> for Ends {
    fn sleep(&mut self, _: &&Mapping<W>, _: usize, _: u32, _: On) -> Result<(), GaveUp> {
        Err(GaveUp::Cancelled)
    }
}

/// Kills at every so manieth instruction.
fn stride() -> usize {
    match std::env::var("SHM_SWEEP_STEP") {
        Ok(step) => step.parse().expect("SHM_SWEEP_STEP is a number"),
        Err(_) => 13,
    }
}

/// `before`, and then, until it is killed, `operates`, in a process of its own; then recovery; then `survives`, which is
/// told what recovery found. `beside` runs meanwhile, in a thread of this process.
fn sweep<R: Send>(
    (layout, end): (Layout, End),
    prepares: impl Fn(View),
    before: impl Fn(View),
    operates: impl Fn(View),
    beside: impl Fn(View) -> R + Sync,
    survives: impl Fn(View, Findings),
    after: impl Fn(View, Findings, R),
) {
    let _alone = alone();
    let (mut kills, mut found) = (0, 0);
    for dies_at in (0..).step_by(stride()) {
        let object = Object::new(layout);
        let memory = &object.memory;
        prepares(memory);
        let mut child = Child::start(HANGS, || {
            before(memory);
            Child::hand_over();
            operates(memory);
            0
        });
        child.take_over();
        let died = thread::scope(|scope| {
            // Forked before this one is there.
            let beside = scope.spawn(|| beside(memory));
            let died = (0..dies_at).all(|_| child.step());
            if died {
                child.kill();
            }
            let findings = object.bury(lease(DIES), Seat(0), end);
            survives(memory, findings);
            after(memory, findings, beside.join().unwrap());
            kills += usize::from(died);
            found += usize::from(findings == Findings::Held);
            died
        });
        if !died {
            break;
        }
    }
    eprintln!("{}: {kills} kills, {found} inside", layout.name());
    assert!(kills > 3);
}

fn nothing(_: View) {}

fn lock(memory: View, number: u32) -> Lock<View> {
    Lock::new(memory, lease(number))
}

fn next_acquires_in_the_state_that(memory: View, findings: Findings) {
    let lock = lock(memory, LIVES);
    let expected = if findings == Findings::Held { Acquired::Abandoned } else { Acquired::Clean };
    assert_eq!(lock.acquire(&mut Until::it_hangs()), Ok(expected));
    lock.release().unwrap();
    assert_eq!(lock.acquire(&mut Until::it_hangs()), Ok(Acquired::Clean));
}

#[test]
fn killed_while_it_acquires_a_lock() {
    let acquire = |memory: View| {
        let _ = lock(memory, DIES).acquire(&mut Ends);
    };
    sweep(
        (Layout::Lock, End::First),
        nothing,
        nothing,
        acquire,
        nothing,
        next_acquires_in_the_state_that,
        |_, _, ()| {},
    );
}

#[test]
fn killed_while_it_releases_a_lock_that_another_waits_for() {
    let acquire = |memory: View| {
        let _ = lock(memory, DIES).acquire(&mut Ends);
    };
    let release = |memory: View| lock(memory, DIES).release().unwrap();
    let wait = |memory: View| {
        let lock = lock(memory, LIVES);
        let acquired = lock.acquire(&mut Until::it_hangs()).unwrap();
        lock.release().unwrap();
        acquired
    };
    sweep(
        (Layout::Lock, End::First),
        nothing,
        acquire,
        release,
        wait,
        |_, _| {},
        |_, findings, acquired| {
            assert_eq!(acquired == Acquired::Abandoned, findings == Findings::Held);
        },
    );
}

const QUEUE: Layout = Layout::Queue { capacity_bytes: 4096, max_items: 9, seats: 2 };

fn queue(memory: View, number: u32) -> Queue<View> {
    Queue::new(memory, QUEUE, lease(number), Seat(number - 1))
}

/// A message that is whole.
fn message() -> Vec<u8> {
    (0..100).collect()
}

fn drain(memory: View) -> Vec<Vec<u8>> {
    let queue = queue(memory, LIVES);
    let mut all = Vec::new();
    let mut batch = Batch::default();
    while queue.try_get(1, 0, &mut batch, &mut Until::it_hangs()).unwrap() {
        all.push(std::mem::take(&mut batch).bytes);
        queue.task_done().unwrap();
    }
    all
}

#[test]
fn killed_while_it_puts() {
    let put = |memory: View| queue(memory, DIES).put(Message::Here(&message()), &mut Ends).unwrap();
    sweep(
        (QUEUE, End::First),
        nothing,
        nothing,
        put,
        nothing,
        |memory, _| {
            // There whole or not at all, and the next one is put behind it.
            queue(memory, LIVES).put(Message::Here(b"next"), &mut Until::it_hangs()).unwrap();
            let all = drain(memory);
            assert!(all == [b"next".to_vec()] || all == [message(), b"next".to_vec()], "{all:?}");
        },
        |_, _, ()| {},
    );
}

#[test]
fn killed_while_it_puts_what_another_waits_for() {
    let put = |memory: View| queue(memory, DIES).put(Message::Here(&message()), &mut Ends).unwrap();
    let get = |memory: View| {
        let mut batch = Batch::default();
        queue(memory, LIVES).get(1, 0, &mut batch, &mut Until::it_hangs()).unwrap();
        batch.bytes
    };
    sweep(
        (QUEUE, End::First),
        nothing,
        nothing,
        put,
        get,
        |memory, _| {
            queue(memory, LIVES).put(Message::Here(b"next"), &mut Until::it_hangs()).unwrap();
        },
        |_, _, got| assert!(got == b"next" || got == message(), "{got:?}"),
    );
}

#[test]
fn killed_while_it_gets() {
    let put = |memory: View| queue(memory, LIVES).put(Message::Here(&message()), &mut Ends).unwrap();
    let get = |memory: View| {
        let mut batch = Batch::default();
        queue(memory, DIES).get(1, 0, &mut batch, &mut Ends).unwrap();
        std::hint::black_box(batch);
    };
    sweep(
        (QUEUE, End::First),
        put,
        nothing,
        get,
        nothing,
        |memory, _| {
            // Taken or still there. What was not taken was not abandoned.
            let left = drain(memory);
            assert!(left.is_empty() || left == [message()], "{left:?}");
            let tasks = queue(memory, LIVES).join(&mut Until::it_hangs());
            assert_eq!(tasks, Ok(if left.is_empty() { Tasks::Abandoned } else { Tasks::Done }));
            queue(memory, LIVES).put(Message::Here(b"next"), &mut Until::it_hangs()).unwrap();
            assert_eq!(drain(memory), [b"next".to_vec()]);
        },
        |_, _, ()| {},
    );
}

const PIPE: Layout = Layout::Pipe { capacity_bytes: 4096, duplex: false };

fn receive(memory: View) -> Result<Vec<u8>, Refused> {
    let mut batch = Batch::default();
    Pipe::new(memory, PIPE, End::Second).receive(&mut batch, &mut Until::it_hangs())?;
    Ok(batch.bytes)
}

#[test]
fn killed_while_it_sends_what_another_waits_for() {
    let send = |memory: View| Pipe::new(memory, PIPE, End::First).send(Message::Here(&message()), &mut Ends).unwrap();
    let receive_all = |memory: View| std::iter::from_fn(|| receive(memory).ok()).collect::<Vec<_>>();
    sweep(
        (PIPE, End::First),
        nothing,
        nothing,
        send,
        receive_all,
        |_, _| {},
        |memory, _, all| {
            assert!(all.is_empty() || all == [message()], "{all:?}");
            assert_eq!(receive(memory), Err(Refused::Closed));
        },
    );
}

#[test]
fn killed_while_it_receives_what_another_waits_to_have_gone() {
    // The two fill the pipe. The first one that is taken makes room for another of its size.
    let send = |memory: View, length| {
        Pipe::new(memory, PIPE, End::First).send(Message::Here(&vec![7; length]), &mut Until::it_hangs())
    };
    let fill = |memory: View| [8, 4072].into_iter().for_each(|length| send(memory, length).unwrap());
    let receive = |memory: View| {
        let _ = receive(memory);
    };
    let sends = |memory: View| send(memory, 8);
    sweep(
        (PIPE, End::Second),
        fill,
        nothing,
        receive,
        sends,
        |_, _| {},
        |_, _, sent| {
            assert!(matches!(sent, Ok(()) | Err(Refused::Closed)), "{sent:?}");
        },
    );
}

const SEMAPHORE: Layout = Layout::Semaphore { permits: 2, bounded: true, seats: 2 };

fn semaphore(memory: View, number: u32) -> Semaphore<View> {
    Semaphore::new(memory, SEMAPHORE, lease(number), Seat(number - 1))
}

fn all_permits_are_there(memory: View, _: Findings) {
    let semaphore = semaphore(memory, LIVES);
    assert_eq!(semaphore.available(), 2);
    semaphore.acquire(&mut Until::it_hangs()).unwrap();
    semaphore.acquire(&mut Until::it_hangs()).unwrap();
    assert_eq!(semaphore.try_acquire(&mut Until::it_hangs()), Ok(false));
    semaphore.release(2, &mut Until::it_hangs()).unwrap();
}

#[test]
fn killed_while_it_acquires_a_permit() {
    let acquire = |memory: View| semaphore(memory, DIES).acquire(&mut Ends).unwrap();
    sweep((SEMAPHORE, End::First), nothing, nothing, acquire, nothing, all_permits_are_there, |_, _, ()| {});
}

#[test]
fn killed_while_it_releases_a_permit_that_another_waits_for() {
    let acquire = |memory: View| (0..2).for_each(|_| semaphore(memory, DIES).acquire(&mut Ends).unwrap());
    let release = |memory: View| semaphore(memory, DIES).release(1, &mut Ends).unwrap();
    let wait = |memory: View| {
        let semaphore = semaphore(memory, LIVES);
        semaphore.acquire(&mut Until::it_hangs()).unwrap();
        semaphore.release(1, &mut Until::it_hangs()).unwrap();
    };
    sweep(
        (SEMAPHORE, End::First),
        nothing,
        acquire,
        release,
        wait,
        |_, _| {},
        |memory, findings, ()| {
            all_permits_are_there(memory, findings);
        },
    );
}

const CONDITION: Layout = Layout::Condition { seats: 2 };

fn condition(memory: View, number: u32) -> Condition<View> {
    Condition::new(memory, CONDITION, lease(number), Seat(number - 1))
}

#[test]
fn killed_while_it_notifies() {
    let begin = |memory: View| condition(memory, LIVES).begin(&mut Ends).unwrap();
    let notify = |memory: View| {
        let _ = condition(memory, DIES).notify(1, &mut Ends).unwrap();
    };
    let finish = |memory: View| condition(memory, LIVES).finish(&mut Until::it_hangs());
    sweep(
        (CONDITION, End::First),
        begin,
        nothing,
        notify,
        finish,
        |memory, _| {
            // If the dead one didn't.
            let another = Condition::new(memory, CONDITION, lease(3), Seat(0));
            another.notify(1, &mut Until::it_hangs()).unwrap();
        },
        |_, _, finished| assert_eq!(finished, Ok(())),
    );
}

const BARRIER: Layout = Layout::Barrier { parties: 2, seats: 2 };

fn barrier(memory: View, number: u32) -> Barrier<View> {
    Barrier::new(memory, BARRIER, lease(number), Seat(number - 1))
}

#[test]
fn killed_while_it_waits_at_a_barrier() {
    let arrive = |memory: View| {
        let _ = barrier(memory, DIES).wait(&mut Ends);
    };
    let wait = |memory: View| barrier(memory, LIVES).wait(&mut Until::it_hangs());
    sweep(
        (BARRIER, End::First),
        nothing,
        nothing,
        arrive,
        wait,
        |_, _| {},
        |memory, _, passed| {
            assert!(matches!(passed, Ok(Passed { .. }) | Err(Refused::BarrierBroken)), "{passed:?}");
            // Broken since then, and whole again after a reset.
            let barrier = barrier(memory, LIVES);
            assert_eq!(barrier.wait(&mut Until::it_hangs()), Err(Refused::BarrierBroken));
            barrier.reset(&mut Until::it_hangs()).unwrap();
            assert!(!barrier.is_broken());
            assert_eq!(barrier.waiting(), 0);
        },
    );
}
