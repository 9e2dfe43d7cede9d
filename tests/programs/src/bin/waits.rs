//! Scenarios of waiting for whichever comes first.

use std::time::{Duration, Instant};

use wasmproc_guest::{
    Barrier, ByteConnection, ByteQueue, Condition, Connection, Error, ErrorKind, Event, Lock, LockGuard, Pollable,
    Process, Queue, Semaphore, SharedValue, Signal, Timer, Waitable, byte_pipe, duplex_pipe, pipe, wait_any,
    wait_any_timeout,
};
use wasmproc_test_programs::{MOMENT, scenarios, takes_a_moment, until};

scenarios!(
    a_lock_is_ready_when_it_is_released_or_its_holder_dies,
    a_semaphore_is_ready_when_a_permit_comes_or_a_holder_dies,
    an_event_is_ready_when_it_is_set,
    a_condition_is_ready_when_somebody_was_notified,
    a_barrier_is_ready_when_it_is_passed_broken_or_reset,
    a_barrier_is_ready_when_one_who_has_it_dies,
    a_queue_is_ready_when_a_message_comes_or_none_will,
    a_full_queue_is_ready_when_there_is_room_or_it_is_closed,
    a_pipe_is_ready_when_a_message_comes_or_none_will,
    a_full_pipe_is_ready_when_there_is_room_or_nobody_reads,
    a_process_is_ready_when_it_has_ended,
    all_that_are_ready_are_told_in_order,
    nothing_is_told_when_the_time_is_over,
    one_among_five_hundred_is_found,
    an_end_is_noticed_whoever_of_many_reads_the_news,
    an_end_is_noticed_when_the_process_was_dropped,
    several_pipes_are_read_to_their_end,
    both_ends_of_a_pipe_and_a_process_are_told_apart,
    a_pollable_is_used_again_and_again,
    what_was_ready_before_it_was_subscribed_to_is_ready,
);

/// Runs `act` in a process as soon as it is told to, so that there is a time before.
struct Later(Event, Process<()>);

impl Later {
    /// Makes it happen, and asserts that it was this that `pollable` waited for.
    #[track_caller]
    fn makes_ready(self, pollable: &Pollable) {
        assert!(!pollable.ready(), "it was ready before");
        self.0.set();
        pollable.block();
        assert!(pollable.ready());
        let status = self.1.join().expect("it is a child");
        assert!([0, -6].contains(&status.code()), "{status}");
    }
}

/// A process that calls a function with an object, when it is told to. The function may panic, as a way to die.
macro_rules! later {
    ($object:expr, $act:expr) => {{
        let go = Event::new()?;
        let wait = |object, go: Event| {
            go.wait().expect("main sets it");
            $act(object);
        };
        Later(go.clone(), Process::spawn(wait, ($object, go))?)
    }};
}

fn hold(lock: Lock, held: Event, go: Event, dies: bool) {
    let _held = lock.acquire().expect("it is free");
    held.set();
    go.wait().expect("main sets it");
    assert!(!dies, "as it must");
}

fn a_lock_is_ready_when_it_is_released_or_its_holder_dies() -> Result<(), Error> {
    for dies in [false, true] {
        let (lock, held, go) = (Lock::new()?, Event::new()?, Event::new()?);
        assert!(lock.subscribe().ready(), "it is free");
        let holder = Process::spawn(hold, (lock.clone(), held.clone(), go.clone(), dies))?;
        held.wait()?;
        Later(go, holder).makes_ready(&lock.subscribe());
        assert_eq!(lock.try_acquire()?.expect("it is free").is_abandoned(), dies);
    }
    Ok(())
}

fn hold_place(places: Semaphore, held: Event, go: Event, dies: bool) {
    let _held = places.acquire().expect("it is free");
    held.set();
    go.wait().expect("main sets it");
    assert!(!dies, "as it must");
}

