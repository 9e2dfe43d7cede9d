//! The memories of shared objects: makes them, passes them on, and repairs what the dead leave in them.
//!
//! What to do is decided by the table. A memory costs the supervisor one descriptor; it is mapped here when something has
//! to be repaired in it or read from it, and stays so.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use wasmproc_shm::{Death, End, Findings, Layout, Lease, Mapping, Seat, Wakers};

use super::table::{ObjectAction, ObjectEvent};
use crate::Pid;
use crate::wire::board::Board;
use crate::wire::object::{ObjectId, ObjectReply};
use crate::wire::worker::{Reply, ToWorker};
use crate::wire::zygote::WorkerId;

/// How soon to look again at an object whose internal lock somebody alive has.
const RETRY: Duration = Duration::from_millis(2);
/// How long an internal lock may be held while others wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// All memories of a run.
#[derive(Debug, Default)]
pub(super) struct Memories {
    shared: HashMap<ObjectId, Shared>,
    parcels: HashMap<u64, OwnedFd>,
    boards: HashMap<Pid, Board>,
    unfinished: Vec<Repair>,
    /// How often a dead process had held an object, or had been inside an operation.
    pub(super) found: u64,
}

#[derive(Debug)]
struct Shared {
    file: OwnedFd,
    bell: Arc<OnceLock<OwnedFd>>,
    mapping: Option<Mapping<Bell>>,
}

/// Rings for those who wait in an event loop, if there are any.
#[derive(Debug)]
struct Bell(Arc<OnceLock<OwnedFd>>);

