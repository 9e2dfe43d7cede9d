//! The handle behind both kinds of lock: a holder of its own.

use crate::bindings::wasmproc::ipc::lock::{self, Kind};
use crate::bindings::wasmproc::ipc::types;
use crate::error::{Error, unless_timeout};
use crate::handle::{Handle, Resource};
use crate::lock::LockGuard;
use crate::settings::within;
use std::time::Duration;

/// A handle to a lock, with its plain number for the quick calls.
pub(crate) struct Holder {
    resource: lock::Lock,
    plain: u32,
}

impl Holder {
    fn new(resource: lock::Lock) -> Self {
        let plain = resource.plain_handle();
        Self { resource, plain }
    }

    pub(crate) fn create(kind: Kind) -> Result<Handle<Self>, Error> {
        Ok(Handle::new(Self::new(lock::Lock::create(kind)?)))
    }

    /// Another holder of the same lock.
    pub(crate) fn another(&self) -> Result<Handle<Self>, Error> {
        Ok(Handle::separate(Self::new(lock::Lock::open(self.resource.id())?)))
    }

    #[inline]
    pub(crate) fn acquire(&self) -> Result<LockGuard<'_>, Error> {
        if lock::try_acquire(self.plain) {
            return Ok(LockGuard::new(self, types::Acquired::Clean));
        }
        self.acquire_slowly()
    }

    #[cold]
    fn acquire_slowly(&self) -> Result<LockGuard<'_>, Error> {
        Ok(LockGuard::new(self, self.resource.acquire(None)?))
    }

    pub(crate) fn acquire_timeout(&self, timeout: Duration) -> Result<Option<LockGuard<'_>>, Error> {
        if lock::try_acquire(self.plain) {
            return Ok(Some(LockGuard::new(self, types::Acquired::Clean)));
        }
        let acquired = unless_timeout(self.resource.acquire(within(timeout)))?;
        Ok(acquired.map(|acquired| LockGuard::new(self, acquired)))
    }

    #[inline]
    pub(crate) fn release(&self) -> bool {
        lock::quick_release(self.plain)
    }

    pub(crate) fn resource(&self) -> &lock::Lock {
        &self.resource
    }
}

impl Resource for Holder {
    const NAME: &'static str = "lock";

    fn open(id: u64) -> Result<Self, types::Error> {
        lock::Lock::open(id).map(Self::new)
    }

    fn id(&self) -> u64 {
        self.resource.id()
    }
}
