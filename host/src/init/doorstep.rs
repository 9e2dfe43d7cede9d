//! From the doorstep into the run's namespaces.
//!
//! ```text
//! doorstep: enters all but the network ── forks init ──▶ init (pid 1) ── forks the first zygote ──▶ makes the engine
//!                                                          └──▶ makes the network ──────────────────▶ enters it, too
//! ```
//!
//! A network takes the kernel several times as long as all other namespaces together. So it comes last, beside the engine.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use wasmproc_sandbox::{self as sandbox, Fork, Layer, Layers, Missing, Namespace, Threads, Walls};

use crate::wire::Channel;
use crate::wire::init::{FromInit, ToInit};
use crate::zygote::Surroundings;

/// Longer than a run takes to begin.
const BEGUN: Duration = Duration::from_millis(50);

/// Goes from the doorstep into the run's namespaces. Only the process that is to be init returns.
pub(super) fn enter_namespaces(
    control: &Channel<FromInit, ToInit>,
    without: Layers,
    surroundings: &Surroundings,
) -> io::Result<Walls> {
    let user = rustix::process::geteuid().as_raw();
    let mut walls = Walls { user, seccomp: !without.has(Layer::Seccomp), ..Walls::default() };
    let wanted = [Namespace::Mount, Namespace::Pid, Namespace::Net, Namespace::Ipc, Namespace::Uts];
    let is_wanted = |namespace: &Namespace| !without.has(Layer::Namespace(*namespace));
    let mut wanted: Vec<Namespace> = wanted.into_iter().filter(is_wanted).collect();
    if !wanted.is_empty() {
        wanted.insert(0, Namespace::User);
    }
    wanted.retain(|namespace| *namespace != Namespace::Net || !is_network_apart(surroundings));
    note(&mut walls, sandbox::enter(&wanted));
    if !without.has(Layer::Landlock) {
        match landlock_version() {
            Ok(version) => walls.landlock = Some(version),
            Err(missing) => walls.missing.push(missing),
        }
    }
    if walls.has(Namespace::Pid) {
        // The first child becomes pid 1. As a sibling it is the supervisor's child, so that this process can go.
        let threads = Threads::of_this_process(&surroundings.procfs);
        if let Fork::Parent { pidfd, .. } = sandbox::clone_process(&threads, true, 0)? {
            let _ = control.send(&FromInit::Born, &[pidfd.as_fd()]);
            stay_out_of_the_way();
            sandbox::exit_now(0);
        }
    } else {
        sandbox::adopt_orphans()?;
    }
    if walls.has(Namespace::Mount) && !without.has(Layer::EmptyRoot) {
        match sandbox::make_private() {
            Ok(()) => walls.empty_root = true,
            Err(error) => walls.missing.push(Missing {
                layer: "empty root".to_owned(),
                reason: error.to_string(),
                remedy: "allow mounts inside user namespaces".to_owned(),
            }),
        }
    }
    Ok(walls)
}

/// Waits to be killed by the supervisor when that has nothing else to do. A process that ends keeps its processor from
/// others while its memory is given back, and init is on the same one.
fn stay_out_of_the_way() {
    // Whoever stops it is not to keep it for longer than the supervisor lives, nor init's socket open.
    let _ = sandbox::die_with_parent();
    let _ = sandbox::close_from(0);
    std::thread::sleep(BEGUN);
}

/// The version of Landlock that this machine has.
fn landlock_version() -> Result<u32, Missing> {
    sandbox::landlock_version().map_err(|error| Missing {
        layer: "Landlock".to_owned(),
        reason: error.to_string(),
        remedy: "use a kernel that has it (5.13 or newer, with landlock among the boot parameter lsm=), and let the \
                 container call it"
            .to_owned(),
    })
}

/// The network namespace. Returns it for a zygote to enter that was forked before.
pub(super) fn enter_network(
    walls: &mut Walls,
    without: Layers,
    surroundings: &Surroundings,
) -> io::Result<Option<OwnedFd>> {
    if without.has(Layer::Namespace(Namespace::Net)) || !is_network_apart(surroundings) {
        return Ok(None);
    }
    note(walls, sandbox::enter(&[Namespace::Net]));
    walls.has(Namespace::Net).then(|| sandbox::own_network(&surroundings.procfs)).transpose()
}

/// Whether it can be passed on at all: not without /proc.
fn is_network_apart(surroundings: &Surroundings) -> bool {
    sandbox::own_network(&surroundings.procfs).is_ok()
}

fn note(walls: &mut Walls, (entered, missing): (Vec<Namespace>, Vec<Missing>)) {
    walls.namespaces.extend(entered);
    walls.namespaces.sort_unstable();
    walls.missing.extend(missing);
}
