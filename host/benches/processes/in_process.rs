//! The least that wasmtime needs to run a compiled component: one process, no sandbox, no limits.

use std::path::{Path, PathBuf};

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The argument that makes this program such a runner.
pub(crate) const ROLE: &str = "in-process-runner";

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.concurrency_support(false);
    Engine::new(&config).expect("an engine")
}

/// Compiles the program in a file to another file.
pub(crate) fn compile(program: &str) -> PathBuf {
    compile_bytes(&std::fs::read(program).expect("the program can be read"))
}

/// Compiles a program to a file.
pub(crate) fn compile_bytes(program: &[u8]) -> PathBuf {
    let artifact = engine().precompile_component(program).expect("the program compiles");
    let file = std::env::temp_dir().join(format!("wasmproc-bench-{}.cwasm", std::process::id()));
    std::fs::write(&file, artifact).expect("the temporary folder can be written to");
    file
}

#[expect(unsafe_code, reason = "an artifact is native code")]
pub(crate) fn run(artifact: &Path) {
    let engine = engine();
    // SAFETY: this program compiled it a moment ago.
    let component = unsafe { Component::deserialize_file(&engine, artifact) }.expect("the artifact loads");
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("WASI links");
    let host = Host { wasi: WasiCtxBuilder::new().inherit_stdio().build(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, host);
    let command = Command::instantiate(&mut store, &component, &linker).expect("it can be instantiated");
    command.wasi_cli_run().call_run(&mut store).expect("it doesn't trap").expect("it succeeds");
}
