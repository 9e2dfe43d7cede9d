//! Scenarios of limits; the tests say which limits the run has.

use wasmproc_guest::ErrorKind::Limit;
use wasmproc_guest::{ByteQueue, Error, Event, Lock, Process, Queue, SharedArray, byte_pipe, pipe};
use wasmproc_test_programs::raw::{lock, queue};
use wasmproc_test_programs::{refusal, scenarios, told};

scenarios!(
    ten_objects_for_each_and_twenty_for_all,
    a_ticket_over_the_limit_stays_good,
    a_pipe_counts_twice,
    queues_go_with_the_tickets_in_them,
    a_hundred_mebibytes_for_all,
    long_messages_count_as_long_as_they_are_on_their_way,
    handles_until_they_are_refused,
    objects_until_the_machine_refuses,
    a_long_message_waits_for_a_descriptor,
);

fn ten_objects() -> Result<Vec<Event>, Error> {
    let events = (0..10).map(|_| Event::new()).collect::<Result<_, _>>()?;
    let refused = Event::new().expect_err("it is the eleventh");
    assert_eq!(refused.kind(), Limit);
    assert!(refused.to_string().contains("--max-objects"), "{refused}");
    Ok(events)
}

/// Has one object by its parent, and makes nine: with the nine of main they are nineteen.
fn nine_more(stop: Event) -> String {
    let mine: Vec<_> = (0..9).map(|_| Event::new().expect("it is within the limit")).collect();
    assert_eq!(refusal(Event::new()), Limit);
    let same = |mine: Vec<Event>, stop: Event| stop.wait().map(|()| mine.len()).expect("somebody sets it");
    let sharer = Process::spawn(same, (mine, stop.clone())).expect("it may have ten as well");
    let one_more = || {
        let _twentieth = Event::new().expect("it is within the limit");
        Event::new().expect_err("it is the twenty-first").to_string()
    };
    let refused = Process::spawn(one_more, ()).and_then(Process::result).expect("it goes on");
    stop.set();
    assert_eq!(sharer.result().expect("it goes on"), 9);
    refused
}

fn ten_objects_for_each_and_twenty_for_all() -> Result<(), Error> {
    drop(ten_objects()?);
    let mut events = ten_objects()?;
    let refused = Process::spawn(nine_more, events.pop().expect("ten"))?.result()?;
    assert!(refused.contains("--max-total-objects"), "{refused}");
    drop(events);
    // All of it is free again.
    let _events = ten_objects()?;
    let ten_more = || ten_objects().map(drop).map_err(|error| error.to_string());
    assert_eq!(Process::spawn(ten_more, ())?.result()?, Ok(()));
    Ok(())
}

fn a_ticket_over_the_limit_stays_good() -> Result<(), Error> {
    let (via, event) = (ByteQueue::new()?, Event::new()?);
    let ticket = queue::Queue::open(via.id().get())?.ticket(event.id().get())?;
    let redeem = |via: ByteQueue, ticket: u64| {
        let via = queue::Queue::open(via.id().get()).expect("it was granted");
        let mut own: Vec<Event> = (0..9).map(|_| Event::new().expect("it is within the limit")).collect();
        let refused = told(via.redeem(ticket));
        own.pop();
        (refused, told(via.redeem(ticket)))
    };
    let (refused, granted) = Process::spawn(redeem, (via, ticket))?.result()?;
    assert_eq!((refused.as_str(), granted.as_str()), ("Limit", "ok"));
    Ok(())
}

fn a_pipe_counts_twice() -> Result<(), Error> {
    let pipes = (0..5).map(|_| byte_pipe(Some(4096))).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(refusal(Event::new()), Limit);
    drop(pipes);
    let _events = (0..9).map(|_| Event::new()).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(refusal(byte_pipe(Some(4096))), Limit);
    Event::new()?;
    Ok(())
}

fn queues_go_with_the_tickets_in_them() -> Result<(), Error> {
    // A limit of twenty in all is reached if anything of a hundred rounds stays.
    for _ in 0..100 {
        let (outer, inner, event) = (Queue::<Queue<Event>>::new()?, Queue::<Event>::new()?, Event::new()?);
        inner.put(&event)?;
        outer.put(&inner)?;
        let (carrier, (sender, _receiver)) = (Queue::new()?, pipe::<u32>()?);
        carrier.put(sender)?;
        // And a message that was too long for the ring.
        let long = ByteQueue::new()?;
        long.put(&vec![1; 1 << 20])?;
    }
    Ok(())
}

