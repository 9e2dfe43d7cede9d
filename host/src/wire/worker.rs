//! Supervisor and worker. Nothing that a worker says is trusted.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::MAX_TEXT_BYTES;
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

impl Start {
    /// What all of it that can be long counts for.
    pub(crate) fn bytes(&self) -> usize {
        let arguments = self.arguments.iter().map(|argument| argument.len() + LEAST_BYTES);
        let environment = self.environment.iter().map(|(name, value)| name.len() + value.len() + LEAST_BYTES);
        let directories = self.directories.iter().map(|(guest, _)| guest.len() + LEAST_BYTES);
        self.input.len() + arguments.sum::<usize>() + environment.sum::<usize>() + directories.sum::<usize>()
    }
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
    /// The process would have ended by SIGABRT. A signal handler writes this one, too.
    Aborted,
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

/// In a list of a message an element counts for this many bytes at least, however short it is: it is more than that when
/// it is decoded.
const LEAST_BYTES: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spawn {
    pub(crate) target: Target,
    #[serde(with = "serde_bytes")]
    pub(crate) input: Vec<u8>,
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) component: Option<String>,
    #[serde(deserialize_with = "some_short_list")]
    pub(crate) arguments: Option<Vec<String>>,
    #[serde(deserialize_with = "some_short_list")]
    pub(crate) environment: Option<Vec<(String, String)>>,
    #[serde(deserialize_with = "some_short_list")]
    pub(crate) directories: Option<Vec<Directory>>,
    pub(crate) max_memory_bytes: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    /// What the child may open.
    #[serde(deserialize_with = "short_list")]
    pub(crate) objects: Vec<ObjectId>,
}

#[cfg(any(test, feature = "fuzzing"))]
impl Spawn {
    /// A process that nothing is said of but what it runs.
    pub(crate) fn plain(target: Target) -> Spawn {
        Spawn {
            target,
            input: Vec::new(),
            name: None,
            daemon: false,
            component: None,
            arguments: None,
            environment: None,
            directories: None,
            max_memory_bytes: None,
            cpu_time: None,
            timeout: None,
            objects: Vec::new(),
        }
    }
}

impl Spawn {
    /// What all of it but the input counts for: at most [`MAX_TEXT_BYTES`].
    pub(crate) fn text_bytes(&self) -> usize {
        let function = match &self.target {
            Target::Function(name) => name.len(),
            Target::Main | Target::Attempt { .. } => 0,
        };
        let arguments = self.arguments.iter().flatten().map(|argument| argument.len() + LEAST_BYTES);
        let environment = self.environment.iter().flatten().map(|(name, value)| name.len() + value.len() + LEAST_BYTES);
        let directories = self.directories.iter().flatten().map(|one| one.source.len() + one.guest.len() + LEAST_BYTES);
        let names = [&self.name, &self.component].into_iter().flatten().map(String::len);
        let lists = arguments.sum::<usize>() + environment.sum::<usize>() + directories.sum::<usize>();
        function + lists + names.sum::<usize>() + self.objects.len() * LEAST_BYTES
    }
}

/// A list that can't be within the limit of a message's text is none.
fn short_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(decoder: D) -> Result<Vec<T>, D::Error> {
    struct ShortList<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ShortList<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a short list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == MAX_TEXT_BYTES / LEAST_BYTES {
                    return Err(A::Error::custom("the list is too long"));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    decoder.deserialize_seq(ShortList(PhantomData))
}

fn some_short_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(decoder: D) -> Result<Option<Vec<T>>, D::Error> {
    struct List<T>(Vec<T>);
    impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
        fn deserialize<D: Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
            short_list(decoder).map(List)
        }
    }
    Ok(Option::<List<T>>::deserialize(decoder)?.map(|list| list.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte each on the wire, and 24 when they are decoded.
    #[test]
    fn a_list_that_is_longer_than_its_text_could_be_is_no_message() {
        let spawn = |arguments: usize| Spawn {
            arguments: Some(vec![String::new(); arguments]),
            objects: vec![ObjectId(1)],
            ..Spawn::plain(Target::Main)
        };
        let most = MAX_TEXT_BYTES / LEAST_BYTES;
        let decoded = |spawn| postcard::from_bytes::<Spawn>(&postcard::to_stdvec(&spawn).expect("memory"));
        assert_eq!(decoded(spawn(most)), Ok(spawn(most)));
        assert!(decoded(spawn(most + 1)).is_err());
    }
}
