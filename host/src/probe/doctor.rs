//! Examines what this machine has of the sandbox, by standing in it.

use serde::Serialize;
use wasmproc_sandbox::{Namespace, Walls};

use super::{Options, Property, Site, Verdict, attempts};
use crate::Task;
use crate::error::Result;

/// How well a layer does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Enforced,
    /// It is there and does less than it could.
    Degraded,
    Missing,
}

/// What is to be said of one layer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    pub(crate) layer: String,
    pub(crate) state: State,
    pub(crate) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

/// An attempt that was made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tried {
    pub(crate) name: &'static str,
    pub(crate) property: Property,
    pub(crate) what: &'static str,
    pub(crate) verdict: Verdict,
}

/// What the doctor found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Diagnosis {
    pub(crate) layers: Vec<Check>,
    pub(crate) attempts: Vec<Tried>,
}

impl Diagnosis {
    /// The attempts that the sandbox did not stop, or that could not be made.
    pub(crate) fn not_stopped(&self) -> impl Iterator<Item = &Tried> {
        self.attempts.iter().filter(|tried| !tried.verdict.is_stopped())
    }

    /// How the worst layer does.
    pub(crate) fn worst(&self) -> State {
        self.layers.iter().map(|check| check.state).max().unwrap_or(State::Missing)
    }
}

/// Enters workers, tries to get out of each, and says what stands around them.
pub(crate) fn examine() -> Result<Diagnosis> {
    let site = Site::new()?;
    let walls = site.walls(Options::default())?;
    let mut tried = Vec::new();
    for attempt in attempts() {
        let verdict = site.try_inside(attempt.name, Options::default())?;
        tried.push(Tried { name: attempt.name, property: attempt.property, what: attempt.what, verdict });
    }
    Ok(Diagnosis { layers: layers(&walls), attempts: tried })
}

fn layers(walls: &Walls) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |layer: &str, is_there: bool, detail: &str| {
        let missing = walls.missing.iter().find(|missing| missing.layer == layer);
        let (state, detail, remedy) = match (is_there, missing) {
            (true, _) => (State::Enforced, detail.to_owned(), None),
            (false, Some(missing)) => (State::Missing, missing.reason.clone(), Some(missing.remedy.clone())),
            (false, None) => (State::Missing, "it needs another layer that is missing".to_owned(), None),
        };
        checks.push(Check { layer: layer.to_owned(), state, detail, remedy });
    };
    let namespaces = [
        (Namespace::User, "capabilities of init count for nothing outside"),
        (Namespace::Mount, "mounts of their own"),
        (Namespace::Pid, "other processes can't be named; all end with init"),
        (Namespace::Net, "no network, not even the host's loopback"),
        (Namespace::Ipc, "no System V objects or message queues of others"),
        (Namespace::Uts, "a host name of their own"),
    ];
    for (namespace, detail) in namespaces {
        check(&format!("{} namespace", format!("{namespace:?}").to_lowercase()), walls.has(namespace), detail);
    }
    check("empty root", walls.empty_root, "an empty read-only directory; what is granted is a mount of its own");
    check("Landlock", walls.landlock.is_some(), "files, TCP and signals by rules of each worker's own");
    check("seccomp", walls.seccomp, "an allowlist of system calls for each role; everything else ends the worker");
    let has_user = walls.missing.iter().all(|missing| missing.layer != "user without rights");
    check("user without rights", has_user, "no capabilities, no new privileges, not traceable");
    check("limits", true, &limits());
    if let (Some(version @ ..6), Some(check)) =
        (walls.landlock, checks.iter_mut().find(|check| check.layer == "Landlock"))
    {
        check.state = State::Degraded;
        check.detail = format!(
            "version {version}: {}",
            match version {
                ..4 => "files only, neither TCP (4) nor signals (6)",
                _ => "files and TCP, not signals (6)",
            }
        );
        check.remedy = Some("use a newer kernel; other layers stand around the rest".to_owned());
    }
    checks
}

fn limits() -> String {
    let limits = "memory, open files, processes, core dumps, locked memory";
    match wasmproc_sandbox::raise_open_files() {
        open_files @ ..Task::DEFAULT_MAX_OPEN_FILES => format!("{limits}; {open_files} open files for the whole run"),
        _ => limits.to_owned(),
    }
}
