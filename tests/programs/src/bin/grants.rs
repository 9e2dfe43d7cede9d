//! Scenarios of all kinds: how objects come to other processes, and how they don't.

use std::any::Any;

use wasmproc_guest::ErrorKind::{Denied, Invalid, Limit};
use wasmproc_guest::{
    Barrier, ByteConnection, ByteQueue, Condition, Connection, Error, Event, Lock, ObjectId, Process, Queue, RLock,
    Semaphore, SharedArray, SharedValue, Signal, byte_pipe, pipe,
};
use wasmproc_test_programs::raw::{process, queue};
use wasmproc_test_programs::{raw, refusal, scenarios, told};

scenarios!(
    objects_of_all_kinds_are_passed_to_a_child_at_its_start,
    objects_of_all_kinds_are_sent_in_a_message,
    objects_of_all_kinds_are_made_by_a_child_and_sent_to_its_parent,
    objects_of_all_kinds_pass_through_three_generations,
    an_object_comes_to_a_process_that_is_no_relative,
    an_object_that_comes_again_is_the_same,
    ids_are_names_and_not_rights,
    forged_ids_are_denied,
    granted_objects_are_opened_by_their_ids,
    an_object_of_another_kind_is_invalid,
    a_wrong_guess_at_its_kind_loses_no_object,
    a_child_gets_only_what_its_parent_has,
    a_dropped_object_is_not_had_any_more,
    a_ticket_is_redeemed_once,
    a_ticket_is_good_for_its_own_queue_only,
    a_forged_ticket_is_denied,
    a_ticket_for_what_one_does_not_have_is_denied,
    a_ticket_keeps_its_object_alive,
    a_ticket_of_a_pipe_is_redeemed_at_the_other_end,
    ten_thousand_tickets_are_on_their_way_and_no_more,
    objects_travel_only_where_they_can_be_granted,
);

/// One of each kind.
type Kit = (
    (Lock, RLock, Semaphore, Semaphore<Signal>, Event),
    (Condition, Barrier, Queue<String>, Connection<String>, SharedArray<u32>, SharedValue<i64>),
);

/// A kit, and the end of its pipe that isn't in it.
fn kit() -> Result<(Kit, Connection<String>), Error> {
    let (sender, receiver) = pipe()?;
    let first = (Lock::new()?, RLock::new()?, Semaphore::bounded(3)?, Semaphore::signal(3)?, Event::new()?);
    let second =
        (Condition::new()?, Barrier::new(1)?, Queue::new()?, sender, SharedArray::new(3)?, SharedValue::new(0)?);
    Ok(((first, second), receiver))
}

/// Does something with each that the others see.
fn use_up(kit: Kit) {
    let ((lock, rlock, places, buns, event), (condition, barrier, queue, connection, array, value)) = kit;
    assert!(!lock.acquire().expect("it works").is_abandoned());
    assert!(!rlock.acquire().expect("it works").is_abandoned());
    drop(places.acquire().expect("it works"));
    buns.acquire().expect("it works");
    event.set();
    drop(condition.acquire().expect("it works"));
    assert!(!condition.notify_one().expect("it works"));
    assert_eq!(barrier.wait().expect("it works"), 0);
    barrier.abort().expect("it works");
    queue.put("by queue".to_owned()).expect("it works");
    connection.send("by pipe".to_owned()).expect("it works");
    array.store(1, 11);
    value.add(-5);
}

/// Copies of all but the pipe's end, to look at what became of them.
struct Witness(Lock, Semaphore, Semaphore<Signal>, Event, Barrier, Queue<String>, SharedArray<u32>, SharedValue<i64>);

fn witness(kit: &Kit) -> Witness {
    let ((lock, _, places, buns, event), (_, barrier, queue, _, array, value)) = kit;
    let (lock, places, buns, event) = (lock.clone(), places.clone(), buns.clone(), event.clone());
    Witness(lock, places, buns, event, barrier.clone(), queue.clone(), array.clone(), value.clone())
}

