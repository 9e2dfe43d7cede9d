//! The shared objects of this process: its handles to them, and their memories.
//!
//! A handle is an index into a table. Several handles of one object share its mapping; when the last one is dropped the
//! supervisor is told. The descriptor of a memory is closed as soon as it is mapped.

mod patience;
mod shared;
mod watch;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmproc_shm::{Layout, Lease, Mapping, Seat};

use super::control::Control;
use crate::Pid;
use crate::wire::board::Board;
use crate::wire::object::{ObjectId, ObjectReply, ObjectRequest, Spec};
use crate::wire::worker::{Refusal, RefusalCode, Request};
pub(super) use patience::Wait;
use shared::{Doorbell, Map};
pub(super) use shared::{Opened, Shared};
pub(super) use watch::{Interest, Watch};

/// Handles that one process may have.
///
/// The engine has a limit of its own, 100,000 of all kinds, and beyond that it traps.
const MAX_HANDLES: usize = 65_536;

/// A handle, as the guest's resources and plain numbers name it.
pub(super) type Handle = u32;

/// What an object could not be had for.
pub(super) enum Failed {
    Refused(Refusal),
    /// The supervisor is gone, or talks nonsense: the end of this worker.
    Broken(wasmtime::Error),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed::Broken(error.into())
    }
}

/// All handles of this process.
pub(super) struct Objects {
    control: Control,
    me: Option<Lease>,
    board: Option<Arc<Board>>,
    handles: Vec<Option<Arc<Shared>>>,
    free: Vec<Handle>,
    by_id: HashMap<ObjectId, Arc<Shared>>,
}

impl Objects {
    pub(super) fn new(control: Control, pid: Pid) -> Objects {
        let me = u32::try_from(pid.0).ok().and_then(Lease::new);
        Objects { control, me, board: None, handles: Vec::new(), free: Vec::new(), by_id: HashMap::new() }
    }

    /// Makes an object. For a pipe that is its first end; the number of the second is returned beside.
    pub(super) fn create(&mut self, layout: Layout, reentrant: bool) -> Result<(Handle, Option<ObjectId>), Failed> {
        self.ask(ObjectRequest::Create { spec: Spec { layout, reentrant }, board: self.board.is_none() })
    }

    /// Another handle to an object that this process has.
    pub(super) fn open(&mut self, id: ObjectId) -> Result<Handle, Failed> {
        if let Some(shared) = self.by_id.get(&id).cloned() {
            if matches!(shared.opened, Opened::Pipe(_)) {
                return Err(refuse(RefusalCode::Invalid, format!("connection {} is open already", id.0)));
            }
            return self.add(shared);
        }
        Ok(self.ask(ObjectRequest::Open { object: id, board: self.board.is_none() })?.0)
    }

    /// The object behind a handle. `None` for a number that is none.
    #[inline]
    pub(super) fn get(&self, handle: Handle) -> Option<&Arc<Shared>> {
        self.handles.get(handle as usize)?.as_ref()
    }

    /// Drops a handle that was opened for nothing. The process may open the object again.
    pub(super) fn put_back(&mut self, handle: Handle) {
        let Some(shared) = self.handles.get_mut(handle as usize).and_then(Option::take) else { return };
        self.free.push(handle);
        if shared.handles.fetch_sub(1, Relaxed) == 1 {
            self.by_id.remove(&shared.id);
        }
    }

    /// Drops a handle.
    pub(super) fn drop(&mut self, handle: Handle) -> Result<(), std::io::Error> {
        let Some(shared) = self.handles.get_mut(handle as usize).and_then(Option::take) else { return Ok(()) };
        self.free.push(handle);
        if let Opened::Lock(lock) = &shared.opened
            && shared.hold.forget(handle)
        {
            // It was ours a moment ago.
            let _ = lock.release();
        }
        if shared.handles.fetch_sub(1, Relaxed) > 1 {
            return Ok(());
        }
        // One that was moved away may be here again, as another handle.
        if shared.moved.load(Relaxed) {
            return Ok(());
        }
        self.by_id.remove(&shared.id);
        self.control.notify(Request::Object(ObjectRequest::Drop(shared.id)))
    }

