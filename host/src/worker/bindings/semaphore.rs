//! `wasmproc:ipc/semaphore`.

use wasmproc_shm::{Layout, Refused};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened};
use super::generated::wasmproc::ipc::semaphore::{self as wit, Mode};
use super::objects::{Answer, opened, refused};

/// The type of handles to semaphores.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Semaphore;

impl wit::Host for Host {}

impl wit::HostSemaphore for Host {
    fn create(&mut self, permits: u32, mode: Mode) -> Answer<Resource<Semaphore>> {
        self.create_object(Layout::Semaphore { permits, bounded: mode == Mode::Bounded, seats: 0 })
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Semaphore>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Semaphore(_)), "semaphore")
    }

    fn id(&mut self, semaphore: Resource<Semaphore>) -> wasmtime::Result<u64> {
        Ok(self.object(semaphore.rep())?.id.0)
    }

    fn acquire(&mut self, semaphore: Resource<Semaphore>, timeout: Option<u64>) -> Answer<()> {
        let (shared, semaphore) = opened!(self, semaphore.rep(), Semaphore);
        let mut wait = self.objects.wait(shared, timeout);
        let acquired = match timeout {
            Some(0) => {
                semaphore.try_acquire(&mut wait).and_then(|got| if got { Ok(()) } else { Err(Refused::TimedOut) })
            }
            _ => semaphore.acquire(&mut wait),
        };
        Ok(acquired.map_err(|why| refused(shared, why, &wait)))
    }

    fn release(&mut self, semaphore: Resource<Semaphore>, count: u32) -> Answer<()> {
        let (shared, semaphore) = opened!(self, semaphore.rep(), Semaphore);
        let mut wait = self.objects.wait(shared, None);
        Ok(semaphore.release(count, &mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn value(&mut self, semaphore: Resource<Semaphore>) -> wasmtime::Result<u32> {
        let (_, semaphore) = opened!(self, semaphore.rep(), Semaphore);
        Ok(semaphore.available())
    }

    fn subscribe(&mut self, semaphore: Resource<Semaphore>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(semaphore.rep(), Interest::Take)
    }

    fn drop(&mut self, semaphore: Resource<Semaphore>) -> wasmtime::Result<()> {
        self.drop_object(&semaphore)
    }
}
