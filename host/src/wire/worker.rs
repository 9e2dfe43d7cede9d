//! Supervisor and worker. Nothing that a worker says is trusted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::object::{ObjectId, ObjectReply, ObjectRequest};
use crate::probe::Place;
use crate::{Cause, Pid};

/// To a worker. `Start` comes first, with descriptors: stdin if it has one, then one per directory.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Start(Box<Start>),
    Reply {
        request: u64,
        result: Result<Reply, Refusal>,
    },
    /// A watched process has ended.
    Ended {
        pid: Pid,
        cause: Cause,
        output: Output,
    },
    /// Somebody asks this process to stop.
    Stop,
    /// The wait that this process reported under this number will never end: it is part of a circle.
    Deadlock {
        sequence: u64,
        message: String,
    },
}

/// All that a worker has to know about its process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) pid: Pid,
    pub(crate) name: String,
    pub(crate) parent: Option<(Pid, String)>,
    pub(crate) daemon: bool,
    /// Index into the run's components.
    pub(crate) component: usize,
    pub(crate) target: Target,
    #[serde(with = "serde_bytes")]
    pub(crate) input: Vec<u8>,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Guest path, and whether it is read-only.
    pub(crate) directories: Vec<(String, bool)>,
    pub(crate) stdin: bool,
    /// Which of stdin, stdout, stderr are terminals.
    pub(crate) terminals: [bool; 3],
    pub(crate) memory_limit_bytes: u64,
    /// What it may use of that without asking.
    pub(crate) memory_allowance_bytes: u64,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) parallelism: u32,
    /// To standard output and error together.
    pub(crate) max_output_bytes: u64,
}

/// Where a process begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    Main,
    Function(String),
    /// No guest: native code tries to get out. See [`crate::probe`].
    Attempt {
        name: String,
        place: Place,
    },
}

/// Whether a process left a result, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    None,
    Here(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Large; to be asked for.
    Kept,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// A system call was denied. First, because a signal handler writes it by hand.
    Denied(u32),
    /// The main function returned, or an exit function was called.
    Finished {
        code: u8,
        #[serde(with = "serde_bytes")]
        output: Option<Vec<u8>>,
    },
    Trapped {
        message: String,
        backtrace: String,
    },
    OutOfMemory,
    /// It has written as much as it may, and goes on.
    OutputLimit,
    Rejected(String),
    /// The sandbox around it, or one of its limits, could not be set up.
    SandboxFailed(String),
    /// The instance could not be made, or another error of ours.
    Failed(String),
    Request {
        id: u64,
        request: Request,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Spawn(Box<Spawn>),
    /// Say when this process, child or parent, has ended. No reply but `Ended`.
    Watch(Pid),
    /// Nobody will ask for the output of this child.
    Forget(Pid),
    TakeOutput(Pid),
    Terminate {
        pid: Pid,
        grace: Duration,
    },
    Children,
    /// More memory than the allowance, in bytes.
    Memory(u64),
    /// This process looks at its stop request: it wants the grace period. No reply.
    ListenForStop,
    Object(ObjectRequest),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spawn {
    pub(crate) target: Target,
    #[serde(with = "serde_bytes")]
    pub(crate) input: Vec<u8>,
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) component: Option<String>,
    pub(crate) arguments: Option<Vec<String>>,
    pub(crate) environment: Option<Vec<(String, String)>>,
    pub(crate) directories: Option<Vec<Directory>>,
    pub(crate) max_memory_bytes: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    /// What the child may open.
    pub(crate) objects: Vec<ObjectId>,
}

/// A directory for a child, in its parent's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    pub(crate) source: String,
    pub(crate) guest: String,
    pub(crate) read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Spawned { pid: Pid, name: String },
    Output(#[serde(with = "serde_bytes")] Vec<u8>),
    Children(Vec<Child>),
    Object(ObjectReply),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) name: String,
    pub(crate) daemon: bool,
}

/// A request that was refused: for the guest, in the words of `wasmproc:ipc/types.error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefusalCode {
    TooLarge,
    Limit,
    Denied,
    Invalid,
}
