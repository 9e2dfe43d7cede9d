//! The kernel's walls around a wasmproc worker: namespaces, mounts, identity, limits, seccomp.
//!
//! Each module is one layer and knows nothing of the others, of wasm, or of who calls it. The order in which the
//! layers go up is the caller's: `init` enters namespaces, the zygote empties its root and gives up its identity, a
//! worker closes its descriptors and shuts the last door. What was really enforced is returned as [`Walls`], so that
//! it can be shown rather than believed.
//!
//! Everything here is for single-threaded processes: most of it changes the calling thread only.

#[cfg(not(target_os = "linux"))]
compile_error!("wasmproc needs Linux 5.16 or newer: its second wall is made of Linux namespaces and seccomp filters");

mod cgroup;
mod descriptors;
mod fork_key;
mod identity;
mod kernel;
mod landlock;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod procfs;
pub mod seccomp;
mod session;
mod walls;

pub use cgroup::{Cgroup, CgroupLimits, enter_cgroup};
pub use descriptors::{close_between, close_from, place, raise};
pub use fork_key::ForkKey;
pub use identity::{
    Identity, become_user, drop_capabilities, forbid_new_privileges, hide_from_tracers, hindrance_to_become,
};
pub use kernel::require_kernel;
pub use landlock::{landlock_version, restrict};
pub use limits::{CpuTimer, ProcessLimits, data_in_use, forbid_processes, lower_memory, raise_open_files};
pub use mounts::{
    OldRoot, clone_directory, empty_root, enter_empty_root, host_directory, make_private, private_tmp, subdirectory,
};
pub use namespaces::{Namespace, copy_mounts, enter, enter_network, own_network};
pub use process::{
    Fork, Processors, Threads, Usage, WaitStatus, adopt_orphans, clone_process, die_with_parent, exit_now, reap,
    set_process_name,
};
pub use procfs::Procfs;
pub use session::Session;
pub use walls::{Layer, Layers, Missing, Walls};