fn a_semaphore_is_ready_when_a_permit_comes_or_a_holder_dies() -> Result<(), Error> {
    for dies in [false, true] {
        let (places, held, go) = (Semaphore::bounded(1)?, Event::new()?, Event::new()?);
        assert!(places.subscribe().ready(), "one is free");
        let holder = Process::spawn(hold_place, (places.clone(), held.clone(), go.clone(), dies))?;
        held.wait()?;
        Later(go, holder).makes_ready(&places.subscribe());
        assert!(places.try_acquire()?.is_some());
    }
    let buns = Semaphore::signal(0)?;
    let bake = later!(buns.clone(), |buns: Semaphore<Signal>| buns.release(1).expect("there are few"));
    bake.makes_ready(&buns.subscribe());
    Ok(())
}

fn an_event_is_ready_when_it_is_set() -> Result<(), Error> {
    let event = Event::new()?;
    let pollable = event.subscribe();
    later!(event.clone(), |event: Event| event.set()).makes_ready(&pollable);
    event.clear();
    later!(event.clone(), |event: Event| event.set()).makes_ready(&pollable);
    Ok(())
}

fn wait_for_change(changed: Condition, asleep: SharedValue<u32>) {
    let mut held = changed.acquire().expect("it comes free");
    asleep.add(1);
    changed.wait(&mut held).expect("somebody notifies");
}

fn a_condition_is_ready_when_somebody_was_notified() -> Result<(), Error> {
    let (changed, asleep) = (Condition::new()?, SharedValue::new(0)?);
    let sleeper = Process::spawn(wait_for_change, (changed.clone(), asleep.clone()))?;
    until("it sleeps", || {
        let _held = changed.acquire().expect("it comes free");
        asleep.load() == 1
    });
    let notify = later!(changed.clone(), |changed: Condition| assert!(changed.notify_one().expect("it works")));
    notify.makes_ready(&changed.subscribe());
    // It took nothing away from the one who slept; and what was before a subscription doesn't count.
    sleeper.result()?;
    assert!(!changed.subscribe().ready());
    Ok(())
}

fn a_barrier_is_ready_when_it_is_passed_broken_or_reset() -> Result<(), Error> {
    let barrier = Barrier::new(2)?;
    let spawn = || Process::spawn(|barrier: Barrier| drop(barrier.wait()), barrier.clone());
    let before = barrier.subscribe();
    let one = spawn()?;
    until("one waits", || barrier.waiting() == 1);
    assert!(!before.ready());
    spawn()?.result()?;
    before.block();
    one.result()?;
    later!(barrier.clone(), |barrier: Barrier| barrier.abort().expect("it works")).makes_ready(&barrier.subscribe());
    later!(barrier.clone(), |barrier: Barrier| barrier.reset().expect("it works")).makes_ready(&barrier.subscribe());
    Ok(())
}

fn a_barrier_is_ready_when_one_who_has_it_dies() -> Result<(), Error> {
    let barrier = Barrier::new(2)?;
    later!(barrier.clone(), |_barrier: Barrier| panic!("as it must")).makes_ready(&barrier.subscribe());
    assert!(barrier.is_broken());
    Ok(())
}

fn a_queue_is_ready_when_a_message_comes_or_none_will() -> Result<(), Error> {
    let queue = Queue::new()?;
    let pollable = queue.subscribe();
    for _ in 0..3 {
        later!(queue.clone(), |queue: Queue<u32>| queue.put(7).expect("it is open")).makes_ready(&pollable);
        assert_eq!(queue.try_get()?, Some(7));
    }
    later!(queue.clone(), |queue: Queue<u32>| queue.close().expect("it works")).makes_ready(&pollable);
    Ok(())
}

fn a_full_queue_is_ready_when_there_is_room_or_it_is_closed() -> Result<(), Error> {
    let queue = Queue::<()>::builder().capacity(4096).create_bytes()?;
    let pollable = queue.subscribe_put();
    assert!(pollable.ready());
    for _ in 0..3 {
        queue.put(&[1; 4088])?;
        later!(queue.clone(), |queue: ByteQueue| drop(queue.get())).makes_ready(&pollable);
    }
    let few = Queue::bounded(1)?;
    few.put(1)?;
    later!(few.clone(), |few: Queue<u32>| few.close().expect("it works")).makes_ready(&few.subscribe_put());
    Ok(())
}