#[track_caller]
fn was_used_up(witness: &Witness, receiver: &Connection<String>) {
    let Witness(lock, places, buns, event, barrier, queue, array, value) = witness;
    assert!(!lock.is_locked() && event.is_set() && barrier.is_broken());
    assert_eq!((places.value(), buns.value()), (3, 2));
    assert_eq!(queue.get().expect("it works"), "by queue");
    assert_eq!(receiver.recv().expect("it works"), "by pipe");
    assert_eq!((array.to_vec(), value.load()), (vec![0, 11, 0], -5));
}

fn objects_of_all_kinds_are_passed_to_a_child_at_its_start() -> Result<(), Error> {
    let (kit, receiver) = kit()?;
    let witness = witness(&kit);
    Process::spawn(use_up, kit)?.result()?;
    was_used_up(&witness, &receiver);
    Ok(())
}

fn objects_of_all_kinds_are_sent_in_a_message() -> Result<(), Error> {
    let kits = Queue::<Kit>::new()?;
    let child = Process::spawn(|kits: Queue<Kit>| use_up(kits.get().expect("it comes")), kits.clone())?;
    let (kit, receiver) = kit()?;
    let witness = witness(&kit);
    kits.put(kit)?;
    child.result()?;
    was_used_up(&witness, &receiver);
    Ok(())
}

fn objects_of_all_kinds_are_made_by_a_child_and_sent_to_its_parent() -> Result<(), Error> {
    let (made, receivers) = (Queue::<Kit>::new()?, Queue::<Connection<String>>::new()?);
    let make = |made: Queue<Kit>, receivers: Queue<Connection<String>>, end: Event| {
        let (kit, receiver) = kit().expect("objects");
        let witness = witness(&kit);
        made.put(kit).expect("there is room");
        end.wait().expect("main sets it");
        was_used_up(&witness, &receiver);
        receivers.put(receiver).expect("there is room");
    };
    let end = Event::new()?;
    let child = Process::spawn(make, (made.clone(), receivers, end.clone()))?;
    use_up(made.get()?);
    end.set();
    child.result()
}

fn pass_down(kit: Kit, generations: u32) {
    if generations == 0 {
        return use_up(kit);
    }
    let child = Process::spawn(pass_down, (kit, generations - 1)).expect("a child");
    child.result().expect("it goes on");
}

fn objects_of_all_kinds_pass_through_three_generations() -> Result<(), Error> {
    let (kit, receiver) = kit()?;
    let witness = witness(&kit);
    Process::spawn(pass_down, (kit, 3))?.result()?;
    was_used_up(&witness, &receiver);
    Ok(())
}

fn make_and_wait(events: Queue<Event>) {
    let event = Event::new().expect("an event");
    events.put(&event).expect("there is room");
    event.wait().expect("the cousin sets it");
}

fn take_and_set(events: Queue<Event>) {
    events.get().expect("it comes").set();
}

fn an_object_comes_to_a_process_that_is_no_relative() -> Result<(), Error> {
    // Cousins: main never has the event.
    let events = Queue::new()?;
    let maker = |events| Process::spawn(make_and_wait, (events,)).and_then(Process::result).expect("it goes on");
    let setter = |events| Process::spawn(take_and_set, (events,)).and_then(Process::result).expect("it goes on");
    let one = Process::spawn(maker, (events.clone(),))?;
    let other = Process::spawn(setter, (events,))?;
    one.result()?;
    other.result()
}

fn an_object_that_comes_again_is_the_same() -> Result<(), Error> {
    let (lock, locks) = (RLock::new()?, Queue::<RLock>::new()?);
    locks.put(&lock)?;
    locks.put(&lock)?;
    let (one, two) = (locks.get()?, locks.get()?);
    let _held = (lock.acquire()?, one.acquire()?, two.acquire()?);
    assert_eq!((one.id(), two.id()), (lock.id(), lock.id()));
    Ok(())
}

