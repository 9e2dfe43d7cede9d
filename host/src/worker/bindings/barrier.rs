//! `wasmproc:ipc/barrier`.

use wasmproc_shm::Layout;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened};
use super::generated::wasmproc::ipc::barrier as wit;
use super::objects::{Answer, opened, refused};

/// The type of handles to barriers.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Barrier;

impl wit::Host for Host {}

impl wit::HostBarrier for Host {
    fn create(&mut self, parties: u32) -> Answer<Resource<Barrier>> {
        self.create_object(Layout::Barrier { parties, seats: 0 })
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Barrier>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Barrier(_)), "barrier")
    }

    fn id(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<u64> {
        Ok(self.object(barrier.rep())?.id.0)
    }

    fn wait(&mut self, barrier: Resource<Barrier>, timeout: Option<u64>) -> Answer<u32> {
        let (shared, barrier) = opened!(self, barrier.rep(), Barrier);
        let mut wait = self.objects.wait(shared, timeout);
        let passed = barrier.wait(&mut wait);
        Ok(passed.map(|passed| passed.index).map_err(|why| refused(shared, why, &wait)))
    }

    fn abort(&mut self, barrier: Resource<Barrier>) -> Answer<()> {
        let (shared, barrier) = opened!(self, barrier.rep(), Barrier);
        let mut wait = self.objects.wait(shared, None);
        Ok(barrier.abort(&mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn reset(&mut self, barrier: Resource<Barrier>) -> Answer<()> {
        let (shared, barrier) = opened!(self, barrier.rep(), Barrier);
        let mut wait = self.objects.wait(shared, None);
        Ok(barrier.reset(&mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn parties(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<u32> {
        let (_, barrier) = opened!(self, barrier.rep(), Barrier);
        Ok(barrier.parties())
    }

    fn waiting(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<u32> {
        let (_, barrier) = opened!(self, barrier.rep(), Barrier);
        Ok(barrier.waiting())
    }

    fn is_broken(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<bool> {
        let (_, barrier) = opened!(self, barrier.rep(), Barrier);
        Ok(barrier.is_broken())
    }

    fn subscribe(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<Resource<DynPollable>> {
        let handle = barrier.rep();
        let (_, barrier) = opened!(self, handle, Barrier);
        let before = barrier.changes();
        self.watch_object(handle, Interest::Since(before))
    }

    fn drop(&mut self, barrier: Resource<Barrier>) -> wasmtime::Result<()> {
        self.drop_object(&barrier)
    }
}
