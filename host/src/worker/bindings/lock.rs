//! `wasmproc:ipc/lock`.

use std::sync::Arc;

use wasmproc_shm::{Layout, Refused};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Handle, Interest, Opened, Shared};
use super::generated::wasmproc::ipc::lock::{self as wit, Kind};
use super::generated::wasmproc::ipc::types::{Acquired, Error, ErrorCode};
use super::objects::{Answer, error, failed, no_handle, opened, refused};

/// The type of handles to locks.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Lock;

impl wit::Host for Host {
    #[inline]
    fn try_acquire(&mut self, handle: Handle) -> wasmtime::Result<bool> {
        let (shared, lock) = opened!(self, handle, Lock);
        let depth = shared.hold.depth(handle);
        if depth > 0 && shared.spec.reentrant {
            return Ok(deeper(shared, handle, depth).is_ok());
        }
        let acquired = lock.quick_acquire();
        if acquired {
            shared.hold.set(handle, 1);
        }
        Ok(acquired)
    }

    #[inline]
    fn quick_release(&mut self, handle: Handle) -> wasmtime::Result<bool> {
        Ok(release(self.object(handle)?, handle)?.is_ok())
    }
}

impl wit::HostLock for Host {
    fn create(&mut self, kind: Kind) -> Answer<Resource<Lock>> {
        match self.objects.create(Layout::Lock, kind == Kind::Reentrant) {
            Ok((handle, _)) => Ok(Ok(Resource::new_own(handle))),
            Err(why) => failed(why),
        }
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Lock>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Lock(_)), "lock")
    }

    fn id(&mut self, lock: Resource<Lock>) -> wasmtime::Result<u64> {
        Ok(self.object(lock.rep())?.id.0)
    }

    fn acquire(&mut self, lock: Resource<Lock>, timeout: Option<u64>) -> Answer<Acquired> {
        acquire(self, lock.rep(), timeout)
    }

    fn release(&mut self, lock: Resource<Lock>) -> Answer<()> {
        let handle = lock.rep();
        let shared = self.object(handle)?;
        Ok(release(shared, handle)?.map_err(|()| not_owner(shared)))
    }

    fn is_locked(&mut self, lock: Resource<Lock>) -> wasmtime::Result<bool> {
        let (_, lock) = opened!(self, lock.rep(), Lock);
        Ok(lock.holder() != 0)
    }

    fn subscribe(&mut self, lock: Resource<Lock>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(lock.rep(), Interest::Take)
    }

    fn plain_handle(&mut self, lock: Resource<Lock>) -> wasmtime::Result<Handle> {
        Ok(lock.rep())
    }

    fn drop(&mut self, lock: Resource<Lock>) -> wasmtime::Result<()> {
        self.drop_object(&lock)
    }
}

pub(super) fn acquire(host: &Host, handle: Handle, timeout: Option<u64>) -> Answer<Acquired> {
    let (shared, lock) = opened!(host, handle, Lock);
    let depth = shared.hold.depth(handle);
    if depth > 0 && shared.spec.reentrant {
        return Ok(deeper(shared, handle, depth));
    }
    if depth > 0 || shared.hold.by_another(handle) {
        return Ok(Err(held_here(shared, timeout)));
    }
    if lock.quick_acquire() {
        shared.hold.set(handle, 1);
        return Ok(Ok(Acquired::Clean));
    }
    let mut wait = host.objects.wait(shared, timeout);
    let acquired = match timeout {
        Some(0) => lock.try_acquire().ok_or(Refused::TimedOut),
        _ => lock.acquire(&mut wait),
    };
    Ok(match acquired {
        Ok(acquired) => {
            shared.hold.set(handle, 1);
            Ok(acquired.into())
        }
        Err(why) => Err(refused(shared, why, &wait)),
    })
}

/// This process holds it, and nobody but itself, which would wait, could release it.
fn held_here(shared: &Shared, timeout: Option<u64>) -> Error {
    match timeout {
        Some(0) => error(ErrorCode::Timeout, format!("{}: it is held", shared.name())),
        _ => error(ErrorCode::Deadlock, format!("{}: this process holds it already", shared.name())),
    }
}

fn deeper(shared: &Shared, handle: Handle, depth: u32) -> Result<Acquired, Error> {
    let Some(deeper) = depth.checked_add(1) else {
        return Err(error(ErrorCode::Limit, format!("{}: it was acquired too often", shared.name())));
    };
    shared.hold.set(handle, deeper);
    Ok(Acquired::Clean)
}

/// The inner error means that this handle doesn't hold it.
#[inline]
fn release(shared: &Arc<Shared>, handle: Handle) -> wasmtime::Result<Result<(), ()>> {
    let Opened::Lock(lock) = &shared.opened else { return Err(no_handle()) };
    let depth = shared.hold.depth(handle);
    if depth == 0 {
        return Ok(Err(()));
    }
    shared.hold.set(handle, depth - 1);
    // A peer may have damaged the word; then it isn't held by anybody that we know.
    Ok(if depth > 1 { Ok(()) } else { lock.release().map_err(drop) })
}

pub(super) fn not_owner(shared: &Shared) -> Error {
    error(ErrorCode::NotOwner, format!("{}: this handle doesn't hold it", shared.name()))
}

impl From<wasmproc_shm::Acquired> for Acquired {
    fn from(acquired: wasmproc_shm::Acquired) -> Acquired {
        match acquired {
            wasmproc_shm::Acquired::Clean => Acquired::Clean,
            wasmproc_shm::Acquired::Abandoned => Acquired::Abandoned,
        }
    }
}
