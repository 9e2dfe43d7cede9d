//! The wasm side of the memory limit: all memories and tables of an instance together.
//!
//! The limit itself is the process's; what it may use of it at the moment is an allowance from the supervisor, which
//! keeps the total of the run. The kernel's own limit stands behind this one.

use wasmtime::{DEFAULT_INSTANCE_LIMIT, ResourceLimiter};

use super::control::Control;
use crate::wire::worker::Request;

/// What one element of a table costs the host.
const TABLE_ELEMENT_BYTES: usize = 16;
/// The least that is asked for at a time, so that growing page by page doesn't mean asking page by page.
const STEP_BYTES: u64 = 1 << 20;

/// What most programs begin with.
const EARLY_BYTES: u64 = 2 << 20;
const EARLY_INSTANCES: usize = 64;

pub(super) struct Limiter {
    control: Control,
    limit_bytes: u64,
    allowance_bytes: u64,
    used_bytes: u64,
    /// Core instances that there may be.
    instances: usize,
    denied: bool,
}

impl Limiter {
    pub(super) fn new(control: Control, limit_bytes: u64, allowance_bytes: u64) -> Limiter {
        Limiter {
            control,
            limit_bytes,
            allowance_bytes,
            used_bytes: 0,
            instances: DEFAULT_INSTANCE_LIMIT,
            denied: false,
        }
    }

    /// Of an instance that is made before it is known whose it is: it gets a little, and nobody is asked for more.
    pub(super) fn early(control: Control) -> Limiter {
        Limiter { instances: EARLY_INSTANCES, ..Limiter::new(control, EARLY_BYTES, EARLY_BYTES) }
    }

    /// Goes on for one that was made [`early`](Limiter::early), if what that has is allowed.
    pub(super) fn take_over(&mut self, early: &Limiter) -> bool {
        let is_allowed = early.used_bytes <= self.limit_bytes.min(self.allowance_bytes);
        if is_allowed {
            self.used_bytes = early.used_bytes;
        }
        is_allowed
    }

    /// Whether the guest was last refused memory: a trap that follows is for want of memory.
    pub(super) fn denied(&self) -> bool {
        self.denied
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let wanted = self.used_bytes.saturating_add(bytes);
        let granted = wanted <= self.limit_bytes && (wanted <= self.allowance_bytes || self.ask(wanted));
        if granted {
            self.used_bytes = wanted;
        }
        self.denied = !granted;
        granted
    }

    /// Asks for an allowance of at least `wanted` bytes: generously first, then for just enough.
    fn ask(&mut self, wanted: u64) -> bool {
        let generous = (wanted + (wanted / 4).max(STEP_BYTES)).min(self.limit_bytes);
        for target in [generous, wanted] {
            let more = target - self.allowance_bytes;
            if matches!(self.control.request(Request::Memory(more)), Ok(Ok(_))) {
                self.allowance_bytes = target;
                return true;
            }
        }
        false
    }
}

impl ResourceLimiter for Limiter {
    fn instances(&self) -> usize {
        self.instances
    }

    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES) as u64))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // The kernel refused what the limit allowed: the machine is short of memory, or the kernel's limit came first.
        self.denied = true;
        Ok(())
    }
}
