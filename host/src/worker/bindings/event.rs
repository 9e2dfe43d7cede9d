//! `wasmproc:ipc/event`.

use wasmproc_shm::Layout;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened};
use super::generated::wasmproc::ipc::event as wit;
use super::objects::{Answer, opened, refused};

/// The type of handles to events.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Event;

impl wit::Host for Host {}

impl wit::HostEvent for Host {
    fn create(&mut self) -> Answer<Resource<Event>> {
        self.create_object(Layout::Event)
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Event>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Event(_)), "event")
    }

    fn id(&mut self, event: Resource<Event>) -> wasmtime::Result<u64> {
        Ok(self.object(event.rep())?.id.0)
    }

    fn set(&mut self, event: Resource<Event>) -> wasmtime::Result<()> {
        let (_, event) = opened!(self, event.rep(), Event);
        event.set();
        Ok(())
    }

    fn clear(&mut self, event: Resource<Event>) -> wasmtime::Result<()> {
        let (_, event) = opened!(self, event.rep(), Event);
        event.clear();
        Ok(())
    }

    fn is_set(&mut self, event: Resource<Event>) -> wasmtime::Result<bool> {
        let (_, event) = opened!(self, event.rep(), Event);
        Ok(event.is_set())
    }

    fn wait(&mut self, event: Resource<Event>, timeout: Option<u64>) -> Answer<()> {
        let (shared, event) = opened!(self, event.rep(), Event);
        let mut wait = self.objects.wait(shared, timeout);
        Ok(event.wait(&mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn subscribe(&mut self, event: Resource<Event>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(event.rep(), Interest::Take)
    }

    fn drop(&mut self, event: Resource<Event>) -> wasmtime::Result<()> {
        self.drop_object(&event)
    }
}