fn a_pipe_is_ready_when_a_message_comes_or_none_will() -> Result<(), Error> {
    let (sender, receiver) = pipe::<u32>()?;
    let pollable = receiver.subscribe();
    // A function that ends drops its end of the pipe: the message comes first.
    later!(sender, |sender: Connection<u32>| sender.send(7).expect("main is there")).makes_ready(&pollable);
    assert_eq!(receiver.try_recv()?, Some(7));
    pollable.block();
    assert!(receiver.try_recv().is_err(), "the end of the stream");
    for dies in [false, true] {
        let (sender, receiver) = pipe::<u32>()?;
        later!((sender, dies), |(_sender, dies): (Connection<u32>, bool)| assert!(!dies, "as it must"))
            .makes_ready(&receiver.subscribe());
    }
    Ok(())
}

fn a_full_pipe_is_ready_when_there_is_room_or_nobody_reads() -> Result<(), Error> {
    for dies in [false, true] {
        let (sender, receiver) = byte_pipe(Some(4096))?;
        assert!(sender.subscribe_send().ready());
        sender.send(&[1; 4088])?;
        later!((receiver, dies), |(receiver, dies): (ByteConnection, bool)| match dies {
            true => panic!("as it must"),
            false => drop(receiver.recv()),
        })
        .makes_ready(&sender.subscribe_send());
    }
    Ok(())
}

fn a_process_is_ready_when_it_has_ended() -> Result<(), Error> {
    let go = Event::new()?;
    for dies in [false, true] {
        go.clear();
        let end = |go: Event, dies: bool| {
            go.wait().expect("main sets it");
            assert!(!dies, "as it must");
        };
        let process = Process::spawn(end, (go.clone(), dies))?;
        let pollable = process.subscribe();
        assert!(!pollable.ready());
        assert_eq!(wait_any_timeout(&[&process, &pollable], MOMENT), []);
        go.set();
        assert!(wait_any(&[&process]) == [0]);
        pollable.block();
    }
    Ok(())
}

fn all_that_are_ready_are_told_in_order() -> Result<(), Error> {
    let events: Vec<Event> = (0..6).map(|_| Event::new()).collect::<Result<_, _>>()?;
    let things: Vec<&dyn Waitable> = events.iter().map(|event| event as &dyn Waitable).collect();
    for ready in [4, 1, 5] {
        events[ready].set();
    }
    assert_eq!(wait_any(&things), [1, 4, 5]);
    assert_eq!(wait_any(&[&events[4], &events[4], &events[0], &events[4]]), [0, 1, 3], "one several times");
    assert_eq!(wait_any(&[]), []);
    Ok(())
}

fn nothing_is_told_when_the_time_is_over() -> Result<(), Error> {
    let (lock, queue, (_sender, receiver)) = (Lock::new()?, Queue::<u32>::new()?, pipe::<u32>()?);
    let (event, _held) = (Event::new()?, lock.acquire()?);
    let things: [&dyn Waitable; 4] = [&lock, &queue, &receiver, &event];
    assert_eq!(takes_a_moment(|| wait_any_timeout(&things, MOMENT)), []);
    assert_eq!(wait_any_timeout(&things, Duration::ZERO), []);
    event.set();
    assert_eq!(wait_any_timeout(&things, Duration::ZERO), [3]);
    assert_eq!(wait_any_timeout(&things, Duration::MAX), [3]);
    let timer = Timer::after(MOMENT);
    assert_eq!(takes_a_moment(|| wait_any(&[&queue, &timer])), [1]);
    Ok(())
}

const EACH: usize = 64;
const KINDS: usize = 8;

type Half = (Vec<Lock>, Vec<Semaphore<Signal>>, Vec<Event>, Vec<Barrier>);
type OtherHalf = (Vec<Queue<u32>>, Vec<ByteQueue>, Vec<Connection<u32>>, Vec<Event>);

