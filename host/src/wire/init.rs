//! Supervisor and init.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wasmproc_sandbox::{Identity, ProcessLimits, Usage, WaitStatus, Walls};

/// From the supervisor. `Setup` comes first, with descriptors: stdout, stderr, the entrance of a cgroup if
/// there is one, then one artifact per component.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInit {
    Setup(Setup),
    /// Start another zygote, one that is made for many workers; the present one goes when its socket is closed.
    Renew,
    /// Put the run behind others by so many of nice(2)'s steps.
    GiveWay(u8),
    /// A narrower view of grant number `grant`.
    Narrow {
        ticket: u64,
        grant: usize,
        path: PathBuf,
        read_only: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) grants: Vec<Grant>,
    /// The user to become where init is the host's root without a user namespace.
    pub(crate) user: Option<Identity>,
    pub(crate) limits: ProcessLimits,
    pub(crate) components: Vec<ComponentSetup>,
    pub(crate) cgroup: bool,
}

/// What a zygote has to know of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComponentSetup {
    /// Code of its own runs already when it is instantiated.
    pub(crate) runs_at_start: bool,
}

/// A directory for the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Grant {
    Host { path: PathBuf, read_only: bool },
    Tmp { capacity_bytes: u64 },
}

/// To the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInit {
    /// From the doorstep: init lives, a child of the supervisor; its pidfd is the descriptor. Comes first or second,
    /// and not at all where the doorstep itself becomes init.
    Born,
    /// The namespaces are entered; the grants are the descriptors.
    Ready(Walls),
    /// The run can't start; one line for the user.
    Failed(String),
    /// A zygote was started; its socket is the descriptor. The one before, if any, is dead, unless this is the answer
    /// to `Renew`.
    Zygote { renewed: bool },
    /// The view that was asked for is the descriptor, or there is none and the message says why.
    Narrowed { ticket: u64, error: Option<NoView> },
    /// A process of the run is dead and reaped. `pid` is its number in the run's namespace.
    Reaped { pid: i32, status: WaitStatus, usage: Usage },
}

/// Why a directory can't be passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NoView {
    pub(crate) reason: String,
    /// The machine lacks something for it at the moment; else it is refused for good.
    pub(crate) is_short: bool,
}

impl From<std::io::Error> for NoView {
    fn from(error: std::io::Error) -> NoView {
        let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC];
        let is_short = error.raw_os_error().is_some_and(|number| lacks.contains(&number));
        NoView { reason: error.to_string(), is_short }
    }
}
