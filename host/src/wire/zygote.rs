//! Supervisor and zygote.

use serde::{Deserialize, Serialize};
use wasmproc_sandbox::Identity;

use super::init::ComponentSetup;
use crate::worker::Confinement;

/// The number of a worker process, issued by the supervisor and never reused in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct WorkerId(pub(crate) u64);

/// From init, and when it has said what the run is, from the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToZygote {
    /// Comes first, with descriptors: stdout, stderr, the network and the entrance of a cgroup if they are to be entered,
    /// then one artifact per component.
    Setup(ZygoteSetup),
    /// Comes second if the setup has directories: they are the descriptors.
    Directories,
    /// Fork a worker whose control socket is the descriptor.
    Fork(WorkerId),
    /// End: nothing will be forked any more.
    Dismiss,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ZygoteSetup {
    pub(crate) confinement: Confinement,
    /// Whom the zygote and its workers become.
    pub(crate) user: Option<Identity>,
    pub(crate) components: Vec<ComponentSetup>,
    pub(crate) enters_network: bool,
    pub(crate) enters_cgroup: bool,
    /// The host's files are in the mount namespace, because init needs them; the zygote empties one of its own.
    pub(crate) empties_root: bool,
    /// Whether they may only be read: the granted directories, where workers can't have views of them.
    pub(crate) directories: Vec<bool>,
    /// Many workers will be forked: it may take some milliseconds to make each of them cheaper.
    pub(crate) for_many: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromZygote {
    /// The artifacts are loaded; forking can begin.
    Ready,
    /// An artifact can't be loaded: its component's number and why.
    BadArtifact(usize, String),
    /// A component imports what nobody provides: its number and what.
    Unlinkable(usize, String),
    /// It can't work here at all.
    Failed(String),
    /// The worker lives. `pid` is its number in the run's namespace, its pidfd the descriptor.
    Forked { worker: WorkerId, pid: i32 },
    /// The kernel refused; the reason for the user.
    NotForked { worker: WorkerId, reason: String },
}
