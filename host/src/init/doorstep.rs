//! From the doorstep into the run's namespaces.
//!
//! ```text
//! doorstep: enters all namespaces but the network's ── forks init ──▶ init (pid 1): makes the engine
//!               makes the network, sends it, ends ───────────────────────▶ enters the network
//! ```
//!
//! A network takes the kernel several times as long as all other namespaces together, so it is made beside the engine.
//! What the doorstep makes is never more than a saving: without it, init makes a network of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use wasmproc_sandbox::{self as sandbox, Fork, Layer, Layers, Missing, Namespace, Processors, Procfs, Threads, Walls};

use crate::wire::init::{FromInit, ToInit};
use crate::wire::{self, Channel};

/// The doorstep's only word: the network is the descriptor.
type Word = ();

/// A network that is still being made.
pub(super) struct Network(Option<Channel<(), Word>>);

/// Goes from the doorstep into the run's namespaces. Only the process that is to be init returns; it is where it belongs
/// when it has entered the network, too.
pub(super) fn enter_namespaces(
    control: &Channel<FromInit, ToInit>,
    without: Layers,
    processors: Processors,
) -> io::Result<(Walls, Option<Network>)> {
    let is_wanted = |namespace: &Namespace| !without.has(Layer::Namespace(*namespace));
    let wanted = [Namespace::Mount, Namespace::Pid, Namespace::Ipc, Namespace::Uts];
    let wanted: Vec<Namespace> = wanted.into_iter().filter(is_wanted).collect();
    let user = rustix::process::geteuid().as_raw();
    let (namespaces, mut missing) = sandbox::enter(&wanted);
    let landlock = match sandbox::landlock_version() {
        _ if without.has(Layer::Landlock) => None,
        Ok(version) => Some(version),
        Err(error) => {
            missing.push(Missing {
                layer: "Landlock".to_owned(),
                reason: error.to_string(),
                remedy: "use a kernel that has it (5.13 or newer, with landlock among the boot parameter lsm=), and \
                         let the container call it"
                    .to_owned(),
            });
            None
        }
    };
    let seccomp = !without.has(Layer::Seccomp);
    let mut walls = Walls { namespaces, empty_root: false, landlock, user, seccomp, cgroup: Vec::new(), missing };
    let mut network = is_wanted(&Namespace::Net).then_some(Network(None));
    if walls.has(Namespace::Pid) {
        let (ours, theirs) = wire::pair()?;
        let procfs = Procfs::of_host();
        // The first child becomes pid 1. As a sibling it is the supervisor's child, so that this process can go.
        if let Fork::Parent { pidfd, .. } = sandbox::clone_process(&Threads::of_this_process(&procfs), true, 0)? {
            drop(ours);
            let _ = control.send(&FromInit::Born, &[pidfd.as_fd()]);
            if network.is_some() {
                processors.leave();
                send_network(&procfs, theirs);
            }
            sandbox::exit_now(0);
        }
        network = network.map(|_| Network(Some(Channel::with_descriptors(ours))));
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
    Ok((walls, network))
}

fn send_network(procfs: &Procfs, init: OwnedFd) {
    let init: Channel<Word, ()> = Channel::with_descriptors(init);
    if let Ok(network) = sandbox::make_network(procfs) {
        let _ = init.send(&(), &[network.as_fd()]);
    }
}

impl Network {
    /// Waits until it is made, and enters it.
    pub(super) fn enter(self, walls: &mut Walls) {
        let word = self.0.and_then(|mut doorstep| doorstep.receive().ok().flatten());
        let made = word.and_then(|(_, mut descriptors)| descriptors.pop());
        match sandbox::enter_network(made) {
            Ok(()) => walls.namespaces.push(Namespace::Net),
            Err(missing) => walls.missing.push(missing),
        }
    }
}
