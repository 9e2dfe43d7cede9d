//! The least that a process for each task can cost: forked from one that has loaded an engine and a component, without
//! sandbox, supervisor, messages or anything else around it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use crate::table::median;
use crate::{in_process, micros, programs};

/// The first argument that makes this program such a process; the third is one of [`TO_BE_DONE`].
pub(crate) const ROLE: &str = "forking-runner";
/// What the child does before it ends.
pub(crate) const TO_BE_DONE: [&str; 2] = ["nothing", "an-empty-task"];

const FORKS: usize = 200;
/// A memory as large as that of an empty program in Rust, of which as few pages are touched as possible.
const EMPTY_TASK: &str = r#"(component
    (core module $module
        (memory 17)
        (data (i32.const 1048576) "a constant")
        (func (export "run") (i32.store (i32.const 1048560) (i32.const 1))))
    (core instance $instance (instantiate $module))
    (func (export "run") (canon lift (core func $instance "run"))))"#;

/// The artifact of a task that does nothing, in a file.
pub(crate) fn empty_task() -> PathBuf {
    in_process::compile_bytes(&wat::parse_str(EMPTY_TASK).expect("it is a component"))
}

/// Microseconds for one child.
pub(crate) fn measured(artifact: &Path, to_be_done: &str) -> f64 {
    let own = std::env::current_exe().expect("this program has a name");
    programs::printed(Command::new(own).arg(ROLE).arg(artifact).arg(to_be_done))
}

#[expect(unsafe_code, reason = "forks, and ends without tearing down")]
pub(crate) fn run(artifact: &Path, to_be_done: &str) {
    let engine = in_process::engine();
    // SAFETY: this program compiled it a moment ago.
    let component = unsafe { Component::deserialize_file(&engine, artifact) }.expect("the artifact loads");
    component.initialize_copy_on_write_image().expect("its memory has an image");
    let program = Linker::new(&engine).instantiate_pre(&component).expect("it imports nothing");
    wasmtime::Engine::tls_eager_initialize();
    let times = (0..FORKS).map(|_| {
        let started = Instant::now();
        // SAFETY: this process has one thread, so the child can do what it likes.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            if to_be_done == TO_BE_DONE[1] {
                let mut store = Store::new(&engine, ());
                let instance = program.instantiate(&mut store).expect("it can be instantiated");
                let task = instance.get_typed_func::<(), ()>(&mut store, "run").expect("it has a function");
                task.call(&mut store, ()).expect("it doesn't trap");
            }
            // SAFETY: always sound.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the pointer is to a live value.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(status, 0, "the child has done it");
        micros(started.elapsed())
    });
    println!("{}", median(times.collect()));
}