impl Wakers for Bell {
    fn ring(&self) {
        if let Some(bell) = self.0.get() {
            // It fails only if a hostile holder has filled it: then it is ringing.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }
    fn enter(&self) {}
    fn leave(&self) {}
}

impl Shared {
    fn mapping(&mut self, layout: Layout) -> io::Result<&Mapping<Bell>> {
        if self.mapping.is_none() {
            self.mapping = Some(Mapping::new(&self.file, layout, Bell(self.bell.clone()))?);
        }
        self.mapping.as_ref().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}

/// What has to be repaired after a process.
#[derive(Debug, Clone, Copy)]
struct Repair {
    pid: Pid,
    object: ObjectId,
    memory: ObjectId,
    layout: Layout,
    seat: u32,
    end: End,
    death: Death,
    /// Who has been seen to hold the internal lock meanwhile, and since when.
    standstill: Option<(Possession, Instant)>,
}

/// An internal lock that is held: which one, by the lease with which number, for the how-manieth time.
type Possession = (usize, u32, u32);

/// What an action leads to.
pub(super) enum Consequence {
    Nothing,
    Tell(WorkerId, ToWorker, Vec<OwnedFd>),
    Event(ObjectEvent),
}

impl Memories {
    pub(super) fn act(&mut self, action: ObjectAction) -> Consequence {
        match action {
            ObjectAction::Grant { to, worker, request, reply, memory, make, board } => {
                match self.grant(to, memory, make, board) {
                    Ok(descriptors) => answer(worker, request, reply, descriptors),
                    Err(error) => {
                        let reason = error.to_string();
                        let made = make.is_some();
                        Consequence::Event(ObjectEvent::NotGranted { to, request, memory, made, reason })
                    }
                }
            }
            ObjectAction::Parcel { to, worker, request, parcel, bytes } => match self.pack(parcel, bytes) {
                Ok(file) => answer(worker, request, ObjectReply::Parcel { parcel, bytes }, vec![file]),
                Err(error) => {
                    let reason = error.to_string();
                    Consequence::Event(ObjectEvent::NotPacked { to, request, parcel, reason })
                }
            },
            ObjectAction::Unpack { worker, request, parcel, bytes } => {
                // Without a descriptor the worker says that none is left.
                let file = self.parcels.get(&parcel).and_then(|file| file.try_clone().ok());
                answer(worker, request, ObjectReply::Parcel { parcel, bytes }, file.into_iter().collect())
            }
            ObjectAction::Doorbell { worker, request, memory } => {
                let bell = self.doorbell(memory).into_iter().collect();
                answer(worker, request, ObjectReply::Doorbell, bell)
            }
            ObjectAction::Recover { pid, object, memory, layout, seat, end, death } => {
                let repair = Repair { pid, object, memory, layout, seat, end, death, standstill: None };
                self.repair_or_postpone(repair)
            }
            ObjectAction::Close { memory, layout, end } => {
                if let Some(Ok(mapping)) = self.shared.get_mut(&memory).map(|shared| shared.mapping(layout)) {
                    wasmproc_shm::Pipe::new(mapping, layout, end).close();
                }
                Consequence::Nothing
            }
            ObjectAction::Free(memory) => {
                self.shared.remove(&memory);
                Consequence::Nothing
            }
            ObjectAction::FreeParcel(parcel) => {
                self.parcels.remove(&parcel);
                Consequence::Nothing
            }
            ObjectAction::ReadHolders(locks) => {
                let holder = |memory: ObjectId| {
                    let mapping = self.shared.get_mut(&memory)?.mapping(Layout::Lock).ok()?;
                    Some((memory, wasmproc_shm::holder(&mapping, Layout::Lock)))
                };
                Consequence::Event(ObjectEvent::Holders(locks.into_iter().filter_map(holder).collect()))
            }
            ObjectAction::CheckStall { memory, layout, at, holder, count } => {
                self.check_stall(memory, layout, (at, holder, count))
            }
            ObjectAction::Alarm(pid) => {
                if let Some(board) = self.boards.get(&pid) {
                    board.alarm();
                }
                Consequence::Nothing
            }
        }
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.boards.remove(&pid);
    }

    /// When to call [`Memories::go_on`], if at all.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        (!self.unfinished.is_empty()).then_some(RETRY)
    }

    /// Tries what could not be repaired before.
    pub(super) fn go_on(&mut self) -> Vec<Consequence> {
        let unfinished = std::mem::take(&mut self.unfinished);
        let mut consequences = Vec::new();
        for repair in unfinished {
            let Some((possession, since)) = repair.standstill else {
                consequences.push(self.repair_or_postpone(repair));
                continue;
            };
            if since.elapsed() > PATIENCE {
                consequences.push(self.check_stall(repair.memory, repair.layout, possession));
            }
            consequences.push(if since.elapsed() > 2 * PATIENCE {
                // Nobody who could be killed for it holds it: the object was damaged.
                Consequence::Event(ObjectEvent::Recovered { pid: repair.pid, object: repair.object })
            } else {
                self.repair_or_postpone(repair)
            });
        }
        consequences
    }

    /// The descriptors of a grant: the board if one is asked for, and the memory.
    fn grant(&mut self, to: Pid, memory: ObjectId, make: Option<Layout>, board: bool) -> io::Result<Vec<OwnedFd>> {
        let board = board.then(Board::create).transpose()?;
        if let Some(layout) = make {
            let file = wasmproc_shm::create(c"wasmproc-object", layout.bytes())?;
            let mut shared = Shared { file, bell: Arc::default(), mapping: None };
            if matches!(layout, Layout::Semaphore { .. }) {
                wasmproc_shm::initialise(&shared.mapping(layout)?, layout);
            }
            self.shared.insert(memory, shared);
        }
        let shared = self.shared.get(&memory).ok_or(io::ErrorKind::NotFound)?;
        let mut descriptors = vec![shared.file.try_clone()?];
        if let Some((board, file)) = board {
            self.boards.insert(to, board);
            descriptors.insert(0, file);
        }
        Ok(descriptors)
    }

    fn pack(&mut self, parcel: u64, bytes: u64) -> io::Result<OwnedFd> {
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let file = wasmproc_shm::create(c"wasmproc-message", bytes)?;
        let copy = file.try_clone()?;
        self.parcels.insert(parcel, file);
        Ok(copy)
    }

    /// The eventfd of an object, which rings: who asks for it to ring may have no descriptor left to do so itself.
    fn doorbell(&mut self, memory: ObjectId) -> Option<OwnedFd> {
        let shared = self.shared.get(&memory)?;
        if shared.bell.get().is_none() {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            let _ = shared.bell.set(rustix::event::eventfd(0, flags).ok()?);
        }
        Bell(shared.bell.clone()).ring();
        shared.bell.get()?.try_clone().ok()
    }

    fn repair_or_postpone(&mut self, repair: Repair) -> Consequence {
        match self.repair(repair) {
            Some(found) => {
                self.found += u64::from(found);
                Consequence::Event(ObjectEvent::Recovered { pid: repair.pid, object: repair.object })
            }
            None => {
                let standstill = self.standstill(&repair);
                self.unfinished.push(Repair { standstill, ..repair });
                Consequence::Nothing
            }
        }
    }

    /// Who holds the internal lock that is in the way of a repair, and since when.
    fn standstill(&mut self, repair: &Repair) -> Option<(Possession, Instant)> {
        let mapping = self.shared.get_mut(&repair.memory)?.mapping(repair.layout).ok()?;
        let possession = *wasmproc_shm::possessions(&mapping, repair.layout).first()?;
        let same = repair.standstill.filter(|(before, _)| *before == possession);
        Some(same.unwrap_or_else(|| (possession, Instant::now())))
    }

    /// Whether anything was found; `None` if it has to be tried again.
    fn repair(&mut self, repair: Repair) -> Option<bool> {
        let Some(shared) = self.shared.get_mut(&repair.memory) else { return Some(false) };
        let lease = u32::try_from(repair.pid.0).ok().and_then(Lease::new);
        let Some(lease) = lease else { return Some(false) };
        // Without memory for a mapping now, perhaps later.
        let mapping = shared.mapping(repair.layout).ok()?;
        let seat = Seat(repair.seat);
        match wasmproc_shm::recover(mapping, repair.layout, lease, seat, repair.end, repair.death) {
            Findings::Busy => None,
            found => Some(found == Findings::Held),
        }
    }

    /// Whether a process holds an internal lock of the object as somebody says, and as that process itself noted.
    fn check_stall(&mut self, memory: ObjectId, layout: Layout, accused: Possession) -> Consequence {
        let Some(Ok(mapping)) = self.shared.get_mut(&memory).map(|shared| shared.mapping(layout)) else {
            return Consequence::Nothing;
        };
        let holder = Pid(accused.1.into());
        let is_so = wasmproc_shm::possessions(&mapping, layout).contains(&accused);
        // What stands in the object anybody may have written there.
        if is_so && self.boards.get(&holder).is_some_and(|board| board.is_inside(memory)) {
            Consequence::Event(ObjectEvent::Stalled(holder))
        } else {
            Consequence::Nothing
        }
    }
}

fn answer(worker: WorkerId, request: u64, reply: ObjectReply, descriptors: Vec<OwnedFd>) -> Consequence {
    let message = ToWorker::Reply { request, result: Ok(Reply::Object(reply)) };
    Consequence::Tell(worker, message, descriptors)
}
