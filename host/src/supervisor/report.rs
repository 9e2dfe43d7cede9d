//! What is told about a run: while it goes on, and after.

use std::os::fd::AsFd;
use std::time::Duration;

use serde::Serialize;
use wasmproc_sandbox::Walls;

use super::kernel;
use super::table::{Now, Phase, Record, Snapshot};
use super::workers::Workers;
use crate::cause::exit_code;
use crate::{Access, Cause, Pid};

/// Processes that a report lists; of the others it tells the number.
const MAX_LISTED: usize = 100_000;
/// The names and reasons of those, together.
const MAX_LISTED_BYTES: usize = 64 << 20;

/// How a run ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How its first process ended.
    pub cause: Cause,
    /// The signal on whose account it was stopped, if it was.
    pub stopped_by: Option<u8>,
    pub report: Report,
}

impl Outcome {
    /// The exit code of `wasmproc run` for this outcome.
    pub fn exit_code(&self) -> u8 {
        match (self.stopped_by, &self.cause) {
            (Some(signal), Cause::Killed(None)) => exit_code::SIGNAL.saturating_add(signal),
            (_, cause) => cause.exit_code(),
        }
    }
}

/// What a run did and what stood around it.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The walls around every worker.
    pub walls: Walls,
    /// The processes in the order of their ends; empty unless it was asked for.
    pub processes: Vec<ProcessReport>,
    /// Processes that had no room in the list.
    pub unlisted: u64,
    /// How often a process that died had held a shared object, or had been inside an operation on one.
    pub recoveries: u64,
}

/// A process that has ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProcessReport {
    pub pid: Pid,
    pub name: String,
    pub parent: Option<Pid>,
    /// Since the run began.
    pub started: Duration,
    pub duration: Duration,
    pub cause: Cause,
    pub cpu_time: Duration,
    /// The most memory that was resident at once, pages shared with other workers included.
    pub peak_memory_bytes: u64,
    /// What it was allowed, behind the walls of the run.
    pub allowed: Allowed,
}

/// What a process was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Allowed {
    pub max_memory_bytes: u64,
    pub cpu_time: Option<Duration>,
    pub timeout: Option<Duration>,
    /// The directories that were granted to it, as the guest knows them, and how.
    pub directories: Vec<(String, Access)>,
}

/// A process that is alive.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProcessView {
    pub pid: Pid,
    pub name: String,
    pub parent: Option<Pid>,
    pub daemon: bool,
    pub state: ProcessState,
    /// What it waits for, once it has waited for a while without a time-out: a lock, or the end of a process.
    pub waits_for: Option<String>,
    /// How long it has been alive.
    pub age: Duration,
    pub cpu_time: Duration,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProcessState {
    /// It waits for a worker.
    Starting,
    /// It computes.
    Running,
    /// It waits in a host call: for time to pass, for input or output, for another process.
    Waiting,
    /// It was stopped by a signal.
    Stopped,
    /// Its main function has returned, and its children have not.
    WaitingForChildren,
    /// It is being killed.
    Dying,
}

/// Collects the report while a run goes on.
pub(super) struct Recorder {
    pub(super) walls: Walls,
    pub(super) recoveries: u64,
    list: bool,
    processes: Vec<ProcessReport>,
    listed_bytes: usize,
    unlisted: u64,
}

impl Recorder {
    pub(super) fn new(list: bool) -> Recorder {
        Recorder { walls: Walls::default(), recoveries: 0, list, processes: Vec::new(), listed_bytes: 0, unlisted: 0 }
    }

    pub(super) fn record(&mut self, record: Record) -> ProcessReport {
        let report = ProcessReport {
            pid: record.pid,
            name: record.name,
            parent: record.parent,
            started: record.started,
            duration: record.ended.saturating_sub(record.started),
            cause: record.cause,
            cpu_time: record.usage.cpu_time,
            peak_memory_bytes: record.usage.peak_memory_bytes,
            allowed: record.allowed,
        };
        let directories: usize = report.allowed.directories.iter().map(|(directory, _)| directory.len()).sum();
        let bytes = self.listed_bytes + report.name.len() + directories + report.cause.text_bytes();
        if self.list && self.processes.len() < MAX_LISTED && bytes <= MAX_LISTED_BYTES {
            self.listed_bytes = bytes;
            self.processes.push(report.clone());
        } else if self.list {
            self.unlisted += 1;
        }
        report
    }

    pub(super) fn outcome(&mut self, cause: Cause, stopped_by: Option<u8>) -> Outcome {
        let report = Report {
            walls: self.walls.clone(),
            processes: std::mem::take(&mut self.processes),
            unlisted: self.unlisted,
            recoveries: self.recoveries,
        };
        Outcome { cause, stopped_by, report }
    }
}

/// The living as a person sees them.
pub(super) fn views(snapshots: Vec<Snapshot>, now: Now, workers: &Workers) -> Vec<ProcessView> {
    let view = |snapshot: Snapshot| {
        let kernel = snapshot.worker.and_then(|worker| kernel::view(workers.pidfd(worker)?.as_fd()));
        let (letter, cpu_time) = kernel.unwrap_or(('S', Duration::ZERO));
        let state = match (snapshot.phase, letter) {
            (Phase::Starting, _) => ProcessState::Starting,
            (Phase::Draining, _) => ProcessState::WaitingForChildren,
            (Phase::Dying, _) => ProcessState::Dying,
            (Phase::Running, 'R') => ProcessState::Running,
            (Phase::Running, 'T' | 't') => ProcessState::Stopped,
            (Phase::Running, _) => ProcessState::Waiting,
        };
        ProcessView {
            pid: snapshot.pid,
            name: snapshot.name,
            parent: snapshot.parent,
            daemon: snapshot.daemon,
            state,
            waits_for: snapshot.waits_for,
            age: now.saturating_sub(snapshot.begun),
            cpu_time,
        }
    };
    snapshots.into_iter().map(view).collect()
}