/// Makes the things ready that it is told to, of which number N is the (N / KINDS)th of kind N % KINDS.
fn operate(half: Half, other_half: OtherHalf, commands: Queue<usize>) {
    let ((locks, buns, events, barriers), (queues, full, senders, ends)) = (half, other_half);
    let mut held: Vec<Option<LockGuard<'_>>> =
        locks.iter().map(|lock| Some(lock.acquire().expect("it is free"))).collect();
    for command in &commands {
        let command = command.expect("a number");
        let index = command / KINDS;
        match command % KINDS {
            0 => held[index] = None,
            1 => buns[index].release(1).expect("there are few"),
            2 => events[index].set(),
            3 => barriers[index].abort().expect("it works"),
            4 => queues[index].put(1).expect("it is open"),
            5 => drop(full[index].get()),
            6 => senders[index].send(1).expect("main is there"),
            _ => ends[index].set(),
        }
        commands.task_done().expect("one was taken");
    }
}

fn many<T>(make: impl Fn() -> Result<T, Error>) -> Result<Vec<T>, Error> {
    (0..EACH).map(|_| make()).collect()
}

fn one_among_five_hundred_is_found() -> Result<(), Error> {
    let half = (many(Lock::new)?, many(|| Semaphore::signal(0))?, many(Event::new)?, many(|| Barrier::new(2))?);
    let (queues, full) = (many(Queue::<u32>::new)?, many(|| Queue::<()>::builder().max_items(1).create_bytes())?);
    full.iter().try_for_each(|full| full.put(b"full"))?;
    let (senders, receivers): (Vec<_>, Vec<_>) = many(pipe::<u32>)?.into_iter().unzip();
    let ends = many(Event::new)?;
    let ending = |end: Event| end.wait().expect("it is set");
    let spawn = |end: &Event| Process::spawn(ending, end.clone());
    let processes = ends.iter().map(spawn).collect::<Result<Vec<_>, _>>()?;

    let commands = Queue::new()?;
    let other_half = (queues.clone(), full.clone(), senders, ends);
    let operator = Process::spawn(operate, (half.clone(), other_half, commands.clone()))?;
    until("all locks are held", || half.0.iter().all(Lock::is_locked));
    let subscribe = |number: usize| {
        let index = number / KINDS;
        match number % KINDS {
            0 => half.0[index].subscribe(),
            1 => half.1[index].subscribe(),
            2 => half.2[index].subscribe(),
            3 => half.3[index].subscribe(),
            4 => queues[index].subscribe(),
            5 => full[index].subscribe_put(),
            6 => receivers[index].subscribe(),
            _ => processes[index].subscribe(),
        }
    };
    let mut things: Vec<(usize, Pollable)> = (0..EACH * KINDS).map(|number| (number, subscribe(number))).collect();
    for step in 0..40 {
        let command = step * 173 % (EACH * KINDS);
        commands.put(command)?;
        let refer: Vec<&dyn Waitable> = things.iter().map(|(_, pollable)| pollable as &dyn Waitable).collect();
        let ready = wait_any(&refer);
        let numbers: Vec<usize> = ready.iter().map(|&place| things[place].0).collect();
        assert_eq!(numbers, [command]);
        things.remove(ready[0]);
    }
    // They hold what this process would wait for.
    processes.iter().try_for_each(Process::kill)?;
    commands.close()?;
    operator.result()
}

/// They are looked at in the order in which they were subscribed to. Who comes early may end while the others are
/// looked at, and one of those reads that news.
fn an_end_is_noticed_whoever_of_many_reads_the_news() -> Result<(), Error> {
    let waits = |event: Event| event.wait().expect("main sets it");
    let (events, never) = (many(Event::new)?, Event::new()?);
    let spawn = |event: &Event| Process::spawn(waits, event.clone());
    let processes = events.iter().map(spawn).collect::<Result<Vec<_>, _>>()?;
    let ends: Vec<Pollable> = processes.iter().map(Process::subscribe).collect();
    let other = spawn(&never)?;
    let others: Vec<Pollable> = (0..1000).map(|_| other.subscribe()).collect();
    for (round, (event, end)) in (0..).zip(events.iter().zip(&ends)) {
        let things = std::iter::once(end).chain(&others).map(|pollable| pollable as &dyn Waitable);
        let things: Vec<&dyn Waitable> = things.collect();
        event.set();
        // The end comes after some hundred microseconds: some rounds are to meet it.
        let pause = Instant::now();
        while pause.elapsed() < round * Duration::from_micros(20) {}
        assert_eq!(wait_any(&things), [0]);
    }
    never.set();
    other.result()
}

