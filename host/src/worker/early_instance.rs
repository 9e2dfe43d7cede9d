//! An instance that a spare makes before it is told what it is, so that a process begins the sooner.
//!
//! Only of a component of which no code runs when it is instantiated: what a guest does it does as a process, with a name,
//! limits and rights. Nothing of what surrounds the instance is there yet either.

use wasmtime::Store;
use wasmtime::component::Instance;

use super::Program;
use super::control::Control;
use super::host::{self, Host};

/// An instance that is nobody's yet.
pub(super) struct EarlyInstance {
    store: Store<Host>,
    instance: Instance,
}

impl EarlyInstance {
    /// Makes one if that is possible. What is wrong otherwise is found out when the process begins, which is told of it.
    pub(super) async fn make(program: &Program, control: &Control) -> Option<EarlyInstance> {
        if program.runs_at_start {
            return None;
        }
        let mut store = host::store(program.instance.engine(), host::early(control));
        let instance = program.instance.instantiate_async(&mut store).await.ok()?;
        Some(EarlyInstance { store, instance })
    }

    /// Gives an early instance its surroundings. Gives those back if there is none, or it has more memory already than the
    /// process may have: that is told as for any other.
    pub(super) fn become_one(
        early: Option<EarlyInstance>,
        mut host: Host,
    ) -> Result<(Store<Host>, Instance), Box<Host>> {
        match early {
            Some(EarlyInstance { mut store, instance }) if host.limiter.take_over(&store.data().limiter) => {
                *store.data_mut() = host;
                Ok((store, instance))
            }
            _ => Err(Box::new(host)),
        }
    }
}
