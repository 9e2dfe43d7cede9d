//! The interfaces of `wasmproc:ipc`, one module each.
//!
//! The guest is hostile: every argument is checked here or by the supervisor, and nothing here panics.

mod process;

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
        },
    });
}

/// The marker for "these interfaces see the whole host state".
struct WholeHost;

impl HasData for WholeHost {
    type Data<'a> = &'a mut Host;
}

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    generated::wasmproc::ipc::types::add_to_linker::<Host, WholeHost>(linker, |host| host)?;
    generated::wasmproc::ipc::process::add_to_linker::<Host, WholeHost>(linker, |host| host)
}