/// As the handles to everything else.
fn an_end_is_noticed_when_the_process_was_dropped() -> Result<(), Error> {
    let go = Event::new()?;
    let process = Process::spawn(|go: Event| go.wait().expect("main sets it"), go.clone())?;
    let end = process.subscribe();
    drop(process);
    assert!(!end.ready());
    go.set();
    end.block();
    Ok(())
}

fn send_now_and_then(sender: Connection<(u32, u32)>, me: u32) {
    for number in 0..10 {
        std::thread::sleep(Duration::from_millis(u64::from((me * 7 + number * 5) % 11)));
        sender.send((me, number)).expect("main is there");
    }
}

fn several_pipes_are_read_to_their_end() -> Result<(), Error> {
    let mut receivers = Vec::new();
    for me in 0..4 {
        let (sender, receiver) = pipe()?;
        Process::spawn(send_now_and_then, (sender, me))?;
        receivers.push(receiver);
    }
    let mut received = Vec::new();
    while !receivers.is_empty() {
        let things: Vec<&dyn Waitable> = receivers.iter().map(|receiver| receiver as &dyn Waitable).collect();
        // From the last one, so that the places of the others stay what they are.
        for place in wait_any(&things).into_iter().rev() {
            match receivers[place].recv() {
                Ok(message) => received.push(message),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Closed);
                    receivers.remove(place);
                }
            }
        }
    }
    for me in 0..4 {
        let its = received.iter().filter(|(from, _)| *from == me).map(|(_, number)| *number);
        assert!(its.eq(0..10), "{received:?}");
    }
    assert_eq!(received.len(), 40);
    Ok(())
}

fn both_ends_of_a_pipe_and_a_process_are_told_apart() -> Result<(), Error> {
    let ((one, other), go) = (duplex_pipe::<u32, u32>()?, Event::new()?);
    let process = Process::spawn(|go: Event| go.wait().expect("main sets it"), go.clone())?;
    let things: [&dyn Waitable; 3] = [&one, &process, &other];
    assert_eq!(wait_any_timeout(&things, MOMENT), []);
    go.set();
    assert_eq!(wait_any(&things), [1]);
    one.send(1)?;
    assert_eq!(wait_any(&things), [1, 2]);
    other.send(2)?;
    assert_eq!(wait_any(&things), [0, 1, 2]);
    assert_eq!((one.recv()?, other.recv()?), (2, 1));
    assert_eq!(wait_any(&things), [1]);
    process.result()
}

fn answer(questions: Event, answers: Event) {
    for _ in 0..200 {
        questions.wait().expect("main sets it");
        questions.clear();
        answers.set();
    }
}

fn a_pollable_is_used_again_and_again() -> Result<(), Error> {
    let (questions, answers) = (Event::new()?, Event::new()?);
    let child = Process::spawn(answer, (questions.clone(), answers.clone()))?;
    let pollable = answers.subscribe();
    for _ in 0..200 {
        assert!(!pollable.ready());
        questions.set();
        assert_eq!(wait_any(&[&child, &pollable]).last(), Some(&1));
        answers.clear();
    }
    child.result()
}

fn what_was_ready_before_it_was_subscribed_to_is_ready() -> Result<(), Error> {
    let (event, queue, lock, (sender, receiver)) = (Event::new()?, Queue::new()?, Lock::new()?, pipe()?);
    let prepare = |event: Event, queue: Queue<u32>, sender: Connection<u32>| {
        event.set();
        queue.put(1).expect("there is room");
        sender.send(1).expect("there is room");
    };
    let child = Process::spawn(prepare, (event.clone(), queue.clone(), sender))?;
    child.join()?;
    assert_eq!(wait_any(&[&event, &queue, &lock, &receiver, &child]), [0, 1, 2, 3, 4]);
    assert!(event.subscribe().ready() && queue.subscribe().ready() && receiver.subscribe().ready());
    child.result()
}
