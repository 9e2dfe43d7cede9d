//! `wasmproc:ipc/queue`.

use wasmproc_shm::{Layout, Message, Refused, Tasks};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList};
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened, Shared};
use super::generated::wasmproc::ipc::queue as wit;
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use super::messages::{self, left_message};
use super::objects::{Answer, error, failed, opened, refused};
use crate::wire::object::ObjectId;

/// The interface, for replacing functions of it.
const INTERFACE: &str = "wasmproc:ipc/queue@0.1.0";
/// What `get-many` takes beside the first message.
const BATCH_BYTES: usize = 1 << 20;

/// The type of handles to queues.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Queue;

/// Puts functions that look at the guest's memory where it is in the place of the generated ones, which copy it first.
pub(super) fn replace_in(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut queue = linker.instance(INTERFACE)?;
    queue.func_wrap(
        "[method]queue.put",
        |store: StoreContextMut<'_, Host>, (queue, message, timeout): (Resource<Queue>, WasmList<u8>, Option<u64>)| {
            Ok((put(store.data(), &queue, message.as_le_slice(&store), timeout)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn put(host: &Host, queue: &Resource<Queue>, message: &[u8], timeout: Option<u64>) -> Answer<()> {
    let (shared, queue) = opened!(host, queue.rep(), Queue);
    let mut wait = host.objects.wait(shared, timeout);
    if message.len() <= queue.max_message_bytes() {
        return Ok(queue.put(Message::Here(message), &mut wait).map_err(|why| refused(shared, why, &wait)));
    }
    let parcel = match messages::pack(&host.control, shared.id, message) {
        Ok(parcel) => parcel,
        Err(why) => return failed(why),
    };
    let result = queue.put(parcel.note(), &mut wait);
    if result.is_err() {
        parcel.discard(&host.control, shared.id);
    }
    Ok(result.map_err(|why| refused(shared, why, &wait)))
}

impl wit::Host for Host {}

impl wit::HostQueue for Host {
    fn create(&mut self, options: wit::Options) -> Answer<Resource<Queue>> {
        let capacity_bytes = match messages::capacity(options.capacity_bytes) {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let max_items = options.max_items.unwrap_or(Layout::MAX_ITEMS);
        self.create_object(Layout::Queue { capacity_bytes, max_items, seats: 0 })
    }

    fn open(&mut self, id: u64) -> Answer<Resource<Queue>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Queue(_)), "queue")
    }

    fn id(&mut self, queue: Resource<Queue>) -> wasmtime::Result<u64> {
        Ok(self.object(queue.rep())?.id.0)
    }

    fn put(&mut self, queue: Resource<Queue>, message: Vec<u8>, timeout: Option<u64>) -> Answer<()> {
        put(self, &queue, &message, timeout)
    }

    fn put_many(&mut self, queue: Resource<Queue>, batch: wit::Batch, timeout: Option<u64>) -> Answer<u32> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        let total: u64 = batch.lengths.iter().map(|length| u64::from(*length)).sum();
        if total != batch.bytes.len() as u64 {
            return Ok(Err(uneven(shared, total, batch.bytes.len())));
        }
        let mut wait = self.objects.wait(shared, timeout);
        let (put, result) = queue.put_many(&batch.bytes, &batch.lengths, &mut wait);
        Ok(match result {
            Err(why) if put == 0 => Err(refused(shared, why, &wait)),
            _ => Ok(put as u32),
        })
    }

    fn get(&mut self, queue: Resource<Queue>, timeout: Option<u64>) -> Answer<Vec<u8>> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        let mut wait = self.objects.wait(shared, timeout);
        let mut batch = left_message(shared).unwrap_or_default();
        if !batch.elsewhere
            && let Err(why) = queue.get(1, 0, &mut batch, &mut wait)
        {
            return Ok(Err(refused(shared, why, &wait)));
        }
        self.message_of(shared, batch).map(Ok).or_else(failed)
    }

    fn get_many(&mut self, queue: Resource<Queue>, max_items: u32, timeout: Option<u64>) -> Answer<wit::Batch> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        if max_items == 0 {
            return Ok(Err(error(ErrorCode::Invalid, format!("{}: get-many takes at least one", shared.name()))));
        }
        let mut wait = self.objects.wait(shared, timeout);
        let mut batch = left_message(shared).unwrap_or_default();
        if !batch.elsewhere
            && let Err(why) = queue.get(max_items as usize, BATCH_BYTES, &mut batch, &mut wait)
        {
            return Ok(Err(refused(shared, why, &wait)));
        }
        if !batch.elsewhere {
            return Ok(Ok(wit::Batch { bytes: batch.bytes, lengths: batch.lengths }));
        }
        match self.message_of(shared, batch) {
            Ok(bytes) => Ok(Ok(wit::Batch { lengths: vec![bytes.len() as u32], bytes })),
            Err(why) => failed(why),
        }
    }

    fn len(&mut self, queue: Resource<Queue>) -> wasmtime::Result<u32> {
        let (_, queue) = opened!(self, queue.rep(), Queue);
        Ok(queue.len() as u32)
    }

    fn is_empty(&mut self, queue: Resource<Queue>) -> wasmtime::Result<bool> {
        let (_, queue) = opened!(self, queue.rep(), Queue);
        Ok(queue.is_empty())
    }

    fn is_full(&mut self, queue: Resource<Queue>) -> wasmtime::Result<bool> {
        let (_, queue) = opened!(self, queue.rep(), Queue);
        Ok(queue.is_full())
    }

    fn close(&mut self, queue: Resource<Queue>) -> Answer<()> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        let mut wait = self.objects.wait(shared, None);
        Ok(queue.close(&mut wait).map_err(|why| refused(shared, why, &wait)))
    }

    fn is_closed(&mut self, queue: Resource<Queue>) -> wasmtime::Result<bool> {
        let (_, queue) = opened!(self, queue.rep(), Queue);
        Ok(queue.is_closed())
    }

    fn task_done(&mut self, queue: Resource<Queue>) -> Answer<()> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        let all_done = |_| format!("{}: all that this process took is dealt with", shared.name());
        Ok(queue.task_done().map_err(|why: Refused| error(ErrorCode::NotOwner, all_done(why))))
    }

    fn join(&mut self, queue: Resource<Queue>, timeout: Option<u64>) -> Answer<()> {
        let (shared, queue) = opened!(self, queue.rep(), Queue);
        let mut wait = self.objects.wait(shared, timeout);
        Ok(match queue.join(&mut wait) {
            Ok(Tasks::Done) => Ok(()),
            Ok(Tasks::Abandoned) => {
                let message = format!("{}: a process that took messages died before it was done", shared.name());
                Err(error(ErrorCode::Abandoned, message))
            }
            Err(why) => Err(refused(shared, why, &wait)),
        })
    }

    fn subscribe(&mut self, queue: Resource<Queue>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(queue.rep(), Interest::Take)
    }

    fn subscribe_put(&mut self, queue: Resource<Queue>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(queue.rep(), Interest::Give)
    }

    fn ticket(&mut self, queue: Resource<Queue>, object: u64) -> Answer<u64> {
        self.issue_ticket(queue.rep(), ObjectId(object))
    }

    fn redeem(&mut self, queue: Resource<Queue>, ticket: u64) -> Answer<u64> {
        self.redeem_ticket(queue.rep(), ticket)
    }

    fn drop(&mut self, queue: Resource<Queue>) -> wasmtime::Result<()> {
        self.drop_object(&queue)
    }
}

fn uneven(shared: &Shared, total: u64, bytes: usize) -> Error {
    error(ErrorCode::Invalid, format!("{}: the lengths add up to {total}, and there are {bytes} bytes", shared.name()))
}
