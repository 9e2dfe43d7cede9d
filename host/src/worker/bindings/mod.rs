//! The interfaces of `wasmproc:ipc`, one module each.
//!
//! The guest is hostile: every argument is checked here or by the supervisor, and nothing here panics.

mod barrier;
mod condition;
mod event;
mod lock;
mod messages;
mod objects;
mod pipe;
mod process;
mod queue;
mod semaphore;
mod shared;
mod tickets;

use wasmtime::component::{HasData, Linker};

use super::Host;

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "task",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasmproc:ipc/process.process": super::process::Process,
            "wasmproc:ipc/lock.lock": super::lock::Lock,
            "wasmproc:ipc/queue.queue": super::queue::Queue,
            "wasmproc:ipc/pipe.connection": super::pipe::Connection,
            "wasmproc:ipc/semaphore.semaphore": super::semaphore::Semaphore,
            "wasmproc:ipc/event.event": super::event::Event,
            "wasmproc:ipc/condition.condition": super::condition::Condition,
            "wasmproc:ipc/barrier.barrier": super::barrier::Barrier,
            "wasmproc:ipc/shared.shared-array": super::shared::SharedArray,
        },
    });
}

/// The marker for "these interfaces see the whole host state".
struct WholeHost;

impl HasData for WholeHost {
    type Data<'a> = &'a mut Host;
}

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    use generated::wasmproc::ipc;

    ipc::types::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::process::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::lock::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::queue::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::pipe::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::semaphore::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::event::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::condition::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::barrier::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    ipc::shared::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    queue::replace_in(linker)?;
    pipe::replace_in(linker)
}