/// Tries to open a number as each of the kinds, beginning with `first`, and keeps what it gets until the end.
fn open_as_all(id: ObjectId, first: usize) -> Vec<String> {
    let mut kept: Vec<Box<dyn Any>> = Vec::new();
    let mut keep = |opened: Result<Box<dyn Any>, Error>| told(opened.map(|object| kept.push(object)));
    let mut answers = vec![String::new(); 9];
    for kind in (first..9).chain(0..first) {
        answers[kind] = match kind {
            0 => keep(Lock::open(id).map(|lock| Box::new(lock) as _)),
            1 => keep(RLock::open(id).map(|lock| Box::new(lock) as _)),
            2 => keep(Semaphore::<Signal>::open(id).map(|semaphore| Box::new(semaphore) as _)),
            3 => keep(Event::open(id).map(|event| Box::new(event) as _)),
            4 => {
                let condition = raw::condition::Condition::open(id.get()).map_err(Error::from);
                keep(condition.map(|condition| Box::new(condition) as _))
            }
            5 => keep(Barrier::open(id).map(|barrier| Box::new(barrier) as _)),
            6 => keep(ByteQueue::open(id).map(|queue| Box::new(queue) as _)),
            7 => keep(ByteConnection::open(id).map(|connection| Box::new(connection) as _)),
            _ => keep(SharedArray::<u32>::open(id).map(|array| Box::new(array) as _)),
        };
    }
    answers
}

fn ids_are_names_and_not_rights() -> Result<(), Error> {
    let (kit, receiver) = kit()?;
    let Witness(lock, places, buns, event, barrier, queue, array, value) = witness(&kit);
    let ids = [lock.id(), places.id(), buns.id(), event.id(), barrier.id(), queue.id(), array.id(), value.id()];
    for id in ids.into_iter().chain([receiver.id(), kit.1.3.id(), kit.1.0.id()]) {
        let answers = Process::spawn(open_as_all, (id, 0))?.result()?;
        assert_eq!(answers, ["Denied"; 9], "{id}");
    }
    Ok(())
}

fn forged_ids_are_denied() -> Result<(), Error> {
    let last = Event::new()?.id().get();
    for forged in [0, last + 1, last + 1000, 1 << 32, u64::MAX] {
        let id = forged.to_string().parse().expect("a number");
        assert_eq!(open_as_all(id, 0), ["Denied"; 9], "{forged}");
    }
    Ok(())
}

fn granted_objects_are_opened_by_their_ids() -> Result<(), Error> {
    let (event, queue, (sender, receiver)) = (Event::new()?, ByteQueue::new()?, pipe::<u32>()?);
    let open = |event: ObjectId, queue: ObjectId, connection: ObjectId| {
        Event::open(event).expect("it was granted").set();
        ByteQueue::open(queue).expect("it was granted").put(b"hello").expect("it is open");
        Connection::<u32>::open(connection).expect("it was granted").send(5).expect("main is there");
    };
    let builder = Process::builder(open).share(&event).share(&queue).share(&sender);
    builder.spawn((event.id(), queue.id(), sender.id()))?.result()?;
    assert!(event.is_set());
    assert_eq!((queue.get()?, receiver.recv()?), (b"hello".to_vec(), 5));
    Ok(())
}

fn an_object_of_another_kind_is_invalid() -> Result<(), Error> {
    let (kit, receiver) = kit()?;
    let Witness(lock, places, _, event, barrier, queue, array, _) = witness(&kit);
    let ids = [lock.id(), places.id(), event.id(), kit.1.0.id(), barrier.id(), queue.id(), receiver.id(), array.id()];
    // A lock is opened as a lock of either kind; the SDK knows what kind it is elsewhere.
    let columns = [0..2, 2..3, 3..4, 4..5, 5..6, 6..7, 7..8, 8..9];
    for (id, own) in ids.into_iter().zip(columns) {
        let builder = Process::builder(open_as_all).share(&lock).share(&places).share(&event).share(&kit.1.0);
        let builder = builder.share(&barrier).share(&queue).share(&array);
        let builder = if id == receiver.id() { builder.share(&receiver) } else { builder };
        let answers = builder.spawn((id, own.start))?.result()?;
        for (column, answer) in answers.iter().enumerate() {
            let expected = if own.contains(&column) { "ok" } else { "Invalid" };
            assert_eq!(answer, expected, "column {column} of {answers:?}");
        }
    }
    Ok(())
}

