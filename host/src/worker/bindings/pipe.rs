//! `wasmproc:ipc/pipe`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmproc_shm::{Layout, Message, Refused};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList};
use wasmtime_wasi::p2::DynPollable;

use super::super::host::Host;
use super::super::objects::{Interest, Opened, Shared, Wait};
use super::generated::wasmproc::ipc::pipe as wit;
use super::generated::wasmproc::ipc::types::{Error, ErrorCode};
use super::messages::{self, left_message};
use super::objects::{Answer, error, failed, opened, refused};
use crate::wire::object::ObjectId;

/// The interface, for replacing functions of it.
const INTERFACE: &str = "wasmproc:ipc/pipe@0.1.0";

/// The type of handles to ends of pipes.
#[expect(unreachable_pub, reason = "the generated bindings name it as their own")]
pub struct Connection;

/// Puts functions that look at the guest's memory where it is in the place of the generated ones, which copy it first.
pub(super) fn replace_in(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut pipe = linker.instance(INTERFACE)?;
    pipe.func_wrap(
        "[method]connection.send",
        |store: StoreContextMut<'_, Host>,
         (connection, message, timeout): (Resource<Connection>, WasmList<u8>, Option<u64>)| {
            Ok((send(store.data(), &connection, message.as_le_slice(&store), timeout)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// An end that was moved away can't be used any more.
macro_rules! owned {
    ($host:expr, $handle:expr) => {{
        let (shared, pipe) = opened!($host, $handle, Pipe);
        if shared.moved.load(Relaxed) {
            return Ok(Err(moved(shared)));
        }
        (shared, pipe)
    }};
}

fn send(host: &Host, connection: &Resource<Connection>, message: &[u8], timeout: Option<u64>) -> Answer<()> {
    let (shared, pipe) = owned!(host, connection.rep());
    let mut wait = host.objects.wait(shared, timeout);
    if message.len() <= pipe.max_message_bytes() {
        return Ok(pipe.send(Message::Here(message), &mut wait).map_err(|why| one_way(shared, why, &wait)));
    }
    let parcel = match messages::pack(&host.control, shared.id, message) {
        Ok(parcel) => parcel,
        Err(why) => return failed(why),
    };
    let result = pipe.send(parcel.note(), &mut wait);
    if result.is_err() {
        parcel.discard(&host.control, shared.id);
    }
    Ok(result.map_err(|why| one_way(shared, why, &wait)))
}

impl wit::Host for Host {
    fn create(&mut self, options: wit::Options) -> Answer<(Resource<Connection>, Resource<Connection>)> {
        let capacity_bytes = match messages::capacity(options.capacity_bytes) {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let (first, second) = match self.objects.create(Layout::Pipe { capacity_bytes, duplex: options.duplex }, false)
        {
            Ok((first, second)) => (first, second.ok_or_else(|| wasmtime::Error::msg("a pipe has two ends"))?),
            Err(why) => return failed(why),
        };
        match self.objects.open(second) {
            Ok(second) => Ok(Ok((Resource::new_own(first), Resource::new_own(second)))),
            Err(why) => {
                self.objects.drop(first)?;
                failed(why)
            }
        }
    }
}

impl wit::HostConnection for Host {
    fn open(&mut self, id: u64) -> Answer<Resource<Connection>> {
        self.open_object(id, |shared| matches!(shared.opened, Opened::Pipe(_)), "connection")
    }

    fn id(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        Ok(self.object(connection.rep())?.id.0)
    }

    fn send(&mut self, connection: Resource<Connection>, message: Vec<u8>, timeout: Option<u64>) -> Answer<()> {
        send(self, &connection, &message, timeout)
    }

    fn recv(&mut self, connection: Resource<Connection>, timeout: Option<u64>) -> Answer<Vec<u8>> {
        let (shared, pipe) = owned!(self, connection.rep());
        let mut wait = self.objects.wait(shared, timeout);
        let mut batch = left_message(shared).unwrap_or_default();
        if !batch.elsewhere
            && let Err(why) = pipe.receive(&mut batch, &mut wait)
        {
            return Ok(Err(one_way(shared, why, &wait)));
        }
        self.message_of(shared, batch).map(Ok).or_else(failed)
    }

    fn poll(&mut self, connection: Resource<Connection>, timeout: Option<u64>) -> Answer<bool> {
        let (shared, pipe) = owned!(self, connection.rep());
        if left_message(shared).is_some() {
            return Ok(Ok(true));
        }
        let mut wait = self.objects.wait(shared, timeout);
        Ok(match pipe.wait(&mut wait) {
            Ok(()) => Ok(true),
            Err(Refused::TimedOut) => Ok(false),
            Err(why) => Err(one_way(shared, why, &wait)),
        })
    }

    fn close_sending(&mut self, connection: Resource<Connection>) -> Answer<()> {
        let (_, pipe) = owned!(self, connection.rep());
        pipe.close_sending();
        Ok(Ok(()))
    }

    fn subscribe(&mut self, connection: Resource<Connection>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(connection.rep(), Interest::Take)
    }

    fn subscribe_send(&mut self, connection: Resource<Connection>) -> wasmtime::Result<Resource<DynPollable>> {
        self.watch_object(connection.rep(), Interest::Give)
    }

    fn ticket(&mut self, connection: Resource<Connection>, object: u64) -> Answer<u64> {
        let _ = owned!(self, connection.rep());
        self.issue_ticket(connection.rep(), ObjectId(object))
    }

    fn redeem(&mut self, connection: Resource<Connection>, ticket: u64) -> Answer<u64> {
        let _ = owned!(self, connection.rep());
        self.redeem_ticket(connection.rep(), ticket)
    }

    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.drop_object(&connection)
    }
}

fn one_way(shared: &Shared, why: Refused, wait: &Wait<'_>) -> Error {
    match why {
        // The end is ours; what it can't do is the other direction.
        Refused::NotOwner => {
            error(ErrorCode::Denied, format!("{}: this end of a one-way pipe doesn't do that", shared.name()))
        }
        why => refused(shared, why, wait),
    }
}

fn moved(shared: &Arc<Shared>) -> Error {
    error(ErrorCode::NotOwner, format!("{}: it was moved to another process", shared.name()))
}
