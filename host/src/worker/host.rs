//! What surrounds an instance: WASI, the process interface, the limiter.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::control::Control;
use super::limiter::Limiter;
use super::objects::Objects;
use super::stdio::{Allowance, Stream};
use super::{bindings, duplicate, files};
use crate::Pid;
use crate::wire::worker::Start;

/// Host objects (files, streams, pollables, processes) that one instance may hold at once.
const MAX_RESOURCES: usize = 100_000;

/// The state behind an instance's imports.
pub(crate) struct Host {
    wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) control: Control,
    pub(super) objects: Objects,
    pub(super) limiter: Limiter,
    pub(super) identity: Identity,
    /// Refusals since this process was last granted another one.
    pub(super) refused_spawns: u32,
    /// What a language's panic handler said.
    pub(super) panic: Option<String>,
}

/// Who this process is.
pub(super) struct Identity {
    pub(super) pid: Pid,
    pub(super) name: String,
    pub(super) parent: Option<(Pid, String)>,
    pub(super) daemon: bool,
    pub(super) parallelism: u32,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// All that a guest can import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::replace_in(&mut linker)?;
    bindings::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A store for one instance.
pub(super) fn store(engine: &Engine, host: Host) -> Store<Host> {
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.limiter);
    store
}

/// What surrounds an instance before it is known whose it is: nothing that it could use.
pub(super) fn early(control: &Control) -> Host {
    Host {
        wasi: WasiCtxBuilder::new().build(),
        table: ResourceTable::new(),
        control: control.clone(),
        objects: Objects::new(control.clone(), Pid(0)),
        limiter: Limiter::early(control.clone()),
        identity: Identity { pid: Pid(0), name: String::new(), parent: None, daemon: false, parallelism: 1 },
        refused_spawns: 0,
        panic: None,
    }
}

/// What surrounds an instance. Must be made after the fork, because it draws random numbers.
pub(super) fn of(start: Start, descriptors: Vec<OwnedFd>, control: &Control) -> wasmtime::Result<Host> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    let limiter = Limiter::new(control.clone(), start.memory_limit_bytes, start.memory_allowance_bytes);
    let wasi = wasi(&start, descriptors, control)?;
    let identity = Identity {
        pid: start.pid,
        name: start.name,
        parent: start.parent,
        daemon: start.daemon,
        parallelism: start.parallelism,
    };
    let objects = Objects::new(control.clone(), identity.pid);
    Ok(Host { wasi, table, control: control.clone(), objects, limiter, identity, refused_spawns: 0, panic: None })
}

fn wasi(start: &Start, descriptors: Vec<OwnedFd>, control: &Control) -> wasmtime::Result<WasiCtx> {
    if descriptors.len() != start.directories.len() + usize::from(start.stdin) {
        return Err(wasmtime::Error::msg("no descriptors are left for its streams and directories"));
    }
    let mut descriptors = descriptors.into_iter();
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_blocking_current_thread(true)
        .allow_tcp(false)
        .allow_udp(false)
        .initial_cwd("/")
        .args(&start.arguments)
        .envs(&start.environment);
    let allowance = Arc::new(Allowance::new(start.max_output_bytes, control.clone()));
    if start.stdin
        && let Some(stdin) = descriptors.next()
    {
        builder.stdin(Stream::new(stdin, start.terminals[0], allowance.clone()));
    }
    builder.stdout(Stream::new(duplicate(rustix::stdio::stdout())?, start.terminals[1], allowance.clone()));
    builder.stderr(Stream::new(duplicate(rustix::stdio::stderr())?, start.terminals[2], allowance));
    for ((guest, read_only), directory) in start.directories.iter().zip(descriptors) {
        let permissions = if *read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        // The builder opens by path, and the only paths here are relative to granted directories.
        rustix::process::fchdir(&directory)?;
        let opened = builder.preopened_dir(".", guest, permissions);
        opened.map_err(|error| error.context(format!("the directory {guest} can't be opened")))?;
    }
    Ok(builder.build())
}
