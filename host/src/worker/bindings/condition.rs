//! `wasmproc:ipc/condition`.

use wasmproc_shm::{Layout, Refused};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened};
use super::generated::wasmproc::ipc::condition::{self as wit, Woken};
use super::lock::{self, Lock};
use super::objects::{Answer, opened, refused};

/// The type of handles to conditions.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Condition;

impl wit::Host for Host {}

impl wit::HostCondition for Host {
    fn create(&mut self) -> Answer<Resource<Condition>> {
        self.create_object(Layout::Condition { seats: 0 })
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Condition>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Condition(_)), "condition")
    }

    fn id(&mut self, condition: Resource<Condition>) -> wasmtime::Result<u64> {
        Ok(self.object(condition.rep())?.id.0)
    }

    fn wait(&mut self, condition: Resource<Condition>, lock: Resource<Lock>, timeout: Option<u64>) -> Answer<Woken> {
        let (shared, condition) = opened!(self, condition.rep(), Condition);
        let (held, lock_word) = opened!(self, lock.rep(), Lock);
        let depth = held.hold.depth(lock.rep());
        if depth == 0 {
            return Ok(Err(lock::not_owner(held)));
        }
        let mut wait = self.objects.wait(shared, timeout);
        // Among the waiters before the lock is free, so that no notification is missed.
        if let Err(why) = condition.begin(&mut wait) {
            return Ok(Err(refused(shared, why, &wait)));
        }
        held.hold.set(lock.rep(), 0);
        // It was ours a moment ago; if a peer has damaged it, acquiring it again will tell.
        let _ = lock_word.release();
        let notified = condition.finish(&mut wait);
        let acquired = match lock::acquire(self, lock.rep(), None)? {
            Ok(acquired) => acquired,
            Err(why) => return Ok(Err(why)),
        };
        held.hold.set(lock.rep(), depth);
        condition.settle();
        Ok(match notified {
            Ok(()) => Ok(Woken { notified: true, lock: acquired }),
            Err(Refused::TimedOut) => Ok(Woken { notified: false, lock: acquired }),
            Err(why) => Err(refused(shared, why, &wait)),
        })
    }

    fn notify(&mut self, condition: Resource<Condition>, count: u32) -> Answer<u32> {
        let (shared, condition) = opened!(self, condition.rep(), Condition);
        let mut wait = self.objects.wait(shared, None);
        Ok(condition.notify(count, &mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn notify_all(&mut self, condition: Resource<Condition>) -> Answer<u32> {
        self.notify(condition, u32::MAX)
    }

    fn subscribe(&mut self, condition: Resource<Condition>) -> wasmtime::Result<Resource<DynPollable>> {
        let handle = condition.rep();
        let (_, condition) = opened!(self, handle, Condition);
        let before = condition.notifications();
        self.watch_object(handle, Interest::Since(before))
    }

    fn drop(&mut self, condition: Resource<Condition>) -> wasmtime::Result<()> {
        self.drop_object(&condition)
    }
}