fn guess_wrongly(event: ObjectId, connection: ObjectId) {
    assert_eq!(refusal(Lock::open(event)), Invalid);
    assert_eq!(refusal(Lock::open(connection)), Invalid);
    Event::open(event).expect("it is still had").set();
    ByteConnection::open(connection).expect("it is still had").send(b"hello").expect("it is still open");
}

fn a_wrong_guess_at_its_kind_loses_no_object() -> Result<(), Error> {
    let (event, (sender, receiver)) = (Event::new()?, byte_pipe(None)?);
    let builder = Process::builder(guess_wrongly).share(&event).share(&sender);
    builder.spawn((event.id(), sender.id()))?.result()?;
    assert!(event.is_set());
    assert_eq!(receiver.recv()?, b"hello");
    Ok(())
}

fn options(objects: Vec<u64>) -> process::Options {
    process::Options {
        name: None,
        daemon: false,
        component: None,
        arguments: None,
        environment: None,
        directories: None,
        limits: process::Limits { max_memory_bytes: None, cpu_time_ns: None, timeout_ns: None },
        objects,
    }
}

fn spawn_with(objects: Vec<u64>) -> String {
    told(process::spawn(&process::Target::Main, &[], &options(objects)))
}

fn a_child_gets_only_what_its_parent_has() -> Result<(), Error> {
    let (event, (sender, _receiver)) = (Event::new()?, pipe::<u32>()?);
    let (event, sender) = (event.id().get(), sender.id().get());
    for forged in [0, sender + 1000, u64::MAX] {
        assert_eq!(spawn_with(vec![forged]), "Denied", "{forged}");
    }
    assert_eq!(Process::spawn(spawn_with, vec![event])?.result()?, "Denied");
    assert_eq!(Process::spawn(spawn_with, vec![sender])?.result()?, "Denied");
    Ok(())
}

fn a_dropped_object_is_not_had_any_more() -> Result<(), Error> {
    let event = Event::new()?;
    let id = event.id();
    let same = event.clone();
    drop(event);
    assert_eq!(Event::open(id)?.id(), id, "a clone is left");
    drop(same);
    assert_eq!(refusal(Event::open(id)), Denied);
    assert_eq!(spawn_with(vec![id.get()]), "Denied");
    Ok(())
}

fn raw_queue() -> Result<queue::Queue, Error> {
    Ok(queue::Queue::create(queue::Options { capacity_bytes: None, max_items: None })?)
}

fn redeem(via: ByteQueue, tickets: Vec<u64>) -> Vec<String> {
    let via = queue::Queue::open(via.id().get()).expect("it was granted");
    tickets.iter().map(|ticket| told(via.redeem(*ticket))).collect()
}

fn a_ticket_is_redeemed_once() -> Result<(), Error> {
    let (via, event) = (ByteQueue::new()?, Event::new()?);
    let ticket = queue::Queue::open(via.id().get())?.ticket(event.id().get())?;
    let answers = Process::spawn(redeem, (via.clone(), vec![ticket, ticket]))?.result()?;
    assert_eq!(answers, ["ok", "Denied"]);
    assert_eq!(redeem(via, vec![ticket]), ["Denied"]);
    Ok(())
}