#[track_caller]
fn is_over_total_memory<T>(result: Result<T, Error>) {
    let Err(refused) = result else { panic!("it was let through") };
    assert_eq!(refused.kind(), Limit);
    assert!(refused.to_string().contains("--max-total-memory"), "{refused}");
}

fn a_hundred_mebibytes_for_all() -> Result<(), Error> {
    is_over_total_memory(Queue::<u32>::builder().capacity(128 << 20).create());
    is_over_total_memory(SharedArray::<u8>::new(110 << 20));
    is_over_total_memory(byte_pipe(Some(128 << 20)));
    for _ in 0..20 {
        let array = SharedArray::<u64>::new(8 << 20)?;
        is_over_total_memory(Queue::<u32>::builder().capacity(64 << 20).create());
        drop(array);
    }
    let child = |_kept: SharedArray<u8>| SharedArray::<u8>::new(60 << 20).map(drop).map_err(|error| error.to_string());
    let mine = SharedArray::<u8>::new(60 << 20)?;
    let refused = Process::spawn(child, mine.clone())?.result()?.expect_err("120 MiB");
    assert!(refused.contains("--max-total-memory"), "{refused}");
    Ok(())
}

fn long_messages_count_as_long_as_they_are_on_their_way() -> Result<(), Error> {
    let queue = ByteQueue::new()?;
    let message = vec![1; 30 << 20];
    // So much of its own memory it will need to take one; it counts from then on.
    drop(message.clone());
    for _ in 0..5 {
        queue.put(&message)?;
        is_over_total_memory(queue.put(&message));
        assert_eq!(queue.get()?.len(), message.len());
    }
    Ok(())
}

fn handles_until_they_are_refused() -> Result<(), Error> {
    let lock = lock::Lock::create(lock::Kind::Plain)?;
    let id = lock.id();
    let mut handles = Vec::new();
    let refused = loop {
        match lock::Lock::open(id) {
            Ok(handle) => handles.push(handle),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refusal(Err::<(), _>(refused)), Limit);
    assert!(handles.len() > 1000);
    handles.pop();
    handles.push(lock::Lock::open(id)?);
    handles.last().expect("many").acquire(None)?;
    drop(handles);
    assert!(!lock.is_locked());
    Ok(())
}

fn objects_until_the_machine_refuses() -> Result<(), Error> {
    for _ in 0..2 {
        let mut locks = Vec::new();
        let refused = loop {
            match Lock::new() {
                Ok(lock) => locks.push(lock),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.kind(), Limit);
        assert!(locks.len() > 20, "only {}: {refused}", locks.len());
        // Those that it has go on, and so do others.
        let first = locks[0].clone();
        let _held = locks[locks.len() - 1].acquire()?;
        drop(first.acquire()?);
        assert!(refusal(ByteQueue::new()) == Limit);
    }
    let lock = Lock::new()?;
    drop(lock.acquire()?);
    Ok(())
}

/// Has `/data` to open files in.
fn a_long_message_waits_for_a_descriptor() -> Result<(), Error> {
    let queue = ByteQueue::new()?;
    let (sending, receiving) = byte_pipe(None)?;
    queue.put(&[1; 200_000])?;
    queue.put(b"short")?;
    sending.send(&[2; 200_000])?;
    let file = std::fs::File::create("/data/file").expect("it is granted");
    let mut open: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/data/file").ok()).collect();
    assert!(open.len() < 10_000, "there is a limit");
    for _ in 0..3 {
        assert_eq!(refusal(queue.get()), Limit);
        assert_eq!(refusal(receiving.recv()), Limit);
        assert_eq!(refusal(queue.try_put(&[3; 200_000])), Limit, "nor can one be sent");
        assert_eq!(refusal(Lock::new()), Limit);
    }
    assert!(receiving.poll(std::time::Duration::ZERO)?, "it is still there");
    open.truncate(open.len() / 2);
    assert_eq!(queue.get()?, [1; 200_000]);
    assert_eq!(queue.get()?, b"short");
    assert_eq!(receiving.recv()?, [2; 200_000]);
    assert_eq!(queue.try_get()?, None);
    queue.put(&[4; 200_000])?;
    assert_eq!(queue.get()?, [4; 200_000]);
    drop(Lock::new()?);
    drop(file);
    Ok(())
}
