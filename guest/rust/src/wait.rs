//! Waiting for whichever of several things comes first.

use std::time::Duration;

use wasip2::io::poll::poll;

use crate::{
    Barrier, ByteConnection, ByteQueue, Condition, Connection, Event, Lock, Pollable, Process, Queue, RLock, Semaphore,
    StopRequest, Timer,
};

/// Something that [`wait_any`] can wait for: processes, shared objects, [`Timer`]s, and every [`Pollable`].
///
/// What it means for each to be ready is what its `subscribe` says. Implement it for types of your own that consist of
/// one of these.
///
/// ```no_run
/// use wasmproc_guest::{Queue, Subscription, Waitable};
///
/// struct Counter {
///     orders: Queue<String>,
/// }
///
/// impl Waitable for Counter {
///     fn subscription(&self) -> Subscription<'_> {
///         self.orders.subscription()
///     }
/// }
/// ```
pub trait Waitable {
    /// What is ready when this is.
    fn subscription(&self) -> Subscription<'_>;
}

/// A [`Pollable`] that was made to be waited for once, or one that is kept.
///
/// ```no_run
/// use wasmproc_guest::{Event, Subscription};
///
/// fn subscribe(event: &Event) -> Subscription<'static> {
///     Subscription::Fresh(event.subscribe())
/// }
/// ```
#[derive(Debug)]
pub enum Subscription<'a> {
    /// Made for this wait.
    Fresh(Pollable),
    /// Kept by what is waited for.
    Kept(&'a Pollable),
}

/// Waits until at least one of `things` is ready, and returns the places of all that are, in ascending order.
///
/// That something is ready is a hint: another process may be faster, so go on with `try_acquire`, `try_get` and the
/// like. With no things at all it returns at once. Whoever waits for the same thousands of things again and again
/// subscribes to each once and passes the [`Pollable`]s.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, Queue, wait_any};
///
/// fn watch(worker: &Process, results: &Queue<String>) -> Result<(), Error> {
///     loop {
///         let ready = wait_any(&[results, worker]);
///         if ready.contains(&0) {
///             while let Some(result) = results.try_get()? {
///                 println!("{result}");
///             }
///         } else {
///             println!("{}", worker.join()?);
///             return Ok(());
///         }
///     }
/// }
/// ```
pub fn wait_any(things: &[&dyn Waitable]) -> Vec<usize> {
    if things.is_empty() {
        return Vec::new();
    }
    let subscriptions: Vec<Subscription<'_>> = things.iter().map(|thing| thing.subscription()).collect();
    let pollables: Vec<&Pollable> = subscriptions.iter().map(Subscription::pollable).collect();
    let mut ready: Vec<usize> = poll(&pollables).into_iter().map(|index| index as usize).collect();
    ready.sort_unstable();
    ready
}

/// As [`wait_any`], but waits no longer than `timeout`: then nothing is ready and the list is empty.
///
/// ```no_run
/// use std::time::Duration;
/// use wasmproc_guest::{Event, wait_any_timeout};
///
/// fn wait_a_second(events: &[Event; 2]) {
///     match wait_any_timeout(&[&events[0], &events[1]], Duration::from_secs(1))[..] {
///         [] => println!("none within a second"),
///         [index, ..] => println!("event {index}"),
///     }
/// }
/// ```
pub fn wait_any_timeout(things: &[&dyn Waitable], timeout: Duration) -> Vec<usize> {
    let timer = Timer::after(timeout);
    let mut with_timer = things.to_vec();
    with_timer.push(&timer);
    let mut ready = wait_any(&with_timer);
    ready.retain(|&index| index < things.len());
    ready
}

impl Subscription<'_> {
    fn pollable(&self) -> &Pollable {
        match self {
            Self::Fresh(pollable) => pollable,
            Self::Kept(pollable) => pollable,
        }
    }
}

impl Waitable for Pollable {
    fn subscription(&self) -> Subscription<'_> {
        Subscription::Kept(self)
    }
}

macro_rules! waitable {
    ($([$($generics:ident),*] $type:ty: $variant:ident($method:ident);)*) => {
        $(impl<$($generics),*> Waitable for $type {
            fn subscription(&self) -> Subscription<'_> {
                Subscription::$variant(self.$method())
            }
        })*
    };
}

waitable! {
    [R] Process<R>: Fresh(subscribe);
    [] Lock: Fresh(subscribe);
    [] RLock: Fresh(subscribe);
    [M] Semaphore<M>: Fresh(subscribe);
    [] Event: Fresh(subscribe);
    [] Condition: Fresh(subscribe);
    [] Barrier: Fresh(subscribe);
    [T] Queue<T>: Fresh(subscribe);
    [] ByteQueue: Fresh(subscribe);
    [S, R] Connection<S, R>: Fresh(subscribe);
    [] ByteConnection: Fresh(subscribe);
    [] Timer: Kept(pollable);
    [] StopRequest: Kept(pollable);
}