fn a_ticket_is_good_for_its_own_queue_only() -> Result<(), Error> {
    let (via, other, event) = (ByteQueue::new()?, ByteQueue::new()?, Event::new()?);
    let ticket = queue::Queue::open(via.id().get())?.ticket(event.id().get())?;
    assert_eq!(Process::spawn(redeem, (other.clone(), vec![ticket]))?.result()?, ["Denied"]);
    let (one, two) = raw::pipe::create(raw::pipe::Options { duplex: true, capacity_bytes: None })?;
    assert_eq!((refusal(one.redeem(ticket)), refusal(two.redeem(ticket))), (Denied, Denied));
    assert_eq!(Process::spawn(redeem, (via, vec![ticket]))?.result()?, ["ok"]);
    Ok(())
}

fn a_forged_ticket_is_denied() -> Result<(), Error> {
    let (via, event) = (ByteQueue::new()?, Event::new()?);
    let ticket = queue::Queue::open(via.id().get())?.ticket(event.id().get())?;
    let forged = vec![0, ticket + 1, event.id().get() + 100, u64::MAX];
    assert_eq!(Process::spawn(redeem, (via, forged))?.result()?, ["Denied"; 4]);
    Ok(())
}

fn a_ticket_for_what_one_does_not_have_is_denied() -> Result<(), Error> {
    let (via, event) = (ByteQueue::new()?, Event::new()?);
    let issue = |via: ByteQueue, objects: Vec<u64>| -> Vec<String> {
        let via = queue::Queue::open(via.id().get()).expect("it was granted");
        objects.iter().map(|object| told(via.ticket(*object))).collect()
    };
    let objects = vec![event.id().get(), 0, u64::MAX];
    assert_eq!(Process::spawn(issue, (via, objects))?.result()?, ["Denied"; 3]);
    Ok(())
}

fn a_ticket_keeps_its_object_alive() -> Result<(), Error> {
    let via = raw_queue()?;
    let event = raw::event::Event::create()?;
    event.set();
    let (id, ticket) = (event.id(), via.ticket(event.id())?);
    drop(event);
    assert_eq!(refusal(raw::event::Event::open(id)), Denied);
    assert_eq!(via.redeem(ticket)?, id);
    assert!(raw::event::Event::open(id)?.is_set());
    Ok(())
}

fn a_ticket_of_a_pipe_is_redeemed_at_the_other_end() -> Result<(), Error> {
    let (events, receiver) = pipe::<Event>()?;
    let child = Process::spawn(|events: Connection<Event>| events.recv().expect("it comes").set(), receiver)?;
    let event = Event::new()?;
    events.send(&event)?;
    event.wait()?;
    child.result()
}

fn ten_thousand_tickets_are_on_their_way_and_no_more() -> Result<(), Error> {
    let (via, other, event) = (raw_queue()?, raw_queue()?, Event::new()?);
    let event = event.id().get();
    let mut tickets = (0..10_000).map(|_| via.ticket(event)).collect::<Result<Vec<_>, _>>()?;
    tickets.sort_unstable();
    tickets.dedup();
    assert_eq!(tickets.len(), 10_000);
    assert_eq!(refusal(via.ticket(event)), Limit);
    other.ticket(event)?;
    via.redeem(tickets[5000])?;
    via.ticket(event)?;
    assert_eq!(refusal(via.ticket(event)), Limit);
    Ok(())
}

fn objects_travel_only_where_they_can_be_granted() -> Result<(), Error> {
    let child = Process::spawn(|| Event::new().expect("an event"), ())?;
    let error = child.result().expect_err("a result grants nothing");
    assert!(error.to_string().contains("queue or a connection"), "{error}");
    let (queue, event) = (Queue::<Event>::new()?, Event::new()?);
    queue.put(&event)?;
    // Its message as bytes is a number, which grants nothing without the queue.
    queue.bytes().get()?;
    let values = Queue::<u64>::new()?;
    values.put(event.id().get())?;
    assert_eq!(refusal(Queue::<Event>::open(values.id())?.get()), Denied);
    Ok(())
}
