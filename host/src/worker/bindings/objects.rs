//! What the interfaces of shared objects have in common: handles, errors, pollables.

use std::sync::Arc;

use wasmproc_shm::{Layout, Refused};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynPollable, subscribe};

use super::super::host::Host;
use super::super::objects::{Failed, Handle, Interest, Shared, Wait, Watch};
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use crate::wire::object::ObjectId;

/// What a function of an interface returns: a trap, or what the WIT says.
pub(super) type Answer<T> = wasmtime::Result<Result<T, Error>>;

pub(super) fn error(code: ErrorCode, message: String) -> Error {
    Error { code, message }
}

/// Why an operation was refused, with the name of the object.
#[cold]
pub(super) fn refused(shared: &Shared, refused: Refused, wait: &Wait<'_>) -> Error {
    let code = match refused {
        Refused::TimedOut => ErrorCode::Timeout,
        Refused::Cancelled | Refused::Deadlock => ErrorCode::Deadlock,
        Refused::Closed => ErrorCode::Closed,
        Refused::NotOwner => ErrorCode::NotOwner,
        Refused::TooLarge => ErrorCode::TooLarge,
        Refused::Limit => ErrorCode::Limit,
        Refused::BarrierBroken | Refused::Damaged | Refused::Stuck => ErrorCode::Broken,
    };
    match &wait.deadlock {
        Some(circle) => error(code, circle.clone()),
        None => error(code, format!("{}: {refused}", shared.name())),
    }
}

pub(super) fn failed<T>(failed: Failed) -> Answer<T> {
    match failed {
        Failed::Refused(refusal) => Ok(Err(refusal.into())),
        Failed::Broken(error) => Err(error),
    }
}

/// What a plain number without meaning leads to.
#[cold]
pub(super) fn no_handle() -> wasmtime::Error {
    wasmtime::Error::msg("a plain handle is of another kind, or was dropped")
}

impl Host {
    /// The object behind a handle.
    #[inline]
    pub(super) fn object(&self, handle: Handle) -> wasmtime::Result<&Arc<Shared>> {
        self.objects.get(handle).ok_or_else(no_handle)
    }

    pub(super) fn create_object<T: 'static>(&mut self, layout: Layout) -> Answer<Resource<T>> {
        match self.objects.create(layout, false) {
            Ok((handle, _)) => Ok(Ok(Resource::new_own(handle))),
            Err(why) => failed(why),
        }
    }

    /// Opens an object if it is one of this kind.
    pub(super) fn open_object<T: 'static>(
        &mut self,
        id: u64,
        is_one: impl FnOnce(&Shared) -> bool,
        kind: &str,
    ) -> Answer<Resource<T>> {
        let handle = match self.objects.open(ObjectId(id)) {
            Ok(handle) => handle,
            Err(why) => return failed(why),
        };
        let shared = self.object(handle)?;
        if is_one(shared) {
            return Ok(Ok(Resource::new_own(handle)));
        }
        let message = format!("object {id} is not a {kind}: it is {}", shared.name());
        self.objects.put_back(handle);
        Ok(Err(error(ErrorCode::Invalid, message)))
    }

    pub(super) fn drop_object<T: 'static>(&mut self, handle: &Resource<T>) -> wasmtime::Result<()> {
        Ok(self.objects.drop(handle.rep())?)
    }

    pub(super) fn watch_object(
        &mut self,
        handle: Handle,
        interest: Interest,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let watch = Watch::new(self.object(handle)?.clone(), interest);
        let watch = self.table.push(watch)?;
        subscribe(&mut self.table, watch)
    }
}

/// Gets the object behind a handle and the algorithms of its kind. The component model has checked the type of a resource;
/// a plain number may be anything.
macro_rules! opened {
    ($host:expr, $handle:expr, $kind:ident) => {{
        let shared = $host.object($handle)?;
        match &shared.opened {
            $crate::worker::objects::Opened::$kind(object) => (shared, object),
            _ => return Err($crate::worker::bindings::objects::no_handle()),
        }
    }};
}

pub(super) use opened;