    /// An end of a pipe has been moved to somebody else.
    pub(super) fn moved(&mut self, id: ObjectId) {
        let is_pipe = |shared: &Arc<Shared>| matches!(shared.opened, Opened::Pipe(_));
        if self.by_id.get(&id).is_some_and(is_pipe)
            && let Some(shared) = self.by_id.remove(&id)
        {
            shared.moved.store(true, Relaxed);
        }
    }

    /// How to wait for an object of this process, whose board is there since its first one.
    pub(super) fn wait<'a>(&'a self, shared: &'a Shared, timeout_ns: Option<u64>) -> Wait<'a> {
        Wait::new(&self.control, &shared.board, shared, timeout_ns)
    }

    fn ask(&mut self, request: ObjectRequest) -> Result<(Handle, Option<ObjectId>), Failed> {
        if self.handles.len() - self.free.len() >= MAX_HANDLES {
            return Err(refuse(RefusalCode::Limit, format!("this process has {MAX_HANDLES} handles: drop some")));
        }
        let is_new = matches!(request, ObjectRequest::Create { .. });
        let (reply, descriptors) = self.control.request_object(request)?.map_err(Failed::Refused)?;
        let ObjectReply::Granted { id, other, memory, spec, end, seat } = reply else {
            return Err(Failed::Broken(wasmtime::Error::msg("the supervisor answered another question")));
        };
        let granted = self.map(id, memory, spec, descriptors).and_then(|(map, board, me)| {
            let opened = Opened::new(map, spec.layout, me, Seat(seat), end);
            let shared = Arc::new(Shared::new(id, spec, opened, board));
            let handle = self.add(shared.clone())?;
            self.by_id.insert(id, shared);
            Ok((handle, other))
        });
        if granted.is_err() && is_new {
            // Nobody knows it.
            for id in [Some(id), other].into_iter().flatten() {
                self.control.notify(Request::Object(ObjectRequest::Drop(id)))?;
            }
        }
        granted
    }

    /// Maps an object that was granted, and before it the board if this process had none.
    fn map(
        &mut self,
        id: ObjectId,
        memory: ObjectId,
        spec: Spec,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Map, Arc<Board>, Lease), Failed> {
        let no_room = |what: &str, error| refuse(RefusalCode::Limit, format!("{what} can't be mapped: {error}"));
        let mut descriptors = descriptors.into_iter();
        let board = match &self.board {
            Some(board) => board.clone(),
            None => {
                let board = Board::open(&next(&mut descriptors)?).map_err(|error| no_room("the board", error))?;
                self.board.insert(Arc::new(board)).clone()
            }
        };
        let me = self.me.ok_or_else(|| Failed::Broken(wasmtime::Error::msg("this process is no lease")))?;
        let doorbell = Doorbell::new(self.control.clone(), board.clone(), id, memory);
        let map = Mapping::new(&next(&mut descriptors)?, spec.layout, doorbell)
            .map_err(|error| no_room(&format!("object {}", id.0), error))?;
        Ok((map, board, me))
    }

    fn add(&mut self, shared: Arc<Shared>) -> Result<Handle, Failed> {
        shared.handles.fetch_add(1, Relaxed);
        if let Some(handle) = self.free.pop() {
            self.handles[handle as usize] = Some(shared);
            return Ok(handle);
        }
        if self.handles.len() >= MAX_HANDLES {
            shared.handles.fetch_sub(1, Relaxed);
            return Err(refuse(RefusalCode::Limit, format!("this process has {MAX_HANDLES} handles: drop some")));
        }
        self.handles.push(Some(shared));
        Ok(self.handles.len() as Handle - 1)
    }
}

fn next(descriptors: &mut impl Iterator<Item = OwnedFd>) -> Result<OwnedFd, Failed> {
    descriptors.next().ok_or_else(|| refuse(RefusalCode::Limit, "this process has no descriptor left".to_owned()))
}

fn refuse(code: RefusalCode, message: String) -> Failed {
    Failed::Refused(Refusal { code, message })
}
