//! Runs the command, watches over it, and looks at its processes through /proc.
//!
//! It knows nothing of what the command promises; that is the tests'.

mod command;
mod output;
mod processes;
mod scratch;
#[cfg(target_arch = "x86_64")]
mod tracer;
mod wait;

pub(crate) use command::{EXECUTABLE, Running, Wasmproc};
pub(crate) use output::Ended;
pub(crate) use processes::{Footprint, Process};
pub(crate) use scratch::{Scratch, is_root, skip};
#[cfg(target_arch = "x86_64")]
pub(crate) use tracer::{Answer, COMPILER_CONTROL, CONTROL, Call, Puppet, Role, Stage};
pub(crate) use wait::eventually;
