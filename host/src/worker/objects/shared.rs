//! One object of this process, whatever its kind.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};

use wasmproc_shm::{
    Barrier, Cells, Condition, End, Event, Layout, Lease, Lock, Mapping, Pipe, Queue, Seat, Semaphore, Wakers,
};

use super::super::control::Control;
use super::Handle;
use crate::wire::board::Board;
use crate::wire::object::{ObjectId, ObjectRequest, Spec};

/// An object's memory in a worker.
pub(in super::super) type Map = Mapping<Doorbell>;

/// An object that this process has, shared by its handles.
pub(in super::super) struct Shared {
    pub(in super::super) id: ObjectId,
    pub(in super::super) spec: Spec,
    pub(in super::super) opened: Opened,
    pub(super) board: Arc<Board>,
    /// Of a lock: which handle holds it.
    pub(in super::super) hold: Hold,
    pub(super) handles: AtomicU32,
    /// How many waits in a row were not over after a moment's lingering.
    pub(super) vain: AtomicU32,
    /// The parcel of a message that was taken and could not be unpacked so far; 0 for none.
    pub(in super::super) parcel: AtomicU64,
    /// It is an end of a pipe, and somebody else has it now.
    pub(in super::super) moved: AtomicBool,
}

/// By kind.
pub(in super::super) enum Opened {
    Lock(Lock<Map>),
    Semaphore(Semaphore<Map>),
    Event(Event<Map>),
    Condition(Condition<Map>),
    Barrier(Barrier<Map>),
    Queue(Queue<Map>),
    Pipe(Pipe<Map>),
    Cells(Cells<Map>),
}

impl Opened {
    pub(super) fn new(map: Map, layout: Layout, me: Lease, seat: Seat, end: End) -> Opened {
        match layout {
            Layout::Lock => Opened::Lock(Lock::new(map, me)),
            Layout::Semaphore { .. } => Opened::Semaphore(Semaphore::new(map, layout, me, seat)),
            Layout::Event => Opened::Event(Event::new(map)),
            Layout::Condition { .. } => Opened::Condition(Condition::new(map, layout, me, seat)),
            Layout::Barrier { .. } => Opened::Barrier(Barrier::new(map, layout, me, seat)),
            Layout::Queue { .. } => Opened::Queue(Queue::new(map, layout, me, seat)),
            Layout::Pipe { .. } => Opened::Pipe(Pipe::new(map, layout, end)),
            Layout::Cells { .. } => Opened::Cells(Cells::new(map, layout)),
        }
    }
}

impl Shared {
    pub(super) fn new(id: ObjectId, spec: Spec, opened: Opened, board: Arc<Board>) -> Shared {
        Shared {
            id,
            spec,
            opened,
            board,
            hold: Hold::default(),
            handles: AtomicU32::new(0),
            vain: AtomicU32::new(0),
            parcel: AtomicU64::new(0),
            moved: AtomicBool::new(false),
        }
    }

    /// What to call it in a message.
    pub(in super::super) fn name(&self) -> String {
        let kind = match self.opened {
            Opened::Pipe(_) => "connection",
            _ => self.spec.layout.name(),
        };
        format!("{kind} {}", self.id.0)
    }
}

/// Which handle of this process holds a lock, and how often. The lock itself only knows the process.
#[derive(Default)]
pub(in super::super) struct Hold {
    /// The handle and one; 0 for none.
    holder: AtomicU32,
    depth: AtomicU32,
}

impl Hold {
    /// How often `handle` holds the lock.
    #[inline]
    pub(in super::super) fn depth(&self, handle: Handle) -> u32 {
        if self.holder.load(Relaxed) == handle + 1 { self.depth.load(Relaxed) } else { 0 }
    }

    /// Whether another handle than this one holds it.
    pub(in super::super) fn by_another(&self, handle: Handle) -> bool {
        let holder = self.holder.load(Relaxed);
        holder != 0 && holder != handle + 1
    }

    #[inline]
    pub(in super::super) fn set(&self, handle: Handle, depth: u32) {
        self.depth.store(depth, Relaxed);
        self.holder.store(if depth == 0 { 0 } else { handle + 1 }, Relaxed);
    }

    /// Ends the hold of `handle`. Returns whether it had one.
    pub(super) fn forget(&self, handle: Handle) -> bool {
        let held = self.depth(handle) > 0;
        if held {
            self.set(handle, 0);
        }
        held
    }
}

/// What an object does for others beside changing words: it rings for those who wait in an event loop, and notes on the
/// board that this process is inside.
pub(in super::super) struct Doorbell {
    control: Control,
    board: Arc<Board>,
    id: ObjectId,
    memory: ObjectId,
    /// Fetched when it is needed for the first time.
    bell: OnceLock<OwnedFd>,
}

impl Doorbell {
    pub(super) fn new(control: Control, board: Arc<Board>, id: ObjectId, memory: ObjectId) -> Doorbell {
        Doorbell { control, board, id, memory, bell: OnceLock::new() }
    }

    /// The eventfd that all who have the object share.
    pub(super) fn bell(&self) -> Option<&OwnedFd> {
        if self.bell.get().is_none() {
            let (_, descriptors) = self.control.request_object(ObjectRequest::Doorbell(self.id)).ok()?.ok()?;
            let _ = self.bell.set(descriptors.into_iter().next()?);
        }
        self.bell.get()
    }
}

impl Wakers for Doorbell {
    #[cold]
    fn ring(&self) {
        if let Some(bell) = self.bell() {
            // It fails only if a hostile holder has filled it: then it is ringing.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    #[inline]
    fn enter(&self) {
        self.board.enter(self.memory);
    }

    #[inline]
    fn leave(&self) {
        self.board.leave();
    }
}
