//! Supervisor and compile worker.

use serde::{Deserialize, Serialize};

use crate::artifact::Manifest;

/// What to do with the bytes in the first descriptor that comes along.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The file's name, for messages.
    pub(crate) name: String,
    pub(crate) job: Job,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Make native code, and leave it in the second descriptor.
    Compile,
    /// Print the component's world as WIT.
    Describe,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A system call was denied. First, because a signal handler writes it by hand.
    Denied(u32),
    Compiled(Manifest),
    Described(Manifest, String),
    /// The file can't be run; a message for the user, one line.
    Refused(String),
    /// The compile worker could not do its job.
    Failed(String),
}
